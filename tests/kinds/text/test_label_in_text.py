from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.contracts import CheckContext
from fieldcraft.kinds.text.checks._base import iter_text_columns
from fieldcraft.kinds.text.checks.label_in_text import (
    LabelInText,
    LabelMentions,
    count_label_mentions,
    rows_by_class,
)
from tests.checks.contexts import empty_context, run_check, split_context
from tests.kinds.text.sentences import make_texts

ROWS = 300
TEXTS = make_texts(ROWS)
CLASSES = ["rec.sport", "sciSpace", "soft_goods"]
SPOKEN = ["rec sport", "sci space", "soft goods"]
KINDS = [i % 3 for i in range(ROWS)]


def view_of(texts: list[str], classes: list[str] = CLASSES) -> CheckContext:
    target = [classes[kind] for kind in KINDS]
    return split_context({"a": texts, "y": target}, "multiclass", a="text")


@pytest.mark.parametrize("form", ["{said}: {text}", "{text} ({said})", "{text} [{said}] {text}"])
def test_labels_written_into_the_texts_are_a_warning(form: str) -> None:
    texts = [form.format(said=SPOKEN[k], text=t) for k, t in zip(KINDS, TEXTS, strict=True)]
    (finding,) = run_check(LabelInText(), view_of(texts))
    assert (finding.severity, finding.column) == ("warn", "a")
    assert "300 of 300 texts say the name of their own class" in finding.title
    assert finding.evidence["classes"]["sciSpace"] == {"texts": 100, "own": 100, "others": 0}


def test_the_longer_of_two_names_is_looked_for_first() -> None:
    names = ["approved", "not approved", "soft"]
    texts = [f"{names[k]} {text}" for k, text in zip(KINDS, TEXTS, strict=True)]
    (finding,) = run_check(LabelInText(), view_of(texts, names))
    assert finding.evidence["classes"]["approved"] == {"texts": 100, "own": 100, "others": 0}


@pytest.mark.parametrize("form", ["kettles: {text}", "{text} kettles"])
def test_one_class_that_is_always_named_at_one_place_is_a_warning(form: str) -> None:
    names = ["kettles", "other things", "some more"]
    texts = [form.format(text=t) if k == 0 else t for k, t in zip(KINDS, TEXTS, strict=True)]
    (finding,) = run_check(LabelInText(), view_of(texts, names))
    assert "nearly all texts of 1 class say" in finding.title
    assert list(finding.evidence["classes"]) == ["kettles"]


def test_the_word_that_people_use_for_a_thing_is_no_leak() -> None:
    draw = np.random.default_rng(0)
    texts = [*TEXTS]
    for i in range(0, ROWS, 3):  # every text of the class, but here and there
        words = texts[i].split()
        words.insert(int(draw.integers(1, len(words) - 1)), "kettles")
        texts[i] = " ".join(words)
    assert run_check(LabelInText(), view_of(texts, ["kettles", "other things", "some more"])) == []


@pytest.mark.parametrize("names", [["0", "1", "2"], ["no", "ja", "si"]])
def test_names_that_are_no_words_are_not_looked_for(names: list[str]) -> None:
    texts = [f"{names[k]} {text}" for k, text in zip(KINDS, TEXTS, strict=True)]
    assert run_check(LabelInText(), view_of(texts, names)) == []


def test_names_that_stand_in_all_texts_tell_nothing() -> None:
    assert (
        run_check(LabelInText(), view_of([f"{' '.join(SPOKEN)}: {text}" for text in TEXTS])) == []
    )


def test_each_of_many_labels_is_looked_for_in_its_texts() -> None:
    toxic, rude = [k == 0 for k in KINDS], [k != 1 for k in KINDS]
    texts = [
        f"{'toxic' * a} {'rude' * b} {text}" for text, a, b in zip(TEXTS, toxic, rude, strict=True)
    ]
    cells = {"a": texts, "toxic": toxic, "rude": rude}
    view = split_context(cells, "labels", ("toxic", "rude"), a="text")
    (finding,) = run_check(LabelInText(), view)
    assert finding.evidence["classes"]["rude"] == {"texts": 200, "own": 200, "others": 0}


def test_numbers_have_no_names() -> None:
    view = split_context({"a": TEXTS, "y": list(map(str, KINDS))}, "regression", a="text")
    assert rows_by_class(view) == {}
    assert run_check(LabelInText(), view) == []
    assert run_check(LabelInText(), empty_context("split", 30, a="text")) == []


@pytest.mark.parametrize(
    ("own", "others", "reported"),
    [(150, 0, True), (149, 0, False), (190, 10, True), (190, 11, False)],
)
def test_half_of_the_texts_say_their_own_class_and_few_another(
    own: int, others: int, reported: bool
) -> None:
    names = ["alpha", "omega"]
    y = [i % 2 for i in range(300)]
    placed_words = [
        names[y[i]] if i < own else names[1 - y[i]] if i < own + others else "" for i in range(300)
    ]
    # Each at a place of its own, so that no class alone is told of.
    texts = [f"{'so ' * (i % 60)}{word} {i}" for i, word in enumerate(placed_words)]
    cells = {"a": texts, "y": [names[k] for k in y]}
    findings = run_check(LabelInText(), split_context(cells, "binary", a="text"))
    assert [f.title.startswith(f"a: {own} of 300 texts say") for f in findings] == [True] * reported


@pytest.mark.parametrize(
    ("texts", "placed", "others", "rest", "tells"),
    [
        (20, 19, 0, 100, True), (19, 19, 0, 100, False),  # twenty texts of the class
        (100, 95, 0, 100, True), (100, 94, 0, 100, False),  # nearly all at one place
        (100, 95, 1, 100, True), (100, 95, 2, 100, False),  # one of a hundred others
        (100, 95, 0, 0, False), (100, 95, 0, 1, True),
    ],
)  # fmt: skip
def test_bounds_of_a_class_that_its_name_tells(
    texts: int, placed: int, others: int, rest: int, tells: bool
) -> None:
    assert LabelMentions("a", texts, placed, placed, others, rest).is_leak is tells


def test_names_are_counted_by_class_whether_or_not_their_text_is_of_it() -> None:
    cells = {
        "a": ["alpha one", "alpha two", "so", "omega alpha", "omega", "alpha"],
        "y": ["alpha", "alpha", "alpha", "omega", "omega", "omega"],
    }
    view = split_context(cells, "binary", a="text")
    (written,) = iter_text_columns(view)
    names = {named.label: named for named in count_label_mentions(written, rows_by_class(view))}
    assert names["alpha"] == LabelMentions("alpha", 3, 2, 2, 2, 3)
    assert names["omega"] == LabelMentions("omega", 3, 2, 2, 0, 3)

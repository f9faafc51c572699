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
LABEL_WORDS = ["rec sport", "sci space", "soft goods"]
CLASS_INDICES = [i % 3 for i in range(ROWS)]


def build_context(texts: list[str], classes: list[str] = CLASSES) -> CheckContext:
    target = [classes[kind] for kind in CLASS_INDICES]
    return split_context({"a": texts, "y": target}, "multiclass", a="text")


@pytest.mark.parametrize("form", ["{label}: {text}", "{text} ({label})", "{text} [{label}] {text}"])
def test_labels_written_into_texts_are_a_warning(form: str) -> None:
    texts = [
        form.format(label=LABEL_WORDS[k], text=t) for k, t in zip(CLASS_INDICES, TEXTS, strict=True)
    ]
    (finding,) = run_check(LabelInText(), build_context(texts))
    assert (finding.severity, finding.column) == ("warning", "a")
    assert "300 of 300 texts mention their own class" in finding.title
    assert finding.evidence["classes"]["sciSpace"] == {"texts": 100, "own": 100, "others": 0}


def test_longer_class_names_are_matched_first() -> None:
    names = ["approved", "not approved", "soft"]
    texts = [f"{names[k]} {text}" for k, text in zip(CLASS_INDICES, TEXTS, strict=True)]
    (finding,) = run_check(LabelInText(), build_context(texts, names))
    assert finding.evidence["classes"]["approved"] == {"texts": 100, "own": 100, "others": 0}


@pytest.mark.parametrize("form", ["kettles: {text}", "{text} kettles"])
def test_one_class_always_mentioned_at_one_position_is_a_warning(form: str) -> None:
    names = ["kettles", "other things", "some more"]
    texts = [
        form.format(text=t) if k == 0 else t for k, t in zip(CLASS_INDICES, TEXTS, strict=True)
    ]
    (finding,) = run_check(LabelInText(), build_context(texts, names))
    assert "nearly all texts of 1 class mention" in finding.title
    assert list(finding.evidence["classes"]) == ["kettles"]


def test_class_names_in_ordinary_use_are_not_a_leak() -> None:
    rng = np.random.default_rng(0)
    texts = [*TEXTS]
    for i in range(0, ROWS, 3):  # every text of the class, at varied positions
        words = texts[i].split()
        words.insert(int(rng.integers(1, len(words) - 1)), "kettles")
        texts[i] = " ".join(words)
    assert (
        run_check(LabelInText(), build_context(texts, ["kettles", "other things", "some more"]))
        == []
    )


@pytest.mark.parametrize("names", [["0", "1", "2"], ["no", "ja", "si"]])
def test_short_and_numeric_class_names_are_ignored(names: list[str]) -> None:
    texts = [f"{names[k]} {text}" for k, text in zip(CLASS_INDICES, TEXTS, strict=True)]
    assert run_check(LabelInText(), build_context(texts, names)) == []


def test_names_in_all_texts_are_not_a_leak() -> None:
    assert (
        run_check(
            LabelInText(), build_context([f"{' '.join(LABEL_WORDS)}: {text}" for text in TEXTS])
        )
        == []
    )


def test_each_label_of_a_multilabel_target_is_checked() -> None:
    toxic, rude = [k == 0 for k in CLASS_INDICES], [k != 1 for k in CLASS_INDICES]
    texts = [
        f"{'toxic' * a} {'rude' * b} {text}" for text, a, b in zip(TEXTS, toxic, rude, strict=True)
    ]
    cells = {"a": texts, "toxic": toxic, "rude": rude}
    context = split_context(cells, "labels", ("toxic", "rude"), a="text")
    (finding,) = run_check(LabelInText(), context)
    assert finding.evidence["classes"]["rude"] == {"texts": 200, "own": 200, "others": 0}


def test_regression_targets_have_no_class_names() -> None:
    context = split_context(
        {"a": TEXTS, "y": list(map(str, CLASS_INDICES))}, "regression", a="text"
    )
    assert rows_by_class(context) == {}
    assert run_check(LabelInText(), context) == []
    assert run_check(LabelInText(), empty_context("split", 30, a="text")) == []


@pytest.mark.parametrize(
    ("own", "others", "reported"),
    [(150, 0, True), (149, 0, False), (190, 10, True), (190, 11, False)],
)
def test_reported_if_half_of_texts_mention_their_class_and_few_another(
    own: int, others: int, reported: bool
) -> None:
    names = ["alpha", "omega"]
    y = [i % 2 for i in range(300)]
    mentioned_words = [
        names[y[i]] if i < own else names[1 - y[i]] if i < own + others else "" for i in range(300)
    ]
    # Each at a position of its own, so that no single class is reported.
    texts = [f"{'so ' * (i % 60)}{word} {i}" for i, word in enumerate(mentioned_words)]
    cells = {"a": texts, "y": [names[k] for k in y]}
    findings = run_check(LabelInText(), split_context(cells, "binary", a="text"))
    assert [f.title.startswith(f"a: {own} of 300 texts mention") for f in findings] == [
        True
    ] * reported


@pytest.mark.parametrize(
    ("texts", "same_position", "others", "other_texts", "is_leak"),
    [
        (20, 19, 0, 100, True), (19, 19, 0, 100, False),  # twenty texts of the class
        (100, 95, 0, 100, True), (100, 94, 0, 100, False),  # nearly all at one position
        (100, 95, 1, 100, True), (100, 95, 2, 100, False),  # one of a hundred others
        (100, 95, 0, 0, False), (100, 95, 0, 1, True),
    ],
)  # fmt: skip
def test_limits_of_a_leak_by_a_single_class(
    texts: int, same_position: int, others: int, other_texts: int, is_leak: bool
) -> None:
    mentions = LabelMentions("a", texts, same_position, same_position, others, other_texts)
    assert mentions.is_leak is is_leak


def test_mentions_are_counted_in_own_and_other_texts() -> None:
    cells = {
        "a": ["alpha one", "alpha two", "so", "omega alpha", "omega", "alpha"],
        "y": ["alpha", "alpha", "alpha", "omega", "omega", "omega"],
    }
    context = split_context(cells, "binary", a="text")
    (text_column,) = iter_text_columns(context)
    mentions = {
        mention.label: mention
        for mention in count_label_mentions(text_column, rows_by_class(context))
    }
    assert mentions["alpha"] == LabelMentions("alpha", 3, 2, 2, 2, 3)
    assert mentions["omega"] == LabelMentions("omega", 3, 2, 2, 0, 3)

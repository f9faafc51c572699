from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.contracts import CheckContext
from fieldcraft.kinds.text.checks.single_word_leak import SingleWordLeak, index_words
from tests.checks.contexts import empty_context, run_check, split_context
from tests.kinds.text.sentences import make_texts

ROWS = 300
TEXTS = make_texts(ROWS)
FIRST = [i % 3 == 0 for i in range(ROWS)]


def marked(mark: str, rows: list[bool]) -> list[str]:
    """Texts of which some have a mark in their midst."""
    return [
        t.replace(" and ", f" {mark} ", 1) if m else t for m, t in zip(rows, TEXTS, strict=True)
    ]


def view_of(texts: list[str], names: tuple[str, str] = ("false", "true")) -> CheckContext:
    return split_context({"a": texts, "y": [names[own] for own in FIRST]}, "binary", a="text")


@pytest.mark.parametrize("turned", [False, True], ids=["of one class", "of the other"])
def test_the_mark_of_a_source_is_a_warning(turned: bool) -> None:
    texts = marked("(Reuters)", [own != turned for own in FIRST])
    (finding,) = run_check(SingleWordLeak(), view_of(texts))
    assert (finding.severity, finding.column) == ("warn", "a")
    assert finding.evidence == {"words": {"reuters": [1.0, 0.0]}, "texts": ROWS}
    assert "'reuters' (100% and 0.0% of the texts)" in finding.title


@pytest.mark.parametrize(
    ("kept", "strays", "reported"), [(1.0, 0.0, True), (0.95, 0.02, True), (0.8, 0.0, False)]
)
def test_a_word_must_tell_nearly_all(kept: float, strays: float, reported: bool) -> None:
    draw = np.random.default_rng(0)
    rows = [bool(draw.random() < (kept if own else strays)) for own in FIRST]
    assert bool(run_check(SingleWordLeak(), view_of(marked("agency", rows)))) == reported


def test_names_of_classes_are_left_to_the_check_of_them() -> None:
    texts = marked("splendid", FIRST)
    assert run_check(SingleWordLeak(), view_of(texts, ("poor", "splendid"))) == []


def test_each_of_many_labels_is_looked_at() -> None:
    cells = {"a": marked("agency", FIRST), "b": FIRST, "c": [i % 2 == 0 for i in range(ROWS)]}
    (finding,) = run_check(SingleWordLeak(), split_context(cells, "labels", ("b", "c"), a="text"))
    assert "the target b" in finding.title


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_targets_without_two_sides_are_passed(task: str) -> None:
    cells = {"a": marked("agency", FIRST), "y": [str(i % 3) for i in range(ROWS)]}
    assert run_check(SingleWordLeak(), split_context(cells, task, a="text")) == []
    assert run_check(SingleWordLeak(), empty_context("split", 30, a="text")) == []


def test_words_are_counted_once_a_text_and_rare_ones_left_out() -> None:
    views = [*["so so"] * 40, *["rare"] * 3]
    text, word, spelt = index_words(view_of([*views, *TEXTS[len(views) :]]).values["a"])
    assert "so" in spelt
    assert "rare" not in spelt
    assert (word[text < 40] == spelt.index("so")).all()
    assert len(text[text < 40]) == 40


@pytest.mark.parametrize(
    ("said", "strays", "reported"), [(90, 0, True), (95, 4, True), (95, 6, False), (89, 0, False)]
)
def test_shares_of_texts_that_say_it_must_be_nine_tenths_apart(
    said: int, strays: int, reported: bool
) -> None:
    texts = ["agency so" if i < said else "so" for i in range(100)]
    texts += ["agency so" if i < strays else "so" for i in range(100)]
    cells = {"a": texts, "y": ["yes"] * 100 + ["no"] * 100}
    findings = run_check(SingleWordLeak(), split_context(cells, "binary", a="text"))
    assert [f.evidence["words"] for f in findings] == (
        [{"agency": [said / 100, strays / 100]}] * reported
    )


@pytest.mark.parametrize(("first", "reported"), [(30, True), (29, False)])
def test_thirty_texts_are_needed_on_either_side(first: int, reported: bool) -> None:
    cells = {"a": ["agency so"] * first + ["so"] * 60, "y": ["yes"] * first + ["no"] * 60}
    assert bool(run_check(SingleWordLeak(), split_context(cells, "binary", a="text"))) is reported
    cells["y"] = ["no"] * first + ["yes"] * 60
    assert bool(run_check(SingleWordLeak(), split_context(cells, "binary", a="text"))) is reported


def test_the_word_that_tells_most_is_named_first() -> None:
    texts = ["so " + "agency " * (i < 93) + "boston" for i in range(100)] + ["so"] * 100
    cells = {"a": texts, "y": ["yes"] * 100 + ["no"] * 100}
    (finding,) = run_check(SingleWordLeak(), split_context(cells, "binary", a="text"))
    assert finding.evidence["words"] == {"boston": [1.0, 0.0], "agency": [0.93, 0.0]}
    assert finding.title.endswith("'boston' (100% and 0.0% of the texts), 'agency' (93% and 0.0% "
                                  "of the texts)")  # fmt: skip

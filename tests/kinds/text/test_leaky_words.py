from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.contracts import CheckContext
from fieldcraft.kinds.text.checks.leaky_words import LeakyWords, index_words
from tests.checks.contexts import empty_context, run_check, split_context
from tests.kinds.text.sentences import make_texts

ROWS = 300
TEXTS = make_texts(ROWS)
IS_POSITIVE = [i % 3 == 0 for i in range(ROWS)]


def insert_word(word: str, rows: list[bool]) -> list[str]:
    """Return texts, some with a word inserted in the middle."""
    return [
        t.replace(" and ", f" {word} ", 1) if m else t for m, t in zip(rows, TEXTS, strict=True)
    ]


def build_context(texts: list[str], names: tuple[str, str] = ("false", "true")) -> CheckContext:
    return split_context(
        {"a": texts, "y": [names[positive] for positive in IS_POSITIVE]}, "binary", a="text"
    )


@pytest.mark.parametrize("negated", [False, True], ids=["positive class", "negative class"])
def test_name_of_a_source_is_a_warning(negated: bool) -> None:
    texts = insert_word("(Reuters)", [positive != negated for positive in IS_POSITIVE])
    (finding,) = run_check(LeakyWords(), build_context(texts))
    assert (finding.severity, finding.column) == ("warning", "a")
    assert finding.evidence == {"words": {"reuters": [1.0, 0.0]}, "texts": ROWS}
    assert "'reuters' (100% and 0.0% of the texts)" in finding.title


@pytest.mark.parametrize(
    ("positive_rate", "negative_rate", "reported"),
    [(1.0, 0.0, True), (0.95, 0.02, True), (0.8, 0.0, False)],
)
def test_word_must_nearly_determine_the_target(
    positive_rate: float, negative_rate: float, reported: bool
) -> None:
    rng = np.random.default_rng(0)
    rows = [
        bool(rng.random() < (positive_rate if positive else negative_rate))
        for positive in IS_POSITIVE
    ]
    assert bool(run_check(LeakyWords(), build_context(insert_word("agency", rows)))) == reported


def test_names_of_classes_are_ignored() -> None:
    texts = insert_word("splendid", IS_POSITIVE)
    assert run_check(LeakyWords(), build_context(texts, ("poor", "splendid"))) == []


def test_each_label_is_checked() -> None:
    cells = {
        "a": insert_word("agency", IS_POSITIVE),
        "b": IS_POSITIVE,
        "c": [i % 2 == 0 for i in range(ROWS)],
    }
    (finding,) = run_check(LeakyWords(), split_context(cells, "labels", ("b", "c"), a="text"))
    assert "the target b" in finding.title


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_targets_that_are_not_binary_are_ignored(task: str) -> None:
    cells = {"a": insert_word("agency", IS_POSITIVE), "y": [str(i % 3) for i in range(ROWS)]}
    assert run_check(LeakyWords(), split_context(cells, task, a="text")) == []
    assert run_check(LeakyWords(), empty_context("split", 30, a="text")) == []


def test_words_are_counted_once_per_text_without_rare_ones() -> None:
    texts = [*["so so"] * 40, *["rare"] * 3]
    text_index, word_index, vocabulary = index_words(
        build_context([*texts, *TEXTS[len(texts) :]]).values["a"]
    )
    assert "so" in vocabulary
    assert "rare" not in vocabulary
    assert (word_index[text_index < 40] == vocabulary.index("so")).all()
    assert len(text_index[text_index < 40]) == 40


@pytest.mark.parametrize(
    ("n_positive", "n_negative", "reported"),
    [(90, 0, True), (95, 4, True), (95, 6, False), (89, 0, False)],
)
def test_frequencies_must_differ_by_nine_tenths(
    n_positive: int, n_negative: int, reported: bool
) -> None:
    texts = ["agency so" if i < n_positive else "so" for i in range(100)]
    texts += ["agency so" if i < n_negative else "so" for i in range(100)]
    cells = {"a": texts, "y": ["yes"] * 100 + ["no"] * 100}
    findings = run_check(LeakyWords(), split_context(cells, "binary", a="text"))
    assert [f.evidence["words"] for f in findings] == (
        [{"agency": [n_positive / 100, n_negative / 100]}] * reported
    )


@pytest.mark.parametrize(("first", "reported"), [(30, True), (29, False)])
def test_thirty_texts_per_class_are_needed(first: int, reported: bool) -> None:
    cells = {"a": ["agency so"] * first + ["so"] * 60, "y": ["yes"] * first + ["no"] * 60}
    assert bool(run_check(LeakyWords(), split_context(cells, "binary", a="text"))) is reported
    cells["y"] = ["no"] * first + ["yes"] * 60
    assert bool(run_check(LeakyWords(), split_context(cells, "binary", a="text"))) is reported


def test_strongest_word_is_first() -> None:
    texts = ["so " + "agency " * (i < 93) + "boston" for i in range(100)] + ["so"] * 100
    cells = {"a": texts, "y": ["yes"] * 100 + ["no"] * 100}
    (finding,) = run_check(LeakyWords(), split_context(cells, "binary", a="text"))
    assert finding.evidence["words"] == {"boston": [1.0, 0.0], "agency": [0.93, 0.0]}
    assert finding.title.endswith("'boston' (100% and 0.0% of the texts), 'agency' (93% and 0.0% "
                                  "of the texts)")  # fmt: skip

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from fieldcraft.kinds.text.checks import near_duplicate_texts
from fieldcraft.kinds.text.checks.near_duplicate_texts import (
    NearDuplicateTexts,
    near_duplicate_rows,
)
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts

TEXTS = make_texts(300)


@pytest.mark.parametrize(
    "again",
    [TEXTS[4].upper(), TEXTS[4].replace(".", " !"), "  " + TEXTS[4].replace(" ", "  "),
     TEXTS[4].replace("The", "the", 1), TEXTS[4] + " Indeed."],
)  # fmt: skip
def test_a_text_that_was_changed_a_little_is_told(again: str) -> None:
    (finding,) = run_check(NearDuplicateTexts(), data_context({"a": [*TEXTS, again]}, a="text"))
    assert (finding.severity, finding.column, finding.fixes) == ("tip", "a", ())
    assert finding.evidence == {"texts": 2, "groups": 1, "rows": [[5, 301]]}
    assert "2 of 301 texts (0.7%)" in finding.title
    assert "rows 5, 301" in finding.title


def test_many_are_a_warning_unless_an_entity_keeps_them_together() -> None:
    view = data_context({"a": [*TEXTS, *map(str.upper, TEXTS[:9])]}, a="text")
    (finding,) = run_check(NearDuplicateTexts(), view)
    assert (finding.severity, finding.evidence["groups"]) == ("warn", 9)
    (finding,) = run_check(NearDuplicateTexts(), replace(view, group_column="person"))
    assert finding.severity == "tip"


def test_equal_rows_are_left_to_the_check_of_duplicates() -> None:
    cells = {"a": [*TEXTS, *TEXTS[:9]], "y": ["u", "v", "w"] * 103}
    assert run_check(NearDuplicateTexts(), data_context(cells, a="text")) == []


def test_one_text_in_rows_that_differ_otherwise_is_told() -> None:
    cells = {"a": [*TEXTS, TEXTS[2]], "b": [str(i) for i in range(301)]}
    (finding,) = run_check(NearDuplicateTexts(), data_context(cells, a="text", b="number"))
    assert finding.evidence["rows"] == [[3, 301]]


@pytest.mark.parametrize(
    "pair",
    [
        ("Call me later ok", "call me later OK"),  # short: two people may say it
        ("will i be charged in france", "will i be charged in spain"),
        ("there is a charge of $1 here", "there is a charge of €1 here"),
        ("what a great day it was 👍", "what a great day it was 👎"),
    ],
)
def test_what_says_something_else_is_no_copy(pair: tuple[str, str]) -> None:
    assert run_check(NearDuplicateTexts(), data_context({"a": [*TEXTS, *pair]}, a="text")) == []


def test_of_very_many_texts_a_sample_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicate_texts, "MAX_TEXTS", 50)
    view = data_context({"a": [*TEXTS, *map(str.upper, TEXTS[:60])]}, a="text")
    (finding,) = run_check(NearDuplicateTexts(), view)
    assert finding.evidence["texts"] == 120  # the same words are always found
    assert "in a sample" in finding.title


def test_what_lies_behind_what_a_model_reads_does_not_count() -> None:
    (start,) = make_texts(1, 60, seed=5)
    (finding,) = run_check(NearDuplicateTexts(), data_context({"a": [start + " One end.", start + " Other."]},
                                              a="text"))  # fmt: skip
    assert finding.evidence["texts"] == 2


@pytest.mark.parametrize(("texts", "severity"), [(100, "warn"), (101, "tip")])
def test_one_copy_in_a_hundred_texts_is_many(texts: int, severity: str) -> None:
    (finding,) = run_check(
        NearDuplicateTexts(), data_context({"a": [*TEXTS[: texts - 1], TEXTS[0].upper()]}, a="text")
    )
    assert (finding.severity, finding.evidence["texts"]) == (severity, 2)


@pytest.mark.parametrize(("words", "reported"), [(5, True), (4, False)])
def test_five_words_are_not_said_twice_by_chance(words: int, reported: bool) -> None:
    said = " ".join(["please", "call", "me", "tomorrow", "again"][:words])
    view = data_context({"a": [*TEXTS, said, said.upper()]}, a="text")
    assert bool(run_check(NearDuplicateTexts(), view)) is reported
    rows = near_duplicate_rows(view.values["a"])
    assert [group.tolist() for group in rows] == [[300, 301]] * reported


def test_groups_are_the_rows_in_the_table_the_largest_first_gaps_left_out() -> None:
    cells = [None, TEXTS[0], TEXTS[1], None, TEXTS[0].upper(), TEXTS[1].upper(), TEXTS[1] + "!"]
    groups = near_duplicate_rows(pl.Series("a", cells))
    assert [group.tolist() for group in groups] == [[2, 5, 6], [1, 4]]


def test_of_equal_rows_the_first_is_shown() -> None:
    cells = {"a": [TEXTS[5], TEXTS[4], TEXTS[4], TEXTS[4].upper()]}
    (finding,) = run_check(NearDuplicateTexts(), data_context(cells, a="text"))
    assert finding.evidence["rows"] == [[2, 4]]

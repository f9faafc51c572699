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
    "changed",
    [TEXTS[4].upper(), TEXTS[4].replace(".", " !"), "  " + TEXTS[4].replace(" ", "  "),
     TEXTS[4].replace("The", "the", 1), TEXTS[4] + " Indeed."],
)  # fmt: skip
def test_slightly_changed_text_is_reported(changed: str) -> None:
    (finding,) = run_check(NearDuplicateTexts(), data_context({"a": [*TEXTS, changed]}, a="text"))
    assert (finding.severity, finding.column, finding.fixes) == ("info", "a", ())
    assert finding.evidence == {"texts": 2, "groups": 1, "rows": [[5, 301]]}
    assert "2 of 301 texts (0.7%)" in finding.title
    assert "rows 5, 301" in finding.title


def test_many_are_a_warning_unless_rows_are_grouped() -> None:
    context = data_context({"a": [*TEXTS, *map(str.upper, TEXTS[:9])]}, a="text")
    (finding,) = run_check(NearDuplicateTexts(), context)
    assert (finding.severity, finding.evidence["groups"]) == ("warning", 9)
    (finding,) = run_check(NearDuplicateTexts(), replace(context, group_column="person"))
    assert finding.severity == "info"


def test_equal_rows_are_ignored() -> None:
    cells = {"a": [*TEXTS, *TEXTS[:9]], "y": ["u", "v", "w"] * 103}
    assert run_check(NearDuplicateTexts(), data_context(cells, a="text")) == []


def test_equal_texts_in_different_rows_are_reported() -> None:
    cells = {"a": [*TEXTS, TEXTS[2]], "b": [str(i) for i in range(301)]}
    (finding,) = run_check(NearDuplicateTexts(), data_context(cells, a="text", b="number"))
    assert finding.evidence["rows"] == [[3, 301]]


@pytest.mark.parametrize(
    "pair",
    [
        ("Call me later ok", "call me later OK"),  # short: two people may write it
        ("will i be charged in france", "will i be charged in spain"),
        ("there is a charge of $1 here", "there is a charge of €1 here"),
        ("what a great day it was 👍", "what a great day it was 👎"),
    ],
)
def test_short_or_different_texts_are_not_near_duplicates(pair: tuple[str, str]) -> None:
    assert run_check(NearDuplicateTexts(), data_context({"a": [*TEXTS, *pair]}, a="text")) == []


def test_a_sample_of_very_many_texts_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicate_texts, "MAX_TEXTS", 50)
    context = data_context({"a": [*TEXTS, *map(str.upper, TEXTS[:60])]}, a="text")
    (finding,) = run_check(NearDuplicateTexts(), context)
    assert finding.evidence["texts"] == 120  # equal words are always joined
    assert "in a sample" in finding.title


def test_characters_after_the_reading_limit_are_ignored() -> None:
    (start,) = make_texts(1, 60, seed=5)
    cells = {"a": [start + " One end.", start + " Other."]}
    (finding,) = run_check(NearDuplicateTexts(), data_context(cells, a="text"))
    assert finding.evidence["texts"] == 2


@pytest.mark.parametrize(("texts", "severity"), [(100, "warning"), (101, "info")])
def test_one_percent_of_copies_is_a_warning(texts: int, severity: str) -> None:
    (finding,) = run_check(
        NearDuplicateTexts(), data_context({"a": [*TEXTS[: texts - 1], TEXTS[0].upper()]}, a="text")
    )
    assert (finding.severity, finding.evidence["texts"]) == (severity, 2)


@pytest.mark.parametrize(("words", "reported"), [(5, True), (4, False)])
def test_near_duplicates_need_five_words(words: int, reported: bool) -> None:
    text = " ".join(["please", "call", "me", "tomorrow", "again"][:words])
    context = data_context({"a": [*TEXTS, text, text.upper()]}, a="text")
    assert bool(run_check(NearDuplicateTexts(), context)) is reported
    rows = near_duplicate_rows(context.values["a"])
    assert [group.tolist() for group in rows] == [[300, 301]] * reported


def test_groups_are_row_indices_largest_first() -> None:
    cells = [None, TEXTS[0], TEXTS[1], None, TEXTS[0].upper(), TEXTS[1].upper(), TEXTS[1] + "!"]
    groups = near_duplicate_rows(pl.Series("a", cells))
    assert [group.tolist() for group in groups] == [[2, 5, 6], [1, 4]]


def test_first_of_equal_rows_is_listed() -> None:
    cells = {"a": [TEXTS[5], TEXTS[4], TEXTS[4], TEXTS[4].upper()]}
    (finding,) = run_check(NearDuplicateTexts(), data_context(cells, a="text"))
    assert finding.evidence["rows"] == [[2, 4]]

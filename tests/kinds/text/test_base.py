from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fieldcraft.kinds.text import KIND
from fieldcraft.kinds.text.checks._base import format_fraction, iter_text_columns
from tests.checks.contexts import data_context, empty_context, run_check
from tests.kinds.text.sentences import make_texts


def test_selected_texts_keep_their_row_numbers() -> None:
    context = data_context(
        {"a": ["x", None, "y", "z"], "b": ["1", "2", "3", "4"]}, a="text", b="number"
    )
    context = replace(context, row_numbers=[11, 12, 13, 14])
    (text_column,) = iter_text_columns(context)
    assert (text_column.name, text_column.texts.to_list()) == ("a", ["x", "y", "z"])
    selected = text_column.select(np.array([False, True, True]))
    assert (selected.first_row_numbers(), selected.format_rows()) == ([13, 14], "rows 13, 14")
    assert text_column.select(np.array([2, 0])).texts.to_list() == ["z", "x"]


def test_targets_are_not_checked() -> None:
    context = data_context({"y": ["a b c"] * 3, "a": ["d e f"] * 3}, y="text", a="text")
    assert [text_column.name for text_column in iter_text_columns(context)] == ["a"]


@pytest.mark.parametrize(
    ("count", "total", "percent"),
    [(0, 5, "0.0%"), (1, 3, "33.3%"), (3, 10_000, "0.03%"), (0, 0, "0.0%")],
)
def test_small_fractions_are_not_rounded_to_zero(count: int, total: int, percent: str) -> None:
    assert format_fraction(count, total) == f"{count:,} of {total:,} texts ({percent})"


def test_ordinary_texts_give_no_findings() -> None:
    for check in KIND.checks():
        if check.scope == "data":
            assert run_check(check, data_context({"a": make_texts(300)}, a="text")) == []


@pytest.mark.parametrize(
    "cells",
    [[""], [" ", "\0"], ["\x02", "\x03 \x02"], ["a" * 5_000] * 30, ["é🙂" * 999, "你好"] * 9],
)
def test_unusual_texts_are_accepted(cells: list[str]) -> None:
    for check in KIND.checks():
        if check.scope == "data":
            for finding in run_check(check, data_context({"a": cells}, a="text")):
                assert finding.advice
                assert finding.to_json()["evidence"]


def test_each_column_gives_its_own_finding() -> None:
    cells = {"a": ["12", *make_texts(40)], "b": [*make_texts(40), "?!"]}
    (check,) = [check for check in KIND.checks() if check.code == "without_letters"]
    context = data_context(cells, a="text", b="text")
    assert [finding.column for finding in run_check(check, context)] == ["a", "b"]
    assert run_check(check, empty_context("data", 5, a="text")) == []


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        ("without_letters", ["12"] * 40),
        ("very_long_texts", [*make_texts(40), "x" * 50_000]),
        ("boilerplate", [f"{text} Sent from my phone" for text in make_texts(40)]),
        ("escape_sequences", [rf"so \u2019 {text}" for text in make_texts(40)]),
        ("markup", [f"{text}<br>" for text in make_texts(40)]),
        ("placeholder_texts", [f"@user {text}" for text in make_texts(40)]),
        ("personal_data", [f"{text} me@example.org" for text in make_texts(40)]),
        ("near_duplicate_texts", make_texts(20) * 2),
        ("truncated_texts", ["word " * 2_000] * 40),
    ],
)
def test_a_column_without_findings_does_not_stop_the_check(code: str, texts: list[str]) -> None:
    (check,) = [check for check in KIND.checks() if check.code == code]
    cells = {"short": ["a b"], "sound": make_texts(len(texts), seed=9), "odd": texts, "last": texts}
    cells = {name: (column * len(texts))[: len(texts)] for name, column in cells.items()}
    context = data_context(cells, **dict.fromkeys(cells, "text"))
    assert {finding.column for finding in run_check(check, context)} == {"odd", "last"}

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fieldcraft.kinds.text import KIND
from fieldcraft.kinds.text.checks._base import format_fraction, iter_text_columns
from tests.checks.contexts import data_context, empty_context, run_check
from tests.kinds.text.sentences import make_texts


def test_texts_keep_the_numbers_of_their_rows() -> None:
    view = data_context(
        {"a": ["x", None, "y", "z"], "b": ["1", "2", "3", "4"]}, a="text", b="number"
    )
    view = replace(view, row_numbers=[11, 12, 13, 14])
    (written,) = iter_text_columns(view)
    assert (written.name, written.texts.to_list()) == ("a", ["x", "y", "z"])
    some = written.select(np.array([False, True, True]))
    assert (some.first_row_numbers(), some.format_rows()) == ([13, 14], "rows 13, 14")
    assert written.select(np.array([2, 0])).texts.to_list() == ["z", "x"]


def test_a_target_is_no_text_to_look_at() -> None:
    view = data_context({"y": ["a b c"] * 3, "a": ["d e f"] * 3}, y="text", a="text")
    assert [written.name for written in iter_text_columns(view)] == ["a"]


@pytest.mark.parametrize(
    ("count", "of", "told"), [(0, 5, "0.0%"), (1, 3, "33.3%"), (3, 10_000, "0.03%"), (0, 0, "0.0%")]
)
def test_small_shares_are_not_rounded_away(count: int, of: int, told: str) -> None:
    assert format_fraction(count, of) == f"{count:,} of {of:,} texts ({told})"


def test_sound_texts_are_passed() -> None:
    for check in KIND.checks():
        if check.scope == "data":
            assert run_check(check, data_context({"a": make_texts(300)}, a="text")) == []


@pytest.mark.parametrize(
    "cells",
    [[""], [" ", "\0"], ["\x02", "\x03 \x02"], ["a" * 5_000] * 30, ["é🙂" * 999, "你好"] * 9],
)
def test_odd_texts_are_taken(cells: list[str]) -> None:
    for check in KIND.checks():
        if check.scope == "data":
            for finding in run_check(check, data_context({"a": cells}, a="text")):
                assert finding.advice
                assert finding.to_json()["evidence"]


def test_several_columns_are_told_one_by_one() -> None:
    cells = {"a": ["12", *make_texts(40)], "b": [*make_texts(40), "?!"]}
    (check,) = [check for check in KIND.checks() if check.code == "without_letters"]
    view = data_context(cells, a="text", b="text")
    assert [finding.column for finding in run_check(check, view)] == ["a", "b"]
    assert run_check(check, empty_context("data", 5, a="text")) == []


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        ("without_letters", ["12"] * 40),
        ("giant_texts", [*make_texts(40), "x" * 50_000]),
        ("boilerplate", [f"{text} Sent from my phone" for text in make_texts(40)]),
        ("escapes", [rf"so \u2019 {text}" for text in make_texts(40)]),
        ("markup", [f"{text}<br>" for text in make_texts(40)]),
        ("stand_ins", [f"@user {text}" for text in make_texts(40)]),
        ("personal_data", [f"{text} me@example.org" for text in make_texts(40)]),
        ("near_texts", make_texts(20) * 2),
        ("long_texts", ["word " * 2_000] * 40),
    ],
)
def test_a_sound_column_does_not_end_the_look_at_others(code: str, texts: list[str]) -> None:
    (check,) = [check for check in KIND.checks() if check.code == code]
    cells = {"short": ["a b"], "sound": make_texts(len(texts), seed=9), "odd": texts, "last": texts}
    cells = {name: (column * len(texts))[: len(texts)] for name, column in cells.items()}
    view = data_context(cells, **dict.fromkeys(cells, "text"))
    assert {finding.column for finding in run_check(check, view)} == {"odd", "last"}

"""The check that finds letters which were garbled."""

from __future__ import annotations

import pytest

from fieldcraft.checks.garbled import CHECK
from tests.checks.views import data_view, found


@pytest.mark.parametrize("word", ["MÃ¼ller", "donâ€™t", "Ã©cole", "25Â°", "M\ufffdller"])
def test_traces_of_a_wrong_encoding_are_shown(word: str) -> None:
    (finding,) = found(CHECK, data_view({"a": ["fine"] * 90 + [word] * 10}, a="category"))
    assert (finding.severity, finding.column) == ("warn", "a")
    assert repr(word) in finding.title
    assert finding.evidence == {"cells": {"a": 10}}


def test_one_garbled_cell_of_many_is_a_tip() -> None:
    (finding,) = found(CHECK, data_view({"a": ["fine"] * 900 + ["MÃ¼ller"]}, a="category"))
    assert finding.severity == "tip"


@pytest.mark.parametrize("word", ["Müller", "École", "São Paulo", "ÂME", "25°", "Łódź", "東京"])
def test_honest_letters_are_not_reported(word: str) -> None:
    assert found(CHECK, data_view({"a": ["fine", word] * 50}, a="category")) == []


def test_classes_of_the_target_are_looked_at() -> None:
    (finding,) = found(CHECK, data_view({"y": ["Ã¼ber", "unter"] * 50}))
    assert finding.column == "y"

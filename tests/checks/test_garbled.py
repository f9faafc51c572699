"""The check that finds letters which were garbled."""

from __future__ import annotations

import pytest

from fieldcraft.checks.garbled import CHECK
from tests.checks.views import data_view, found


def misread(word: str, as_: str, written: str = "utf-8") -> str:
    """A word as it looks where it is read in the wrong encoding; what that lacks stays a sign."""
    found = (bytes([byte]) for byte in word.encode(written))
    return "".join(b.decode(as_, "replace").replace("\ufffd", chr(b[0])) for b in found)


@pytest.mark.parametrize("word", [
    "MÃ¼ller", "donâ€™t", "Ã©cole", "25Â°", "M\ufffdller", "\ufeffkey", "caf\x82",
    *(misread(word, "cp1252") for word in ("Łódź", "ışık", "şeker", "мир", "привет")),
    *(misread(word, "latin-1") for word in ("Привет", "ağaç", "naïve")),
    misread("Привет", "cp1251"), misread("привет", "cp1252", "cp1251"),
    misread("işçi şükür", "cp1252", "cp1254"),
])  # fmt: skip
def test_traces_of_a_wrong_encoding_are_shown(word: str) -> None:
    (finding,) = found(CHECK, data_view({"a": ["fine"] * 90 + [word] * 10}, a="category"))
    assert (finding.severity, finding.column) == ("warn", "a")
    assert repr(word) in finding.title
    assert finding.evidence == {"cells": {"a": 10}}


def test_one_garbled_cell_of_many_is_a_tip() -> None:
    (finding,) = found(CHECK, data_view({"a": ["fine"] * 900 + ["MÃ¼ller"]}, a="category"))
    assert finding.severity == "tip"


@pytest.mark.parametrize("word", ["Müller", "École", "São Paulo", "ÂME", "25°", "Łódź", "東京",
    "Привет", "Ёлка", "СССР", "Россия", "Ärger", "Århus", "“Å” and “Ä”", "Ísafjörður", "þýðing",
    "süß", "œuvre", "Señor", "ışık", "Iğdır", "Ὀδυσσεύς", "naïveté", "Ångström", "Київ", "їжак",
])  # fmt: skip
def test_honest_letters_are_not_reported(word: str) -> None:
    assert found(CHECK, data_view({"a": ["fine", word] * 50}, a="category")) == []


def test_classes_of_the_target_are_looked_at() -> None:
    (finding,) = found(CHECK, data_view({"y": ["Ã¼ber", "unter"] * 50}))
    assert finding.column == "y"


def test_personal_data_in_what_is_shown_is_hidden() -> None:
    cells = ["fine"] * 90 + ["JosÃ© jose@example.org"] * 10
    (finding,) = found(CHECK, data_view({"a": cells}, a="category"))
    assert "jose@example" not in str(finding.as_json())
    assert "JosÃ© ****@*******.***" in finding.title

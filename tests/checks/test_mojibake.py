"""The check that finds wrongly decoded text."""

from __future__ import annotations

import pytest

from fieldcraft.checks.mojibake import CHECK
from tests.checks.contexts import data_context, run_check


def misread(word: str, as_: str, written: str = "utf-8") -> str:
    """Decode a word with the wrong encoding; undecodable bytes are kept as characters."""
    parts = (bytes([byte]) for byte in word.encode(written))
    return "".join(b.decode(as_, "replace").replace("\ufffd", chr(b[0])) for b in parts)


@pytest.mark.parametrize("word", [
    "MÃ¼ller", "donâ€™t", "Ã©cole", "25Â°", "M\ufffdller", "\ufeffkey", "caf\x82",
    *(misread(word, "cp1252") for word in ("Łódź", "ışık", "şeker", "мир", "привет")),
    *(misread(word, "latin-1") for word in ("Привет", "ağaç", "naïve")),
    misread("Привет", "cp1251"), misread("привет", "cp1252", "cp1251"),
    misread("işçi şükür", "cp1252", "cp1254"),
])  # fmt: skip
def test_wrongly_decoded_words_are_reported(word: str) -> None:
    (finding,) = run_check(CHECK, data_context({"a": ["fine"] * 90 + [word] * 10}, a="category"))
    assert (finding.severity, finding.column) == ("warning", "a")
    assert repr(word) in finding.title
    assert finding.evidence == {"cells": {"a": 10}}


def test_a_single_garbled_cell_is_an_info() -> None:
    (finding,) = run_check(CHECK, data_context({"a": ["fine"] * 900 + ["MÃ¼ller"]}, a="category"))
    assert finding.severity == "info"


@pytest.mark.parametrize("word", ["Müller", "École", "São Paulo", "ÂME", "25°", "Łódź", "東京",
    "Привет", "Ёлка", "СССР", "Россия", "Ärger", "Århus", "“Å” and “Ä”", "Ísafjörður", "þýðing",
    "süß", "œuvre", "Señor", "ışık", "Iğdır", "Ὀδυσσεύς", "naïveté", "Ångström", "Київ", "їжак",
])  # fmt: skip
def test_correctly_decoded_words_are_not_reported(word: str) -> None:
    assert run_check(CHECK, data_context({"a": ["fine", word] * 50}, a="category")) == []


def test_target_classes_are_checked() -> None:
    (finding,) = run_check(CHECK, data_context({"y": ["Ã¼ber", "unter"] * 50}))
    assert finding.column == "y"


def test_personal_data_in_examples_is_redacted() -> None:
    cells = ["fine"] * 90 + ["JosÃ© jose@example.org"] * 10
    (finding,) = run_check(CHECK, data_context({"a": cells}, a="category"))
    assert "jose@example" not in str(finding.to_json())
    assert "JosÃ© ****@*******.***" in finding.title


@pytest.mark.parametrize(("count", "severity"), [(9, "info"), (10, "warning")])
def test_one_percent_of_rows_is_a_warning(count: int, severity: str) -> None:
    cells = ["fine"] * (1_000 - count) + ["MÃ¼ller"] * count
    (finding,) = run_check(CHECK, data_context({"a": cells}, a="category"))
    assert (finding.severity, finding.fixes) == (severity, ())
    assert f"a ({count}, such as 'MÃ¼ller')" in finding.title


def test_columns_share_a_finding_with_the_highest_severity() -> None:
    cells = {"a": ["fine"] * 299 + ["Ã©"], "b": ["fine"] * 290 + ["Ã©"] * 4 + ["Ã¼"] * 6}
    (finding,) = run_check(CHECK, data_context(cells, a="category", b="category"))
    assert (finding.severity, finding.column) == ("warning", None)
    assert finding.evidence == {"cells": {"a": 1, "b": 10}}


@pytest.mark.parametrize("word", ["ÃÐ", "Ð¾", "Îëåã", "Ýþ"])
def test_a_single_unusual_letter_is_not_reported(word: str) -> None:
    cells = ["fine", "Ð!" if word == "Ð¾" else word] * 50
    reported = run_check(CHECK, data_context({"a": cells}, a="category"))
    assert bool(reported) == (word == "Îëåã")  # four letters of Windows-1251 in a row


@pytest.mark.parametrize(("word", "odd"), [("ðç", True), ("ðb", False), ("ðçá", False)])
def test_turkish_and_icelandic_letters_are_distinguished(word: str, odd: bool) -> None:
    assert bool(run_check(CHECK, data_context({"a": ["fine", word] * 50}, a="category"))) is odd


def test_long_examples_are_truncated() -> None:
    cells = ["fine"] * 90 + ["Ã©" + "x" * 80] * 10
    (finding,) = run_check(CHECK, data_context({"a": cells}, a="category"))
    assert repr("Ã©" + "x" * 38) in finding.title

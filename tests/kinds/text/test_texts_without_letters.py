from __future__ import annotations

import pytest

from fieldcraft.kinds.text.checks.texts_without_letters import TextsWithoutLetters
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts


@pytest.mark.parametrize(("rest", "severity"), [(300, "tip"), (20, "warn")])
def test_texts_without_a_letter_are_named_by_row(rest: int, severity: str) -> None:
    (finding,) = run_check(
        TextsWithoutLetters(), data_context({"a": [*make_texts(rest), ":)", "0049 1"]}, a="text")
    )
    assert (finding.severity, finding.column) == (severity, "a")
    assert finding.evidence == {"texts": 2, "rows": [rest + 1, rest + 2]}
    assert f"have no letter, rows {rest + 1}, {rest + 2}" in finding.title
    assert "0049" not in finding.title


def test_letters_of_any_script_are_letters() -> None:
    view = data_context({"a": ["你好", "да", "ß", "ا", "é"]}, a="text")
    assert run_check(TextsWithoutLetters(), view) == []


@pytest.mark.parametrize(("bare", "severity"), [(4, "tip"), (5, "warn")])
def test_one_text_in_twenty_is_many(bare: int, severity: str) -> None:
    texts = [*make_texts(100 - bare), *["12"] * bare]
    (finding,) = run_check(TextsWithoutLetters(), data_context({"a": texts}, a="text"))
    assert (finding.severity, finding.fixes) == (severity, ())


def test_a_single_text_has_no_letter() -> None:
    (finding,) = run_check(
        TextsWithoutLetters(), data_context({"a": ["12", *make_texts(99)]}, a="text")
    )
    assert finding.title == "a: 1 of 100 texts (1.0%) has no letter, row 1"

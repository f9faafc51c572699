from __future__ import annotations

import pytest

from fieldcraft.kinds.text.checks.without_letters import TextsWithoutLetters
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts


@pytest.mark.parametrize(("rest", "severity"), [(300, "info"), (20, "warning")])
def test_texts_without_letters_are_listed_by_row(rest: int, severity: str) -> None:
    (finding,) = run_check(
        TextsWithoutLetters(), data_context({"a": [*make_texts(rest), ":)", "0049 1"]}, a="text")
    )
    assert (finding.severity, finding.column) == (severity, "a")
    assert finding.evidence == {"texts": 2, "rows": [rest + 1, rest + 2]}
    assert f"have no letters, rows {rest + 1}, {rest + 2}" in finding.title
    assert "0049" not in finding.title


def test_letters_of_any_script_count() -> None:
    context = data_context({"a": ["你好", "да", "ß", "ا", "é"]}, a="text")
    assert run_check(TextsWithoutLetters(), context) == []


@pytest.mark.parametrize(("n_without", "severity"), [(4, "info"), (5, "warning")])
def test_five_percent_is_a_warning(n_without: int, severity: str) -> None:
    texts = [*make_texts(100 - n_without), *["12"] * n_without]
    (finding,) = run_check(TextsWithoutLetters(), data_context({"a": texts}, a="text"))
    assert (finding.severity, finding.fixes) == (severity, ())


def test_title_of_a_single_text() -> None:
    (finding,) = run_check(
        TextsWithoutLetters(), data_context({"a": ["12", *make_texts(99)]}, a="text")
    )
    assert finding.title == "a: 1 of 100 texts (1.0%) has no letters, row 1"

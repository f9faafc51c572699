from __future__ import annotations

import pytest

from fieldcraft.kinds.text.audit.letters import WithoutLetters
from tests.checks.views import data_view, found
from tests.kinds.text.prose import prose


@pytest.mark.parametrize(("rest", "severity"), [(300, "tip"), (20, "warn")])
def test_texts_without_a_letter_are_named_by_row(rest: int, severity: str) -> None:
    (finding,) = found(WithoutLetters(), data_view({"a": [*prose(rest), ":)", "0049 1"]}, a="text"))
    assert (finding.severity, finding.column) == (severity, "a")
    assert finding.evidence == {"texts": 2, "rows": [rest + 1, rest + 2]}
    assert f"have no letter, rows {rest + 1}, {rest + 2}" in finding.title
    assert "0049" not in finding.title


def test_letters_of_any_script_are_letters() -> None:
    view = data_view({"a": ["你好", "да", "ß", "ا", "é"]}, a="text")
    assert found(WithoutLetters(), view) == []


@pytest.mark.parametrize(("bare", "severity"), [(4, "tip"), (5, "warn")])
def test_one_text_in_twenty_is_many(bare: int, severity: str) -> None:
    texts = [*prose(100 - bare), *["12"] * bare]
    (finding,) = found(WithoutLetters(), data_view({"a": texts}, a="text"))
    assert (finding.severity, finding.fixes) == (severity, ())


def test_a_single_text_has_no_letter() -> None:
    (finding,) = found(WithoutLetters(), data_view({"a": ["12", *prose(99)]}, a="text"))
    assert finding.title == "a: 1 of 100 texts (1.0%) has no letter, row 1"

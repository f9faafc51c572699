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

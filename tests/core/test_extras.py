"""A missing extra names itself and the line that installs it."""

from __future__ import annotations

import sys

import pytest

from fieldcraft.core import extras
from fieldcraft.core.errors import MissingExtraError


def test_nothing_is_said_of_an_extra_that_is_there() -> None:
    extras.require_extra("train")


def test_a_missing_module_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.MODULES_BY_EXTRA, "text", ("json", "nowhere_to_be_found"))
    with pytest.raises(MissingExtraError, match="extra 'text'") as caught:
        extras.require_extra("text")
    assert caught.value.detail == "missing: nowhere_to_be_found"
    assert 'pip install "fieldcraft[text]"' in caught.value.hint


def test_looking_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.MODULES_BY_EXTRA, "odd", ("this",))
    sys.modules.pop("this", None)
    extras.require_extra("odd")
    assert "this" not in sys.modules

"""The error for a missing extra has its name and the command that installs it."""

from __future__ import annotations

import sys

import pytest

from fieldcraft.core import extras
from fieldcraft.core.errors import MissingExtraError


def test_an_installed_extra_raises_nothing() -> None:
    extras.require_extra("train")


def test_the_hint_is_the_command_that_installs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.MODULES_BY_EXTRA, "text", ("json", "nowhere_to_be_found"))
    with pytest.raises(MissingExtraError, match="extra 'text'") as caught:
        extras.require_extra("text")
    assert caught.value.detail == "missing: nowhere_to_be_found"
    assert 'pip install "fieldcraft[text]"' in caught.value.hint


def test_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.MODULES_BY_EXTRA, "odd", ("this",))
    sys.modules.pop("this", None)
    extras.require_extra("odd")
    assert "this" not in sys.modules


def test_prediction_needs_one_package_of_an_extra() -> None:
    extras.require_package("pillow", "PIL")
    with pytest.raises(MissingExtraError, match="package 'pillows'") as caught:
        extras.require_package("pillows", "nowhere_to_be_found")
    assert caught.value.hint == "install it: pip install pillows"

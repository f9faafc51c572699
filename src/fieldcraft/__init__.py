"""Fieldcraft: from raw data to a model in production that you can vouch for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Project", "load_bundle"]

if TYPE_CHECKING:
    from fieldcraft.api.project import Project
    from fieldcraft.bundle.runtime import load_bundle

_WHERE = {"Project": "fieldcraft.api.project", "load_bundle": "fieldcraft.bundle.runtime"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package is free."""
    if name not in _WHERE:
        raise AttributeError(f"module 'fieldcraft' has no attribute {name!r}; use {__all__}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)

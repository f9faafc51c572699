"""Fieldcraft: from raw data to a model in production, with the evidence to back it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Classifier", "Project", "Regressor", "load_bundle"]

if TYPE_CHECKING:
    from fieldcraft.api.estimator import Classifier, Regressor
    from fieldcraft.api.project import Project
    from fieldcraft.bundle.runtime import load_bundle

_WHERE = {
    "Classifier": "fieldcraft.api.estimator",
    "Project": "fieldcraft.api.project",
    "Regressor": "fieldcraft.api.estimator",
    "load_bundle": "fieldcraft.bundle.runtime",
}
_NEEDS = {"Classifier": "train", "Regressor": "train"}  # the extra that a name needs


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package is free."""
    if name not in _WHERE:
        raise AttributeError(f"module 'fieldcraft' has no attribute {name!r}; use {__all__}")
    from importlib import import_module

    if name in _NEEDS:
        import_module("fieldcraft.core.extras").require_extra(_NEEDS[name])
    return getattr(import_module(_WHERE[name]), name)

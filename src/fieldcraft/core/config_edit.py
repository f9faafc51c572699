"""Edits of the project file that fix a finding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ConfigEdit:
    """A change of the project file: set the value at a path, or append it to the list there."""

    path: tuple[str, ...]
    value: Any
    append: bool = False

    def describe(self) -> str:
        """Return the edit in words, as ``path: value`` or ``path: add value``."""
        dotted_path = ".".join(self.path)
        return (
            f"{dotted_path}: add {self.value!r}" if self.append else f"{dotted_path}: {self.value}"
        )

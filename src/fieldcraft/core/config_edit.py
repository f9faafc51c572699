"""Changes of the project file that mend what a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ConfigEdit:
    """A change of the project file: a value set at a path, or added to the list there."""

    path: tuple[str, ...]
    value: Any
    append: bool = False

    def describe(self) -> str:
        """The edit as a line that a person could make by hand."""
        dotted_path = ".".join(self.path)
        return (
            f"{dotted_path}: add {self.value!r}" if self.append else f"{dotted_path}: {self.value}"
        )

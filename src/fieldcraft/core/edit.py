"""Changes of the project file that mend what a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Edit:
    """A change of the project file: a value set at a path, or added to the list there."""

    path: tuple[str, ...]
    value: Any
    add: bool = False

    def in_words(self) -> str:
        """The edit as a line that a person could make by hand."""
        where = ".".join(self.path)
        return f"{where}: add {self.value!r}" if self.add else f"{where}: {self.value}"

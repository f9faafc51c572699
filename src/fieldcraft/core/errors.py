"""Every error a user can meet: what is wrong, what was seen, and the way out.

FieldcraftError
├── ProjectError        the project file or folder
├── DataError           a table that cannot be read or used
│   └── InputError      what an estimator is given; a ValueError too, as scikit-learn expects
├── HeldError           a finding of severity "stop" holds the run
├── TrainingError       a model that cannot be trained
├── SealError           the sealed test set
├── LedgerError         the chain of evidence
├── BundleError         a bundle that cannot be written, trusted or run
├── PlugError           a kind, task, learner, check, stage or format that is not there
└── MissingExtraError   an optional dependency that is not installed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class FieldcraftError(Exception):
    """The root of every error raised on purpose; shown without a traceback, exit code 2.

    Args:
        what: what is wrong, as one sentence.
        seen: the value, file or line that was met.
        way_out: what the user can do about it.
    """

    def __init__(self, what: str, *, seen: str, way_out: str) -> None:
        super().__init__(f"{what}\n  seen: {seen}\n  way out: {way_out}")
        self.what = what
        self.seen = seen
        self.way_out = way_out

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.what, self.seen, self.way_out)


def _again(kind: type[FieldcraftError], what: str, seen: str, way_out: str) -> FieldcraftError:
    """An error that comes from another process."""
    return kind(what, seen=seen, way_out=way_out)


class ProjectError(FieldcraftError):
    """The project file or folder cannot be used as it is."""


class DataError(FieldcraftError):
    """A table cannot be read, or does not fit the project."""


class InputError(DataError, ValueError):
    """Rows, targets or settings that an estimator cannot use."""


class HeldError(FieldcraftError):
    """A finding of severity "stop" holds the run until it is fixed or accepted by name."""


class TrainingError(FieldcraftError):
    """A model cannot be trained on these rows or with these settings."""


class SealError(FieldcraftError):
    """The sealed test set was asked for in a way that would spoil it."""


class LedgerError(FieldcraftError):
    """The chain of evidence is broken or cannot be read."""


class BundleError(FieldcraftError):
    """A bundle cannot be written, trusted or run."""


class PlugError(FieldcraftError):
    """No kind, task, learner, check, stage or format has that name."""


class MissingExtraError(FieldcraftError):
    """An optional dependency is not installed."""


def near(name: str, known: Iterable[str]) -> str:
    """The known name closest to a mistyped one, as a hint such as ``did you mean 'age'?``.

    >>> near("Survivd", ["Survived", "Age"])
    "did you mean 'Survived'?"
    """
    choices = sorted(set(known))
    lowered = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)
    if found:
        return f"did you mean {lowered[found[0]]!r}?"
    shown = ", ".join(choices[:12]) + (", ..." if len(choices) > 12 else "")
    return f"choose one of: {shown}" if shown else "there is nothing to choose from"

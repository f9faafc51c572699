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
        detail: the value, file or line that was met.
        hint: what the user can do about it.
    """

    def __init__(self, what: str, *, detail: str, hint: str) -> None:
        super().__init__(f"{what}\n  seen: {detail}\n  way out: {hint}")
        self.what = what
        self.detail = detail
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_error, (type(self), self.what, self.detail, self.hint)


def _rebuild_error(
    error_type: type[FieldcraftError], what: str, detail: str, hint: str
) -> FieldcraftError:
    """An error that comes from another process."""
    return error_type(what, detail=detail, hint=hint)


class ProjectError(FieldcraftError):
    """The project file or folder cannot be used as it is."""


class DataError(FieldcraftError):
    """A table cannot be read, or does not fit the project."""


class InputError(DataError, ValueError):
    """Rows, targets or settings that an estimator cannot use."""


class BlockedByFindingsError(FieldcraftError):
    """A finding of severity "stop" holds the run until it is fixed or accepted by name."""


class TrainingError(FieldcraftError):
    """A model cannot be trained on these rows or with these settings."""


class SealError(FieldcraftError):
    """The sealed test set was asked for in a way that would spoil it."""


class LedgerError(FieldcraftError):
    """The chain of evidence is broken or cannot be read."""


class BundleError(FieldcraftError):
    """A bundle cannot be written, trusted or run."""


class PluginError(FieldcraftError):
    """No kind, task, learner, check, stage or format has that name."""


class MissingExtraError(FieldcraftError):
    """An optional dependency is not installed."""


def did_you_mean(name: str, known_names: Iterable[str]) -> str:
    """The known name closest to a mistyped one, as a hint such as ``did you mean 'age'?``.

    >>> near("Survivd", ["Survived", "Age"])
    "did you mean 'Survived'?"
    """
    choices = sorted(set(known_names))
    choice_by_lower_name = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(name.lower(), list(choice_by_lower_name), n=1, cutoff=0.6)
    if matches:
        return f"did you mean {choice_by_lower_name[matches[0]]!r}?"
    shown_choices = ", ".join(choices[:12]) + (", ..." if len(choices) > 12 else "")
    return f"choose one of: {shown_choices}" if shown_choices else "there is nothing to choose from"

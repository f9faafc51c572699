"""Every error that users meet: what is wrong, the detail, and a hint.

FieldcraftError
├── ProjectError            the project file or folder
├── DataError               a table that cannot be read or used
│   └── InputError          invalid input of an estimator; also a ValueError, as in scikit-learn
├── BlockedByFindingsError  a finding of severity "error" blocks the run
├── TrainingError           a model that cannot be trained
├── RunCancelledError       a run that was cancelled; the next one resumes
├── SealError               the sealed test set
├── LedgerError             the ledger
├── BundleError             a bundle that cannot be written, trusted or run
├── PluginError             an unknown kind, task, learner, check, stage, format or source
└── MissingExtraError       an optional dependency that is not installed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class FieldcraftError(Exception):
    """The base class of expected errors; shown without a traceback, with exit code 2.

    Args:
        what: what is wrong, as one sentence without a period.
        detail: the value, file or line that caused it.
        hint: what the user can do about it.
    """

    def __init__(self, what: str, *, detail: str, hint: str) -> None:
        super().__init__(f"{what}\n  detail: {detail}\n  hint: {hint}")
        self.what = what
        self.detail = detail
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled as their class and `args`, which lack the keyword-only arguments:
        # without this, an error of a worker process could not be unpickled in the parent.
        return _rebuild_error, (type(self), self.what, self.detail, self.hint)


def _rebuild_error(
    error_type: type[FieldcraftError], what: str, detail: str, hint: str
) -> FieldcraftError:
    """Create an error from its pickled parts."""
    return error_type(what, detail=detail, hint=hint)


class ProjectError(FieldcraftError):
    """The project file or folder is invalid."""


class DataError(FieldcraftError):
    """A table cannot be read, or does not fit the project."""


class InputError(DataError, ValueError):
    """Rows, targets or parameters that an estimator cannot use."""


class BlockedByFindingsError(FieldcraftError):
    """A finding of severity "error" blocks the run until it is fixed or accepted by name."""


class TrainingError(FieldcraftError):
    """A model cannot be trained on these rows or with these settings."""


class RunCancelledError(FieldcraftError):
    """A run was cancelled; the next one resumes where it stopped."""


class SealError(FieldcraftError):
    """An operation would compromise the sealed test set."""


class LedgerError(FieldcraftError):
    """The ledger is corrupt or cannot be read."""


class BundleError(FieldcraftError):
    """A bundle cannot be written, trusted or run."""


class PluginError(FieldcraftError):
    """There is no plug-in of that name, or its module is incomplete."""


class MissingExtraError(FieldcraftError):
    """An optional dependency is not installed."""


def did_you_mean(name: str, known_names: Iterable[str]) -> str:
    """Suggest the known name closest to a mistyped one, or list the choices.

    >>> did_you_mean("Survivd", ["Survived", "Age"])
    "did you mean 'Survived'?"
    """
    choices = sorted(set(known_names))
    choice_by_lower_name = {choice.lower(): choice for choice in choices}
    # Compared in lower case, so that a name in the wrong case always matches. The cutoff of .6 is
    # the default of difflib; below it, a list of the choices helps more than a suggestion.
    matches = difflib.get_close_matches(name.lower(), list(choice_by_lower_name), n=1, cutoff=0.6)
    if matches:
        return f"did you mean {choice_by_lower_name[matches[0]]!r}?"
    shown_choices = ", ".join(choices[:12]) + (", ..." if len(choices) > 12 else "")
    return f"choose one of: {shown_choices}" if shown_choices else "there is nothing to choose from"

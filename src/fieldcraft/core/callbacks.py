"""Callbacks of a fit or of another job: progress, and the end of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class JobCallbacks(Protocol):
    """Callbacks of a job. An exception that they raise ends the job."""

    def on_progress(self, message: str, fraction: float | None) -> None:
        """The job reports a message and, where it is known, the fraction done."""

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """An epoch, counted from 1, has ended; True stops the training."""


class NullJobCallbacks:
    """Callbacks that do nothing."""

    def on_progress(self, message: str, fraction: float | None) -> None:
        """Ignore progress."""

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Go on."""
        return False

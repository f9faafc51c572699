"""Callbacks of fits for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fieldcraft.core.types import ProgressCallback


@dataclass
class TestCallbacks:
    """Callbacks that call functions; without them they only remember what was reported."""

    __test__ = False

    progress_function: ProgressCallback | None = None
    stop_function: Callable[[int], bool] | None = None
    messages: list[tuple[str, float | None]] = field(default_factory=list)
    metrics: dict[int, Mapping[str, float]] = field(default_factory=dict)

    def on_progress(self, message: str, fraction: float | None) -> None:
        self.messages.append((message, fraction))
        if self.progress_function:
            self.progress_function(message, fraction)

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        self.metrics[epoch] = metrics
        return bool(self.stop_function and self.stop_function(epoch))

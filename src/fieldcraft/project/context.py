"""The context that a stage runs in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fieldcraft.core.executor import Executor, InProcessExecutor
from fieldcraft.core.types import EpochCallback, ProgressCallback
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import ProjectSettings


@dataclass(frozen=True)
class StageContext:
    """The inputs, the output folder and the callbacks of a stage.

    Attributes:
        project: the project folder.
        settings: the project file.
        inputs: folders of the steps that the stage depends on, by name.
        out: folder for the output; it still holds the files of an interrupted run.
        previous: folder of the last finished run of the same step.
        log_record: adds an entry (kind, body) to the ledger once the stage has succeeded.
        on_progress: called with a message and the fraction done, see `core.types`.
        on_epoch_end: called with the number of an epoch of a training and its metrics; True stops
            the training.
        executor: runs fits, in this process or in others.
    """

    project: ProjectFolder
    settings: ProjectSettings
    inputs: Mapping[str, Path]
    out: Path
    previous: Path | None
    log_record: Callable[[str, dict[str, Any]], None]
    on_progress: ProgressCallback
    on_epoch_end: EpochCallback = lambda epoch, metrics: False
    executor: Executor = field(default_factory=InProcessExecutor)

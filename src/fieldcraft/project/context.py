"""The context that a stage runs in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldcraft.core.types import ProgressCallback
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
    """

    project: ProjectFolder
    settings: ProjectSettings
    inputs: Mapping[str, Path]
    out: Path
    previous: Path | None
    log_record: Callable[[str, dict[str, Any]], None]
    on_progress: ProgressCallback

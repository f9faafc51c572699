"""What a stage works on and with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import ProjectSettings


@dataclass(frozen=True)
class StageContext:
    """What a stage works on and with.

    Attributes:
        project: where everything lies.
        settings: what the project file says.
        inputs: the folders of the steps before it, by name.
        out: the folder to fill; what a killed run left there is still in it.
        previous: the folder of the last finished run of the same step.
        log_record: puts an entry into the ledger when the stage has ended well.
        on_progress: tells how far the stage is.
    """

    project: ProjectFolder
    settings: ProjectSettings
    inputs: Mapping[str, Path]
    out: Path
    previous: Path | None
    log_record: Callable[[str, dict[str, Any]], None]
    on_progress: Callable[[str, float | None], None]

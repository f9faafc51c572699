"""What a stage works on and with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Settings


@dataclass(frozen=True)
class Work:
    """What a stage works on and with.

    Attributes:
        project: where everything lies.
        settings: what the project file says.
        inputs: the folders of the steps before it, by name.
        out: the folder to fill; what a killed run left there is still in it.
        previous: the folder of the last finished run of the same step.
        record: puts an entry into the ledger when the stage has ended well.
        progress: tells how far the stage is.
    """

    project: Folder
    settings: Settings
    inputs: Mapping[str, Path]
    out: Path
    previous: Path | None
    record: Callable[[str, dict[str, Any]], None]
    progress: Callable[[str, float | None], None]

"""Options, project lookup and progress display that several commands share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from fieldcraft.cli.progress import ProgressDisplay
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages._workflows import NullCallbacks

ProjectDirOption = Annotated[Path | None, typer.Option("--dir", help="Project folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
TargetOption = Annotated[
    str | None,
    typer.Option(help="Target column, by name or by number (from 1); for several labels a,b,c."),
]
ColumnNamesOption = Annotated[
    str | None, typer.Option(help="Column names a,b,... for a file without a header.")
]
TableArgument = Annotated[
    str,
    typer.Argument(help="Table: .csv, .tsv, .jsonl, .parquet, .zip, a folder, sqlite:///..."),
]
ValidationOption = Annotated[
    str | None, typer.Option(help="Validation file of a predefined split.")
]
TestOption = Annotated[str | None, typer.Option(help="Test file of a predefined split.")]
TaskOption = Annotated[
    str | None, typer.Option(help="Task: binary, multiclass, multilabel, ordinal, regression.")
]


@contextmanager
def progress_callbacks(as_json: bool, planned: Sequence[Any] = ()) -> Iterator[Any]:
    """Callbacks that show progress on standard error, or nothing with ``--json``."""
    if as_json:
        yield NullCallbacks()
    else:
        with ProgressDisplay() as display:
            display.set_plan(planned)
            yield display


def find_project(folder: Path | None) -> ProjectFolder:
    """The project of a folder, by default of the working directory."""
    return ProjectFolder.find(folder or Path.cwd())


def split_names(text: str | None) -> tuple[str, ...]:
    """Split a comma-separated argument into names."""
    return tuple(name.strip() for name in text.split(",")) if text else ()

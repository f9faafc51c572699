"""From the arguments of `fieldcraft run` to a project whose file says what they ask."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fieldcraft.core import words
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import ProjectError
from fieldcraft.core.words import joined
from fieldcraft.data.read import relative
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.stages._flow import Planned, forecast
from fieldcraft.stages.init import Request, init


@dataclass(frozen=True)
class Wish:
    """The arguments of `fieldcraft run`."""

    table: str | None
    targets: tuple[str, ...]
    validation: str | None
    test: str | None
    names: tuple[str, ...]
    task: str | None
    folder: Path | None
    budget: str | None
    seed: int | None
    device: str | None = None


def plan(wish: Wish, until: str | None) -> list[Planned]:
    """What a run would do; nothing is written, not even a new project."""
    there = wish.table is None or (wish.folder or folder_for(wish.table, wish.targets)).exists()
    if there:
        project = Folder.find(wish.folder or Path.cwd()) if wish.table is None else start(wish)
        return forecast(project, until)
    with tempfile.TemporaryDirectory() as place:
        return forecast(prepare(replace(wish, folder=Path(place) / "project")), until)


def prepare(wish: Wish) -> Folder:
    """The project to run: the one that is there, or a new one made from the arguments.

    Raises:
        ProjectError: arguments are missing, or the folder holds a project with other data.
    """
    project = Folder.find(wish.folder or Path.cwd()) if wish.table is None else start(wish)
    edits = []
    if wish.budget is not None:
        edits.append(Edit(("train", "budget"), seconds(wish.budget)))
    if wish.seed is not None:
        edits += [Edit(("train", "seed"), wish.seed), Edit(("split", "seed"), wish.seed)]
    if wish.device is not None:
        edits.append(Edit(("train", "device"), wish.device))
    wanted = [edit for edit in edits if value_at(project, edit.path) != edit.value]
    if wanted:
        file.edit(project.file, wanted)
    return project


def value_at(project: Folder, path: tuple[str, ...]) -> Any:
    """What the project file says at a path."""
    value: Any = project.settings()
    for name in path:
        value = getattr(value, name)
    return value


def start(wish: Wish) -> Folder:
    """The project for a table: a new one, or the same one again."""
    assert wish.table is not None
    if not wish.targets:
        raise ProjectError(
            "no target is given",
            seen=f"run {wish.table}",
            way_out="pass --target COLUMN; to go on in a project, leave out the table",
        )
    project = Folder(wish.folder or folder_for(wish.table, wish.targets))
    if project.file.exists():
        same_data(project, wish)
        return project
    if project.root.exists() and any(project.root.iterdir()):
        raise ProjectError(
            f"the folder {project.root} is not empty and holds no project",
            seen=", ".join(sorted(path.name for path in project.root.iterdir())[:5]),
            way_out="pass --dir with the name of a new folder",
        )
    init(Request(
        project.root, wish.table, wish.targets, wish.validation, wish.test, wish.names, wish.task,
    ))  # fmt: skip
    return project


def same_data(project: Folder, wish: Wish) -> None:
    """Make sure that the project is about the table and target that were given.

    Raises:
        ProjectError: it is about others.
    """
    settings = project.settings()
    sources = settings.data.sources()
    given = (wish.table, wish.validation, wish.test)
    there = (sources.train, sources.validation, sources.test)
    same = all(
        (relative(a, project.root) if a else None) == b for a, b in zip(given, there, strict=True)
    )
    names = list(settings.data.columns)
    wanted = tuple(named(target, names) for target in wish.targets)
    if not same or settings.problem.targets != wanted:
        raise ProjectError(
            f"the folder {project.root} holds a project about something else",
            seen=f"{sources.train}, target {joined(settings.problem.targets)}",
            way_out="pass --dir with the name of a new folder",
        )


def named(target: str, names: Sequence[str]) -> str:
    """A target by its name, which may be given by its number counted from 1."""
    number = int(target) if target.isdigit() and target not in names else 0
    return names[number - 1] if 0 < number <= len(names) else target


def folder_for(table: str, targets: Sequence[str]) -> Path:
    """The folder of a new project: named after its target, or after the table."""
    if len(targets) == 1 and not targets[0].isdigit():
        return Path(targets[0].replace("/", "_"))
    return Path(Path(table.partition("?")[0]).name.split(".")[0])


def seconds(text: str, option: str = "--budget") -> float:
    """A length of time such as 90s, 5m or 1h in seconds.

    >>> seconds("5m")
    300.0

    Raises:
        ProjectError: the text is not a length of time.
    """
    found = words.seconds(text)
    if not found:
        raise ProjectError(
            f"what {option} says is not a length of time",
            seen=f"{option} {text}",
            way_out="use a number with a unit: 90s, 5m or 1h",
        )
    return found

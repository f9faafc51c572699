"""From the arguments of `fieldcraft run` to a project whose file says what they ask."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fieldcraft.core import formatting
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import ProjectError
from fieldcraft.core.formatting import join_names
from fieldcraft.data.location import relative_address
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages._pipeline import PlannedStep, plan_run
from fieldcraft.stages.init import InitRequest, init


@dataclass(frozen=True)
class RunOptions:
    """The arguments of `fieldcraft run`."""

    table: str | None
    targets: tuple[str, ...]
    validation: str | None
    test: str | None
    column_names: tuple[str, ...]
    task: str | None
    folder: Path | None
    budget: str | None
    seed: int | None
    device: str | None = None


def preview_run(run_options: RunOptions, until: str | None) -> list[PlannedStep]:
    """What a run would do; nothing is written, not even a new project."""
    is_existing = (
        run_options.table is None
        or (
            run_options.folder or default_project_folder(run_options.table, run_options.targets)
        ).exists()
    )
    if is_existing:
        project = (
            ProjectFolder.find(run_options.folder or Path.cwd())
            if run_options.table is None
            else open_or_create_project(run_options)
        )
        return plan_run(project, until)
    with tempfile.TemporaryDirectory() as temporary_folder:
        return plan_run(
            prepare_project(replace(run_options, folder=Path(temporary_folder) / "project")), until
        )


def prepare_project(run_options: RunOptions) -> ProjectFolder:
    """The project to run: the one that is there, or a new one made from the arguments.

    Raises:
        ProjectError: arguments are missing, or the folder holds a project with other data.
    """
    project = (
        ProjectFolder.find(run_options.folder or Path.cwd())
        if run_options.table is None
        else open_or_create_project(run_options)
    )
    edits = []
    if run_options.budget is not None:
        edits.append(ConfigEdit(("train", "budget"), parse_duration_option(run_options.budget)))
    if run_options.seed is not None:
        edits += [
            ConfigEdit(("train", "seed"), run_options.seed),
            ConfigEdit(("split", "seed"), run_options.seed),
        ]
    if run_options.device is not None:
        edits.append(ConfigEdit(("train", "device"), run_options.device))
    changed_edits = [edit for edit in edits if get_setting(project, edit.path) != edit.value]
    if changed_edits:
        project_file.apply_edits(project.file_path, changed_edits)
    return project


def get_setting(project: ProjectFolder, path: tuple[str, ...]) -> Any:
    """What the project file says at a path."""
    value: Any = project.load_settings()
    for name in path:
        value = getattr(value, name)
    return value


def open_or_create_project(run_options: RunOptions) -> ProjectFolder:
    """The project for a table: a new one, or the same one again."""
    assert run_options.table is not None
    if not run_options.targets:
        raise ProjectError(
            "no target is given",
            detail=f"run {run_options.table}",
            hint="pass --target COLUMN; to go on in a project, leave out the table",
        )
    project = ProjectFolder(
        run_options.folder or default_project_folder(run_options.table, run_options.targets)
    )
    if project.file_path.exists():
        require_same_data(project, run_options)
        return project
    if project.root.exists() and any(project.root.iterdir()):
        raise ProjectError(
            f"the folder {project.root} is not empty and holds no project",
            detail=", ".join(sorted(path.name for path in project.root.iterdir())[:5]),
            hint="pass --dir with the name of a new folder",
        )
    init(InitRequest(
        project.root, run_options.table, run_options.targets, run_options.validation, run_options.test, run_options.column_names, run_options.task,
    ))  # fmt: skip
    return project


def require_same_data(project: ProjectFolder, run_options: RunOptions) -> None:
    """Make sure that the project is about the table and target that were given.

    Raises:
        ProjectError: it is about others.
    """
    settings = project.load_settings()
    sources = settings.data.source_files()
    given_paths = (run_options.table, run_options.validation, run_options.test)
    project_paths = (sources.train, sources.validation, sources.test)
    is_same = all(
        (relative_address(given_path, project.root) if given_path else None) == project_path
        for given_path, project_path in zip(given_paths, project_paths, strict=True)
    )
    names = list(settings.data.columns)
    target_names = tuple(resolve_target_name(target, names) for target in run_options.targets)
    if not is_same or settings.problem.targets != target_names:
        raise ProjectError(
            f"the folder {project.root} holds a project about something else",
            detail=f"{sources.train}, target {join_names(settings.problem.targets)}",
            hint="pass --dir with the name of a new folder",
        )


def resolve_target_name(target: str, names: Sequence[str]) -> str:
    """A target by its name, which may be given by its number counted from 1."""
    number = int(target) if target.isdigit() and target not in names else 0
    return names[number - 1] if 0 < number <= len(names) else target


def default_project_folder(table: str, targets: Sequence[str]) -> Path:
    """The folder of a new project: named after its target, or after the table."""
    if len(targets) == 1 and not targets[0].isdigit():
        return Path(targets[0].replace("/", "_"))
    return Path(Path(table.partition("?")[0]).name.split(".")[0])


def parse_duration_option(text: str, option: str = "--budget") -> float:
    """A length of time such as 90s, 5m or 1h in seconds.

    >>> seconds("5m")
    300.0

    Raises:
        ProjectError: the text is not a length of time.
    """
    duration_seconds = formatting.parse_duration(text)
    if not duration_seconds:
        raise ProjectError(
            f"what {option} says is not a length of time",
            detail=f"{option} {text}",
            hint="use a number with a unit: 90s, 5m or 1h",
        )
    return duration_seconds

"""Turn the options of `fieldcraft run` into a project and edits of its project file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fieldcraft.core import catalog, formatting
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import ProjectError, did_you_mean
from fieldcraft.core.formatting import join_names
from fieldcraft.data.location import relative_address
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages._pipeline import PlannedStep, plan_run
from fieldcraft.stages.init import InitRequest, init

GOAL_PATTERN = re.compile(r"\s*(\w+)\s*(>=|<=)\s*([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)\s*")


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
    goal: str | None = None
    max_latency_ms: float | None = None
    max_size_mb: float | None = None


def preview_run(run_options: RunOptions, until: str | None) -> list[PlannedStep]:
    """The steps of a run, without writing anything: a new project is not created either."""
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
    # Step keys depend on the project file, so a new project is planned in a temporary folder.
    with tempfile.TemporaryDirectory() as temporary_folder:
        return plan_run(
            prepare_project(replace(run_options, folder=Path(temporary_folder) / "project")), until
        )


def prepare_project(run_options: RunOptions) -> ProjectFolder:
    """The project to run: the existing one, or a new one made from the arguments.

    Raises:
        ProjectError: arguments are missing, or the folder holds a project with other data.
    """
    project = (
        ProjectFolder.find(run_options.folder or Path.cwd())
        if run_options.table is None
        else open_or_create_project(run_options)
    )
    options: dict[tuple[str, str], Any] = {
        ("train", "seed"): run_options.seed,
        ("split", "seed"): run_options.seed,
        ("train", "device"): run_options.device,
        ("deploy", "max_latency_ms"): run_options.max_latency_ms,
        ("deploy", "max_size_mb"): run_options.max_size_mb,
    }
    if run_options.budget is not None:
        options["train", "time_budget"] = parse_duration_option(run_options.budget)
    if run_options.goal is not None:
        metric, goal = parse_goal_option(run_options.goal, project.load_settings().problem.task)
        options |= {("problem", "metric"): metric, ("problem", "goal"): goal}
    edits = [
        ConfigEdit(path, value)
        for path, value in options.items()
        # Values that do not change are not written: the file stays as the user left it.
        if value is not None and get_setting(project, path) != value
    ]
    if edits:
        project_file.apply_edits(project.file_path, edits)
    return project


def get_setting(project: ProjectFolder, path: tuple[str, ...]) -> Any:
    """The value of a setting in the project file."""
    value: Any = project.load_settings()
    for name in path:
        value = getattr(value, name)
    return value


def open_or_create_project(run_options: RunOptions) -> ProjectFolder:
    """The project for a table: a new one, or the one that was made from it."""
    assert run_options.table is not None
    if not run_options.targets:
        raise ProjectError(
            "no target given",
            detail=f"run {run_options.table}",
            hint="pass --target COLUMN; to continue a project, leave out the table",
        )
    project = ProjectFolder(
        run_options.folder or default_project_folder(run_options.table, run_options.targets)
    )
    if project.file_path.exists():
        require_same_data(project, run_options)
        return project
    # A typo in --dir must not scatter files over somebody's folder.
    if project.root.exists() and any(project.root.iterdir()):
        raise ProjectError(
            f"the folder {project.root} is not empty and is not a project",
            detail=", ".join(sorted(path.name for path in project.root.iterdir())[:5]),
            hint="pass the name of a new folder with --dir",
        )
    init(
        InitRequest(
            project.root,
            run_options.table,
            run_options.targets,
            run_options.validation,
            run_options.test,
            run_options.column_names,
            run_options.task,
        )
    )
    return project


def require_same_data(project: ProjectFolder, run_options: RunOptions) -> None:
    """Check that the project was made from the given table and target.

    Raises:
        ProjectError: it was made from another table or target.
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
            f"the folder {project.root} holds a project for other data",
            detail=f"{sources.train}, target {join_names(settings.problem.targets)}",
            hint="pass the name of a new folder with --dir",
        )


def resolve_target_name(target: str, names: Sequence[str]) -> str:
    """The name of a target that was given by name or by number, counted from 1."""
    number = int(target) if target.isdigit() and target not in names else 0
    return names[number - 1] if 0 < number <= len(names) else target


def default_project_folder(table: str, targets: Sequence[str]) -> Path:
    """The folder of a new project: named after its target, or after the table."""
    if len(targets) == 1 and not targets[0].isdigit():
        return Path(targets[0].replace("/", "_"))
    return Path(Path(table.partition("?")[0]).name.split(".")[0])


def parse_duration_option(text: str, option: str = "--budget") -> float:
    """A duration such as 90s, 5m or 1h in seconds.

    >>> parse_duration_option("5m")
    300.0

    Raises:
        ProjectError: the text is not a duration.
    """
    duration_seconds = formatting.parse_duration(text)
    if not duration_seconds:
        raise ProjectError(
            f"{option} is not a duration",
            detail=f"{option} {text}",
            hint="use a number with a unit: 90s, 5m or 1h",
        )
    return duration_seconds


def parse_goal_option(text: str, task: str) -> tuple[str, float]:
    """The metric and the value of a goal such as ``roc_auc >= 0.93``.

    >>> parse_goal_option("roc_auc >= 0.93", "binary")
    ('roc_auc', 0.93)

    Raises:
        ProjectError: the text is not a goal, or the task has no such metric.
    """
    match = GOAL_PATTERN.fullmatch(text)
    if match is None:
        raise ProjectError(
            "--goal is not a metric with a value to reach",
            detail=f"--goal {text!r}",
            hint='write it like "roc_auc >= 0.93" or "rmse <= 4.5"',
        )
    name, comparison, value = match.groups()
    metrics = {metric.name: metric for metric in catalog.load_plugin("tasks", task).metrics}
    if name not in metrics:
        raise ProjectError(
            f"the task {task} has no metric {name!r}",
            detail=f"--goal {text!r}",
            hint=did_you_mean(name, metrics),
        )
    # The value alone is stored; a goal the wrong way round would be met by the worst model.
    expected_comparison = ">=" if metrics[name].greater_is_better else "<="
    if comparison != expected_comparison:
        direction = "higher" if metrics[name].greater_is_better else "lower"
        raise ProjectError(
            f"a {direction} {name} is better, so a goal has to use {expected_comparison}",
            detail=f"--goal {text!r}",
            hint=f'write "{name} {expected_comparison} {value}"',
        )
    return name, float(value)

"""Infer settings from the data and write the project file, with a comment on each setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from fieldcraft.contracts import Stage
from fieldcraft.core import catalog
from fieldcraft.core.errors import DataError, ProjectError, did_you_mean
from fieldcraft.core.formatting import join_names, pluralize, truncated_list
from fieldcraft.core.types import Json
from fieldcraft.data.column_profile import ColumnProfile, TypeInference, profile_columns
from fieldcraft.data.location import relative_address
from fieldcraft.data.read import read_table
from fieldcraft.data.source import ReadResult
from fieldcraft.modeling.type_inference import confidence_of, find_missing_markers, infer_kind
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import ModelSettings

COMMENT_COLUMN = 44  # column of the project file in which end-of-line comments start


@dataclass(frozen=True)
class InitRequest:
    """The arguments of ``fieldcraft init``.

    Attributes:
        folder: the project folder.
        source: the table (see `read_table`), or the training file of a predefined split.
        targets: names of the target columns, or their numbers counted from 1.
        validation: validation file of a predefined split.
        test: test file of a predefined split.
        column_names: column names, for a file without a header.
        task: the task; inferred if None.
    """

    folder: Path
    source: str
    targets: tuple[str, ...]
    validation: str | None = None
    test: str | None = None
    column_names: tuple[str, ...] = ()
    task: str | None = None


def init(request: InitRequest) -> Json:
    """Write the project file of a new project.

    Raises:
        ProjectError: the folder already contains a project.
        DataError: the table cannot be read, or has no such target.
    """
    folder = ProjectFolder(request.folder)
    if folder.file_path.exists():
        raise ProjectError(
            "there is already a project here",
            detail=f"{folder.file_path}",
            hint="continue with fieldcraft run in that folder, or use another --dir",
        )
    read_result = read_table(request.source, request.column_names)
    targets = [find_target(target, read_result.frame) for target in request.targets]
    na_values = find_missing_markers(read_result.frame)
    column_profiles = profile_columns(read_result.frame, na_values)
    task = infer_task([column_profiles[target] for target in targets], request.task)
    document = CommentedMap()
    document["problem"] = build_problem_section(targets, task, request.source)
    document["data"] = build_data_section(request, read_result, na_values, column_profiles, targets)
    sections = {
        "split": ("strategy", "stratified", "at random, with the classes in equal proportions"),
        "model": (
            "learner",
            ModelSettings().learner,
            "an ensemble of MLPs (TabM); its options are in the README",
        ),
        "train": ("seed", 0, "the same seed gives the same model"),
    }
    for name, (key, value, reason) in sections.items():
        document[name] = CommentedMap({key: value})
        document[name].yaml_add_eol_comment(reason, key, column=COMMENT_COLUMN)
    document.yaml_set_start_comment(
        "The project file of Fieldcraft, inferred from the data. Correct what is wrong;\n"
        "`fieldcraft run` then repeats only the steps that depend on the change."
    )
    for name in ("data", "split", "model", "train"):
        document.yaml_set_comment_before_after_key(name, before="\n")
    project_file.write_document(folder.file_path, document)
    return {
        "file": str(folder.file_path),
        "target": join_names(targets),
        "task": task.name,
        "rows": read_result.frame.height,
        "notes": list(read_result.notes),
    }


def find_target(target: str, frame: pl.DataFrame) -> str:
    """The name of a target column that is given by its name or by its number, counted from 1.

    Raises:
        DataError: there is no such column.
    """
    if target in frame.columns:  # first, as a name may consist of digits
        return target
    if target.isdigit() and 1 <= int(target) <= frame.width:
        return frame.columns[int(target) - 1]
    raise DataError(
        f"there is no column {target!r} to predict",
        detail=f"{pluralize(frame.width, 'column')}: {truncated_list(frame.columns)}",
        hint=f"pass another --target: {did_you_mean(target, frame.columns)} (a file without a "
        "header takes --column-names a,b,... or --target with a column number)",
    )


def infer_task(column_profiles: Sequence[ColumnProfile], task_name: str | None) -> TypeInference:
    """The task of the targets: the given one, else the most confident inference.

    Raises:
        DataError: no task fits the target.
    """
    if task_name is not None:
        task = catalog.load_plugin("tasks", task_name)
        inference = task.infer(column_profiles)
        return TypeInference(
            str(task.name), 1.0, "as given", inference.options if inference else {}
        )
    inferences = [task.infer(column_profiles) for task in catalog.load_plugins("tasks")]
    best: TypeInference | None = max(
        (candidate for candidate in inferences if candidate), key=confidence_of, default=None
    )
    if best is None:
        raise unsupported_target_error(column_profiles)
    return best


def unsupported_target_error(column_profiles: Sequence[ColumnProfile]) -> DataError:
    """The error for targets that no task fits."""
    common_values = {
        profile.name: ", ".join(value for value, _ in profile.most_common(3))
        for profile in column_profiles
    }
    if len(column_profiles) > 1:
        return DataError(
            "several targets must be boolean columns, one per label",
            detail="; ".join(
                f"{name}: {values}" for name, values in list(common_values.items())[:4]
            ),
            hint="choose one target, or columns of 1 and 0",
        )
    profile = column_profiles[0]
    return DataError(
        f"no task fits the target {profile.name!r}",
        detail=f"{profile.n_unique:,} distinct values in {len(profile.present_values):,} rows, "
        f"such as {common_values[profile.name] or 'none'}",
        hint="choose another target, or set --task to one of "
        f"{', '.join(catalog.list_plugins('tasks'))}",
    )


def build_problem_section(targets: Sequence[str], task: TypeInference, source: str) -> CommentedMap:
    """The section ``problem``."""
    section = CommentedMap()
    section["description"] = (
        f"Predict {join_names(targets)} from the other columns of {Path(source).name}"
    )
    section["target"] = targets[0] if len(targets) == 1 else inline_list(list(targets))
    section["task"] = task.name
    section.yaml_add_eol_comment(task.reason, "task", column=COMMENT_COLUMN)
    metric = catalog.load_plugin("tasks", task.name).metrics[0]
    section["metric"] = metric.name
    section.yaml_add_eol_comment(
        "models are compared by this metric", "metric", column=COMMENT_COLUMN
    )
    for name, value in task.options.items():
        section[name] = value
        reason = "inferred from the values of the target"
        section.yaml_add_eol_comment(reason, name, column=COMMENT_COLUMN)
    return section


def build_data_section(
    request: InitRequest,
    read_result: ReadResult,
    na_values: Sequence[str],
    column_profiles: dict[str, ColumnProfile],
    targets: Sequence[str],
) -> CommentedMap:
    """The section ``data``."""
    section = CommentedMap()
    section["source"] = format_source(request)
    if read_result.notes:
        section.yaml_set_comment_before_after_key(
            "source", before=to_single_line("; ".join(read_result.notes)), indent=2
        )
    if request.column_names:
        section["column_names"] = inline_list(list(request.column_names))
    section["na_values"] = inline_list(list(na_values))
    shown_values = ", ".join(map(repr, na_values))
    section.yaml_add_eol_comment(
        f"empty cells, and {shown_values}" if na_values else "empty cells only",
        "na_values",
        COMMENT_COLUMN,
    )
    columns = CommentedMap()
    for name, profile in column_profiles.items():
        inference = infer_kind(profile)
        entry = CommentedMap({"kind": inference.name, **inference.options})
        entry.fa.set_flow_style()
        columns[name] = entry
        comment = "the target: " + inference.reason if name in targets else inference.reason
        columns.yaml_add_eol_comment(to_single_line(comment), name, column=COMMENT_COLUMN)
    section["columns"] = columns
    if read_result.split_column:
        section["split_column"] = read_result.split_column
        section.yaml_add_eol_comment("the part of each row", "split_column", column=COMMENT_COLUMN)
    section["drop"] = inline_list([])
    section.yaml_add_eol_comment("columns that no model may use", "drop", column=COMMENT_COLUMN)
    return section


def format_source(request: InitRequest) -> Any:
    """The value of ``data.source``, with paths relative to the project folder."""
    if request.validation is None and request.test is None:
        return relative_address(request.source, request.folder)
    parts = {"train": request.source, "validation": request.validation, "test": request.test}
    return CommentedMap(
        {name: relative_address(path, request.folder) for name, path in parts.items() if path}
    )


def inline_list(values: list[str]) -> CommentedSeq:
    """A list written on one line."""
    sequence = CommentedSeq(values)
    sequence.fa.set_flow_style()
    return sequence


def to_single_line(text: str) -> str:
    """Text without line breaks, for a comment."""
    return " ".join(text.split())


STAGE = Stage("init", "Infer settings from the data and write the project file.", init)  # type: ignore[arg-type]

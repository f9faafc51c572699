"""Check contexts of small tables, as the audit stage builds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import polars as pl

from fieldcraft.contracts import Check, CheckContext, CheckScope, Output, Task
from fieldcraft.core import catalog
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.types import Array, Json
from fieldcraft.data.cell_parser import MISSING_MARKERS
from fieldcraft.data.column_profile import ColumnProfile, profile_columns
from fieldcraft.data.schema import Column, Schema, row_digests
from fieldcraft.ledger.records import Finding
from fieldcraft.tasks._base import sort_labels

TARGET = "y"
TRAIN_FRACTION = 0.7


@dataclass(frozen=True)
class LabelsTask:
    """The part of a multilabel task that checks use."""

    name: str = "labels"
    output: Output = "labels"


def load_task(name: str) -> Task:
    """The task of that name; checks use only its name and its output type."""
    return cast(Task, LabelsTask()) if name == "labels" else catalog.load_plugin("tasks", name)


def make_schema(kinds: Mapping[str, str | Column], missing: Sequence[str] = ()) -> Schema:
    """Columns of the given kinds."""
    columns = (
        kind if isinstance(kind, Column) else Column(name, kind) for name, kind in kinds.items()
    )
    return Schema(tuple(columns), tuple(missing))


def data_context(
    cells: Mapping[str, Any], missing: Sequence[str] = (), **kinds: str | Column
) -> CheckContext:
    """All rows before the split.

    Args:
        cells: of each column as read; one called ``y`` is the target.
        missing: markers of a missing value.
        kinds: of the columns except the target.
    """
    frame = pl.DataFrame(cells)
    schema = make_schema(kinds, missing)
    used = [
        column for column in schema.columns if catalog.load_plugin("kinds", column.kind).is_feature
    ]
    target = [Column(TARGET, "category")] if TARGET in frame.columns else []
    values = Schema((*used, *target), schema.missing_markers).apply(frame)
    rows = range(1, frame.height + 1)
    return CheckContext(
        schema, (TARGET,), profile_columns(frame, schema.missing_markers), values, rows
    )


def encode_target(
    frame: pl.DataFrame, targets: Sequence[str], output: Output
) -> tuple[Array, Json]:
    """The target as numbers, and its classes."""
    if output == "labels":
        return frame.select(pl.col(list(targets)).cast(pl.Int64)).to_numpy(), {
            "labels": list(targets)
        }
    target = frame[targets[0]]
    if output == "value":
        return target.cast(pl.Float64).to_numpy(), {}
    labels = target.cast(pl.String).to_list()
    classes = sort_labels(sorted(set(labels)))
    return np.array([classes.index(cell) for cell in labels], dtype=np.int64), {"classes": classes}


def split_context(
    cells: Mapping[str, Any], task: str, targets: Sequence[str] = (TARGET,), **kinds: str | Column
) -> CheckContext:
    """Training rows after the split, with their targets."""
    frame = pl.DataFrame(cells)
    schema, task_plugin = make_schema(kinds), load_task(task)
    y, target_spec = encode_target(frame, targets, task_plugin.output)
    values = schema.apply(frame)
    return CheckContext(
        schema, tuple(targets), profile_columns(frame.select(values.columns)), values,
        range(1, frame.height + 1), task=task_plugin, target_spec=target_spec, y=y,
        row_digests={"train": row_digests(values), "test": []},
    )  # fmt: skip


def empty_context(
    scope: CheckScope, n_rows: int, task: str = "binary", **kinds: str
) -> CheckContext:
    """Rows without a value, or no rows at all; after the split all of one class."""
    n_rows = n_rows if kinds else 0
    frame = pl.DataFrame({name: pl.Series([None] * n_rows, dtype=pl.String) for name in kinds})
    schema = make_schema(kinds)
    context = CheckContext(
        schema, (TARGET,), profile_columns(frame), schema.apply(frame), range(n_rows)
    )
    if scope == "data":
        return context
    y = np.zeros(
        (n_rows, 1) if task == "labels" else n_rows,
        np.float64 if task == "regression" else np.int64,
    )
    digests = {"train": row_digests(frame), "evaluation": []}
    target_spec = {"classes": ["a", "b"]} if task == "binary" else {}
    return replace(context, task=load_task(task), target_spec=target_spec, y=y, row_digests=digests)


def infer_column(profile: ColumnProfile) -> Column:
    """A column with the kind that is inferred for it."""
    inferences = [kind.infer(profile) for kind in catalog.load_plugins("kinds")]
    best = max(
        (inference for inference in inferences if inference),
        key=lambda inference: inference.confidence,
    )
    return Column(profile.name, best.name, best.options)


def run_all_checks(
    frame: pl.DataFrame,
    targets: Sequence[str],
    task: str,
    edits: Sequence[ConfigEdit] = (),
    **fields: Any,
) -> list[Finding]:
    """All findings of all checks on a table, before the split and after it.

    Args:
        frame: cells as read; kinds of columns and markers of missing values are inferred.
        targets: the columns to predict.
        task: name of the task.
        edits: edits of the project file, applied before the audit.
        fields: further fields of the context, such as ``sensitive_features``.
    """
    choices = infer_project(frame, targets, edits)
    schema, targets = choices.schema, tuple(targets)
    fields = {"time_column": choices.time_column, "group_column": choices.group_column} | fields
    profiles = profile_columns(frame, schema.missing_markers)
    used = replace(
        schema,
        columns=tuple(c for c in schema.columns if catalog.load_plugin("kinds", c.kind).is_feature),
    )
    features = used.apply(frame)
    values = features.with_columns(profiles[name].column for name in targets)
    data_context = CheckContext(
        schema, targets, profiles, values, range(1, frame.height + 1), **fields
    )
    digests = row_digests(features)
    groups = row_digests(frame, [choices.group_column]) if choices.group_column else digests
    is_train = np.array(
        [
            digest[0] < TRAIN_FRACTION * 256
            for digest in (groups if choices.is_group_split else digests)
        ]
    )
    has_target = np.all(
        [profiles[name].column.is_not_null().to_numpy() for name in targets], axis=0
    )
    rows, evaluation_rows = np.flatnonzero(is_train & has_target), np.flatnonzero(~is_train)
    task_plugin = load_task(task)
    y, target_spec = encode_target(values[rows.tolist()], targets, task_plugin.output)
    split_context = CheckContext(
        used, targets,
        profile_columns(frame[rows.tolist()].select(features.columns), schema.missing_markers),
        features[rows.tolist()], (rows + 1).tolist(), task=task_plugin, target_spec=target_spec,
        y=y,
        row_digests={
            part: [digests[i] for i in indexes]
            for part, indexes in (("train", rows), ("evaluation", evaluation_rows))
        },
        group_digests={
            part: [groups[i] for i in indexes]
            for part, indexes in (("train", rows), ("evaluation", evaluation_rows))
        },
        **fields,
    )  # fmt: skip
    context_by_scope = {"data": data_context, "split": split_context}
    return [
        finding
        for scope, context in context_by_scope.items()
        for check in load_all_checks()
        if check.scope == scope
        for finding in run_check(check, context)
    ]


@dataclass(frozen=True)
class ProjectChoices:
    """The settings of a project file that checks and their fixes use."""

    schema: Schema
    group_column: str | None
    time_column: str | None
    is_group_split: bool


def infer_project(
    frame: pl.DataFrame, targets: Sequence[str], edits: Sequence[ConfigEdit]
) -> ProjectChoices:
    """The settings inferred from a table, with edits applied."""
    added: dict[tuple[str, ...], list[str]] = {}
    set_values: dict[tuple[str, ...], Any] = {}
    for edit in edits:
        if edit.append:
            added.setdefault(edit.path, []).append(edit.value)
        else:
            set_values[edit.path] = edit.value
    text = pl.concat([frame[name].cast(pl.String).str.strip_chars() for name in frame.columns])
    missing_values = set(text.filter(text.str.to_lowercase().is_in(list(MISSING_MARKERS))))
    missing = tuple(sorted(missing_values | set(added.get(("data", "na_values"), []))))
    columns = []
    for name, profile in profile_columns(frame, missing).items():
        if name in targets or name in added.get(("data", "drop"), []):
            continue
        column = infer_column(profile)
        options = dict(column.options)
        options |= {
            path[3]: value
            for path, value in set_values.items()
            if path[:3] == ("data", "columns", name)
        }
        options |= {
            path[3]: value
            for path, value in set_values.items()
            if path[:3] == ("clean", "columns", name)
        }
        columns.append(Column(name, options.pop("kind", column.kind), options))
    return ProjectChoices(
        Schema(tuple(columns), missing),
        set_values.get(("data", "group")),
        set_values.get(("data", "time_column")),
        set_values.get(("split", "strategy")) == "group",
    )


def run_check(check: Check, context: CheckContext) -> list[Finding]:
    """The findings of a check."""
    return list(check.run(context))


def join_titles(findings: Iterable[Finding]) -> str:
    """The titles of findings, one per line."""
    return "\n".join(finding.title for finding in findings)


def load_all_checks() -> list[Check]:
    """Every check in the catalog, and the checks of every kind."""
    checks: list[Check] = catalog.load_plugins("checks")
    return checks + [check for kind in catalog.load_plugins("kinds") for check in kind.checks()]

"""Views of small tables, as the audit stage builds them, for tests of checks."""

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
from fieldcraft.data.column_profile import ColumnProfile, looks
from fieldcraft.data.schema import Column, Schema, row_digests
from fieldcraft.ledger.records import Finding
from fieldcraft.tasks._base import sort_labels

TARGET = "y"
TRAIN_FRACTION = 0.7


@dataclass(frozen=True)
class LabelsTask:
    """As much of a task of many labels as checks look at."""

    name: str = "labels"
    output: Output = "labels"


def load_task(name: str) -> Task:
    """The task of that name; checks see no more of it than its name and its output."""
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
        missing: words that stand for a missing value.
        kinds: of the columns, the target left out.
    """
    frame = pl.DataFrame(cells)
    schema = make_schema(kinds, missing)
    used = [
        column for column in schema.columns if catalog.load_plugin("kinds", column.kind).is_feature
    ]
    target = [Column(TARGET, "category")] if TARGET in frame.columns else []
    values = Schema((*used, *target), schema.missing_markers).apply(frame)
    rows = range(1, frame.height + 1)
    return CheckContext(schema, (TARGET,), looks(frame, schema.missing_markers), values, rows)


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
        schema, tuple(targets), looks(frame.select(values.columns)), values,
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
    context = CheckContext(schema, (TARGET,), looks(frame), schema.apply(frame), range(n_rows))
    if scope == "data":
        return context
    y = np.zeros(
        (n_rows, 1) if task == "labels" else n_rows,
        np.float64 if task == "regression" else np.int64,
    )
    digests = {"train": row_digests(frame), "judge": []}
    target_spec = {"classes": ["a", "b"]} if task == "binary" else {}
    return replace(context, task=load_task(task), target_spec=target_spec, y=y, row_digests=digests)


def infer_column(profile: ColumnProfile) -> Column:
    """A column with the kind that is guessed for it."""
    inferences = [kind.infer(profile) for kind in catalog.load_plugins("kinds")]
    best = max(
        (inference for inference in inferences if inference), key=lambda guess: guess.confidence
    )
    return Column(profile.name, best.name, best.options)


def run_all_checks(
    frame: pl.DataFrame,
    targets: Sequence[str],
    task: str,
    edits: Sequence[ConfigEdit] = (),
    **fields: Any,
) -> list[Finding]:
    """Everything that all checks say of a table, before the split and after it.

    Args:
        frame: cells as read; kinds of columns and markers of missing values are guessed.
        targets: the columns to predict.
        task: what they ask.
        edits: of the project file, made before the audit.
        fields: of the view besides, such as ``groups``.
    """
    said = infer_project(frame, targets, edits)
    schema, targets = said.schema, tuple(targets)
    fields = {"time": said.time, "entity": said.entity} | fields
    profiles = looks(frame, schema.missing_markers)
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
    entities = row_digests(frame, [said.entity]) if said.entity else digests
    is_train = np.array(
        [
            digest[0] < TRAIN_FRACTION * 256
            for digest in (entities if said.is_group_split else digests)
        ]
    )
    has_target = np.all(
        [profiles[name].column.is_not_null().to_numpy() for name in targets], axis=0
    )
    rows, evaluation_rows = np.flatnonzero(is_train & has_target), np.flatnonzero(~is_train)
    task_plugin = load_task(task)
    y, target_spec = encode_target(values[rows.tolist()], targets, task_plugin.output)
    split_context = CheckContext(
        used, targets, looks(frame[rows.tolist()].select(features.columns), schema.missing_markers),
        features[rows.tolist()], (rows + 1).tolist(), task=task_plugin, target_spec=target_spec, y=y,
        row_digests={"train": [digests[i] for i in rows], "judge": [digests[i] for i in evaluation_rows]},
        group_digests={"train": [entities[i] for i in rows], "judge": [entities[i] for i in evaluation_rows]},
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
    """What a project file says, as far as checks and their fixes go."""

    schema: Schema
    entity: str | None
    time: str | None
    is_group_split: bool  # whether rows are split by entity


def infer_project(
    frame: pl.DataFrame, targets: Sequence[str], edits: Sequence[ConfigEdit]
) -> ProjectChoices:
    """What is guessed from a table, with edits made."""
    added: dict[tuple[str, ...], list[str]] = {}
    set_values: dict[tuple[str, ...], Any] = {}
    for edit in edits:
        if edit.append:
            added.setdefault(edit.path, []).append(edit.value)
        else:
            set_values[edit.path] = edit.value
    text = pl.concat([frame[name].cast(pl.String).str.strip_chars() for name in frame.columns])
    missing_values = set(text.filter(text.str.to_lowercase().is_in(list(MISSING_MARKERS))))
    missing = tuple(sorted(missing_values | set(added.get(("data", "missing"), []))))
    columns = []
    for name, profile in looks(frame, missing).items():
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
        set_values.get(("data", "entity")),
        set_values.get(("data", "time")),
        set_values.get(("split", "rule")) == "entity",
    )


def run_check(check: Check, context: CheckContext) -> list[Finding]:
    """What a check reports."""
    return list(check.run(context))


def join_titles(findings: Iterable[Finding]) -> str:
    """What findings say, one a line."""
    return "\n".join(finding.title for finding in findings)


def load_all_checks() -> list[Check]:
    """Every check that is plugged in, by itself or by a kind."""
    checks: list[Check] = catalog.load_plugins("checks")
    return checks + [check for kind in catalog.load_plugins("kinds") for check in kind.checks()]

"""Views of small tables, as the audit stage builds them, for tests of checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Check, Json, Output, Sight, Task, View
from fieldcraft.core import catalogue
from fieldcraft.core.edit import Edit
from fieldcraft.data.look import Look, looks
from fieldcraft.data.parse import MISSING_MARKS
from fieldcraft.data.table import Column, Schema, row_digests
from fieldcraft.evidence.classes import natural_order
from fieldcraft.evidence.records import Finding

TARGET = "y"
TRAINING = 0.7


@dataclass(frozen=True)
class LabelsTask:
    """As much of a task of many labels as checks look at."""

    name: str = "labels"
    output: Output = "labels"


def task_of(name: str) -> Task:
    """The task of that name; checks see no more of it than its name and its output."""
    return cast(Task, LabelsTask()) if name == "labels" else catalogue.load("tasks", name)


def schema_of(kinds: Mapping[str, str | Column], missing: Sequence[str] = ()) -> Schema:
    """Columns of the given kinds."""
    columns = (
        kind if isinstance(kind, Column) else Column(name, kind) for name, kind in kinds.items()
    )
    return Schema(tuple(columns), tuple(missing))


def data_view(cells: Mapping[str, Any], missing: Sequence[str] = (), **kinds: str | Column) -> View:
    """All rows before the split.

    Args:
        cells: of each column as read; one called ``y`` is the target.
        missing: words that stand for a missing value.
        kinds: of the columns, the target left out.
    """
    frame = pl.DataFrame(cells)
    schema = schema_of(kinds, missing)
    used = [c for c in schema.columns if catalogue.load("kinds", c.kind).used]
    target = [Column(TARGET, "category")] if TARGET in frame.columns else []
    values = Schema((*used, *target), schema.missing).apply(frame)
    rows = range(1, frame.height + 1)
    return View(schema, (TARGET,), looks(frame, schema.missing), values, rows)


def encoded(frame: pl.DataFrame, targets: Sequence[str], output: Output) -> tuple[Array, Json]:
    """The target as numbers, and its classes."""
    if output == "labels":
        return frame.select(pl.col(list(targets)).cast(pl.Int64)).to_numpy(), {
            "labels": list(targets)
        }
    target = frame[targets[0]]
    if output == "value":
        return target.cast(pl.Float64).to_numpy(), {}
    text = target.cast(pl.String).to_list()
    classes = natural_order(sorted(set(text)))
    return np.array([classes.index(cell) for cell in text], dtype=np.int64), {"classes": classes}


def split_view(
    cells: Mapping[str, Any], task: str, targets: Sequence[str] = (TARGET,), **kinds: str | Column
) -> View:
    """Training rows after the split, with their targets."""
    frame = pl.DataFrame(cells)
    schema, plug = schema_of(kinds), task_of(task)
    y, about = encoded(frame, targets, plug.output)
    values = schema.apply(frame)
    return View(
        schema, tuple(targets), looks(frame.select(values.columns)), values,
        range(1, frame.height + 1), task=plug, about=about, y=y,
        digests={"train": row_digests(values), "test": []},
    )  # fmt: skip


def bare_view(looks_at: Sight, rows: int, task: str = "binary", **kinds: str) -> View:
    """Rows without a value, or no rows at all; after the split all of one class."""
    rows = rows if kinds else 0
    frame = pl.DataFrame({name: pl.Series([None] * rows, dtype=pl.String) for name in kinds})
    schema = schema_of(kinds)
    view = View(schema, (TARGET,), looks(frame), schema.apply(frame), range(rows))
    if looks_at == "data":
        return view
    y = np.zeros(
        (rows, 1) if task == "labels" else rows, np.float64 if task == "regression" else np.int64
    )
    digests = {"train": row_digests(frame), "judge": []}
    about = {"classes": ["a", "b"]} if task == "binary" else {}
    return replace(view, task=task_of(task), about=about, y=y, digests=digests)


def guessed(look: Look) -> Column:
    """A column with the kind that is guessed for it."""
    guesses = [kind.recognise(look) for kind in catalogue.load_all("kinds")]
    best = max((guess for guess in guesses if guess), key=lambda guess: guess.confidence)
    return Column(look.name, best.name, best.options)


def audit(
    frame: pl.DataFrame,
    targets: Sequence[str],
    task: str,
    edits: Sequence[Edit] = (),
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
    said = project(frame, targets, edits)
    schema, targets = said.schema, tuple(targets)
    fields = {"time": said.time, "entity": said.entity} | fields
    seen = looks(frame, schema.missing)
    used = replace(
        schema, columns=tuple(c for c in schema.columns if catalogue.load("kinds", c.kind).used)
    )
    features = used.apply(frame)
    values = features.with_columns(seen[name].column for name in targets)
    before = View(schema, targets, seen, values, range(1, frame.height + 1), **fields)
    digests = row_digests(features)
    entities = row_digests(frame, [said.entity]) if said.entity else digests
    here = np.array(
        [digest[0] < TRAINING * 256 for digest in (entities if said.apart else digests)]
    )
    labelled = np.all([seen[name].column.is_not_null().to_numpy() for name in targets], axis=0)
    rows, others = np.flatnonzero(here & labelled), np.flatnonzero(~here)
    plug = task_of(task)
    y, about = encoded(values[rows.tolist()], targets, plug.output)
    after = View(
        used, targets, looks(frame[rows.tolist()].select(features.columns), schema.missing),
        features[rows.tolist()], (rows + 1).tolist(), task=plug, about=about, y=y,
        digests={"train": [digests[i] for i in rows], "judge": [digests[i] for i in others]},
        entities={"train": [entities[i] for i in rows], "judge": [entities[i] for i in others]},
        **fields,
    )  # fmt: skip
    views = {"data": before, "split": after}
    return [
        finding
        for looks_at, view in views.items()
        for check in every_check()
        if check.looks_at == looks_at
        for finding in found(check, view)
    ]


@dataclass(frozen=True)
class Said:
    """What a project file says, as far as checks and their fixes go."""

    schema: Schema
    entity: str | None
    time: str | None
    apart: bool  # whether rows are split by entity


def project(frame: pl.DataFrame, targets: Sequence[str], edits: Sequence[Edit]) -> Said:
    """What is guessed from a table, with edits made."""
    added: dict[tuple[str, ...], list[str]] = {}
    chosen: dict[tuple[str, ...], Any] = {}
    for edit in edits:
        if edit.add:
            added.setdefault(edit.path, []).append(edit.value)
        else:
            chosen[edit.path] = edit.value
    text = pl.concat([frame[name].cast(pl.String).str.strip_chars() for name in frame.columns])
    marks = set(text.filter(text.str.to_lowercase().is_in(list(MISSING_MARKS))))
    missing = tuple(sorted(marks | set(added.get(("data", "missing"), []))))
    columns = []
    for name, look in looks(frame, missing).items():
        if name in targets or name in added.get(("data", "drop"), []):
            continue
        column = guessed(look)
        options = dict(column.options)
        options |= {p[3]: v for p, v in chosen.items() if p[:3] == ("data", "columns", name)}
        options |= {p[3]: v for p, v in chosen.items() if p[:3] == ("clean", "columns", name)}
        columns.append(Column(name, options.pop("kind", column.kind), options))
    return Said(
        Schema(tuple(columns), missing),
        chosen.get(("data", "entity")),
        chosen.get(("data", "time")),
        chosen.get(("split", "rule")) == "entity",
    )


def found(check: Check, view: View) -> list[Finding]:
    """What a check reports."""
    return list(check.run(view))


def titles(findings: Iterable[Finding]) -> str:
    """What findings say, one a line."""
    return "\n".join(finding.title for finding in findings)


def every_check() -> list[Check]:
    """Every check that is plugged in, by itself or by a kind."""
    own: list[Check] = catalogue.load_all("checks")
    return own + [check for kind in catalogue.load_all("kinds") for check in kind.checks()]

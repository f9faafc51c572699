"""The rows a model is developed on, as the split stage left them: the sealed ones are not here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fieldcraft.contracts import Array, Json, Task
from fieldcraft.core import catalogue, files
from fieldcraft.core.errors import DataError
from fieldcraft.data.split import Fold, folds_of
from fieldcraft.data.table import Column, Schema
from fieldcraft.project.settings import Settings


@dataclass(frozen=True)
class Development:
    """Rows for training, tuning and judging, with their target and folds."""

    frame: pl.DataFrame  # cells as read
    values: pl.DataFrame  # features, parsed
    y: Array
    rows: list[int]  # line of each row in its source
    folds: list[Fold]
    schema: Schema  # of the features
    task: Task
    about: Json
    digest: str


def feature_schema(settings: Settings) -> Schema:
    """The columns that a model may use, with the markers of missing values.

    Raises:
        DataError: every column is set aside.
    """
    aside = {settings.problem.target, *settings.data.drop}
    columns = []
    for name, column in settings.data.columns.items():
        if name in aside or not catalogue.load("kinds", column.kind).used:
            continue
        options: dict[str, Any] = column.options()
        if name in settings.clean.clip:
            options["clip"] = settings.clean.clip[name]
        columns.append(Column(name, column.kind, options))
    if not columns:
        raise DataError(
            "there is no column left that a model could use",
            seen=f"{len(settings.data.columns)} columns, all of them the target or set aside",
            way_out="give a column another kind under data.columns, or shorten data.drop",
        )
    return Schema(tuple(columns), tuple(settings.data.missing))


def target_column(settings: Settings) -> Column:
    """How the cells of the target are read: as classes or as numbers."""
    name = settings.problem.target
    task = catalogue.load("tasks", settings.problem.task)
    kind = "number" if task.output == "value" else "category"
    given = settings.data.columns[name]
    return Column(name, kind, given.options() if given.kind == kind else {})


def parse_target(frame: pl.DataFrame, settings: Settings) -> pl.Series:
    """The target of rows as read; null where there is none."""
    column = target_column(settings)
    schema = Schema((column,), tuple(settings.data.missing))
    return schema.parse(frame[column.name], column)


def load_development(split: Path, settings: Settings) -> Development:
    """The rows that the split stage put in ``develop.parquet``."""
    about = files.read_json(split / "about.json")
    frame = pl.read_parquet(split / "develop.parquet")
    parts = pl.read_parquet(split / "split.parquet").filter(pl.col("place") == "develop")
    task: Task = catalogue.load("tasks", settings.problem.task)
    schema = feature_schema(settings)
    return Development(
        frame,
        schema.apply(frame),
        task.encode(parse_target(frame, settings), about["target"]),
        parts["line"].to_list(),
        folds_of(parts),
        schema,
        task,
        about["target"],
        about["digests"]["develop"],
    )

"""Rows as the project file wants them: read, joined, typed, and those a model is developed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Json, Task
from fieldcraft.core import catalogue, files
from fieldcraft.core.errors import DataError, near
from fieldcraft.data.look import Look
from fieldcraft.data.media import base_of, contents_digested, named_in
from fieldcraft.data.prepare import join, names_in
from fieldcraft.data.read import located, read_table
from fieldcraft.data.split import Fold, folds_of
from fieldcraft.data.table import Column, Schema, kind_named, row_digests
from fieldcraft.develop.guess import guess_kind
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Settings

LINE, SOURCE = "(line)", "(source)"  # columns that are put beside those of the table
AGED = "(weight)"  # column of a retraining: how much older rows count beside new ones
TRAIN, VALIDATION, TEST = 0, 1, 2  # numbers of the sources
TARGET_SECTIONS = ("problem.target", "problem.task", "problem.positive", "problem.order")
WISHES = ("costs", "threshold", "coverage", "reject")  # how to decide: no model depends on it


@dataclass(frozen=True)
class Development:
    """Rows for training, tuning and judging, with their target and folds."""

    frame: pl.DataFrame  # cells as read
    values: pl.DataFrame  # features, parsed
    y: Array
    rows: list[int]  # number of each row in its source
    folds: list[Fold]
    schema: Schema  # of the features
    task: Task
    about: Json
    digest: str
    weights: Array | None = None  # how much each row counts
    units: Array | None = None  # rows of the same unit depend on each other
    kept: dict[int, Any] = field(default_factory=dict, init=False)  # folds encoded, by identity

    def weights_at(self, rows: Array) -> Array | None:
        """How much each of some rows counts; None if all count the same."""
        return None if self.weights is None else self.weights[rows]


def only(rows: Development, names: Sequence[str]) -> Development:
    """The same rows with some of their columns."""
    columns = tuple(column for column in rows.schema.columns if column.name in set(names))
    values = rows.values.select(column.name for column in columns)
    return replace(rows, values=values, schema=replace(rows.schema, columns=columns))


def plain(rows: Development) -> Development | None:
    """The rows without columns that name files, such as photos; None if that is all or nothing."""
    names = [c.name for c in rows.schema.columns if kind_named(c.kind).holds == "values"]
    return only(rows, names) if 0 < len(names) < len(rows.schema.columns) else None


def read_rows(project: Folder, settings: Settings) -> pl.DataFrame:
    """All rows with what is joined to them, the number of each and that of its source.

    Raises:
        DataError: files of a ready-made split do not have the same columns, or a column of the
            project file is in none of the tables.
    """
    frame = read_sources(project, settings)
    for _, table, on in joined_tables(project, settings):
        frame = join(frame, table, on)
        unlisted = [name for name in table.columns if name not in (*on, *settings.data.columns)]
        if unlisted:
            raise DataError(
                "joined columns have no kind yet",
                seen=", ".join(unlisted[:8]),
                way_out="add to data.columns: " + "; ".join(map(guessed, table[unlisted])),
            )
    known = [*frame.columns, *settings.data.derive]
    unknown = [name for name in settings.data.columns if name not in known]
    if unknown:
        raise DataError(
            "the project file names columns that the table does not have",
            seen=", ".join(unknown[:8]),
            way_out=f"set data.columns to those of the table; {near(unknown[0], frame.columns)}",
        )
    return frame


def read_sources(project: Folder, settings: Settings) -> pl.DataFrame:
    """The rows of all files of the table, the number of each in its file and that of its file.

    Raises:
        DataError: the files do not have the same columns.
    """
    sources = settings.data.sources()
    found: list[pl.DataFrame] = []
    for number, path in enumerate((sources.train, sources.validation, sources.test)):
        if path is None:
            continue
        place = located(path, project.root)
        frame = read_table(place, settings.data.names).frame
        frame = named_in(frame, file_columns(settings), base_of(place))
        wanted = found[0].columns[:-2] if found else frame.columns
        if AGED in wanted and AGED not in frame.columns:  # sealed rows
            frame = frame.with_columns(pl.lit(1.0).alias(AGED))
        absent = [name for name in wanted if name not in frame]
        if absent:
            raise DataError(
                f"{Path(path).name} lacks columns that the training file has",
                seen=", ".join(absent[:8]),
                way_out="use files with the same columns; pass --names if they have no header",
            )
        line = pl.int_range(1, frame.height + 1).alias(LINE)
        found.append(frame.select(*wanted, line, pl.lit(number, dtype=pl.Int64).alias(SOURCE)))
    return pl.concat(found, how="vertical_relaxed")


def file_columns(settings: Settings) -> list[str]:
    """The columns whose cells name files, such as photos."""
    columns = settings.data.columns.items()
    return [name for name, c in columns if catalogue.load("kinds", c.kind).holds == "files"]


def with_contents(frame: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The frame with digests of files where cells name them, so that copies are told."""
    there = [name for name in file_columns(settings) if name in frame.columns]
    return frame.with_columns([contents_digested(frame[name]) for name in there])


def guessed(cells: pl.Series) -> str:
    """The line under ``data.columns`` that a column would get."""
    best = guess_kind(Look(cells))
    said = ", ".join(
        f"{key}: {value}" for key, value in {"kind": best.name, **best.options}.items()
    )
    return f"{cells.name}: {{{said}}}"


def joined_tables(project: Folder, settings: Settings) -> list[tuple[str, pl.DataFrame, list[str]]]:
    """The further tables with their names and keys, only the columns that are wanted."""
    found = []
    for wanted in settings.data.join:
        place = located(wanted.source, project.root)
        table = named_in(read_table(place).frame, file_columns(settings), base_of(place))
        chosen = wanted.columns or [name for name in table.columns if name not in wanted.keys]
        absent = [name for name in [*wanted.keys, *chosen] if name not in table.columns]
        if absent:
            raise DataError(
                f"{Path(wanted.source).name} lacks columns that data.join names",
                seen=", ".join(absent),
                way_out=f"use columns of that table; {near(absent[0], table.columns)}",
            )
        found.append((wanted.source, table.select([*wanted.keys, *chosen]), wanted.keys))
    return found


def column_for(settings: Settings, name: str, kind: str | None = None) -> Column:
    """A column with its options: those of its own, and how it is cleaned."""
    given = settings.data.columns[name]
    if kind is not None and kind != given.kind:
        return Column(name, kind, {})
    known = catalogue.load("kinds", given.kind).options
    own = settings.clean.columns[name].options() if name in settings.clean.columns else {}
    shared = {} if name in settings.problem.targets else settings.clean.all.options()
    cleaning = {**shared, **own}
    options = {key: value for key, value in cleaning.items() if key in known}
    encoding = settings.model.kinds().get(given.kind) or {}
    return Column(name, given.kind, {**options, **encoding, **given.options()})


def feature_schema(settings: Settings) -> Schema:
    """The columns that a model may use, with the markers of missing values.

    Raises:
        DataError: every column is set aside.
    """
    data, aside = settings.data, set_aside(settings)
    columns = [
        column_for(settings, name)
        for name, column in data.columns.items()
        if name not in aside and catalogue.load("kinds", column.kind).used
    ]
    columns += [c for c in derived_columns(settings) if c.name not in aside | set(data.columns)]
    if not columns:
        raise DataError(
            "there is no column left that a model could use",
            seen=f"{len(data.columns)} columns, all of them the target or set aside",
            way_out="give a column another kind under data.columns, or shorten data.drop",
        )
    return with_inputs(settings, columns)


def set_aside(settings: Settings) -> set[str]:
    """Columns that no model may see: the target, those dropped, those with a part of their own."""
    data = settings.data
    roles = (data.weight, data.id, data.split, data.entity)
    return {*settings.problem.targets, *data.drop, *(name for name in roles if name)}


def with_inputs(settings: Settings, columns: Sequence[Column]) -> Schema:
    """A schema of some columns with the expressions they need, and what those read."""
    derive, names = settings.data.derive, [column.name for column in columns]
    wanted = [name for name in names if name in derive]
    read: list[str] = []
    for name in wanted:  # grows while it is gone through
        for root in names_in(derive[name], f"data.derive.{name}"):
            (wanted if root in derive else read).append(root)
    used = {name: sql for name, sql in derive.items() if name in wanted}
    unknown = [name for name in read if name not in settings.data.columns]
    if unknown:
        raise DataError(
            "data.derive reads a column that is not there",
            seen=unknown[0],
            way_out=f"use names under data.columns; {near(unknown[0], settings.data.columns)}",
        )
    extra = [column_for(settings, name) for name in dict.fromkeys(read) if name not in names]
    return Schema(tuple(columns), tuple(settings.data.missing), used, tuple(extra))


def derived_columns(settings: Settings) -> list[Column]:
    """The computed columns of which the file does not say the kind, by the type of their result."""
    derive, data = settings.data.derive, settings.data
    if not derive:
        return []
    given = [column_for(settings, name) for name in data.columns if name not in derive]
    empty = pl.DataFrame(
        [
            catalogue.load("kinds", column.kind).parse(
                pl.Series(column.name, [], dtype=pl.String), column.options
            )
            for column in given
        ]
    )
    found = []
    for name, sql in derive.items():
        try:
            empty = empty.with_columns(pl.sql_expr(sql).alias(name))
        except pl.exceptions.PolarsError:  # evaluating it on the rows says what is wrong
            found.append(Column(name, "number"))
            continue
        kind = empty.schema[name]
        guess = "number" if kind.is_numeric() else "datetime" if kind.is_temporal() else "category"
        found.append(Column(name, "boolean" if kind == pl.Boolean else guess, {}))
    return found


def columns_of(settings: Settings, names: Sequence[str]) -> Schema:
    """A schema of columns by name, for what reads them beside the model.

    Raises:
        DataError: there is no such column.
    """
    derived = {column.name: column for column in derived_columns(settings)}
    known = {**settings.data.columns, **derived}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(
            "the project file asks for a column that is not there",
            seen=unknown[0],
            way_out=f"use names under data.columns; {near(unknown[0], known)}",
        )
    columns = [
        column_for(settings, name) if name in settings.data.columns else derived[name]
        for name in names
    ]
    return with_inputs(settings, columns)


def target_columns(settings: Settings) -> tuple[Column, ...]:
    """How the cells of the target are read: as classes, labels or numbers."""
    task = catalogue.load("tasks", settings.problem.task)
    kind = "number" if task.output == "value" else "category"
    return tuple(column_for(settings, name, kind) for name in settings.problem.targets)


def parse_target(frame: pl.DataFrame, settings: Settings) -> pl.Series:
    """The target of rows as read, null where there is none; of several columns a struct."""
    columns = target_columns(settings)
    values = Schema(columns, tuple(settings.data.missing)).apply(frame)
    if isinstance(settings.problem.target, str):
        return values.to_series()
    whole = pl.when(~pl.any_horizontal(pl.all().is_null())).then(pl.struct(pl.all()))
    return values.select(whole.alias("target")).to_series()


def weights_of(frame: pl.DataFrame, settings: Settings) -> Array | None:
    """How much each row counts.

    Raises:
        DataError: a weight is missing, negative or not a number.
    """
    name = settings.data.weight
    aged = frame[AGED].to_numpy() if AGED in frame.columns else None
    if name is None:
        return aged
    schema = columns_of(settings, [name])
    column = Column(name, "number", dict(schema.columns[0].options))
    found = schema.parse(frame[name], column).to_numpy()
    odd = np.flatnonzero(~((found > 0) & np.isfinite(found)))
    if len(odd):
        raise DataError(
            "some rows have no weight that counts",
            seen=f"{name} is {frame[name][int(odd[0])]!r} in row {odd[0] + 1:,}, "
            f"{len(odd):,} such rows",
            way_out="give each row a number above 0, or leave out data.weight",
        )
    return np.asarray(found if aged is None else found * aged, dtype=np.float64)


def moments_of(frame: pl.DataFrame, settings: Settings) -> pl.Series:
    """The column that orders rows in time: dates, or numbers such as those of steps.

    Raises:
        DataError: it holds something else.
    """
    schema = columns_of(settings, [str(settings.data.time)])
    moments = schema.apply(frame).to_series()
    if moments.dtype == pl.String:  # as running numbers are, which name rows
        text, moments = moments, schema.parse(moments, Column(moments.name, "number"))
        odd = text.filter(moments.is_null() & text.is_not_null())
        if len(odd):
            raise DataError(
                f"the column {text.name!r} does not order rows in time",
                seen=f"{odd[0]!r} in {len(odd):,} rows",
                way_out=f"set data.columns.{text.name} to the kind datetime or number",
            )
    return moments


def units_of(frame: pl.DataFrame, settings: Settings) -> Array | None:
    """Which rows depend on each other: those of an entity, or of a stretch of time."""
    if settings.split.rule == "entity" and settings.data.entity:
        digests = row_digests(frame, [settings.data.entity])
        return np.unique(np.array(digests), return_inverse=True)[1]
    if settings.split.rule == "time":
        place = moments_of(frame, settings).rank("ordinal").fill_null(0).to_numpy()
        return np.asarray(place // max(1, round(frame.height**0.5)), dtype=np.int64)
    return None


def rows_with_gaps(values: pl.DataFrame, settings: Settings) -> Array:
    """Rows that are left out of training since they miss a value that must be there."""
    clean = settings.clean
    own = {
        name: column.missing
        for name, column in clean.columns.items()
        if "missing" in column.model_fields_set
    }
    names = [name for name in values.columns if own.get(name, clean.all.missing) == "drop"]
    if not names:
        return np.zeros(values.height, dtype=bool)
    return values.select(pl.any_horizontal(pl.col(names).is_null())).to_series().to_numpy()


def load_development(split: Path, settings: Settings) -> Development:
    """The rows that the split stage put in ``develop.parquet``."""
    about = files.read_json(split / "about.json")
    wishes = settings.problem.model_dump(mode="json", include=set(WISHES), exclude_defaults=True)
    frame = pl.read_parquet(split / "develop.parquet")
    parts = pl.read_parquet(split / "split.parquet").filter(pl.col("place") == "develop")
    task: Task = catalogue.load("tasks", settings.problem.task)
    schema = feature_schema(settings)
    values = schema.apply(frame)
    gaps = rows_with_gaps(values, settings)
    folds = [replace(fold, train=fold.train[~gaps[fold.train]]) for fold in folds_of(parts)]
    return Development(
        frame,
        values,
        task.encode(parse_target(frame, settings), about["target"]),
        parts["line"].to_list(),
        folds,
        schema,
        task,
        {**about["target"], **wishes},
        about["digests"]["develop"],
        weights_of(frame, settings),
        units_of(frame, settings),
    )

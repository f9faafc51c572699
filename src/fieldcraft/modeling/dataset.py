"""Read the rows of a project, build schemas from its file, and load the dataset for modeling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.contracts import Task
from fieldcraft.core import catalog, files
from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.core.types import Array, Json
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.file_cells import base_folder, digest_contents, resolve_file_columns
from fieldcraft.data.location import resolve_address
from fieldcraft.data.read import read_table
from fieldcraft.data.schema import Column, Schema, load_kind, row_digests
from fieldcraft.data.splitting import Fold, make_folds
from fieldcraft.data.sql_transforms import left_join, referenced_columns
from fieldcraft.modeling.type_inference import infer_kind
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import ProjectSettings

# Columns added to those of the table; the parentheses avoid collisions with real names.
ROW_NUMBER_COLUMN, SOURCE_COLUMN = "(line)", "(source)"
RETRAIN_WEIGHT_COLUMN = "(weight)"  # written by retrainings with the policy "decay"
TRAIN_SOURCE, VALIDATION_SOURCE, TEST_SOURCE = 0, 1, 2  # values of SOURCE_COLUMN
TARGET_SECTIONS = (
    "problem.target",
    "problem.task",
    "problem.positive_class",
    "problem.class_order",
)
# Only the decision rule depends on these, so they are left out of TARGET_SECTIONS: a change does
# not retrain any model.
DECISION_SETTINGS = ("costs", "threshold", "coverage", "reject_fraction")


@dataclass(frozen=True)
class ModelingDataset:
    """The rows that are not sealed, with their targets and folds."""

    frame: pl.DataFrame  # unparsed cells
    features: pl.DataFrame  # parsed
    y: Array
    row_numbers: list[int]  # in the source, counted from 1
    folds: list[Fold]
    schema: Schema  # of the features
    task: Task
    target_spec: Json
    digest: str
    weights: Array | None = None  # sample weights, (n,); None for equal weights
    clusters: Array | None = None  # (n,); rows of the same cluster are not independent
    encoded_folds: dict[int, Any] = field(
        default_factory=dict, init=False
    )  # cache of fold_models.encode_fold, by id of the fold

    def weights_at(self, positions: Array) -> Array | None:
        """The weights of some rows; None for equal weights."""
        return None if self.weights is None else self.weights[positions]


def select_columns(dataset: ModelingDataset, names: Sequence[str]) -> ModelingDataset:
    """The dataset with some of its feature columns."""
    columns = tuple(column for column in dataset.schema.columns if column.name in set(names))
    values = dataset.features.select(column.name for column in columns)
    return replace(dataset, features=values, schema=replace(dataset.schema, columns=columns))


def drop_file_columns(dataset: ModelingDataset) -> ModelingDataset | None:
    """The dataset without file columns (images); None if it has none or no others."""
    names = [
        column.name
        for column in dataset.schema.columns
        if load_kind(column.kind).storage == "values"
    ]
    return select_columns(dataset, names) if 0 < len(names) < len(dataset.schema.columns) else None


def read_joined_rows(project: ProjectFolder, settings: ProjectSettings) -> pl.DataFrame:
    """All rows with joined columns, their row numbers and the numbers of their sources.

    Raises:
        DataError: files of a predefined split have different columns, or a column of the project
            file is in none of the tables.
    """
    frame = read_sources(project, settings)
    for _, table, keys in read_joined_tables(project, settings):
        frame = left_join(frame, table, keys)
        undeclared_columns = [
            name for name in table.columns if name not in (*keys, *settings.data.columns)
        ]
        if undeclared_columns:
            raise DataError(
                "joined columns have no kind yet",
                detail=", ".join(undeclared_columns[:8]),
                hint="add to data.columns: "
                + "; ".join(map(suggest_column_entry, table[undeclared_columns])),
            )
    known_columns = [*frame.columns, *settings.data.derived_columns]
    unknown_columns = [name for name in settings.data.columns if name not in known_columns]
    if unknown_columns:
        raise DataError(
            "the project file has columns that the table does not have",
            detail=", ".join(unknown_columns[:8]),
            hint="set data.columns to the columns of the table; "
            f"{did_you_mean(unknown_columns[0], frame.columns)}",
        )
    return frame


def read_sources(project: ProjectFolder, settings: ProjectSettings) -> pl.DataFrame:
    """The rows of all source files, with their row numbers and the numbers of their sources.

    Raises:
        DataError: the files have different columns.
    """
    sources = settings.data.source_files()
    frames: list[pl.DataFrame] = []
    for source_index, path in enumerate((sources.train, sources.validation, sources.test)):
        if path is None:
            continue
        location = resolve_address(path, project.root)
        frame = read_table(location, settings.data.column_names).frame
        frame = resolve_file_columns(frame, file_columns(settings), base_folder(location))
        # The last two columns of a frame are the row number and the source, added below.
        expected_columns = frames[0].columns[:-2] if frames else frame.columns
        if (
            RETRAIN_WEIGHT_COLUMN in expected_columns and RETRAIN_WEIGHT_COLUMN not in frame.columns
        ):  # the sealed rows were written before the first retraining added weights
            frame = frame.with_columns(pl.lit(1.0).alias(RETRAIN_WEIGHT_COLUMN))
        missing_columns = [name for name in expected_columns if name not in frame]
        if missing_columns:
            raise DataError(
                f"{Path(path).name} lacks columns that the training file has",
                detail=", ".join(missing_columns[:8]),
                hint="use files with the same columns; pass --column-names if they have no header",
            )
        row_number = pl.int_range(1, frame.height + 1).alias(ROW_NUMBER_COLUMN)
        frames.append(
            frame.select(
                *expected_columns,
                row_number,
                pl.lit(source_index, dtype=pl.Int64).alias(SOURCE_COLUMN),
            )
        )
    return pl.concat(frames, how="vertical_relaxed")


def file_columns(settings: ProjectSettings) -> list[str]:
    """The columns whose cells are paths of files, such as images."""
    columns = settings.data.columns.items()
    return [
        name
        for name, column in columns
        if catalog.load_plugin("kinds", column.kind).storage == "files"
    ]


def digest_file_contents(frame: pl.DataFrame, settings: ProjectSettings) -> pl.DataFrame:
    """Replace file paths by digests of the contents, so that copies of a file are recognized."""
    names = [name for name in file_columns(settings) if name in frame.columns]
    return frame.with_columns([digest_contents(frame[name]) for name in names])


def suggest_column_entry(cells: pl.Series) -> str:
    """The entry to suggest for a column under ``data.columns``."""
    inference = infer_kind(ColumnProfile(cells))
    options_text = ", ".join(
        f"{key}: {value}" for key, value in {"kind": inference.name, **inference.options}.items()
    )
    return f"{cells.name}: {{{options_text}}}"


def read_joined_tables(
    project: ProjectFolder, settings: ProjectSettings
) -> list[tuple[str, pl.DataFrame, list[str]]]:
    """The tables of ``data.join``: source, table with keys and selected columns, and keys."""
    tables = []
    for join_settings in settings.data.join:
        location = resolve_address(join_settings.source, project.root)
        table = resolve_file_columns(
            read_table(location).frame, file_columns(settings), base_folder(location)
        )
        column_names = join_settings.columns or [
            name for name in table.columns if name not in join_settings.keys
        ]
        missing_columns = [
            name for name in [*join_settings.keys, *column_names] if name not in table.columns
        ]
        if missing_columns:
            raise DataError(
                f"{Path(join_settings.source).name} lacks columns that data.join names",
                detail=", ".join(missing_columns),
                hint="use columns of that table; "
                f"{did_you_mean(missing_columns[0], table.columns)}",
            )
        tables.append(
            (
                join_settings.source,
                table.select([*join_settings.keys, *column_names]),
                join_settings.keys,
            )
        )
    return tables


def make_column(settings: ProjectSettings, name: str, kind: str | None = None) -> Column:
    """A column with its options, from the most to the least specific setting.

    These are ``data.columns.<name>``, ``model.kinds.<kind>``, ``clean.columns.<name>`` and
    ``clean.all``. With another kind than its own, a column has no options.
    """
    column_settings = settings.data.columns[name]
    if kind is not None and kind != column_settings.kind:
        return Column(name, kind, {})
    kind_options = catalog.load_plugin("kinds", column_settings.kind).options
    own_cleaning = (
        settings.clean.columns[name].encoder_options() if name in settings.clean.columns else {}
    )
    shared_cleaning = (
        {} if name in settings.problem.targets else settings.clean.all.encoder_options()
    )
    cleaning = {**shared_cleaning, **own_cleaning}
    options = {key: value for key, value in cleaning.items() if key in kind_options}
    encoding = settings.model.kind_options().get(column_settings.kind) or {}
    return Column(name, column_settings.kind, {**options, **encoding, **column_settings.options()})


def feature_schema(settings: ProjectSettings) -> Schema:
    """The schema of the feature columns.

    Raises:
        DataError: there is no feature column.
    """
    data, excluded = settings.data, excluded_columns(settings)
    columns = [
        make_column(settings, name)
        for name, column in data.columns.items()
        if name not in excluded and catalog.load_plugin("kinds", column.kind).is_feature
    ]
    columns += [
        derived_column
        for derived_column in infer_derived_columns(settings)
        if derived_column.name not in excluded | set(data.columns)
    ]
    if not columns:
        raise DataError(
            "there is no feature column",
            detail=f"{len(data.columns)} columns, all of them targets or excluded",
            hint="give a column another kind under data.columns, or shorten data.drop",
        )
    return make_schema(settings, columns)


def excluded_columns(settings: ProjectSettings) -> set[str]:
    """Columns that are no features: targets, dropped columns and columns with a role."""
    data = settings.data
    role_columns = (data.sample_weight, data.id_column, data.split_column, data.group)
    return {*settings.problem.targets, *data.drop, *(name for name in role_columns if name)}


def make_schema(settings: ProjectSettings, columns: Sequence[Column]) -> Schema:
    """A schema of some columns, with the expressions that derive them and the inputs of those.

    Raises:
        DataError: an expression reads a column that does not exist.
    """
    expressions, names = settings.data.derived_columns, [column.name for column in columns]
    derived_names = [name for name in names if name in expressions]
    source_names: list[str] = []
    # The list grows during the loop: an expression may read other derived columns.
    for name in derived_names:
        for input_name in referenced_columns(expressions[name], f"data.derived_columns.{name}"):
            (derived_names if input_name in expressions else source_names).append(input_name)
    used_expressions = {name: sql for name, sql in expressions.items() if name in derived_names}
    unknown_names = [name for name in source_names if name not in settings.data.columns]
    if unknown_names:
        raise DataError(
            "data.derived_columns uses a column that does not exist",
            detail=unknown_names[0],
            hint="use names under data.columns; "
            f"{did_you_mean(unknown_names[0], settings.data.columns)}",
        )
    input_columns = [
        make_column(settings, name) for name in dict.fromkeys(source_names) if name not in names
    ]
    return Schema(
        tuple(columns), tuple(settings.data.na_values), used_expressions, tuple(input_columns)
    )


def infer_derived_columns(settings: ProjectSettings) -> list[Column]:
    """The derived columns, with the kinds that their result types suggest.

    The expressions are evaluated on a table without rows, which is enough to get the types.
    """
    expressions, data = settings.data.derived_columns, settings.data
    if not expressions:
        return []
    base_columns = [make_column(settings, name) for name in data.columns if name not in expressions]
    empty = pl.DataFrame(
        [
            catalog.load_plugin("kinds", column.kind).parse(
                pl.Series(column.name, [], dtype=pl.String), column.options
            )
            for column in base_columns
        ]
    )
    columns = []
    for name, sql in expressions.items():
        try:
            empty = empty.with_columns(pl.sql_expr(sql).alias(name))
        except pl.exceptions.PolarsError:  # the error is raised when the rows are evaluated
            columns.append(Column(name, "number"))
            continue
        dtype = empty.schema[name]
        kind = "number" if dtype.is_numeric() else "datetime" if dtype.is_temporal() else "category"
        columns.append(Column(name, "boolean" if dtype == pl.Boolean else kind, {}))
    return columns


def schema_of_columns(settings: ProjectSettings, names: Sequence[str]) -> Schema:
    """A schema of columns by name, for uses other than as features.

    Raises:
        DataError: there is no such column.
    """
    derived = {column.name: column for column in infer_derived_columns(settings)}
    known_columns = {**settings.data.columns, **derived}
    unknown_names = [name for name in names if name not in known_columns]
    if unknown_names:
        raise DataError(
            "the project file uses a column that does not exist",
            detail=unknown_names[0],
            hint=f"use names under data.columns; {did_you_mean(unknown_names[0], known_columns)}",
        )
    columns = [
        make_column(settings, name) if name in settings.data.columns else derived[name]
        for name in names
    ]
    return make_schema(settings, columns)


def target_columns(settings: ProjectSettings) -> tuple[Column, ...]:
    """The target columns: of the kind number for regression, else of the kind category."""
    task = catalog.load_plugin("tasks", settings.problem.task)
    kind = "number" if task.output == "value" else "category"
    return tuple(make_column(settings, name, kind) for name in settings.problem.targets)


def parse_target(frame: pl.DataFrame, settings: ProjectSettings) -> pl.Series:
    """The parsed target, null where missing; several target columns become a struct."""
    columns = target_columns(settings)
    values = Schema(columns, tuple(settings.data.na_values)).apply(frame)
    if isinstance(settings.problem.target, str):
        return values.to_series()
    # A row in which any label is missing has no target: missing does not mean negative.
    complete_rows = pl.when(~pl.any_horizontal(pl.all().is_null())).then(pl.struct(pl.all()))
    return values.select(complete_rows.alias("target")).to_series()


def read_weights(frame: pl.DataFrame, settings: ProjectSettings) -> Array | None:
    """The sample weights times the weights of retrainings, (n,); None for equal weights.

    Raises:
        DataError: a weight is missing, not positive or not a number.
    """
    name = settings.data.sample_weight
    retrain_weights = (
        frame[RETRAIN_WEIGHT_COLUMN].to_numpy() if RETRAIN_WEIGHT_COLUMN in frame.columns else None
    )
    if name is None:
        return retrain_weights
    schema = schema_of_columns(settings, [name])
    column = Column(name, "number", dict(schema.columns[0].options))
    weights = schema.parse(frame[name], column).to_numpy()
    invalid_positions = np.flatnonzero(~((weights > 0) & np.isfinite(weights)))
    if len(invalid_positions):
        raise DataError(
            "some rows have no valid weight",
            detail=f"{name} is {frame[name][int(invalid_positions[0])]!r} in row "
            f"{invalid_positions[0] + 1:,}; {len(invalid_positions):,} such rows",
            hint="give each row a number above 0, or leave out data.sample_weight",
        )
    return np.asarray(
        weights if retrain_weights is None else weights * retrain_weights, dtype=np.float64
    )


def read_time_column(frame: pl.DataFrame, settings: ProjectSettings) -> pl.Series:
    """The parsed time column: timestamps, or numbers such as steps.

    Raises:
        DataError: it holds something else.
    """
    schema = schema_of_columns(settings, [str(settings.data.time_column)])
    timestamps = schema.apply(frame).to_series()
    if timestamps.dtype == pl.String:  # a running number may have the kind id, which is text
        text, timestamps = timestamps, schema.parse(timestamps, Column(timestamps.name, "number"))
        unparseable = text.filter(timestamps.is_null() & text.is_not_null())
        if len(unparseable):
            raise DataError(
                f"the column {text.name!r} holds neither times nor numbers",
                detail=f"{unparseable[0]!r} in {len(unparseable):,} rows",
                hint=f"set data.columns.{text.name} to the kind datetime or number",
            )
    return timestamps


def assign_clusters(frame: pl.DataFrame, settings: ProjectSettings) -> Array | None:
    """Clusters of dependent rows for the bootstrap, (n,): groups or blocks of time, else None."""
    if settings.split.strategy == "group" and settings.data.group:
        digests = row_digests(frame, [settings.data.group])
        return np.unique(np.array(digests), return_inverse=True)[1]
    if settings.split.strategy == "time":
        # Disjoint blocks of about sqrt(n) consecutive rows (block bootstrap, Carlstein 1986).
        chronological_rank = (
            read_time_column(frame, settings).rank("ordinal").fill_null(0).to_numpy()
        )
        return np.asarray(chronological_rank // max(1, round(frame.height**0.5)), dtype=np.int64)
    return None


def mask_incomplete_rows(values: pl.DataFrame, settings: ProjectSettings) -> Array:
    """Mask of the rows without a value in a column with ``missing: drop``, (n,)."""
    cleaning = settings.clean
    missing_rules = {
        name: column.missing
        for name, column in cleaning.columns.items()
        if "missing" in column.model_fields_set
    }
    names = [
        name for name in values.columns if missing_rules.get(name, cleaning.all.missing) == "drop"
    ]
    if not names:
        return np.zeros(values.height, dtype=bool)
    return values.select(pl.any_horizontal(pl.col(names).is_null())).to_series().to_numpy()


def load_dataset(split_folder: Path, settings: ProjectSettings) -> ModelingDataset:
    """Load ``development.parquet`` of the split stage as a dataset."""
    metadata = files.read_json(split_folder / "metadata.json")
    decision_settings = settings.problem.model_dump(
        mode="json", include=set(DECISION_SETTINGS), exclude_defaults=True
    )
    frame = pl.read_parquet(split_folder / "development.parquet")
    parts = pl.read_parquet(split_folder / "split.parquet").filter(
        pl.col("storage") == "development"
    )
    task: Task = catalog.load_plugin("tasks", settings.problem.task)
    schema = feature_schema(settings)
    values = schema.apply(frame)
    is_incomplete = mask_incomplete_rows(values, settings)
    # Only training rows are dropped: in production, rows with missing values are predicted too, so
    # the metrics must include them.
    folds = [
        replace(fold, train=fold.train[~is_incomplete[fold.train]]) for fold in make_folds(parts)
    ]
    return ModelingDataset(
        frame,
        values,
        task.encode(parse_target(frame, settings), metadata["target_spec"]),
        parts["line"].to_list(),
        folds,
        schema,
        task,
        {**metadata["target_spec"], **decision_settings},
        metadata["digests"]["development"],
        read_weights(frame, settings),
        assign_clusters(frame, settings),
    )

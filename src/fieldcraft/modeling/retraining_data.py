"""Training data of a challenger: rows of the champion and new rows; the test set stays sealed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.core import files
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.types import Array
from fieldcraft.data.schema import row_digests
from fieldcraft.data.splitting import assign_parts, stratification_labels
from fieldcraft.data.sql_transforms import left_join
from fieldcraft.modeling.dataset import (
    RETRAIN_WEIGHT_COLUMN,
    digest_file_contents,
    feature_schema,
    parse_target,
    read_joined_tables,
    read_time_column,
)
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import ProjectSettings, RetrainSettings

# Of the new rows of a predefined split, which go to validation and evaluation. It is the default of
# split.validation + split.evaluation.
VALIDATION_EVALUATION_FRACTION = 0.15
TRAIN_FILE, VALIDATION_FILE, TEST_FILE = "train.parquet", "validation.parquet", "test.parquet"


@dataclass(frozen=True)
class ChampionDataset:
    """The rows of the champion's split, without the sealed ones.

    Attributes:
        folder: folder of the split.
        frame: unparsed cells.
        parts: ``digest``, ``part`` and ``fold`` of each row.
        row_digests: digests of all rows, including sealed and unused ones.
    """

    folder: Path
    frame: pl.DataFrame
    parts: pl.DataFrame
    row_digests: frozenset[bytes]

    @classmethod
    def load(cls, folder: Path) -> ChampionDataset:
        """Load the output of the split stage."""
        split_table = pl.read_parquet(folder / "split.parquet")
        development_rows = split_table.filter(pl.col("storage") == "development")
        frame = pl.read_parquet(folder / "development.parquet")
        return cls(folder, frame, development_rows, frozenset(split_table["digest"].to_list()))


def conform_to_champion(
    new_rows: pl.DataFrame, champion_data: ChampionDataset, settings: ProjectSettings
) -> pl.DataFrame:
    """New rows with the columns and types of the champion's rows; absent columns become null.

    Raises:
        DataError: a feature or the target is missing, or values do not fit the type of a column.
    """
    data, problem = settings.data, settings.problem
    feature_names = [column.name for column in feature_schema(settings).input_columns]
    role_columns = {"time": data.time_column, "group": data.group}
    split_columns = [
        name
        for strategy, name in role_columns.items()
        if name and settings.split.strategy == strategy
    ]
    required_columns = [
        *feature_names,
        *problem.targets,
        *split_columns,
        *([data.sample_weight] if data.sample_weight else []),
    ]
    champion_columns = [
        name for name in champion_data.frame.columns if name != RETRAIN_WEIGHT_COLUMN
    ]
    missing_columns = [
        name for name in dict.fromkeys(required_columns) if name not in new_rows.columns
    ]
    if missing_columns:
        raise DataError(
            "the new rows lack columns that the model needs",
            detail=truncated_list(missing_columns),
            hint="use the column names of the training table; "
            f"{did_you_mean(missing_columns[0], new_rows.columns)}",
        )
    columns = []
    for name in champion_columns:
        dtype = champion_data.frame[name].dtype
        empty = pl.Series(name, [None] * new_rows.height, dtype=dtype)
        cells = new_rows[name] if name in new_rows.columns else empty
        converted = cells.cast(dtype, strict=False)
        n_lost = converted.null_count() - cells.null_count()
        if n_lost:
            raise DataError(
                f"values of the new rows do not fit the column {name!r}",
                detail=f"{cells.filter(converted.is_null() & cells.is_not_null())[0]!r}, "
                f"{n_lost:,} such rows; it holds {dtype}",
                hint="use the column types of the training table",
            )
        columns.append(converted)
    return pl.DataFrame(columns)


def join_tables(
    rows: pl.DataFrame, project: ProjectFolder, settings: ProjectSettings
) -> pl.DataFrame:
    """Join the tables of ``data.join``, except those whose columns the rows already have."""
    for _, table, keys in read_joined_tables(project, settings):
        if not set(table.columns) - set(keys) <= set(rows.columns):
            rows = left_join(rows, table, keys)
    return rows


def drop_known_rows(
    new_rows: pl.DataFrame, champion_data: ChampionDataset, settings: ProjectSettings
) -> pl.DataFrame:
    """The new rows that the champion's split does not contain."""
    is_new = [
        digest not in champion_data.row_digests
        for digest in compute_row_digests(new_rows, settings)
    ]
    return new_rows.filter(pl.Series(is_new, dtype=pl.Boolean))


def merge_rows(
    new_rows: pl.DataFrame,
    champion_data: ChampionDataset,
    settings: ProjectSettings,
    retrain_settings: RetrainSettings,
) -> pl.DataFrame:
    """The champion's rows and the new ones; the policy drops or down-weights older rows."""
    champion_rows, parts = (
        champion_data.frame.drop(RETRAIN_WEIGHT_COLUMN, strict=False),
        champion_data.parts["part"],
    )
    is_training = parts.is_in(["train", "cv"]).to_numpy()
    if retrain_settings.policy == "window":
        max_rows = retrain_settings.window_rows or int(is_training.sum())
        oldest_first = np.flatnonzero(is_training)[
            chronological_ranks(champion_rows, settings)[is_training].argsort(kind="stable")
        ]
        dropped_rows = oldest_first[: max(len(oldest_first) + new_rows.height - max_rows, 0)]
        is_kept = np.ones(champion_rows.height, dtype=bool)
        is_kept[dropped_rows] = False
        champion_rows = champion_rows.filter(pl.Series(is_kept))
    merged = pl.concat([champion_rows, new_rows], how="vertical")
    if retrain_settings.policy != "decay":
        return merged
    # Weights multiply: rows that were already old at the last retraining decay once more. Rows that
    # are not for training keep theirs, since models are compared without these weights.
    previous_weights = (
        champion_data.frame[RETRAIN_WEIGHT_COLUMN].to_numpy()
        if RETRAIN_WEIGHT_COLUMN in champion_data.frame.columns
        else np.ones(champion_rows.height)
    )
    weights = np.where(is_training, previous_weights * retrain_settings.decay, previous_weights)
    return merged.with_columns(
        pl.Series(RETRAIN_WEIGHT_COLUMN, np.concatenate([weights, np.ones(new_rows.height)]))
    )


def chronological_ranks(rows: pl.DataFrame, settings: ProjectSettings) -> Array:
    """Rank of each row from oldest to newest; without a time column, the order of the file.

    Rows without a timestamp count as the oldest.
    """
    if settings.data.time_column is None:
        return np.arange(rows.height)
    return read_time_column(rows, settings).rank("ordinal").fill_null(0).to_numpy()


def write_sources(
    folder: Path,
    folder_in_project_file: str,
    rows: pl.DataFrame,
    n_new_rows: int,
    champion_data: ChampionDataset,
    project: ProjectFolder,
    settings: ProjectSettings,
) -> list[ConfigEdit]:
    """Write the source files of a retraining; returns the project-file edits that refer to them.

    The sealed rows are copied without being parsed, and stay the test rows. With the strategy
    "time" the newest of all rows are sealed instead, and the earlier test rows are not used.

    Args:
        folder: folder for the files.
        folder_in_project_file: path of the final folder in the project file.
        rows: the champion's rows and the new ones, which come last.
        n_new_rows: number of new rows.
        champion_data: the dataset of the champion.
        project: the project.
        settings: the project file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Without the joined columns: the next run joins the tables again.
    joined_columns = [
        name
        for _, table, keys in read_joined_tables(project, settings)
        for name in table.columns
        if name not in keys
    ]
    cells = rows.drop(joined_columns, strict=False)
    tables_by_file: dict[str, pl.DataFrame] = {TRAIN_FILE: cells}
    sources = settings.data.source_files()
    if settings.data.split_column is not None:
        part_names = [
            ("train", "validation")[part_index]
            for part_index in assign_held_out(rows, n_new_rows, settings)
        ]
        previous_parts = (
            cells[settings.data.split_column].cast(pl.String).head(rows.height - n_new_rows)
        )
        tables_by_file = {
            TRAIN_FILE: cells.with_columns(
                previous_parts.append(pl.Series(part_names, dtype=pl.String))
            )
        }
    elif sources.validation is not None:
        known_parts = champion_data.parts.select("digest", "part").unique("digest")
        digests = pl.DataFrame({"digest": compute_row_digests(rows, settings)})
        part = digests.join(known_parts, on="digest", how="left", maintain_order="left")["part"]
        is_validation = part.is_in(["validation", "evaluation"]).fill_null(False).to_numpy().copy()
        is_validation[rows.height - n_new_rows :] = assign_held_out(rows, n_new_rows, settings) == 1
        tables_by_file = {
            TRAIN_FILE: cells.filter(~pl.Series(is_validation)),
            VALIDATION_FILE: cells.filter(pl.Series(is_validation)),
        }
    for name, table in tables_by_file.items():
        table.write_parquet(folder / name)
    source: dict[str, Any] = {"train": f"{folder_in_project_file}/{TRAIN_FILE}"}
    if VALIDATION_FILE in tables_by_file:
        source["validation"] = f"{folder_in_project_file}/{VALIDATION_FILE}"
    if settings.split.strategy != "time":
        source |= carry_over_sealed_rows(
            folder, folder_in_project_file, champion_data, joined_columns
        )
    edits = [ConfigEdit(("data", "source"), source)]
    # The written files have column names, even if the first source had none.
    return edits + (
        [ConfigEdit(("data", "column_names"), [])] if settings.data.column_names else []
    )


def carry_over_sealed_rows(
    folder: Path,
    folder_in_project_file: str,
    champion_data: ChampionDataset,
    joined_columns: list[str],
) -> Mapping[str, str]:
    """Copy the sealed rows; returns the entry of ``data.source`` for them."""
    sealed_path = champion_data.folder / "sealed" / "test.parquet"
    if not files.read_json(champion_data.folder / "metadata.json")["counts"].get("test"):
        return {}
    if joined_columns:
        # Streamed from file to file, without parsing.
        pl.scan_parquet(sealed_path).drop(joined_columns).sink_parquet(folder / TEST_FILE)
    else:
        shutil.copyfile(sealed_path, folder / TEST_FILE)
    return {"test": f"{folder_in_project_file}/{TEST_FILE}"}


def assign_held_out(rows: pl.DataFrame, n_new_rows: int, settings: ProjectSettings) -> Array:
    """1 for new rows that go to validation and evaluation, 0 for training rows, (n_new_rows,)."""
    new_rows = rows.tail(n_new_rows)
    strata, digests = (
        stratification_labels(parse_target(new_rows, settings)),
        compute_row_digests(new_rows, settings),
    )
    return assign_parts(
        digests,
        strata,
        (1 - VALIDATION_EVALUATION_FRACTION, VALIDATION_EVALUATION_FRACTION),
        settings.split.seed,
    )


def compute_row_digests(rows: pl.DataFrame, settings: ProjectSettings) -> list[bytes]:
    """The digest of each row, as the split stage computes it."""
    return row_digests(
        digest_file_contents(rows.drop(RETRAIN_WEIGHT_COLUMN, strict=False), settings)
    )

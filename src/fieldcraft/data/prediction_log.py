"""Format of the prediction log, which the server writes and monitoring reads.

A log is a folder with one folder per day and a Parquet file for each of its parts, such as
``2026-11-26/101500-77-3f2a1c-0.parquet``: UTC time, id of the writer, number of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

TIME_COLUMN = "time"
REQUEST_ID_COLUMN = "request_id"
ROW_COLUMN = "row"
MODEL_ID_COLUMN = "model_id"
LOG_COLUMNS = (TIME_COLUMN, REQUEST_ID_COLUMN, ROW_COLUMN, MODEL_ID_COLUMN)
# Features and outputs have prefixes, so that they do not collide with the columns of the log
# itself: a feature may be called "time" or "row".
INPUT_PREFIX = "input."
OUTPUT_PREFIX = "output."
# Rows are written after this time at the latest. Readers wait twice as long before they consider a
# time window complete.
FLUSH_INTERVAL_SECONDS = 5.0
# For parts whose names contain no valid time: later than any window of time.
UNKNOWN_PART_TIME = datetime(9999, 1, 1, tzinfo=UTC)


def part_path(folder: Path, time: datetime, writer_id: str, number: int) -> Path:
    """Return the path of a new part of a log.

    Args:
        folder: folder of the log.
        time: time of writing, UTC.
        writer_id: id of the process that writes; unique over machines that share the folder.
        number: number of the file of this writer.
    """
    return folder / f"{time:%Y-%m-%d}" / f"{time:%H%M%S}-{writer_id}-{number}.parquet"


def list_parts(folder: Path, start_name: str = "") -> Iterator[Path]:
    """Yield the parts of a log in the order of their names, starting at a name."""
    for day in sorted(path for path in folder.iterdir() if path.is_dir()):
        if day.name >= start_name[: len(day.name)]:
            # Unfinished parts start with a dot, so the glob leaves them out.
            paths = (path for path in day.glob("[0-9]*.parquet") if part_name(path) >= start_name)
            yield from sorted(paths)


def part_name(part: Path) -> str:
    """Return the name of a part within its log, ``day/file``."""
    return f"{part.parent.name}/{part.name}"


def part_time(part: Path) -> datetime:
    """Return when a part was written, from its name; the far future for other names."""
    try:
        time = datetime.strptime(f"{part.parent.name} {part.name[:6]}", "%Y-%m-%d %H%M%S")
    except ValueError:
        return UNKNOWN_PART_TIME
    return time.replace(tzinfo=UTC)


def first_part_name(start: float | None) -> str:
    """Return the lowest name of a part written at a time (seconds since 1970) or later."""
    if start is None:
        return ""
    return f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d/%H%M%S}"


def is_prediction_log(folder: Path) -> bool:
    """Return whether a folder holds a prediction log."""
    first_part = next(iter(list_parts(folder)), None)
    return first_part is not None and set(LOG_COLUMNS) <= set(pl.read_parquet_schema(first_part))


def add_prefix(table: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """Rename the columns of features or outputs to their names in the log."""
    return table.rename({name: prefix + name for name in table.columns})


def select_inputs(table: pl.DataFrame) -> pl.DataFrame:
    """Return the features of logged rows, under their own names."""
    return select_prefixed(table, INPUT_PREFIX)


def select_outputs(table: pl.DataFrame) -> pl.DataFrame:
    """Return the outputs of logged rows, under their own names: see `Task.to_frame`."""
    return select_prefixed(table, OUTPUT_PREFIX)


def select_prefixed(table: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """Return the columns whose names have a prefix, with the prefix removed."""
    return table.select(
        pl.col(name).alias(name.removeprefix(prefix))
        for name in table.columns
        if name.startswith(prefix)
    )

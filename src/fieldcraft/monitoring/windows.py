"""Rows at work in windows: from the prediction log, part by part, or from any other table.

A mark says how far one has read. It is a JSON value that comes with each window; given again, it
lets the next reader go on behind that window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.bundle.input_anomalies import count_input_anomalies
from fieldcraft.bundle.runtime import Bundle
from fieldcraft.core import files
from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Json
from fieldcraft.data.file_cells import base_folder, resolve_file_columns
from fieldcraft.data.read import read_table
from fieldcraft.serving.prediction_log import FLUSH_INTERVAL_SECONDS, OUTPUT_PREFIX

LOG_COLUMNS = ("time", "request", "row", "model")  # columns of the log itself
PART_SETTLE_SECONDS = 2.0  # seconds until a part of the log is there whose name says so
MAX_ROW_DELAY_SECONDS = 2 * FLUSH_INTERVAL_SECONDS  # seconds until all rows of a time are written
MAX_EMPTY_WINDOWS = 1_000  # empty windows that are told one by one; a longer gap is stepped over
MAX_BUFFERED_ROWS = 400_000  # rows that are held at once of windows of time
UNKNOWN_PART_TIME = datetime(9999, 1, 1, tzinfo=UTC)
PositionedWindow = tuple["MonitoringWindow", Json]


@dataclass(frozen=True)
class WindowSpec:
    """How rows are cut into windows: by their number, or by time where `every` is given."""

    rows: int = 500
    window_seconds: float | None = None  # seconds


@dataclass(frozen=True)
class MonitoringWindow:
    """Rows that are looked at together.

    Attributes:
        values: what the model saw, parsed; columns that were not recorded are not there.
        outputs: what it said: see `Task.decide`.
        first, last: when, where that is known.
        missing_columns: columns of the model that the rows should have and do not.
        n_unparseable: cells of each column that hold something that cannot be read.
        n_other_model_rows: rows of other versions of the model, left out.
    """

    values: pl.DataFrame
    outputs: pl.DataFrame
    start: datetime | None = None
    end: datetime | None = None
    missing_columns: tuple[str, ...] = ()
    n_unparseable: Json = field(default_factory=dict)
    n_other_model_rows: int = 0

    @property
    def n_rows(self) -> int:
        """How many there are."""
        return max(self.values.height, self.outputs.height)


def find_prediction_log(source: str, model_id: str) -> Path | None:
    """The prediction log of a model in a folder, if there is one.

    The server keeps that of each model in a folder of its own within the one it is given; of
    several, that whose newest part is of this version, or the only one.
    """
    folder = Path(source)
    if not folder.is_dir():
        return None
    if is_prediction_log(folder):
        return folder
    logs = [
        candidate
        for candidate in sorted(folder.iterdir())
        if candidate.is_dir() and is_prediction_log(candidate)
    ]
    model_logs = [
        candidate
        for candidate in logs
        if model_id in pl.read_parquet(list(list_parts(candidate))[-1])["model"]
    ]
    return next(iter(model_logs or (logs if len(logs) == 1 else [])), None)


def is_prediction_log(folder: Path) -> bool:
    """Whether a folder is that of a prediction log."""
    first_part = next(iter(list_parts(folder)), None)
    return first_part is not None and set(LOG_COLUMNS) <= set(pl.read_parquet_schema(first_part))


def iter_windows(
    source: str, bundle: Bundle, spec: WindowSpec, position: Json, now: datetime
) -> Iterator[PositionedWindow]:
    """Windows of a prediction log or of another table, from a mark on.

    Args:
        source: folder of the log, or what `read_table` reads.
        bundle: whose rows they are.
        spec: how they are cut.
        position: of the last window that was seen; {} for none.
        now: the time; a window of time is whole only after its end.

    Raises:
        DataError: the table cannot be read, or has no times to cut it by.
    """
    log = find_prediction_log(source, bundle.model_id)
    if log is not None:
        iter_log_windows = (
            iter_time_windows if spec.window_seconds is not None else iter_row_windows
        )
        return iter_log_windows(log, bundle, spec, position, now)
    if spec.window_seconds is not None:
        raise DataError(
            "only the prediction log can be cut into windows of time",
            detail=source,
            hint="leave --every out, or pass the folder that `fieldcraft serve --log` writes to",
        )
    return iter_table_windows(source, bundle, spec, position)


def list_parts(folder: Path, start_name: str = "") -> Iterator[Path]:
    """The files of a log in order, from a name on, such as ``2026-11-26/101500-77-0.parquet``."""
    for day in sorted(path for path in folder.iterdir() if path.is_dir()):
        if day.name >= start_name[: len(day.name)]:
            paths = (path for path in day.glob("[0-9]*.parquet") if part_name(path) >= start_name)
            yield from sorted(paths)


def part_name(part: Path) -> str:
    """The name of a part within its log."""
    return f"{part.parent.name}/{part.name}"


def part_time(part: Path) -> datetime:
    """When a part of the log was written; those of other names come last."""
    try:
        time = datetime.strptime(f"{part.parent.name} {part.name[:6]}", "%Y-%m-%d %H%M%S")
    except ValueError:
        return UNKNOWN_PART_TIME
    return time.replace(tzinfo=UTC)


def iter_row_windows(
    folder: Path, bundle: Bundle, spec: WindowSpec, position: Json, now: datetime
) -> Iterator[PositionedWindow]:
    """Windows of so many rows of a log; what is left over waits for more."""
    start_part, start_row = str(position.get("part", "")), int(position.get("row", 0))
    buffered: list[pl.DataFrame] = []
    n_other_model_rows = 0
    for part in list_parts(folder, start_part):
        if part_time(part) > now - timedelta(seconds=PART_SETTLE_SECONDS):
            return
        table = pl.read_parquet(part)
        if part_name(part) != start_part:
            start_row = 0
        row = start_row
        while row < table.height:
            n_missing = spec.rows - sum(piece.height for piece in buffered)
            model_rows, n_read = take_model_rows(table, bundle.model_id, row, n_missing)
            n_other_model_rows += n_read - model_rows.height
            buffered, row = [*buffered, model_rows], row + n_read
            if model_rows.height == n_missing:
                yield (
                    window_from_log(buffered, n_other_model_rows),
                    {"part": part_name(part), "row": row},
                )
                buffered, n_other_model_rows = [], 0


def take_model_rows(
    table: pl.DataFrame, model_id: str, start: int, max_rows: int
) -> tuple[pl.DataFrame, int]:
    """The next rows of a version of a model, at most so many, and how many rows were passed."""
    positions = np.flatnonzero((table["model"].slice(start) == model_id).to_numpy())[:max_rows]
    n_read = int(positions[-1]) + 1 if len(positions) == max_rows else table.height - start
    return table[(positions + start).tolist()], n_read


def iter_time_windows(
    folder: Path, bundle: Bundle, spec: WindowSpec, position: Json, now: datetime
) -> Iterator[PositionedWindow]:
    """Windows of a length of time of a log, each once it is over; rows later than that are lost."""
    assert spec.window_seconds is not None
    start = float(position["until"]) if "until" in position else None
    buffer = RowBuffer()
    for part in [*list_parts(folder, first_part_name(start)), None]:
        written_until = min(part_time(part), now).timestamp() if part else now.timestamp()
        while (
            start is not None
            and start + spec.window_seconds + MAX_ROW_DELAY_SECONDS <= written_until
        ):
            end = start + spec.window_seconds
            yield buffer.pop_window(bundle.model_id, start, end), {"until": end}
            start = skip_empty_windows(buffer.first_time or written_until, end, spec.window_seconds)
        if part is not None:
            buffer.append(pl.read_parquet(part))
            if start is None and buffer.first_time is not None:
                start = math.floor(buffer.first_time / spec.window_seconds) * spec.window_seconds


class RowBuffer:
    """Rows of a log that no window has had yet; of very many, an even sample."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.table = pl.DataFrame()
        self.sampling_step = 1  # one row of so many is kept

    @property
    def first_time(self) -> float | None:
        """Seconds since 1970 of the first row."""
        first_microseconds = self.table["time"].dt.epoch("us").min() if self.table.height else None
        return None if first_microseconds is None else float(first_microseconds) / 1e6  # type: ignore[arg-type]

    def append(self, table: pl.DataFrame) -> None:
        """Hold further rows; where there are too many, every other one of all."""
        sampled = table.gather_every(self.sampling_step)
        self.table = pl.concat([self.table, sampled], how="diagonal_relaxed")
        while self.table.height > MAX_BUFFERED_ROWS:
            self.table, self.sampling_step = self.table.gather_every(2), 2 * self.sampling_step

    def pop_window(self, model_id: str, start: float, end: float) -> MonitoringWindow:
        """The window of the rows from a time to another; later ones are kept."""
        window_start, window_end = (
            datetime.fromtimestamp(seconds, UTC) for seconds in (start, end)
        )
        self.sampling_step = 1
        if not self.table.height:
            return MonitoringWindow(self.table, self.table, window_start, window_end)
        window_rows = self.table.filter(
            (pl.col("time") >= window_start) & (pl.col("time") < window_end)
        )
        self.table = self.table.filter(pl.col("time") >= window_end)
        model_rows = window_rows.filter(pl.col("model") == model_id)
        return window_from_log(
            [model_rows], window_rows.height - model_rows.height, (window_start, window_end)
        )


def first_part_name(start: float | None) -> str:
    """The least name of a part that was written at a time or later."""
    if start is None:
        return ""
    return f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d/%H%M%S}"


def skip_empty_windows(next_row: float, start: float, window_seconds: float) -> float:
    """Where the next window starts: later if very many empty ones would follow."""
    n_empty = math.floor((next_row - start) / window_seconds)
    return start + (n_empty - 1) * window_seconds if n_empty > MAX_EMPTY_WINDOWS else start


def window_from_log(
    pieces: list[pl.DataFrame],
    n_other_model_rows: int,
    times: tuple[datetime, datetime] | None = None,
) -> MonitoringWindow:
    """Rows of a log as a window."""
    table = pl.concat(pieces, how="diagonal_relaxed")
    outputs = table.select(
        pl.col(name).alias(name.removeprefix(OUTPUT_PREFIX))
        for name in table.columns
        if name.startswith(OUTPUT_PREFIX)
    )
    values = table.drop([*LOG_COLUMNS, *(OUTPUT_PREFIX + name for name in outputs.columns)])
    start, end = times or (table["time"].min(), table["time"].max())
    return MonitoringWindow(values, outputs, start, end, n_other_model_rows=n_other_model_rows)  # type: ignore[arg-type]


def iter_table_windows(
    source: str, bundle: Bundle, spec: WindowSpec, position: Json
) -> Iterator[PositionedWindow]:
    """Even windows of about so many rows of a table; of one that has grown, of its new rows."""
    frame = resolve_file_columns(read_table(source).frame, bundle.file_columns, base_folder(source))
    n_read = int(position.get("rows", 0))
    if n_read > frame.height or position.get("source") != source:
        n_read = 0
    n_windows = max((frame.height - n_read) // spec.rows, 1)
    for positions in np.array_split(np.arange(n_read, frame.height), n_windows):
        if len(positions):
            rows = frame.slice(int(positions[0]), len(positions))
            yield predict_window(rows, bundle), {"source": source, "rows": int(positions[-1]) + 1}


def predict_window(rows: pl.DataFrame, bundle: Bundle) -> MonitoringWindow:
    """Rows of a table as a window, with what the model says of them."""
    missing_columns = [name for name in bundle.required_columns if name not in rows.columns]
    rows = rows.with_columns(pl.lit(None, pl.String).alias(name) for name in missing_columns)
    joined = bundle.join_tables(rows)
    values = bundle.schema.apply(joined)
    calibration = bundle.manifest["calibration"]
    predictions = bundle.task.predictions_from_outputs(
        bundle.outputs_from_values(values), bundle.target_spec, calibration
    )
    return MonitoringWindow(
        values, bundle.task.to_frame(predictions, bundle.target_spec), missing_columns=tuple(missing_columns),
        n_unparseable=count_input_anomalies(joined, bundle.schema, {})["unread"],
    )  # fmt: skip


@contextmanager
def lock_monitoring_folder(folder: Path) -> Iterator[None]:
    """Make sure that nothing else is at work on what a watch keeps in a folder.

    Raises:
        DataError: another watch is, or labels are being joined.
    """
    with files.try_lock(folder / ".lock") as is_free:
        if not is_free:
            raise DataError(
                "another watch is at work on this folder",
                detail=str(folder),
                hint="wait until it ends, or pass another folder with --out",
            )
        yield

"""Cut live traffic into windows: from the prediction log, part by part, or from any other table.

Each window comes with a position, a JSON value that records how far the source was read. A later
run that gets this position continues after the window.
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
from fieldcraft.data.prediction_log import (
    FLUSH_INTERVAL_SECONDS,
    MODEL_ID_COLUMN,
    TIME_COLUMN,
    first_part_name,
    is_prediction_log,
    list_parts,
    part_name,
    part_time,
    select_inputs,
    select_outputs,
)
from fieldcraft.data.read import read_table

# A part gets its name before it is written, and parts of several writers do not appear in the order
# of their names. After this time no part with an earlier name is expected.
PART_SETTLE_SECONDS = 2.0
# A row may wait one flush interval before it is written, and the write itself may be slow.
MAX_ROW_DELAY_SECONDS = 2 * FLUSH_INTERVAL_SECONDS
MAX_EMPTY_WINDOWS = 1_000  # in a row; a longer gap is skipped
MAX_BUFFERED_ROWS = 400_000  # in memory; of more rows a sample is kept
PositionedWindow = tuple["MonitoringWindow", Json]


@dataclass(frozen=True)
class WindowSpec:
    """Size of the windows.

    Attributes:
        rows: number of rows in a window.
        window_seconds: duration of a window; if given, it replaces the number of rows.
    """

    rows: int = 500
    window_seconds: float | None = None


@dataclass(frozen=True)
class MonitoringWindow:
    """Rows that are compared with the reference together.

    Attributes:
        values: parsed features, without columns that were not logged.
        outputs: outputs of the model: see `Task.to_frame`.
        start, end: time span of the rows; None if unknown.
        missing_columns: columns of the model that the rows lack.
        n_unparseable: number of cells of each column that cannot be parsed.
        n_other_model_rows: number of rows of other versions of the model, which are excluded.
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
        """Number of rows."""
        return max(self.values.height, self.outputs.height)


def find_prediction_log(source: str, model_id: str) -> Path | None:
    """Find the prediction log of a model in a folder; None if there is none.

    The server writes one log per model to subfolders of its log folder. If there are several, the
    one is returned whose newest part has rows of this version. A single log is returned in any
    case: after a reload its newest rows may still be of the earlier version.
    """
    folder = Path(source)
    if not folder.is_dir():
        return None
    if is_prediction_log(folder):
        return folder
    logs = [
        subfolder
        for subfolder in sorted(folder.iterdir())
        if subfolder.is_dir() and is_prediction_log(subfolder)
    ]
    model_logs = [
        log
        for log in logs
        if model_id in pl.read_parquet(list(list_parts(log))[-1])[MODEL_ID_COLUMN]
    ]
    return next(iter(model_logs or (logs if len(logs) == 1 else [])), None)


def iter_windows(
    source: str, bundle: Bundle, spec: WindowSpec, position: Json, now: datetime
) -> Iterator[PositionedWindow]:
    """Yield the windows of a prediction log or of another table, each with its position.

    Args:
        source: folder of the log, or a source that `read_table` reads.
        bundle: bundle of the model.
        spec: size of the windows.
        position: position of the last window that was processed; {} to start.
        now: the current time; a window of time is complete only after its end.

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
            hint="omit --window, or pass the folder that `fieldcraft serve --log` writes to",
        )
    return iter_table_windows(source, bundle, spec, position)


def iter_row_windows(
    folder: Path, bundle: Bundle, spec: WindowSpec, position: Json, now: datetime
) -> Iterator[PositionedWindow]:
    """Yield windows of a fixed number of rows of a log; remaining rows wait for the next run."""
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
            n_needed = spec.rows - sum(table_part.height for table_part in buffered)
            model_rows, n_read = take_model_rows(table, bundle.model_id, row, n_needed)
            n_other_model_rows += n_read - model_rows.height
            buffered, row = [*buffered, model_rows], row + n_read
            if model_rows.height == n_needed:
                yield (
                    window_from_log(buffered, n_other_model_rows),
                    {"part": part_name(part), "row": row},
                )
                buffered, n_other_model_rows = [], 0


def take_model_rows(
    table: pl.DataFrame, model_id: str, start: int, max_rows: int
) -> tuple[pl.DataFrame, int]:
    """Return the next rows of a model version, and the number of rows read to get them."""
    positions = np.flatnonzero((table[MODEL_ID_COLUMN].slice(start) == model_id).to_numpy())[
        :max_rows
    ]
    n_read = int(positions[-1]) + 1 if len(positions) == max_rows else table.height - start
    return table[(positions + start).tolist()], n_read


def iter_time_windows(
    folder: Path, bundle: Bundle, spec: WindowSpec, position: Json, now: datetime
) -> Iterator[PositionedWindow]:
    """Yield windows of a fixed duration of a log, once complete; rows that come later are lost."""
    assert spec.window_seconds is not None
    start = float(position["until"]) if "until" in position else None
    buffer = RowBuffer()
    # None comes after the last part, and stands for the windows from there until now.
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
                # A multiple of the length: the slots of a season start at the same times every day.
                start = math.floor(buffer.first_time / spec.window_seconds) * spec.window_seconds


class RowBuffer:
    """Rows of a log that are not in a window yet; if there are too many, an even sample."""

    def __init__(self) -> None:
        """Start empty."""
        self.table = pl.DataFrame()
        self.sampling_step = 1  # every n-th of the added rows is kept

    @property
    def first_time(self) -> float | None:
        """Time of the first row, seconds since 1970; None without rows."""
        first_microseconds = (
            self.table[TIME_COLUMN].dt.epoch("us").min() if self.table.height else None
        )
        return None if first_microseconds is None else float(first_microseconds) / 1e6  # type: ignore[arg-type]

    def append(self, table: pl.DataFrame) -> None:
        """Add rows; if there are too many, keep every other row."""
        sampled = table.gather_every(self.sampling_step)
        self.table = pl.concat([self.table, sampled], how="diagonal_relaxed")
        while self.table.height > MAX_BUFFERED_ROWS:
            self.table, self.sampling_step = self.table.gather_every(2), 2 * self.sampling_step

    def pop_window(self, model_id: str, start: float, end: float) -> MonitoringWindow:
        """Remove the rows up to the end of a time span; return those in the span as a window."""
        window_start, window_end = (
            datetime.fromtimestamp(seconds, UTC) for seconds in (start, end)
        )
        self.sampling_step = 1
        if not self.table.height:
            return MonitoringWindow(self.table, self.table, window_start, window_end)
        time = pl.col(TIME_COLUMN)
        window_rows = self.table.filter((time >= window_start) & (time < window_end))
        self.table = self.table.filter(time >= window_end)
        model_rows = window_rows.filter(pl.col(MODEL_ID_COLUMN) == model_id)
        return window_from_log(
            [model_rows], window_rows.height - model_rows.height, (window_start, window_end)
        )


def skip_empty_windows(next_row_time: float, start: float, window_seconds: float) -> float:
    """Return the start of the next window; it is later if too many empty ones would follow."""
    n_empty = math.floor((next_row_time - start) / window_seconds)
    return start + (n_empty - 1) * window_seconds if n_empty > MAX_EMPTY_WINDOWS else start


def window_from_log(
    pieces: list[pl.DataFrame],
    n_other_model_rows: int,
    times: tuple[datetime, datetime] | None = None,
) -> MonitoringWindow:
    """Build a window from rows of a log."""
    table = pl.concat(pieces, how="diagonal_relaxed")
    start, end = times or (table[TIME_COLUMN].min(), table[TIME_COLUMN].max())
    return MonitoringWindow(
        select_inputs(table),
        select_outputs(table),
        start,  # type: ignore[arg-type]
        end,  # type: ignore[arg-type]
        n_other_model_rows=n_other_model_rows,
    )


def iter_table_windows(
    source: str, bundle: Bundle, spec: WindowSpec, position: Json
) -> Iterator[PositionedWindow]:
    """Yield windows of about equal size of a table; if it has grown, of its new rows."""
    frame = resolve_file_columns(read_table(source).frame, bundle.file_columns, base_folder(source))
    n_read = int(position.get("rows", 0))
    if n_read > frame.height or position.get("source") != source:
        n_read = 0  # another table, so it is read from the start
    n_windows = max((frame.height - n_read) // spec.rows, 1)
    # Windows of equal size, because a small last one would have too few rows to test.
    for positions in np.array_split(np.arange(n_read, frame.height), n_windows):
        if len(positions):
            rows = frame.slice(int(positions[0]), len(positions))
            yield predict_window(rows, bundle), {"source": source, "rows": int(positions[-1]) + 1}


def predict_window(rows: pl.DataFrame, bundle: Bundle) -> MonitoringWindow:
    """Predict rows of a table and build a window from them."""
    missing_columns = [name for name in bundle.required_columns if name not in rows.columns]
    rows = rows.with_columns(pl.lit(None, pl.String).alias(name) for name in missing_columns)
    joined = bundle.join_tables(rows)
    values = bundle.schema.apply(joined)
    calibration = bundle.manifest["calibration"]
    predictions = bundle.task.predictions_from_outputs(
        bundle.outputs_from_values(values), bundle.target_spec, calibration
    )
    return MonitoringWindow(
        values,
        bundle.task.to_frame(predictions, bundle.target_spec),
        missing_columns=tuple(missing_columns),
        n_unparseable=count_input_anomalies(joined, bundle.schema, {})["unparseable"],
    )


@contextmanager
def lock_monitoring_folder(folder: Path) -> Iterator[None]:
    """Lock the folder of the monitoring state.

    Raises:
        DataError: another `monitor` or `feedback` run uses it.
    """
    with files.try_lock(folder / ".lock") as is_free:
        if not is_free:
            raise DataError(
                "another monitor or feedback run uses this folder",
                detail=str(folder),
                hint="wait until it ends, or pass another folder with --out",
            )
        yield

"""Write the prediction log: the features of requests and the model's outputs, as Parquet files.

See `fieldcraft.data.prediction_log` for the format. A process that is killed loses the rows that it
has not written yet: at most those of a few seconds.
"""

from __future__ import annotations

import os
import secrets
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.contracts import Task
from fieldcraft.core.types import Array, Json
from fieldcraft.data.prediction_log import (
    FLUSH_INTERVAL_SECONDS,
    INPUT_PREFIX,
    MODEL_ID_COLUMN,
    OUTPUT_PREFIX,
    REQUEST_ID_COLUMN,
    ROW_COLUMN,
    TIME_COLUMN,
    add_prefix,
    part_path,
)
from fieldcraft.statistics.metrics import Predictions, concat_predictions

MAX_ROWS_PER_FILE = 20_000  # exceeded only by a single larger batch
# Converting rows to a table holds the GIL, and so delays predictions: with one conversion per file
# the 99th percentile of the latency was 1.15 times that without a log (docs/log.md).
ROWS_PER_CONVERSION = 256
MAX_BUFFERED_ROWS = 200_000  # rows that wait to be written; further ones are dropped and counted
CRC32_RANGE = 1 << 32  # values of a 32-bit checksum


@dataclass(frozen=True)
class PredictionLogConfig:
    """Configuration of a prediction log.

    Attributes:
        folder: folder of the log.
        fraction: fraction of the requests that are logged, from 0 to 1.
        exclude: columns that are not logged.
    """

    folder: Path
    fraction: float = 1.0
    exclude: tuple[str, ...] = ()

    def is_sampled(self, request_id: str) -> bool:
        """Whether a request is logged, with all its rows or none."""
        # By a hash of the id, so that every process makes the same choice for a request id.
        return self.fraction >= 1 or zlib.crc32(request_id.encode()) < self.fraction * CRC32_RANGE


@dataclass(frozen=True)
class PredictionBatch:
    """Rows that were predicted together.

    Attributes:
        timestamp: time of the predictions, seconds since 1970.
        request_ids: request id of each row.
        row_numbers: number of each row in its request.
        values: parsed features.
        predictions: predictions of the model.
    """

    timestamp: float
    request_ids: Sequence[str]
    row_numbers: Sequence[int]
    values: pl.DataFrame
    predictions: Predictions


class PredictionLogWriter:
    """Writes batches to files in a separate thread, so that `add` never waits for the disk."""

    def __init__(
        self, config: PredictionLogConfig, model_id: str, task: Task, target_spec: Json,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        """Start the thread.

        Args:
            config: configuration of the log.
            model_id: id of the model.
            task: task of the model.
            target_spec: target of the bundle.
            clock: returns the current time, by which files are named.
        """
        self.config = config
        self.clock = clock
        self.model_id = model_id
        self.task = task
        self.target_spec = target_spec
        self.n_dropped = 0  # rows that were not written: buffer or disk full
        self.n_buffered, self.count_lock = 0, threading.Lock()
        self.n_files = 0
        # Random digits, because containers that share a folder often have the same process ids.
        self.writer_id = f"{os.getpid()}-{secrets.token_hex(3)}"
        self.pending_batches: deque[PredictionBatch] = deque()
        self.flush_due = threading.Event()
        self.is_stopping = False
        self.thread = threading.Thread(
            target=self.write_until_stopped, name="prediction log", daemon=True
        )
        self.thread.start()

    def add(self, batch: PredictionBatch) -> None:
        """Queue a batch to be written, unless the buffer is full."""
        sampled = [
            position
            for position, request_id in enumerate(batch.request_ids)
            if self.config.is_sampled(request_id)
        ]
        if len(sampled) < len(batch.request_ids):
            batch = select_rows(batch, sampled)
        if not sampled:
            return
        # Dropping rows is better than memory that grows until the worker is killed.
        with self.count_lock:
            if self.n_buffered + len(sampled) > MAX_BUFFERED_ROWS:
                self.n_dropped += len(sampled)
                return
            self.n_buffered += len(sampled)
        self.pending_batches.append(batch)
        if self.n_buffered >= MAX_ROWS_PER_FILE:
            self.flush_due.set()

    def write_until_stopped(self) -> None:
        """Write batches every few seconds until `stop` is called."""
        is_last = False
        while not is_last:
            self.flush_due.wait(FLUSH_INTERVAL_SECONDS)
            self.flush_due.clear()
            # Read before writing, so that this round writes all that `add` queued before `stop`.
            is_last = self.is_stopping
            while batches := self.next_file_batches():
                self.write_file(batches)

    def next_file_batches(self) -> list[PredictionBatch]:
        """Return the next batches that go into one file; none if the queue is empty."""
        batches, n_rows = list[PredictionBatch](), 0
        while self.pending_batches and n_rows < MAX_ROWS_PER_FILE:
            batches.append(self.pending_batches.popleft())
            n_rows += len(batches[-1].request_ids)
        return batches

    def write_file(self, batches: Sequence[PredictionBatch]) -> None:
        """Write batches as one file, atomically."""
        n_rows = sum(len(batch.request_ids) for batch in batches)
        path = part_path(self.config.folder, self.clock(), self.writer_id, self.n_files)
        # Readers may list the folder at any time, and must see complete files only. Files are not
        # synced to disk: a power failure may lose the last ones, as it loses the buffer anyway.
        temp_path = path.with_name(f".{path.name}.tmp")
        self.n_files += 1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            pl.concat([self.to_table(chunk) for chunk in iter_chunks(batches)]).write_parquet(
                temp_path
            )
            temp_path.replace(path)
        except (OSError, pl.exceptions.PolarsError):
            with self.count_lock:
                self.n_dropped += n_rows
            with suppress(OSError):  # there is no file if the folder could not be created
                temp_path.unlink()
        finally:
            with self.count_lock:
                self.n_buffered -= n_rows

    def to_table(self, batches: Sequence[PredictionBatch]) -> pl.DataFrame:
        """Convert batches to rows of the log, all together because most have only a few rows."""
        outputs = self.task.to_frame(
            concat_predictions([batch.predictions for batch in batches]), self.target_spec
        )
        keys = pl.DataFrame(
            {
                TIME_COLUMN: [
                    datetime.fromtimestamp(batch.timestamp, UTC)
                    for batch in batches
                    for _ in batch.request_ids
                ],
                REQUEST_ID_COLUMN: [
                    request_id for batch in batches for request_id in batch.request_ids
                ],
                ROW_COLUMN: [row for batch in batches for row in batch.row_numbers],
                MODEL_ID_COLUMN: [self.model_id] * outputs.height,
            },
            schema_overrides={TIME_COLUMN: pl.Datetime("us", "UTC"), ROW_COLUMN: pl.Int64},
        )
        values = pl.concat([batch.values for batch in batches])
        inputs = values.drop(*self.config.exclude, strict=False)
        columns = [keys, add_prefix(inputs, INPUT_PREFIX), add_prefix(outputs, OUTPUT_PREFIX)]
        return pl.concat(columns, how="horizontal")

    def take_dropped(self) -> int:
        """Return the number of rows dropped since the last call."""
        with self.count_lock:  # the writer thread counts too
            count, self.n_dropped = self.n_dropped, 0
        return count

    def stop(self) -> None:
        """Write the rest and end the thread."""
        self.is_stopping = True
        self.flush_due.set()
        self.thread.join()


def iter_chunks(batches: Sequence[PredictionBatch]) -> Iterator[list[PredictionBatch]]:
    """Group batches into chunks of at least `ROWS_PER_CONVERSION` rows."""
    chunk, n_rows = list[PredictionBatch](), 0
    for batch in batches:
        chunk.append(batch)
        n_rows += len(batch.request_ids)
        if n_rows >= ROWS_PER_CONVERSION:
            yield chunk
            chunk, n_rows = [], 0
    if chunk:
        yield chunk


def select_rows(batch: PredictionBatch, positions: Sequence[int]) -> PredictionBatch:
    """Return some rows of a batch."""
    row_index: Array = np.asarray(positions, dtype=np.int64)
    return PredictionBatch(
        batch.timestamp,
        [batch.request_ids[i] for i in positions],
        [batch.row_numbers[i] for i in positions],
        batch.values[row_index.tolist()],
        batch.predictions.select_rows(row_index),
    )

"""The prediction log: what was asked and answered, as Parquet files, written beside the work.

Every file holds rows with ``time``, ``request``, ``row``, ``model``, the columns that the model saw
under their own names, and what it said under ``said.<name>``. A process that is killed loses what
it has not written yet, at most a few seconds.
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
from fieldcraft.statistics.metrics import Predictions, concat_predictions

OUTPUT_PREFIX = "said."
FLUSH_INTERVAL_SECONDS = 5.0  # seconds after which rows are written at the latest
MAX_ROWS_PER_FILE = 20_000  # rows of a file at most, but for a single larger batch
ROWS_PER_CONVERSION = 256  # rows that are turned into a table at once
MAX_BUFFERED_ROWS = 200_000  # rows that may wait to be written; more are dropped and counted
CRC32_RANGE = 1 << 32


@dataclass(frozen=True)
class PredictionLogConfig:
    """Where predictions are recorded, and of which requests.

    Attributes:
        folder: of the files; a folder a day in it.
        fraction: of the requests that are recorded, from 0 to 1.
        exclude: columns that are left out.
    """

    folder: Path
    fraction: float = 1.0
    exclude: tuple[str, ...] = ()

    def is_sampled(self, request_id: str) -> bool:
        """Whether a request is recorded: drawn by its id, so that all its rows are, or none."""
        return self.fraction >= 1 or zlib.crc32(request_id.encode()) < self.fraction * CRC32_RANGE


@dataclass(frozen=True)
class PredictionBatch:
    """Rows that were predicted together.

    Attributes:
        timestamp: seconds since 1970.
        request_ids: the id of the request of each row.
        row_numbers: the number of each row in its request.
        values: what the model saw.
        predictions: what it said.
    """

    timestamp: float
    request_ids: Sequence[str]
    row_numbers: Sequence[int]
    values: pl.DataFrame
    predictions: Predictions


class PredictionLogWriter:
    """Writes batches to files from a thread of its own; never holds up who brings them."""

    def __init__(
        self, config: PredictionLogConfig, model_id: str, task: Task, target_spec: Json,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        """Start the thread.

        Args:
            config: what is recorded, and where.
            model_id: its id.
            task: of the model.
            target_spec: its target, as the bundle has it.
            clock: the time, by which files are named.
        """
        self.config = config
        self.clock = clock
        self.model_id = model_id
        self.task = task
        self.target_spec = target_spec
        self.n_dropped = 0  # rows that were not written: too many at once, or no room on the disk
        self.n_buffered, self.count_lock = 0, threading.Lock()
        self.n_files = 0
        self.writer_id = (
            f"{os.getpid()}-{secrets.token_hex(3)}"  # processes elsewhere have the same ids
        )
        self.pending_batches: deque[PredictionBatch] = deque()
        self.flush_due = threading.Event()  # so that the thread sleeps while batches come
        self.is_stopping = False
        self.thread = threading.Thread(
            target=self.write_until_stopped, name="prediction log", daemon=True
        )
        self.thread.start()

    def add(self, batch: PredictionBatch) -> None:
        """Record a batch, unless too much waits already."""
        sampled = [
            position
            for position, request_id in enumerate(batch.request_ids)
            if self.config.is_sampled(request_id)
        ]
        if len(sampled) < len(batch.request_ids):
            batch = select_rows(batch, sampled)
        if not sampled:
            return
        with self.count_lock:
            if self.n_buffered + len(sampled) > MAX_BUFFERED_ROWS:
                self.n_dropped += len(sampled)
                return
            self.n_buffered += len(sampled)
        self.pending_batches.append(batch)
        if self.n_buffered >= MAX_ROWS_PER_FILE:
            self.flush_due.set()

    def write_until_stopped(self) -> None:
        """Write what has come, some at a time, until the end is told."""
        is_last = False
        while not is_last:
            self.flush_due.wait(FLUSH_INTERVAL_SECONDS)
            self.flush_due.clear()
            is_last = self.is_stopping
            while batches := self.next_file_batches():
                self.write_file(batches)

    def next_file_batches(self) -> list[PredictionBatch]:
        """The next batches that go into one file; none if nothing has come."""
        batches, n_rows = list[PredictionBatch](), 0
        while self.pending_batches and n_rows < MAX_ROWS_PER_FILE:
            batches.append(self.pending_batches.popleft())
            n_rows += len(batches[-1].request_ids)
        return batches

    def write_file(self, batches: Sequence[PredictionBatch]) -> None:
        """Write batches as one file, whole or not at all."""
        n_rows = sum(len(batch.request_ids) for batch in batches)
        time = self.clock()
        name = f"{time:%H%M%S}-{self.writer_id}-{self.n_files}.parquet"
        path = self.config.folder / f"{time:%Y-%m-%d}" / name
        temp_path = path.with_name(f".{name}.tmp")
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
            with suppress(OSError):  # where a file is in the way of a folder, there is nothing
                temp_path.unlink()
        finally:
            with self.count_lock:
                self.n_buffered -= n_rows

    def to_table(self, batches: Sequence[PredictionBatch]) -> pl.DataFrame:
        """Batches as rows of the log, all in one piece: most have a row or a few."""
        outputs = self.task.to_frame(
            concat_predictions([batch.predictions for batch in batches]), self.target_spec
        )
        keys = pl.DataFrame(
            {
                "time": [
                    datetime.fromtimestamp(b.timestamp, UTC) for b in batches for _ in b.request_ids
                ],
                "request": [request_id for batch in batches for request_id in batch.request_ids],
                "row": [row for batch in batches for row in batch.row_numbers],
                "model": [self.model_id] * outputs.height,
            },
            schema_overrides={"time": pl.Datetime("us", "UTC"), "row": pl.Int64},
        )
        values = pl.concat([batch.values for batch in batches])
        features = values.drop(*self.config.exclude, strict=False)
        prefixed_outputs = outputs.rename(
            {column: OUTPUT_PREFIX + column for column in outputs.columns}
        )
        return pl.concat([keys, features, prefixed_outputs], how="horizontal")

    def take_dropped(self) -> int:
        """Rows that were dropped since the last time this was asked."""
        with self.count_lock:  # the thread that writes counts as well
            count, self.n_dropped = self.n_dropped, 0
        return count

    def stop(self) -> None:
        """Write what is left."""
        self.is_stopping = True
        self.flush_due.set()
        self.thread.join()


def iter_chunks(batches: Sequence[PredictionBatch]) -> Iterator[list[PredictionBatch]]:
    """Batches in pieces of some rows, so that no step of writing holds up the model for long."""
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
    """Some rows of a batch."""
    row_index: Array = np.asarray(positions, dtype=np.int64)
    return PredictionBatch(
        batch.timestamp, [batch.request_ids[i] for i in positions], [batch.row_numbers[i] for i in positions],
        batch.values[row_index.tolist()], batch.predictions.select_rows(row_index),
    )  # fmt: skip

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

from fieldcraft.contracts import Array, Json, Task
from fieldcraft.evidence.metrics import Said, together

SAID = "said."
EVERY = 5.0  # seconds after which rows are written at the latest
PART = 20_000  # rows of a file at most, but for a single larger batch
PIECE = 256  # rows that are turned into a table at once
HELD = 200_000  # rows that may wait to be written; more are dropped and counted
OF_ALL = 1 << 32


@dataclass(frozen=True)
class Log:
    """Where predictions are recorded, and of which requests.

    Attributes:
        folder: of the files; a folder a day in it.
        share: of the requests that are recorded, from 0 to 1.
        without: columns that are left out.
    """

    folder: Path
    share: float = 1.0
    without: tuple[str, ...] = ()

    def keeps(self, request: str) -> bool:
        """Whether a request is recorded: drawn by its id, so that all its rows are, or none."""
        return self.share >= 1 or zlib.crc32(request.encode()) < self.share * OF_ALL


@dataclass(frozen=True)
class Batch:
    """Rows that were predicted together.

    Attributes:
        at: seconds since 1970.
        requests: the id of the request of each row.
        rows: the number of each row in its request.
        values: what the model saw.
        said: what it said.
    """

    at: float
    requests: Sequence[str]
    rows: Sequence[int]
    values: pl.DataFrame
    said: Said


class Recorder:
    """Writes batches to files from a thread of its own; never holds up who brings them."""

    def __init__(
        self, log: Log, model: str, task: Task, about: Json,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        """Start the thread.

        Args:
            log: what is recorded, and where.
            model: its id.
            task: of the model.
            about: its target, as the bundle has it.
            now: the time, by which files are named.
        """
        self.log = log
        self.now = now
        self.model = model
        self.task = task
        self.about = about
        self.dropped = 0  # rows that were not written: too many at once, or no room on the disk
        self.held, self.counting = 0, threading.Lock()
        self.parts = 0
        self.mark = f"{os.getpid()}-{secrets.token_hex(3)}"  # processes elsewhere have the same ids
        self.batches: deque[Batch] = deque()
        self.due = threading.Event()  # so that the thread sleeps while batches come
        self.over = False
        self.thread = threading.Thread(target=self.run, name="prediction log", daemon=True)
        self.thread.start()

    def add(self, batch: Batch) -> None:
        """Record a batch, unless too much waits already."""
        kept = [place for place, one in enumerate(batch.requests) if self.log.keeps(one)]
        if len(kept) < len(batch.requests):
            batch = some(batch, kept)
        if not kept:
            return
        with self.counting:
            if self.held + len(kept) > HELD:
                self.dropped += len(kept)
                return
            self.held += len(kept)
        self.batches.append(batch)
        if self.held >= PART:
            self.due.set()

    def run(self) -> None:
        """Write what has come, some at a time, until the end is told."""
        over = False
        while not over:
            self.due.wait(EVERY)
            self.due.clear()
            over = self.over
            while gathered := self.gather():
                self.write(gathered)

    def gather(self) -> list[Batch]:
        """The next batches that go into one file; none if nothing has come."""
        found, rows = list[Batch](), 0
        while self.batches and rows < PART:
            found.append(self.batches.popleft())
            rows += len(found[-1].requests)
        return found

    def write(self, batches: Sequence[Batch]) -> None:
        """Write batches as one file, whole or not at all."""
        rows = sum(len(batch.requests) for batch in batches)
        moment = self.now()
        name = f"{moment:%H%M%S}-{self.mark}-{self.parts}.parquet"
        place = self.log.folder / f"{moment:%Y-%m-%d}" / name
        aside = place.with_name(f".{name}.tmp")
        self.parts += 1
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            pl.concat([self.table(few) for few in in_pieces(batches)]).write_parquet(aside)
            aside.replace(place)
        except (OSError, pl.exceptions.PolarsError):
            with self.counting:
                self.dropped += rows
            with suppress(OSError):  # where a file is in the way of a folder, there is nothing
                aside.unlink()
        finally:
            with self.counting:
                self.held -= rows

    def table(self, batches: Sequence[Batch]) -> pl.DataFrame:
        """Batches as rows of the log, all in one piece: most have a row or a few."""
        said = self.task.decide(together([batch.said for batch in batches]), self.about)
        about = pl.DataFrame(
            {
                "time": [datetime.fromtimestamp(b.at, UTC) for b in batches for _ in b.requests],
                "request": [request for batch in batches for request in batch.requests],
                "row": [row for batch in batches for row in batch.rows],
                "model": [self.model] * said.height,
            },
            schema_overrides={"time": pl.Datetime("us", "UTC"), "row": pl.Int64},
        )
        values = pl.concat([batch.values for batch in batches])
        seen = values.drop(*self.log.without, strict=False)
        answers = said.rename({column: SAID + column for column in said.columns})
        return pl.concat([about, seen, answers], how="horizontal")

    def take_dropped(self) -> int:
        """Rows that were dropped since the last time this was asked."""
        with self.counting:  # the thread that writes counts as well
            dropped, self.dropped = self.dropped, 0
        return dropped

    def stop(self) -> None:
        """Write what is left."""
        self.over = True
        self.due.set()
        self.thread.join()


def in_pieces(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    """Batches in pieces of some rows, so that no step of writing holds up the model for long."""
    piece, rows = list[Batch](), 0
    for batch in batches:
        piece.append(batch)
        rows += len(batch.requests)
        if rows >= PIECE:
            yield piece
            piece, rows = [], 0
    if piece:
        yield piece


def some(batch: Batch, kept: Sequence[int]) -> Batch:
    """Some rows of a batch."""
    places: Array = np.asarray(kept, dtype=np.int64)
    return Batch(
        batch.at, [batch.requests[i] for i in kept], [batch.rows[i] for i in kept],
        batch.values[places.tolist()], batch.said.at(places),
    )  # fmt: skip

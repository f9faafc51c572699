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

from fieldcraft.bundle.odd import odd_cells
from fieldcraft.bundle.runtime import Bundle
from fieldcraft.contracts import Json
from fieldcraft.core import files
from fieldcraft.core.errors import DataError
from fieldcraft.data.media import base_of, named_in
from fieldcraft.data.read import read_table
from fieldcraft.serving.record import EVERY, SAID

OWN = ("time", "request", "row", "model")  # columns of the log itself
SETTLED = 2.0  # seconds until a part of the log is there whose name says so
LATE = 2 * EVERY  # seconds until all rows of a time are written
EMPTY = 1_000  # empty windows that are told one by one; a longer gap is stepped over
MOST = 400_000  # rows that are held at once of windows of time
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
Marked = tuple["Window", Json]


@dataclass(frozen=True)
class Span:
    """How rows are cut into windows: by their number, or by time where `every` is given."""

    rows: int = 500
    every: float | None = None  # seconds


@dataclass(frozen=True)
class Window:
    """Rows that are looked at together.

    Attributes:
        values: what the model saw, parsed; columns that were not recorded are not there.
        said: what it said: see `Task.decide`.
        first, last: when, where that is known.
        absent: columns of the model that the rows should have and do not.
        unread: cells of each column that hold something that cannot be read.
        others: rows of other versions of the model, left out.
    """

    values: pl.DataFrame
    said: pl.DataFrame
    first: datetime | None = None
    last: datetime | None = None
    absent: tuple[str, ...] = ()
    unread: Json = field(default_factory=dict)
    others: int = 0

    @property
    def rows(self) -> int:
        """How many there are."""
        return max(self.values.height, self.said.height)


def log_in(source: str, model: str) -> Path | None:
    """The prediction log of a model in a folder, if there is one.

    The server keeps that of each model in a folder of its own within the one it is given; of
    several, that whose newest part is of this version, or the only one.
    """
    folder = Path(source)
    if not folder.is_dir():
        return None
    if is_log(folder):
        return folder
    found = [one for one in sorted(folder.iterdir()) if one.is_dir() and is_log(one)]
    mine = [one for one in found if model in pl.read_parquet(list(parts(one))[-1])["model"]]
    return next(iter(mine or (found if len(found) == 1 else [])), None)


def is_log(folder: Path) -> bool:
    """Whether a folder is that of a prediction log."""
    first = next(iter(parts(folder)), None)
    return first is not None and set(OWN) <= set(pl.read_parquet_schema(first))


def windows(source: str, bundle: Bundle, span: Span, mark: Json, now: datetime) -> Iterator[Marked]:
    """Windows of a prediction log or of another table, from a mark on.

    Args:
        source: folder of the log, or what `read_table` reads.
        bundle: whose rows they are.
        span: how they are cut.
        mark: of the last window that was seen; {} for none.
        now: the time; a window of time is whole only after its end.

    Raises:
        DataError: the table cannot be read, or has no times to cut it by.
    """
    log = log_in(source, bundle.model_id)
    if log is not None:
        cut = by_time if span.every is not None else by_rows
        return cut(log, bundle, span, mark, now)
    if span.every is not None:
        raise DataError(
            "only the prediction log can be cut into windows of time",
            seen=source,
            way_out="leave --every out, or pass the folder that `fieldcraft serve --log` writes to",
        )
    return of_table(source, bundle, span, mark)


def parts(folder: Path, start: str = "") -> Iterator[Path]:
    """The files of a log in order, from a name on, such as ``2026-11-26/101500-77-0.parquet``."""
    for day in sorted(path for path in folder.iterdir() if path.is_dir()):
        if day.name >= start[: len(day.name)]:
            found = (path for path in day.glob("[0-9]*.parquet") if name_of(path) >= start)
            yield from sorted(found)


def name_of(part: Path) -> str:
    """The name of a part within its log."""
    return f"{part.parent.name}/{part.name}"


def moment_of(part: Path) -> datetime:
    """When a part of the log was written; those of other names come last."""
    try:
        found = datetime.strptime(f"{part.parent.name} {part.name[:6]}", "%Y-%m-%d %H%M%S")
    except ValueError:
        return FOREVER
    return found.replace(tzinfo=UTC)


def by_rows(
    folder: Path, bundle: Bundle, span: Span, mark: Json, now: datetime
) -> Iterator[Marked]:
    """Windows of so many rows of a log; what is left over waits for more."""
    name, start = str(mark.get("part", "")), int(mark.get("row", 0))
    held: list[pl.DataFrame] = []
    others = 0
    for part in parts(folder, name):
        if moment_of(part) > now - timedelta(seconds=SETTLED):
            return
        table = pl.read_parquet(part)
        if name_of(part) != name:
            start = 0
        at = start
        while at < table.height:
            missing = span.rows - sum(piece.height for piece in held)
            mine, step = some(table, bundle.model_id, at, missing)
            others += step - mine.height
            held, at = [*held, mine], at + step
            if mine.height == missing:
                yield logged(held, others), {"part": name_of(part), "row": at}
                held, others = [], 0


def some(table: pl.DataFrame, model: str, start: int, most: int) -> tuple[pl.DataFrame, int]:
    """The next rows of a version of a model, at most so many, and how many rows were passed."""
    mine = np.flatnonzero((table["model"].slice(start) == model).to_numpy())[:most]
    step = int(mine[-1]) + 1 if len(mine) == most else table.height - start
    return table[(mine + start).tolist()], step


def by_time(
    folder: Path, bundle: Bundle, span: Span, mark: Json, now: datetime
) -> Iterator[Marked]:
    """Windows of a length of time of a log, each once it is over; rows later than that are lost."""
    assert span.every is not None
    start = float(mark["until"]) if "until" in mark else None
    held = Held()
    for part in [*parts(folder, name_at(start)), None]:
        written = min(moment_of(part), now).timestamp() if part else now.timestamp()
        while start is not None and start + span.every + LATE <= written:
            end = start + span.every
            yield held.until(bundle.model_id, start, end), {"until": end}
            start = stepped_over(held.first or written, end, span.every)
        if part is not None:
            held.add(pl.read_parquet(part))
            if start is None and held.first is not None:
                start = math.floor(held.first / span.every) * span.every


class Held:
    """Rows of a log that no window has had yet; of very many, an even sample."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.table = pl.DataFrame()
        self.every = 1  # one row of so many is kept

    @property
    def first(self) -> float | None:
        """Seconds since 1970 of the first row."""
        first = self.table["time"].dt.epoch("us").min() if self.table.height else None
        return None if first is None else float(first) / 1e6  # type: ignore[arg-type]

    def add(self, table: pl.DataFrame) -> None:
        """Hold further rows; where there are too many, every other one of all."""
        more = table.gather_every(self.every)
        self.table = pl.concat([self.table, more], how="diagonal_relaxed")
        while self.table.height > MOST:
            self.table, self.every = self.table.gather_every(2), 2 * self.every

    def until(self, model: str, start: float, end: float) -> Window:
        """The window of the rows from a time to another; later ones are kept."""
        first, last = (datetime.fromtimestamp(at, UTC) for at in (start, end))
        self.every = 1
        if not self.table.height:
            return Window(self.table, self.table, first, last)
        mine = self.table.filter((pl.col("time") >= first) & (pl.col("time") < last))
        self.table = self.table.filter(pl.col("time") >= last)
        kept = mine.filter(pl.col("model") == model)
        return logged([kept], mine.height - kept.height, (first, last))


def name_at(start: float | None) -> str:
    """The least name of a part that was written at a time or later."""
    if start is None:
        return ""
    return f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d/%H%M%S}"


def stepped_over(upcoming: float, start: float, every: float) -> float:
    """Where the next window starts: later if very many empty ones would follow."""
    empty = math.floor((upcoming - start) / every)
    return start + (empty - 1) * every if empty > EMPTY else start


def logged(
    pieces: list[pl.DataFrame], others: int, times: tuple[datetime, datetime] | None = None
) -> Window:
    """Rows of a log as a window."""
    table = pl.concat(pieces, how="diagonal_relaxed")
    said = table.select(
        pl.col(name).alias(name.removeprefix(SAID))
        for name in table.columns
        if name.startswith(SAID)
    )
    values = table.drop([*OWN, *(SAID + name for name in said.columns)])
    first, last = times or (table["time"].min(), table["time"].max())
    return Window(values, said, first, last, others=others)  # type: ignore[arg-type]


def of_table(source: str, bundle: Bundle, span: Span, mark: Json) -> Iterator[Marked]:
    """Even windows of about so many rows of a table; of one that has grown, of its new rows."""
    frame = named_in(read_table(source).frame, bundle.file_columns, base_of(source))
    done = int(mark.get("rows", 0))
    if done > frame.height or mark.get("source") != source:
        done = 0
    count = max((frame.height - done) // span.rows, 1)
    for piece in np.array_split(np.arange(done, frame.height), count):
        if len(piece):
            rows = frame.slice(int(piece[0]), len(piece))
            yield predicted(rows, bundle), {"source": source, "rows": int(piece[-1]) + 1}


def predicted(rows: pl.DataFrame, bundle: Bundle) -> Window:
    """Rows of a table as a window, with what the model says of them."""
    absent = [name for name in bundle.columns if name not in rows.columns]
    rows = rows.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
    joined = bundle.joined(rows)
    values = bundle.schema.apply(joined)
    calibration = bundle.manifest["calibration"]
    told = bundle.task.read(bundle.outputs_of(values), bundle.about, calibration)
    return Window(
        values, bundle.task.decide(told, bundle.about), absent=tuple(absent),
        unread=odd_cells(joined, bundle.schema, {})["unread"],
    )  # fmt: skip


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make sure that nothing else is at work on what a watch keeps in a folder.

    Raises:
        DataError: another watch is, or labels are being joined.
    """
    with files.lock(folder / ".lock") as free:
        if not free:
            raise DataError(
                "another watch is at work on this folder",
                seen=str(folder),
                way_out="wait until it ends, or pass another folder with --out",
            )
        yield

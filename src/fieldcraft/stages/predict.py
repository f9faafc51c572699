"""Predict the rows of a table with a bundle, block by block; a job that was killed goes on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import polars as pl

from fieldcraft.bundle.batch import block_size, score, wanted_columns
from fieldcraft.bundle.odd import ODD, Counts
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.contracts import Json, Stage
from fieldcraft.core.digest import of_json
from fieldcraft.core.errors import DataError
from fieldcraft.core.parts import Parts, parts_of, put_in_place
from fieldcraft.core.pool import cores, results
from fieldcraft.core.words import listed
from fieldcraft.data.blocks.read import read_blocks, stamps_of
from fieldcraft.data.blocks.shape import Blocks, Reject, Wish
from fieldcraft.data.media import base_of
from fieldcraft.data.write import Form, form_of, harmless

MEGABYTE = 10**6
PARTS = 1  # goes up when parts are made in another way
SURELY = 2.0  # times the rows there seem to be, by which a job is stopped before its end
Told = Callable[[int, float], None]


@dataclass(frozen=True)
class Request:
    """What is to be predicted, with what, and where to.

    Attributes:
        bundle: folder of the bundle.
        rows: the rows: see `read_table`.
        out: file for the predictions, .csv, .parquet or .jsonl.
        memory: megabytes that rows may take while they are predicted, the model not counted.
        set_aside: share of rows that may be set aside, as they cannot be read, from 0 to 1.
        workers: blocks at once; 0: as many as there are processors.
        told: is told how many rows were predicted since it was told last, and the share done.
    """

    bundle: Path
    rows: str
    out: Path
    memory: float = 256.0
    set_aside: float = 0.01
    workers: int = 0
    told: Told = lambda rows, share: None

    @property
    def rejects(self) -> Path:
        """The file of rows that were set aside."""
        return self.out.with_name(f"{self.out.name}.rejects.csv")


@dataclass
class Totals:
    """What the blocks of a job came to so far."""

    rows: int = 0
    lost: int = 0  # lines that are in no row
    rejects: list[Reject] = field(default_factory=list)
    odd: dict[str, Counter[str]] = field(default_factory=lambda: {what: Counter() for what in ODD})

    def add(self, about: Json) -> None:
        """Count what is to be known of a block."""
        self.rows += about["rows"]
        found = [Reject(**reject) for reject in about["rejects"]]
        self.lost += sum(reject.lines for reject in found)
        self.rejects += found
        for what, counts in about["odd"].items():
            self.odd[what].update(counts)


@dataclass(frozen=True)
class Job:
    """Blocks of a table, what predicts them, and the parts of the output."""

    bundle: Bundle
    blocks: Blocks
    parts: Parts
    form: Form
    base: Path

    def do(self, number: int) -> int:
        """Predict a block and keep it as a part; its number."""
        piece = self.blocks.read(number)
        scored = score(self.bundle, piece.frame, self.base)
        about = {
            "rows": scored.table.height,
            "odd": scored.odd,
            "rejects": [vars(reject) for reject in piece.rejects],
        }
        self.parts.add(number, lambda path: self.form.write(scored.table, path, not number), about)
        return number


def predict(request: Request) -> Json:
    """Write ``prediction`` and ``probability_<class>`` for each row, in the order of the rows.

    The rows are read, predicted and written in blocks. Finished blocks are kept in a folder beside
    the output until it is whole: a job that was killed goes on where it was, and its output is
    the same to the byte. Lines that are no rows are listed in ``OUT.rejects.csv``.

    Raises:
        BundleError: the bundle cannot be trusted.
        DataError: the rows cannot be read or lack a column, too many were set aside, the output
            has an unknown ending, or another process is writing it.
    """
    form = form_of(request.out)
    bundle = load_bundle(request.bundle)
    workers = request.workers or cores()
    size = block_size(bundle, int(request.memory * MEGABYTE), workers)
    request.out.parent.mkdir(parents=True, exist_ok=True)
    with parts_of(request.out, key_of(request, bundle, size)) as parts:
        blocks = blocks_of(request.rows, bundle, size, parts.folder / "copies")
        job = Job(bundle, blocks, parts, form, base_of(request.rows))
        totals = finished(job, request, workers)
        count = len(blocks.weights)
        aside = parts.folder / f"whole{request.out.suffix}"
        form.join([parts.path(number) for number in range(count)], aside)
        put_in_place(aside, request.out)
    return {
        "rows": totals.rows,
        "out": str(request.out),
        "model_id": bundle.model_id,
        "set_aside": len(totals.rejects),
        "rejects": str(request.rejects) if totals.rejects else None,
        "unread": totals.odd["unread"].total(),
        "odd": {what: in_order(counts, bundle) for what, counts in totals.odd.items()},
    }


def finished(job: Job, request: Request, workers: int) -> Totals:
    """What all blocks come to once each is a part; the rows set aside are written.

    Raises:
        DataError: too many rows were set aside, or there are none.
    """
    weights, parts = job.blocks.weights, job.parts
    kept = [number for number in range(len(weights)) if parts.has(number)]
    missing = [number for number in range(len(weights)) if not parts.has(number)]
    totals, done = Totals(), 0
    for number in kept:
        totals.add(parts.about(number))
        done += weights[number]
    whole = max(sum(weights), 1)
    request.told(0, done / whole)
    for number in results(job.do, missing, workers):
        about = parts.about(number)
        totals.add(about)
        done += weights[number]
        request.told(about["rows"], done / whole)
        seeming = (totals.rows + totals.lost) * whole / max(done, 1)
        if totals.lost > max(1.0, SURELY * request.set_aside * seeming):
            break
    judge(totals, request)
    return totals


def judge(totals: Totals, request: Request) -> None:
    """Write down the rows that were set aside, and stop if there are too many.

    Raises:
        DataError: there are, or there are no rows.
    """
    write_rejects(totals.rejects, request.rejects)
    rows, found = totals.rows + len(totals.rejects), totals.rejects
    if totals.lost > max(1, request.set_aside * rows):
        raise DataError(
            f"{len(found):,} of {rows:,} rows of {Path(request.rows).name} cannot be read",
            seen=f"more than the {request.set_aside:.2%} that may be set aside: "
            f"{listed([str(reject) for reject in found], 3)}",
            way_out=f"mend the lines that {request.rejects} lists, or allow a larger share; "
            "what is predicted already is kept",
        )
    if not totals.rows:
        raise DataError(
            f"{Path(request.rows).name} holds no rows",
            seen=f"0 rows, {len(found)} lines set aside",
            way_out="use a table with at least one row of data under its column names",
        )


def write_rejects(rejects: list[Reject], path: Path) -> None:
    """Write the lines that were set aside, with what is wrong; without any there is no file."""
    if not rejects:
        path.unlink(missing_ok=True)
        return
    ordered = sorted(rejects, key=lambda reject: (reject.file, reject.line))
    table = pl.DataFrame(
        [{"file": r.file, "line": r.line, "reason": r.reason, "text": r.text} for r in ordered],
        schema={"file": pl.String, "line": pl.Int64, "reason": pl.String, "text": pl.String},
    )
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        harmless(table).write_csv(aside)
        put_in_place(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def in_order(counts: Counter[str], bundle: Bundle) -> Counts:
    """Counts by column in the order of the columns, however the blocks came."""
    names = [column.name for column in bundle.schema.needed]
    return {name: counts[name] for name in names if counts[name]}


def key_of(request: Request, bundle: Bundle, size: int) -> str:
    """Names all that the parts of an output depend on."""
    return of_json(
        {
            "model": bundle.model_id,
            "rows": stamps_of(request.rows),
            "size": size,
            "form": request.out.suffix.lower(),
            "versions": [PARTS, version("onnxruntime"), version("polars")],
        }
    )[:32]


def blocks_of(rows: str, bundle: Bundle, size: int, copies: Path) -> Blocks:
    """The rows in blocks; those of a file without a header get the names of the training table."""
    wish = Wish(size, wanted_columns(bundle))
    blocks = read_blocks(rows, wish, copies)
    names = bundle.manifest["names"]
    if not names or set(bundle.columns) <= set(blocks.columns):
        return blocks
    inputs = [name for name in names if name not in bundle.manifest["targets"]]
    for given in (names, inputs):
        if len(blocks.columns) == len(given):
            return read_blocks(rows, Wish(size, wish.wanted, tuple(given)), copies)
    return blocks


STAGE = Stage("predict", "Predict the rows of a file with a bundle.", predict)  # type: ignore[arg-type]

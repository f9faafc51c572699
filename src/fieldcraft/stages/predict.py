"""Predict the rows of a table with a bundle, block by block; a job that was killed goes on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import polars as pl

from fieldcraft.bundle.batch_prediction import choose_block_bytes, columns_to_read, predict_block
from fieldcraft.bundle.input_anomalies import ANOMALY_TYPES, CountsByColumn
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.contracts import Stage
from fieldcraft.core.digest import of_json
from fieldcraft.core.errors import DataError
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.parallel import available_cpus, parallel_map
from fieldcraft.core.resumable import ResumableParts, open_resumable_parts, publish_file
from fieldcraft.core.types import Json
from fieldcraft.data.blocks.base import ReadOptions, RejectedLines, TableBlocks
from fieldcraft.data.blocks.read import file_stamps, open_blocks
from fieldcraft.data.file_cells import base_folder
from fieldcraft.data.table_writer import TableFormat, escape_formulas, find_format

BYTES_PER_MEGABYTE = 10**6
PART_FORMAT_VERSION = 1  # goes up when parts are made in another way
ABORT_MARGIN = 2.0  # times the rows there seem to be, by which a job is stopped before its end
RowProgressCallback = Callable[[int, float], None]


@dataclass(frozen=True)
class PredictRequest:
    """What is to be predicted, with what, and where to.

    Attributes:
        bundle: folder of the bundle.
        rows: the rows: see `read_table`.
        out: file for the predictions, .csv, .parquet or .jsonl.
        memory_mb: megabytes that rows may take while they are predicted, the model not counted.
        max_rejected_fraction: share of rows that may be set aside, as they cannot be read, from 0 to 1.
        workers: blocks at once; 0: as many as there are processors.
        on_rows: is told how many rows were predicted since it was told last, and the share done.
    """

    bundle: Path
    rows: str
    out: Path
    memory_mb: float = 256.0
    max_rejected_fraction: float = 0.01
    workers: int = 0
    on_rows: RowProgressCallback = lambda rows, share: None

    @property
    def rejects_path(self) -> Path:
        """The file of rows that were set aside."""
        return self.out.with_name(f"{self.out.name}.rejects.csv")


@dataclass
class Totals:
    """What the blocks of a job came to so far."""

    rows: int = 0
    rejected_lines: int = 0  # lines that are in no row
    rejects: list[RejectedLines] = field(default_factory=list)
    anomalies: dict[str, Counter[str]] = field(
        default_factory=lambda: {what: Counter() for what in ANOMALY_TYPES}
    )

    def add(self, part_summary: Json) -> None:
        """Count what is to be known of a block."""
        self.rows += part_summary["rows"]
        part_rejects = [RejectedLines(**reject) for reject in part_summary["rejects"]]
        self.rejected_lines += sum(reject.n_lines for reject in part_rejects)
        self.rejects += part_rejects
        for anomaly, counts in part_summary["odd"].items():
            self.anomalies[anomaly].update(counts)


@dataclass(frozen=True)
class PredictionJob:
    """Blocks of a table, what predicts them, and the parts of the output."""

    bundle: Bundle
    blocks: TableBlocks
    parts: ResumableParts
    output_format: TableFormat
    base_location: Path

    def predict_block(self, number: int) -> int:
        """Predict a block and keep it as a part; its number."""
        block = self.blocks.read_block(number)
        scored = predict_block(self.bundle, block.frame, self.base_location)
        part_summary = {
            "rows": scored.predictions.height,
            "odd": scored.input_anomalies,
            "rejects": [vars(reject) for reject in block.rejects],
        }
        self.parts.add(
            number,
            lambda path: self.output_format.write(scored.predictions, path, not number),
            part_summary,
        )
        return number


def predict(request: PredictRequest) -> Json:
    """Write ``prediction`` and ``probability_<class>`` for each row, in the order of the rows.

    The rows are read, predicted and written in blocks. Finished blocks are kept in a folder beside
    the output until it is whole: a job that was killed goes on where it was, and its output is
    the same to the byte. Lines that are no rows are listed in ``OUT.rejects.csv``.

    Raises:
        BundleError: the bundle cannot be trusted.
        DataError: the rows cannot be read or lack a column, too many were set aside, the output
            has an unknown ending, or another process is writing it.
    """
    output_format = find_format(request.out)
    bundle = load_bundle(request.bundle)
    workers = request.workers or available_cpus()
    size = choose_block_bytes(bundle, int(request.memory_mb * BYTES_PER_MEGABYTE), workers)
    request.out.parent.mkdir(parents=True, exist_ok=True)
    with open_resumable_parts(request.out, job_key(request, bundle, size)) as parts:
        blocks = open_rows(request.rows, bundle, size, parts.folder / "copies")
        job = PredictionJob(bundle, blocks, parts, output_format, base_folder(request.rows))
        totals = predict_missing_blocks(job, request, workers)
        count = len(blocks.sizes)
        temp_path = parts.folder / f"whole{request.out.suffix}"
        output_format.join([parts.data_path(number) for number in range(count)], temp_path)
        publish_file(temp_path, request.out)
    return {
        "rows": totals.rows,
        "out": str(request.out),
        "model_id": bundle.model_id,
        "set_aside": len(totals.rejects),
        "rejects": str(request.rejects_path) if totals.rejects else None,
        "unread": totals.anomalies["unread"].total(),
        "odd": {
            anomaly: order_counts(counts, bundle) for anomaly, counts in totals.anomalies.items()
        },
    }


def predict_missing_blocks(job: PredictionJob, request: PredictRequest, workers: int) -> Totals:
    """What all blocks come to once each is a part; the rows set aside are written.

    Raises:
        DataError: too many rows were set aside, or there are none.
    """
    weights, parts = job.blocks.sizes, job.parts
    finished_blocks = [number for number in range(len(weights)) if parts.is_complete(number)]
    missing_blocks = [number for number in range(len(weights)) if not parts.is_complete(number)]
    totals, done = Totals(), 0
    for number in finished_blocks:
        totals.add(parts.load_metadata(number))
        done += weights[number]
    total_weight = max(sum(weights), 1)
    request.on_rows(0, done / total_weight)
    for number in parallel_map(job.predict_block, missing_blocks, workers):
        part_summary = parts.load_metadata(number)
        totals.add(part_summary)
        done += weights[number]
        request.on_rows(part_summary["rows"], done / total_weight)
        estimated_rows = (totals.rows + totals.rejected_lines) * total_weight / max(done, 1)
        if totals.rejected_lines > max(
            1.0, ABORT_MARGIN * request.max_rejected_fraction * estimated_rows
        ):
            break
    check_rejects(totals, request)
    return totals


def check_rejects(totals: Totals, request: PredictRequest) -> None:
    """Write down the rows that were set aside, and stop if there are too many.

    Raises:
        DataError: there are, or there are no rows.
    """
    write_rejects(totals.rejects, request.rejects_path)
    rows, rejects = totals.rows + len(totals.rejects), totals.rejects
    if totals.rejected_lines > max(1, request.max_rejected_fraction * rows):
        raise DataError(
            f"{len(rejects):,} of {rows:,} rows of {Path(request.rows).name} cannot be read",
            detail=f"more than the {request.max_rejected_fraction:.2%} that may be set aside: "
            f"{truncated_list([str(reject) for reject in rejects], 3)}",
            hint=f"mend the lines that {request.rejects_path} lists, or allow a larger share; "
            "what is predicted already is kept",
        )
    if not totals.rows:
        raise DataError(
            f"{Path(request.rows).name} holds no rows",
            detail=f"0 rows, {len(rejects)} lines set aside",
            hint="use a table with at least one row of data under its column names",
        )


def write_rejects(rejects: list[RejectedLines], path: Path) -> None:
    """Write the lines that were set aside, with what is wrong; without any there is no file."""
    if not rejects:
        path.unlink(missing_ok=True)
        return
    ordered = sorted(rejects, key=lambda reject: (reject.file, reject.last_line))
    table = pl.DataFrame(
        [
            {"file": r.file, "line": r.last_line, "reason": r.reason, "text": r.text}
            for r in ordered
        ],
        schema={"file": pl.String, "line": pl.Int64, "reason": pl.String, "text": pl.String},
    )
    temp_path = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        escape_formulas(table).write_csv(temp_path)
        publish_file(temp_path, path)
    finally:
        temp_path.unlink(missing_ok=True)


def order_counts(counts: Counter[str], bundle: Bundle) -> CountsByColumn:
    """Counts by column in the order of the columns, however the blocks came."""
    names = [column.name for column in bundle.schema.input_columns]
    return {name: counts[name] for name in names if counts[name]}


def job_key(request: PredictRequest, bundle: Bundle, size: int) -> str:
    """Names all that the parts of an output depend on."""
    return of_json(
        {
            "model": bundle.model_id,
            "rows": file_stamps(request.rows),
            "size": size,
            "form": request.out.suffix.lower(),
            "versions": [PART_FORMAT_VERSION, version("onnxruntime"), version("polars")],
        }
    )[:32]


def open_rows(rows: str, bundle: Bundle, size: int, copies: Path) -> TableBlocks:
    """The rows in blocks; those of a file without a header get the names of the training table."""
    read_options = ReadOptions(size, columns_to_read(bundle))
    blocks = open_blocks(rows, read_options, copies)
    names = bundle.manifest["names"]
    if not names or set(bundle.required_columns) <= set(blocks.columns):
        return blocks
    inputs = [name for name in names if name not in bundle.manifest["targets"]]
    for column_names in (names, inputs):
        if len(blocks.columns) == len(column_names):
            return open_blocks(
                rows, ReadOptions(size, read_options.columns, tuple(column_names)), copies
            )
    return blocks


STAGE = Stage("predict", "Predict the rows of a file with a bundle.", predict)  # type: ignore[arg-type]

"""Predict the rows of a table with a bundle in blocks; an interrupted job resumes."""

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
from fieldcraft.core.files import publish_file
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.parallel import available_cpus, parallel_map
from fieldcraft.core.resumable import ResumableParts, open_resumable_parts
from fieldcraft.core.types import Json
from fieldcraft.data.blocks.base import ReadOptions, RejectedLines, TableBlocks
from fieldcraft.data.blocks.read import file_stamps, open_blocks
from fieldcraft.data.file_cells import base_folder
from fieldcraft.data.table_writer import TableFormat, escape_formulas, find_format

BYTES_PER_MEGABYTE = 10**6
PART_FORMAT_VERSION = 2  # raised when the format of parts changes
# A job stops early only if rejected lines exceed this multiple of their limit, since the number of
# rows is estimated from the first blocks.
ABORT_MARGIN = 2.0
RowProgressCallback = Callable[[int, float], None]


@dataclass(frozen=True)
class PredictRequest:
    """The arguments of ``fieldcraft predict``.

    Attributes:
        bundle: folder of the bundle.
        rows: the rows, see `read_table`.
        out: file for the predictions, .csv, .parquet or .jsonl.
        memory_mb: memory for rows in megabytes, without the model.
        max_rejected_fraction: fraction of malformed rows, from 0 to 1, above which the job fails.
        workers: number of blocks that are predicted in parallel; 0: the number of CPUs.
        on_rows: called with the number of rows predicted since the last call and the fraction done.
    """

    bundle: Path
    rows: str
    out: Path
    memory_mb: float = 256.0
    max_rejected_fraction: float = 0.01
    workers: int = 0
    on_rows: RowProgressCallback = lambda rows, fraction: None

    @property
    def rejects_path(self) -> Path:
        """The file of the rejected lines."""
        return self.out.with_name(f"{self.out.name}.rejects.csv")


@dataclass
class Totals:
    """Totals over the finished blocks of a job."""

    rows: int = 0
    rejected_lines: int = 0  # lines that belong to no row
    rejects: list[RejectedLines] = field(default_factory=list)
    anomalies: dict[str, Counter[str]] = field(
        default_factory=lambda: {anomaly: Counter() for anomaly in ANOMALY_TYPES}
    )

    def add(self, part_summary: Json) -> None:
        """Add the summary of a block."""
        self.rows += part_summary["rows"]
        part_rejects = [RejectedLines(**reject) for reject in part_summary["rejects"]]
        self.rejected_lines += sum(reject.n_lines for reject in part_rejects)
        self.rejects += part_rejects
        for anomaly, counts in part_summary["input_anomalies"].items():
            self.anomalies[anomaly].update(counts)


@dataclass(frozen=True)
class PredictionJob:
    """The blocks of a table, the bundle, and the parts of the output."""

    bundle: Bundle
    blocks: TableBlocks
    parts: ResumableParts
    output_format: TableFormat
    base_location: Path

    def predict_and_save(self, number: int) -> int:
        """Predict a block and save it as a part; returns its number."""
        block = self.blocks.read_block(number)
        batch = predict_block(self.bundle, block.frame, self.base_location)
        part_summary = {
            "rows": batch.predictions.height,
            "input_anomalies": batch.input_anomalies,
            "rejects": [vars(reject) for reject in block.rejects],
        }
        self.parts.add(
            number,
            lambda path: self.output_format.write(batch.predictions, path, not number),
            part_summary,
        )
        return number


def predict(request: PredictRequest) -> Json:
    """Write ``prediction`` and ``probability_<class>`` for each row, in the order of the rows.

    The rows are read, predicted and written in blocks. Finished blocks are kept in a folder beside
    the output until it is complete, so that an interrupted job resumes; its output is the same to
    the byte. Malformed lines are listed in ``OUT.rejects.csv``.

    Raises:
        BundleError: the bundle is damaged.
        DataError: the rows cannot be read or lack a column, too many were rejected, the output has
            an unknown suffix, or another process is writing it.
    """
    output_format = find_format(request.out)
    bundle = load_bundle(request.bundle)
    workers = request.workers or available_cpus()
    block_bytes = choose_block_bytes(bundle, int(request.memory_mb * BYTES_PER_MEGABYTE), workers)
    request.out.parent.mkdir(parents=True, exist_ok=True)
    with open_resumable_parts(request.out, job_key(request, bundle, block_bytes)) as parts:
        blocks = open_rows(request.rows, bundle, block_bytes, parts.folder / "copies")
        job = PredictionJob(bundle, blocks, parts, output_format, base_folder(request.rows))
        totals = predict_missing_blocks(job, request, workers)
        n_blocks = len(blocks.sizes)
        temp_path = parts.folder / f"whole{request.out.suffix}"
        output_format.join([parts.data_path(number) for number in range(n_blocks)], temp_path)
        publish_file(temp_path, request.out)
    return {
        "rows": totals.rows,
        "output": str(request.out),
        "model_id": bundle.model_id,
        "rejected_rows": len(totals.rejects),
        "rejects_file": str(request.rejects_path) if totals.rejects else None,
        "unparseable_cells": totals.anomalies["unparseable"].total(),
        "input_anomalies": {
            anomaly: order_counts(counts, bundle) for anomaly, counts in totals.anomalies.items()
        },
    }


def predict_missing_blocks(job: PredictionJob, request: PredictRequest, workers: int) -> Totals:
    """Predict the blocks that are not parts yet; returns the totals of all blocks.

    Raises:
        DataError: too many rows were rejected, or there are none.
    """
    block_sizes, parts = job.blocks.sizes, job.parts
    finished_blocks = [number for number in range(len(block_sizes)) if parts.is_complete(number)]
    missing_blocks = [number for number in range(len(block_sizes)) if not parts.is_complete(number)]
    totals, done_size = Totals(), 0
    for number in finished_blocks:
        totals.add(parts.load_metadata(number))
        done_size += block_sizes[number]
    total_size = max(sum(block_sizes), 1)
    request.on_rows(0, done_size / total_size)
    for number in parallel_map(job.predict_and_save, missing_blocks, workers):
        part_summary = parts.load_metadata(number)
        totals.add(part_summary)
        done_size += block_sizes[number]
        request.on_rows(part_summary["rows"], done_size / total_size)
        estimated_rows = (totals.rows + totals.rejected_lines) * total_size / max(done_size, 1)
        # At least one line may always be rejected, as in `check_rejects`.
        if totals.rejected_lines > max(
            1.0, ABORT_MARGIN * request.max_rejected_fraction * estimated_rows
        ):
            break
    check_rejects(totals, request)
    return totals


def check_rejects(totals: Totals, request: PredictRequest) -> None:
    """Write the rejected lines to their file, and fail if there are too many.

    Raises:
        DataError: there are too many, or there are no rows.
    """
    write_rejects(totals.rejects, request.rejects_path)
    rejects = totals.rejects
    n_rows = totals.rows + len(rejects)
    if totals.rejected_lines > max(1, request.max_rejected_fraction * n_rows):
        raise DataError(
            f"{len(rejects):,} of {n_rows:,} rows of {Path(request.rows).name} cannot be read",
            detail=f"more than --max-rejected-fraction {request.max_rejected_fraction:g}: "
            f"{truncated_list([str(reject) for reject in rejects], 3)}",
            hint=f"fix the lines listed in {request.rejects_path}, or allow a larger fraction; "
            "finished blocks are kept",
        )
    if not totals.rows:
        raise DataError(
            f"{Path(request.rows).name} has no rows",
            detail=f"0 rows, {len(rejects)} lines rejected",
            hint="use a table with at least one row below the column names",
        )


def write_rejects(rejects: list[RejectedLines], path: Path) -> None:
    """Write the rejected lines with their reasons; if there are none, remove an earlier file."""
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
    """Counts by column in the order of the schema, independent of the order of the blocks."""
    names = [column.name for column in bundle.schema.input_columns]
    return {name: counts[name] for name in names if counts[name]}


def job_key(request: PredictRequest, bundle: Bundle, block_bytes: int) -> str:
    """Digest of everything that the parts of an output depend on."""
    return of_json(
        {
            "model": bundle.model_id,
            "rows": file_stamps(request.rows),
            "size": block_bytes,
            "form": request.out.suffix.lower(),
            "versions": [PART_FORMAT_VERSION, version("onnxruntime"), version("polars")],
        }
    )[:32]


def open_rows(rows: str, bundle: Bundle, block_bytes: int, copies: Path) -> TableBlocks:
    """Open the rows in blocks; without a header, with the column names of the training table."""
    read_options = ReadOptions(block_bytes, columns_to_read(bundle))
    blocks = open_blocks(rows, read_options, copies)
    names = bundle.manifest["column_names"]  # [] if the training table had a header
    if not names or set(bundle.required_columns) <= set(blocks.columns):
        return blocks
    # New rows may come with or without the target columns: the number of columns decides.
    input_names = [name for name in names if name not in bundle.manifest["targets"]]
    for column_names in (names, input_names):
        if len(blocks.columns) == len(column_names):
            return open_blocks(
                rows, ReadOptions(block_bytes, read_options.columns, tuple(column_names)), copies
            )
    return blocks


STAGE = Stage("predict", "Predict the rows of a file with a bundle.", predict)  # type: ignore[arg-type]

"""Predict a block of rows with a bundle, and count its input anomalies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fieldcraft.bundle.input_anomalies import CountsByColumn, count_input_anomalies
from fieldcraft.bundle.runtime import Bundle
from fieldcraft.data.file_cells import resolve_file_columns

MEMORY_PER_INPUT_BYTE = 16  # bytes of memory that predicting one byte of input takes
MAX_BLOCK_BYTES = 1 << 22  # so that progress is visible, and a killed job repeats little
TOKEN_NETWORK_FACTOR = 32  # divides the block size for texts read token by token: they are slow
FILE_COLUMN_FACTOR = 512  # divides the block size for images: their cells are only file names


@dataclass(frozen=True)
class BatchPrediction:
    """Predictions for some rows, and their input anomalies: see `count_input_anomalies`."""

    predictions: pl.DataFrame
    input_anomalies: dict[str, CountsByColumn]


def predict_block(bundle: Bundle, frame: pl.DataFrame, base_folder: Path) -> BatchPrediction:
    """Predictions for rows in their order, after the id column if there is one.

    Args:
        bundle: the model.
        frame: the rows as read.
        base_folder: the folder or archive that file names in cells are relative to.

    Raises:
        DataError: a column is missing.
    """
    rows = bundle.join_tables(resolve_file_columns(frame, bundle.file_columns, base_folder))
    values = bundle.schema.apply(rows)
    predictions = bundle.predictions_from_outputs(bundle.outputs_from_values(values))
    table = bundle.task.to_frame(predictions, bundle.target_spec)
    id_column = bundle.manifest["id_column"]
    if id_column is not None and id_column in frame.columns:
        table = pl.concat([frame.select(id_column), table], how="horizontal")
    return BatchPrediction(
        table, count_input_anomalies(rows, bundle.schema, bundle.profile, values)
    )


def columns_to_read(bundle: Bundle) -> frozenset[str]:
    """The columns of a table that a bundle uses, including those that it could join itself."""
    joined_columns = {name for lookup in bundle.lookup_tables for name in lookup.table.columns}
    id_columns = {bundle.manifest["id_column"]} - {None}
    return frozenset(
        {
            *bundle.required_columns,
            *(column.name for column in bundle.schema.input_columns),
            *joined_columns,
            *id_columns,
        }
    )


def choose_block_bytes(bundle: Bundle, memory_bytes: int, n_workers: int) -> int:
    """The largest size of a block, in bytes of input, so that all workers fit in memory.

    Args:
        bundle: the model; many outputs, images, or texts read by a network make blocks smaller.
        memory_bytes: bytes that all blocks may take together while they are predicted.
        n_workers: blocks predicted at once.
    """
    n_columns = max(len(bundle.required_columns), 1)
    output_factor = (n_columns + bundle.task.n_outputs(bundle.target_spec)) / n_columns
    block_bytes = min(
        memory_bytes / n_workers / MEMORY_PER_INPUT_BYTE / output_factor, MAX_BLOCK_BYTES
    )
    encoders = bundle.largest_encoder_set.by_kind.values()
    network_factor = (
        TOKEN_NETWORK_FACTOR if any(encoder.max_batch_rows for encoder in encoders) else 1
    )
    return max(
        1, int(block_bytes / (FILE_COLUMN_FACTOR if bundle.file_columns else network_factor))
    )

"""Predict a block of rows with a bundle, and count what in them it was not made for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fieldcraft.bundle.input_anomalies import CountsByColumn, count_input_anomalies
from fieldcraft.bundle.runtime import Bundle
from fieldcraft.data.file_cells import resolve_file_columns

MEMORY_PER_INPUT_BYTE = 16  # that a byte of rows takes while they are predicted
MAX_BLOCK_BYTES = (
    1 << 22
)  # bytes of a block, so that progress is seen and little is lost with a killed job
TOKEN_NETWORK_FACTOR = 32  # how many times as long texts take that a network reads token by token
FILE_COLUMN_FACTOR = 512  # how many times as long photos take, whose cells are short names


@dataclass(frozen=True)
class BatchPrediction:
    """What a bundle says of some rows, and how many of their cells are odd: see `odd_cells`."""

    predictions: pl.DataFrame
    input_anomalies: dict[str, CountsByColumn]


def predict_block(bundle: Bundle, frame: pl.DataFrame, base_folder: Path) -> BatchPrediction:
    """Predictions for rows in their order, after the column that names rows if there is one.

    Args:
        bundle: the model.
        frame: the rows as read.
        base_folder: the folder or archive that names of files in cells start from.

    Raises:
        DataError: a column is missing.
    """
    rows = bundle.join_tables(resolve_file_columns(frame, bundle.file_columns, base_folder))
    values = bundle.schema.apply(rows)
    predictions = bundle.predictions_from_outputs(bundle.outputs_from_values(values))
    table = bundle.task.to_frame(predictions, bundle.target_spec)
    id_column = bundle.manifest["id"]
    if id_column is not None and id_column in frame.columns:
        table = pl.concat([frame.select(id_column), table], how="horizontal")
    return BatchPrediction(
        table, count_input_anomalies(rows, bundle.schema, bundle.profile, values)
    )


def columns_to_read(bundle: Bundle) -> frozenset[str]:
    """The columns of a table that a bundle reads, those among them that it could do without."""
    joined_columns = {name for lookup in bundle.lookup_tables for name in lookup.table.columns}
    id_columns = {bundle.manifest["id"]} - {None}
    return frozenset(
        {
            *bundle.required_columns,
            *(c.name for c in bundle.schema.input_columns),
            *joined_columns,
            *id_columns,
        }
    )


def choose_block_bytes(bundle: Bundle, memory_bytes: int, n_workers: int) -> int:
    """How large a block may be so that several at once fit in memory, in bytes of rows.

    Args:
        bundle: the model; many outputs, photos, or texts read by a network make blocks smaller.
        memory_bytes: bytes that blocks may take together while they are predicted.
        n_workers: blocks at once.
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

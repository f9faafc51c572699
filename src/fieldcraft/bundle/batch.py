"""Predict a block of rows with a bundle, and count what in them it was not made for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fieldcraft.bundle.odd import Counts, odd_cells
from fieldcraft.bundle.runtime import Bundle
from fieldcraft.data.media import named_in

BYTES_A_BYTE = 16  # that a byte of rows takes while they are predicted
MOST = 1 << 22  # bytes of a block, so that progress is seen and little is lost with a killed job
SLOW = 32  # how many times as long texts take that a network reads token by token
FILES = 512  # how many times as long photos take, whose cells are short names


@dataclass(frozen=True)
class Scored:
    """What a bundle says of some rows, and how many of their cells are odd: see `odd_cells`."""

    table: pl.DataFrame
    odd: dict[str, Counts]


def score(bundle: Bundle, cells: pl.DataFrame, base: Path) -> Scored:
    """Predictions for rows in their order, after the column that names rows if there is one.

    Args:
        bundle: the model.
        cells: the rows as read.
        base: the folder or archive that names of files in cells start from.

    Raises:
        DataError: a column is missing.
    """
    rows = bundle.joined(named_in(cells, bundle.file_columns, base))
    values = bundle.schema.apply(rows)
    said = bundle.said(bundle.outputs_of(values))
    table = bundle.task.decide(said, bundle.about)
    name = bundle.manifest["id"]
    if name is not None and name in cells.columns:
        table = pl.concat([cells.select(name), table], how="horizontal")
    return Scored(table, odd_cells(rows, bundle.schema, bundle.profile, values))


def wanted_columns(bundle: Bundle) -> frozenset[str]:
    """The columns of a table that a bundle reads, those among them that it could do without."""
    brought = {name for beside in bundle.tables for name in beside.table.columns}
    named = {bundle.manifest["id"]} - {None}
    return frozenset({*bundle.columns, *(c.name for c in bundle.schema.needed), *brought, *named})


def block_size(bundle: Bundle, memory: int, workers: int) -> int:
    """How large a block may be so that several at once fit in memory, in bytes of rows.

    Args:
        bundle: the model; many outputs, photos, or texts read by a network make blocks smaller.
        memory: bytes that blocks may take together while they are predicted.
        workers: blocks at once.
    """
    columns = max(len(bundle.columns), 1)
    spread = (columns + bundle.task.width(bundle.about)) / columns
    size = min(memory / workers / BYTES_A_BYTE / spread, MOST)
    encoders = bundle.encoders.encoders.values()
    slow = SLOW if any(encoder.most_rows for encoder in encoders) else 1
    return max(1, int(size / (FILES if bundle.file_columns else slow)))

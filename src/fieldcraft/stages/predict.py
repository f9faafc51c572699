"""Predict the rows of a file with a bundle."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fieldcraft.bundle.odd import odd_cells
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.contracts import Json, Stage
from fieldcraft.core.errors import DataError
from fieldcraft.data.media import base_of, named_in
from fieldcraft.data.read import Reading, read_table


@dataclass(frozen=True)
class Request:
    """What is to be predicted, with what, and where to.

    Attributes:
        bundle: folder of the bundle.
        rows: the rows: see `read_table`.
        out: file for the predictions, .csv or .parquet.
    """

    bundle: Path
    rows: str
    out: Path


def predict(request: Request) -> Json:
    """Write ``prediction`` and ``probability_<class>`` for each row, in the order of the rows.

    Raises:
        BundleError: the bundle cannot be trusted.
        DataError: the rows cannot be read or lack a column, or the output has an unknown ending.
    """
    suffix = request.out.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise DataError(
            f"cannot tell how to write {request.out.name}",
            seen=f"ending {request.out.suffix!r}",
            way_out="use -o with a name that ends in .csv or .parquet",
        )
    bundle = load_bundle(request.bundle)
    reading = read_rows(request.rows, bundle)
    rows = named_in(reading.frame, bundle.file_columns, base_of(request.rows))
    predictions = named(bundle.predict(rows), reading.frame, bundle)
    odd = odd_cells(bundle.joined(rows), bundle.schema, bundle.profile)
    request.out.parent.mkdir(parents=True, exist_ok=True)
    aside = request.out.with_name(f".{request.out.name}.{os.getpid()}.tmp")
    try:
        if suffix == ".csv":
            harmless(predictions).write_csv(aside)
        else:
            predictions.write_parquet(aside)
        aside.replace(request.out)
    finally:
        aside.unlink(missing_ok=True)
    return {
        "rows": predictions.height,
        "out": str(request.out),
        "model_id": bundle.model_id,
        "set_aside": len(reading.odd_lines),
        "unread": sum(odd["unread"].values()),
        "odd": odd,
    }


def named(predictions: pl.DataFrame, rows: pl.DataFrame, bundle: Bundle) -> pl.DataFrame:
    """Predictions with the column that names rows before them, where the project has one."""
    name = bundle.manifest["id"]
    if name is None or name not in rows.columns:
        return predictions
    return pl.concat([rows.select(name), predictions], how="horizontal")


def harmless(table: pl.DataFrame) -> pl.DataFrame:
    """A table of which no text is a formula where a spreadsheet opens it.

    Texts that start like one get an apostrophe before them (OWASP, *CSV Injection*).
    """
    texts = [name for name, kind in table.schema.items() if kind == pl.String]
    risky = {name: pl.col(name).str.contains(r"^[=+\-@\t\r]") for name in texts}
    number = {name: pl.col(name).cast(pl.Float64, strict=False).is_not_null() for name in texts}
    return table.with_columns(
        pl.when(risky[name] & ~number[name])
        .then(pl.concat_str(pl.lit("'"), pl.col(name)))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    )


def read_rows(path: str, bundle: Bundle) -> Reading:
    """The rows of a file; one without a header gets the names of the training table.

    Raises:
        DataError: rows would have to be left out, so that predictions would not line up.
    """
    reading = read_table(path)
    names = bundle.manifest["names"]
    headless = names and not set(bundle.columns) <= set(reading.frame.columns)
    if headless and reading.frame.width in (
        len(names),
        len(names) - len(bundle.manifest["targets"]),
    ):
        if reading.frame.width < len(names):
            names = [name for name in names if name not in bundle.manifest["targets"]]
        reading = read_table(path, names)
    if reading.odd_lines:
        raise DataError(
            f"{len(reading.odd_lines)} rows of {Path(path).name} have too few or too many cells",
            seen=reading.odd(),
            way_out="make sure that each line has a cell for every column",
        )
    return reading


STAGE = Stage("predict", "Predict the rows of a file with a bundle.", predict)  # type: ignore[arg-type]

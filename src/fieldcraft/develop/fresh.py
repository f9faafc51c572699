"""Rows that a challenger learns from: those of the champion and new ones, the seal unbroken."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.contracts import Array
from fieldcraft.core import files
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import DataError, near
from fieldcraft.core.words import listed
from fieldcraft.data.prepare import join
from fieldcraft.data.split import deal, strata_of
from fieldcraft.data.table import row_digests
from fieldcraft.develop.rows import (
    AGED,
    feature_schema,
    joined_tables,
    moments_of,
    parse_target,
    with_contents,
)
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Retrain, Settings

HELD = 0.15  # of new rows, where tune and judge rows have a file or a word of their own
TRAIN, VALIDATION, TEST = "rows.parquet", "held.parquet", "test.parquet"


@dataclass(frozen=True)
class Known:
    """The rows of a split, but for those that are sealed.

    Attributes:
        folder: of the split.
        frame: their cells as read.
        parts: ``digest``, ``part`` and ``fold`` of each.
        digests: of all rows, also of those that are sealed or go unused.
    """

    folder: Path
    frame: pl.DataFrame
    parts: pl.DataFrame
    digests: frozenset[bytes]

    @classmethod
    def of(cls, folder: Path) -> Known:
        """The rows that the split stage put in a folder."""
        table = pl.read_parquet(folder / "split.parquet")
        mine = table.filter(pl.col("place") == "develop")
        frame = pl.read_parquet(folder / "develop.parquet")
        return cls(folder, frame, mine, frozenset(table["digest"].to_list()))


def fitted(new: pl.DataFrame, known: Known, settings: Settings) -> pl.DataFrame:
    """New rows with the columns and types of the known ones; columns that they lack are empty.

    Raises:
        DataError: a column of the model or the target is missing, or cells do not fit.
    """
    data, problem = settings.data, settings.problem
    used = [column.name for column in feature_schema(settings).needed]
    roles = {"time": data.time, "entity": data.entity}
    parted = [name for rule, name in roles.items() if name and settings.split.rule == rule]
    needed = [*used, *problem.targets, *parted, *([data.weight] if data.weight else [])]
    wanted = [name for name in known.frame.columns if name != AGED]
    absent = [name for name in dict.fromkeys(needed) if name not in new.columns]
    if absent:
        raise DataError(
            "the new rows lack columns that the project learns from",
            seen=listed(absent),
            way_out=f"use the column names of the training table; {near(absent[0], new.columns)}",
        )
    columns = []
    for name in wanted:
        dtype = known.frame[name].dtype
        empty = pl.Series(name, [None] * new.height, dtype=dtype)
        cells = new[name] if name in new.columns else empty
        cast = cells.cast(dtype, strict=False)
        lost = cast.null_count() - cells.null_count()
        if lost:
            raise DataError(
                f"cells of the new rows do not fit the column {name!r}",
                seen=f"{cells.filter(cast.is_null() & cells.is_not_null())[0]!r}, {lost:,} such "
                f"rows; it holds {dtype}",
                way_out="give new rows in the form of the training table",
            )
        columns.append(cast)
    return pl.DataFrame(columns)


def beside(rows: pl.DataFrame, project: Folder, settings: Settings) -> pl.DataFrame:
    """Rows with the columns of the joined tables, unless they have them already."""
    for _, table, on in joined_tables(project, settings):
        if not set(table.columns) - set(on) <= set(rows.columns):
            rows = join(rows, table, on)
    return rows


def unknown(new: pl.DataFrame, known: Known, settings: Settings) -> pl.DataFrame:
    """The new rows that are not among the known ones already."""
    fresh = [digest not in known.digests for digest in digests_of(new, settings)]
    return new.filter(pl.Series(fresh, dtype=pl.Boolean))


def assembled(new: pl.DataFrame, known: Known, settings: Settings, wishes: Retrain) -> pl.DataFrame:
    """Known and new rows, older ones left out or counted less as the policy says."""
    old, parts = known.frame.drop(AGED, strict=False), known.parts["part"]
    learned = parts.is_in(["train", "cross"]).to_numpy()
    if wishes.policy == "window":
        most = wishes.rows or int(learned.sum())
        places = np.flatnonzero(learned)[in_time(old, settings)[learned].argsort(kind="stable")]
        dropped = places[: max(len(places) + new.height - most, 0)]
        kept = np.ones(old.height, dtype=bool)
        kept[dropped] = False
        old = old.filter(pl.Series(kept))
    whole = pl.concat([old, new], how="vertical")
    if wishes.policy != "weight":
        return whole
    before = known.frame[AGED].to_numpy() if AGED in known.frame.columns else np.ones(old.height)
    aged = np.where(learned, before * wishes.weight, before)
    return whole.with_columns(pl.Series(AGED, np.concatenate([aged, np.ones(new.height)])))


def in_time(rows: pl.DataFrame, settings: Settings) -> Array:
    """Where each row stands from the oldest to the newest; in the order of the file without times.

    Rows without a moment are the oldest.
    """
    if settings.data.time is None:
        return np.arange(rows.height)
    return moments_of(rows, settings).rank("ordinal").fill_null(0).to_numpy()


def lay_out(
    place: Path,
    inside: str,
    rows: pl.DataFrame,
    new: int,
    known: Known,
    project: Folder,
    settings: Settings,
) -> list[Edit]:
    """Write the rows as the sources of a run; what the project file must say to use them.

    The sealed rows are handed on as they lie, unread, and stay the test rows. Where rows are
    divided by time the newest of all are sealed instead, and those sealed before go unused.

    Args:
        place: folder for the files.
        inside: how the project file names the place where it will be.
        rows: known and new ones, the new ones last.
        new: how many are new.
        known: the rows of the champion.
        project: the project.
        settings: what its file says.
    """
    place.mkdir(parents=True, exist_ok=True)
    brought = [name for _, table, on in joined_tables(project, settings)
               for name in table.columns if name not in on]  # fmt: skip
    cells = rows.drop(brought, strict=False)
    named: dict[str, pl.DataFrame] = {TRAIN: cells}
    sources = settings.data.sources()
    if settings.data.split is not None:
        words = [("train", "validation")[at] for at in held_out(rows, new, settings)]
        before = cells[settings.data.split].cast(pl.String).head(rows.height - new)
        named = {TRAIN: cells.with_columns(before.append(pl.Series(words, dtype=pl.String)))}
    elif sources.validation is not None:
        learned = known.parts.select("digest", "part").unique("digest")
        digests = pl.DataFrame({"digest": digests_of(rows, settings)})
        part = digests.join(learned, on="digest", how="left", maintain_order="left")["part"]
        aside = part.is_in(["tune", "judge"]).fill_null(False).to_numpy().copy()
        aside[rows.height - new :] = held_out(rows, new, settings) == 1
        named = {TRAIN: cells.filter(~pl.Series(aside)), VALIDATION: cells.filter(pl.Series(aside))}
    for name, table in named.items():
        table.write_parquet(place / name)
    source: dict[str, Any] = {"train": f"{inside}/{TRAIN}"}
    if VALIDATION in named:
        source["validation"] = f"{inside}/{VALIDATION}"
    if settings.split.rule != "time":
        source |= sealed(place, inside, known, brought)
    edits = [Edit(("data", "source"), source)]
    return edits + ([Edit(("data", "names"), [])] if settings.data.names else [])


def sealed(place: Path, inside: str, known: Known, brought: list[str]) -> Mapping[str, str]:
    """The file of the sealed rows, handed on."""
    rows = known.folder / "sealed" / "test.parquet"
    if not files.read_json(known.folder / "about.json")["counts"].get("test"):
        return {}
    if brought:  # joined again by whoever reads it
        pl.scan_parquet(rows).drop(brought).sink_parquet(place / TEST)
    else:
        shutil.copyfile(rows, place / TEST)
    return {"test": f"{inside}/{TEST}"}


def held_out(rows: pl.DataFrame, new: int, settings: Settings) -> Array:
    """Which of the new rows, the last ones, are to tune and judge on: 1, else 0."""
    mine = rows.tail(new)
    strata, units = strata_of(parse_target(mine, settings)), digests_of(mine, settings)
    return deal(units, strata, (1 - HELD, HELD), settings.split.seed)


def digests_of(rows: pl.DataFrame, settings: Settings) -> list[bytes]:
    """The digest of each row, as the split stage takes it."""
    return row_digests(with_contents(rows.drop(AGED, strict=False), settings))

"""Divide the rows into training, tune, judge and sealed test rows, once and for all.

Written: ``split.parquet`` (line, digests, part and fold of every row), ``develop.parquet``
(cells of all rows but the test), ``sealed/test.parquet`` (cells of the test rows, read by
``evaluate --final`` alone) and ``about.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.bundle.rows import feature_schema, parse_target
from fieldcraft.contracts import Array, Json, Stage
from fieldcraft.core import catalogue, digest, files, seeds
from fieldcraft.core.errors import DataError
from fieldcraft.data.parse import strip
from fieldcraft.data.read import read_table
from fieldcraft.data.split import HALF_FOLDS, SMALL, by_time, deal, strata_of
from fieldcraft.data.table import row_digests
from fieldcraft.project.settings import Settings
from fieldcraft.project.work import Work

TRAIN, VALIDATION, TEST = 0, 1, 2  # numbers of the sources
PARTS = ("train", "tune", "judge", "test")
FEWEST = 20  # rows with a target, below which nothing can be learned and judged


def split(work: Work) -> Json:
    """Assign every row to its part and write develop and test rows apart."""
    settings = work.settings
    frame = read_sources(work)
    target = parse_target(frame, settings)
    parts = pl.DataFrame(
        {
            "line": frame["line"],
            "digest": row_digests(frame.drop("line", "source")),
            "features": row_digests(feature_schema(settings).apply(frame)),
        }
    )
    torn = conflicting(parts["features"], target, settings)
    usable = (~target.is_null() & ~torn).to_numpy()
    if usable.sum() < FEWEST:
        raise DataError(
            "there are too few rows to learn from",
            seen=f"{usable.sum()} rows with a target in {frame.height} rows",
            way_out=f"use a table with at least {FEWEST} rows that have a "
            f"{settings.problem.target!r}",
        )
    rule = rule_of(settings)
    assigned = assign(frame, parts, target, usable, settings, earlier(work.previous, rule))
    table = parts.with_columns(
        part=pl.Series(assigned.part.tolist(), dtype=pl.String), fold=pl.Series(assigned.fold)
    ).with_columns(
        place=pl.when(pl.col("part") == "test").then(pl.lit("sealed"))
        .when(pl.col("part") == "unused").then(pl.lit("unused")).otherwise(pl.lit("develop"))
    )  # fmt: skip
    return write(work, frame, table, target, rule)


def write(
    work: Work, frame: pl.DataFrame, table: pl.DataFrame, target: pl.Series, rule: str
) -> Json:
    """Write develop and test rows apart, and what is known about the target."""
    cells = frame.drop("line", "source")
    develop, sealed = (table["place"] == name for name in ("develop", "sealed"))
    task = catalogue.load("tasks", work.settings.problem.task)
    # A given test file must not add classes; rows dealt out here share one list of classes.
    given = work.settings.data.sources().test is not None
    listed = target.filter(develop if given else develop | sealed)
    about = task.describe(listed, work.settings.problem.positive)
    task.encode(target.filter(sealed), about)
    (work.out / "sealed").mkdir(exist_ok=True)
    table.write_parquet(work.out / "split.parquet")
    cells.filter(develop).write_parquet(work.out / "develop.parquet")
    cells.filter(sealed).write_parquet(work.out / "sealed" / "test.parquet")
    digests = {
        name: digest.of_bytes(b"".join(sorted(table.filter(rows)["digest"].to_list())))
        for name, rows in (("develop", develop), ("test", sealed))
    }
    counts = {
        name: int(count) for name, count in table["part"].value_counts().sort("part").iter_rows()
    }
    files.write_json(
        work.out / "about.json",
        {"target": about, "digests": digests, "counts": counts, "rule": rule},
    )
    body = {"counts": counts, "test": digests["test"], "rule": work.settings.split.rule}
    work.record("decision", {"decision": "split", **body})
    return {"rows": counts, "test": digests["test"][:12]}


def read_sources(work: Work) -> pl.DataFrame:
    """All rows, with the line in their source and its number.

    Raises:
        DataError: the files of a ready-made split do not have the same columns.
    """
    sources = work.settings.data.sources()
    found: list[pl.DataFrame] = []
    for number, path in enumerate((sources.train, sources.validation, sources.test)):
        if path is None:
            continue
        frame = read_table(work.project.resolve(path), work.settings.data.names).frame
        if found and set(found[0].columns) - {"line", "source"} - set(frame.columns):
            absent = sorted(set(found[0].columns) - {"line", "source"} - set(frame.columns))
            raise DataError(
                f"{Path(path).name} lacks columns that the training file has",
                seen=", ".join(absent[:8]),
                way_out="use files with the same columns; pass --names if they have no header",
            )
        frame = frame.with_columns(
            line=pl.int_range(1, frame.height + 1), source=pl.lit(number, dtype=pl.Int64)
        )
        found.append(frame.select(found[0].columns) if found else frame)
    unknown = [name for name in work.settings.data.columns if name not in found[0].columns]
    if unknown:
        raise DataError(
            "the project file names columns that the table does not have",
            seen=", ".join(unknown[:8]),
            way_out="set data.columns to those of the table, or start anew with: fieldcraft init",
        )
    return pl.concat(found, how="vertical_relaxed")


def conflicting(features: pl.Series, target: pl.Series, settings: Settings) -> pl.Series:
    """Rows to leave out because a twin has another target, if the file asks for that."""
    if settings.clean.conflicting == "keep":
        return pl.repeat(False, len(features), eager=True)
    grouped = pl.DataFrame({"features": features, "target": target})
    return grouped.select(pl.col("target").n_unique().over("features") > 1).to_series()


def rule_of(settings: Settings) -> str:
    """Digest of what decides the assignment; while it stays, known rows keep their part."""
    data = {"time": settings.data.time, "group": settings.data.group}
    return digest.of_json([settings.split.model_dump(), data, settings.problem.target])


def earlier(previous: Path | None, rule: str) -> dict[bytes, tuple[str, int]]:
    """Part and fold of rows that an earlier split under the same rule has assigned."""
    if previous is None or files.read_json(previous / "about.json")["rule"] != rule:
        return {}
    table = pl.read_parquet(previous / "split.parquet").filter(pl.col("part") != "unused")
    return {row[0]: (row[1], row[2]) for row in table.select("digest", "part", "fold").iter_rows()}


@dataclass
class Assignment:
    """Part and fold of every row while they are being dealt out; ``unused`` is not yet or never."""

    part: Array
    fold: Array
    units: list[bytes]
    strata: list[str]
    seed: int

    @classmethod
    def start(cls, units: list[bytes], strata: list[str], seed: int) -> Assignment:
        """Nothing is dealt out yet."""
        rows = len(units)
        return cls(np.full(rows, "unused", dtype=object), np.full(rows, -1), units, strata, seed)

    def follow(
        self, digests: list[bytes], known: Mapping[bytes, tuple[str, int]], open_: Array
    ) -> None:
        """Put rows where they, or the rows they belong to, have been before."""
        for row in np.flatnonzero(open_):
            if digests[row] in known:
                self.part[row], self.fold[row] = known[digests[row]]
        settled = np.flatnonzero(open_ & (self.part != "unused"))
        home = {self.units[i]: (self.part[i], self.fold[i]) for i in settled}
        for row in np.flatnonzero(open_ & (self.part == "unused")):
            if self.units[row] in home:
                self.part[row], self.fold[row] = home[self.units[row]]

    def deal(self, where: Array, names: Sequence[str], shares: Sequence[float], use: str) -> None:
        """Deal some rows out to named parts by lot."""
        numbers = self._lot(where, shares, use)
        self.part[where] = np.array(names, dtype=object)[numbers]

    def deal_folds(self, where: Array) -> None:
        """Deal some rows out to the half-folds of nested out-of-fold prediction."""
        self.part[where] = "cross"
        self.fold[where] = self._lot(where, (1 / HALF_FOLDS,) * HALF_FOLDS, "folds")

    def _lot(self, where: Array, shares: Sequence[float], use: str) -> Array:
        units, strata = [self.units[i] for i in where], [self.strata[i] for i in where]
        return deal(units, strata, shares, seeds.derive(self.seed, use))


def assign(
    frame: pl.DataFrame,
    parts: pl.DataFrame,
    target: pl.Series,
    usable: Array,
    settings: Settings,
    known: Mapping[bytes, tuple[str, int]],
) -> Assignment:
    """Part and fold of every usable row."""
    source, given = frame["source"].to_numpy(), settings.data.sources()
    found = Assignment.start(
        units_of(frame, parts, settings), strata_of(target), settings.split.seed
    )
    found.part[usable & (source == TEST)] = "test"
    open_ = usable & (source != TEST)
    if given.validation is not None:
        found.part[open_ & (source == TRAIN)] = "train"
        held = np.flatnonzero(open_ & (source == VALIDATION))
        found.deal(held, ("tune", "judge"), (0.5, 0.5), "halves")
        return found
    shares = settings.split
    test = 0.0 if given.test else shares.test
    sizes = (1 - shares.tune - shares.judge - test, shares.tune, shares.judge, test)
    if settings.split.rule == "time":
        where = np.flatnonzero(open_)
        numbers = by_time(moments_of(frame[where.tolist()], settings), sizes)
        found.part[where] = np.array(PARTS, dtype=object)[numbers]
        return found
    found.follow(parts["digest"].to_list(), known, open_)
    rest = np.flatnonzero(open_ & (found.part == "unused"))
    small = "cross" in found.part if known else open_.sum() < SMALL
    if not small:
        found.deal(rest, PARTS, sizes, "parts")
        return found
    found.deal(rest, ("develop", "test"), (1 - test, test), "parts")
    found.deal_folds(np.flatnonzero(found.part == "develop"))
    return found


def units_of(frame: pl.DataFrame, parts: pl.DataFrame, settings: Settings) -> list[bytes]:
    """What must stay together: the rows of a group, else rows with the same features."""
    if settings.split.rule == "group" and settings.data.group:
        return row_digests(frame, [settings.data.group])
    return list(parts["features"].to_list())


def moments_of(frame: pl.DataFrame, settings: Settings) -> pl.Series:
    """The column that orders rows in time, as its kind reads it."""
    name = str(settings.data.time)
    column = settings.data.columns[name]
    parsed: pl.Series = catalogue.load("kinds", column.kind).parse(
        strip(frame[name], settings.data.missing), column.options()
    )
    return parsed


STAGE = Stage(
    "split",
    "Divide the rows into training, tune, judge and sealed test rows.",
    split,
    sections=("problem.target", "problem.task", "problem.positive", "data", "clean", "split"),
)

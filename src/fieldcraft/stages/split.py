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

from fieldcraft.contracts import Array, Json, Stage
from fieldcraft.core import catalogue, digest, files, seeds
from fieldcraft.core.errors import DataError, near
from fieldcraft.core.words import joined, seconds
from fieldcraft.data.parse import strip
from fieldcraft.data.prepare import matching, names_in
from fieldcraft.data.split import HALF_FOLDS, PART_WORDS, SMALL, by_time, deal, strata_of
from fieldcraft.data.table import row_digests
from fieldcraft.develop.rows import (
    AGED,
    LINE,
    SOURCE,
    TARGET_SECTIONS,
    TEST,
    TRAIN,
    VALIDATION,
    columns_of,
    feature_schema,
    file_columns,
    moments_of,
    parse_target,
    read_rows,
    with_contents,
)
from fieldcraft.evidence.ties import tied_groups
from fieldcraft.project.settings import Settings
from fieldcraft.project.work import Work

PARTS = ("train", "tune", "judge", "test")
GIVEN = {  # what a ready-made split calls its parts: a word, or a number
    word: number
    for number, part in ((TRAIN, "train"), (VALIDATION, "validation"), (TEST, "test"))
    for word in (*PART_WORDS[part], str(number))
}
MOST_ALIKE, ALIKE_SHARE = 20, 0.02  # rows of a group that is kept together: a number, a share
FEWEST = 20  # rows with a target, below which nothing can be learned and judged


def split(work: Work) -> Json:
    """Assign every row to its part and write develop and test rows apart."""
    settings = work.settings
    frame = with_given_parts(read_rows(work.project, settings), settings)
    target = parse_target(frame, settings)
    told = with_contents(frame, settings)
    features = feature_schema(settings).apply(frame)
    files = [name for name in features.columns if name in file_columns(settings)]
    parts = pl.DataFrame(
        {
            "line": frame[LINE],
            "digest": row_digests(told.drop(LINE, SOURCE, AGED, strict=False)),
            "features": row_digests(features.with_columns(told[name] for name in files)),
            "entity": row_digests(frame, [settings.data.entity] if settings.data.entity else []),
        }
    )
    parts = parts.with_columns(unit=together(parts, features, settings))
    torn = conflicting(parts["features"], target, settings)
    usable = (~target.is_null() & ~torn & wanted(frame, settings)).to_numpy()
    if usable.sum() < FEWEST:
        raise DataError(
            "there are too few rows to learn from",
            seen=f"{usable.sum()} rows with a target in {frame.height} rows",
            way_out=f"use a table with at least {FEWEST} rows that have a value of "
            f"{joined(settings.problem.targets)}",
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
    cells = frame.drop(LINE, SOURCE)
    develop, sealed = (table["place"] == name for name in ("develop", "sealed"))
    problem = work.settings.problem
    task = catalogue.load("tasks", problem.task)
    # A given test part must not add classes; rows dealt out here share one list of classes.
    given = bool((frame[SOURCE] == TEST).any())
    listed = target.filter(develop if given else develop | sealed)
    about = task.describe(listed, problem.model_dump(mode="json"))
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


def with_given_parts(frame: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The rows with the number of their source as the column of a ready-made split says.

    Raises:
        DataError: the column holds other words than train, validation and test.
    """
    name = settings.data.split
    if name is None:
        return frame
    cells = strip(frame[name]).cast(pl.String).str.to_lowercase()
    numbers = cells.replace_strict(GIVEN, default=None, return_dtype=pl.Int64)
    odd = cells.filter(numbers.is_null())
    if len(odd):
        raise DataError(
            f"the column {name!r} does not say which part a row is for",
            seen=f"{odd[0]!r} in {len(odd):,} rows; {near(str(odd[0]), GIVEN)}",
            way_out="use the words train, validation and test, or leave out data.split",
        )
    return frame.with_columns(numbers.alias(SOURCE))


def wanted(frame: pl.DataFrame, settings: Settings) -> pl.Series:
    """The rows that the project file's filter lets through."""
    condition = settings.data.filter
    if condition is None:
        return pl.repeat(True, frame.height, eager=True)
    schema = columns_of(settings, names_in(condition, "data.filter"))
    return matching(schema.apply(frame), condition)


def conflicting(features: pl.Series, target: pl.Series, settings: Settings) -> pl.Series:
    """Rows to leave out because a twin has another target, if the file asks for that."""
    if settings.clean.conflicting == "keep":
        return pl.repeat(False, len(features), eager=True)
    grouped = pl.DataFrame({"features": features, "target": target})
    return grouped.select(pl.col("target").n_unique().over("features") > 1).to_series()


def rule_of(settings: Settings) -> str:
    """Digest of what decides the assignment; while it stays, known rows keep their part."""
    data = {"time": settings.data.time, "entity": settings.data.entity}
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
    source = frame[SOURCE].to_numpy()
    found = Assignment.start(parts["unit"].to_list(), strata_of(target), settings.split.seed)
    found.part[usable & (source == TEST)] = "test"
    open_ = usable & (source != TEST) & ~new_copies(found, parts["digest"].to_list(), known)
    if (source == VALIDATION).any():
        found.part[open_ & (source == TRAIN)] = "train"
        halves = {row: home for row, home in known.items() if home[0] in ("tune", "judge")}
        found.follow(parts["digest"].to_list(), halves, open_ & (source == VALIDATION))
        held = np.flatnonzero(open_ & (source == VALIDATION) & (found.part == "unused"))
        found.deal(held, ("tune", "judge"), (0.5, 0.5), "halves")
        return found
    shares = settings.split
    test = 0.0 if (source == TEST).any() else shares.test
    sizes = (1 - shares.tune - shares.judge - test, shares.tune, shares.judge, test)
    if settings.split.rule == "time":
        deal_by_time(found, frame, np.flatnonzero(open_), sizes, settings)
        return found
    found.follow(parts["digest"].to_list(), known, open_)
    rest = np.flatnonzero(open_ & (found.part == "unused"))
    dealt = set(found.part[open_]) - {"unused", "test"}
    small = "cross" in dealt if dealt else open_.sum() < SMALL
    if not small:
        found.deal(rest, PARTS, sizes, "parts")
        return found
    found.deal(rest, ("develop", "test"), (1 - test, test), "parts")
    found.deal_folds(np.flatnonzero(found.part == "develop"))
    return found


def new_copies(
    found: Assignment, digests: list[bytes], known: Mapping[bytes, tuple[str, int]]
) -> Array:
    """Rows that came after the test rows were sealed, and belong to one of them: they go unused."""
    sealed = {found.units[row] for row in np.flatnonzero(found.part == "test")}
    if not known or not sealed:
        return np.zeros(len(digests), dtype=bool)
    pairs = zip(found.units, digests, strict=True)
    return np.array([unit in sealed and digest not in known for unit, digest in pairs])


def deal_by_time(
    found: Assignment, frame: pl.DataFrame, where: Array, sizes: Sequence[float], settings: Settings
) -> None:
    """Deal rows out from the oldest to the newest; those within the gap before a part go unused.

    Raises:
        DataError: the gap does not fit the column, or leaves a part without rows.
    """
    moments = moments_of(frame[where.tolist()], settings)
    numbers = by_time(moments, sizes)
    found.part[where] = np.array(PARTS, dtype=object)[numbers]
    if settings.split.gap is None:
        return
    span = span_of(settings.split.gap, moments)
    temporal = moments.dtype.is_temporal()
    places = (moments.dt.epoch("s") if temporal else moments).cast(pl.Float64).to_numpy()
    for part in range(1, len(PARTS)):
        if (numbers == part).any():
            start = np.nanmin(places[numbers == part])
            found.part[where[(numbers < part) & (places > start - span)]] = "unused"
    empty = [name for name in PARTS[:-1] if name not in found.part[where]]
    if empty:
        raise DataError(
            f"the gap leaves no rows for the part {empty[0]}",
            seen=f"split.gap: {settings.split.gap}, {settings.data.time} from {moments.min()!r} "
            f"to {moments.max()!r}",
            way_out="set split.gap to less, or leave it out",
        )


def span_of(gap: str | float, moments: pl.Series) -> float:
    """The gap in seconds, or in units of time if that is a number.

    Raises:
        DataError: it is a length of time where time is a number, or the other way round.
    """
    temporal = moments.dtype.is_temporal()
    if temporal != isinstance(gap, str):
        held = "dates" if temporal else "numbers"
        raise DataError(
            "split.gap does not fit the column that orders the rows",
            seen=f"split.gap: {gap}, while {moments.name} holds {held}",
            way_out="use a length of time such as 7d" if temporal else "use a number, such as 30",
        )
    return float(seconds(gap) or 0) if isinstance(gap, str) else gap


def together(parts: pl.DataFrame, features: pl.DataFrame, settings: Settings) -> pl.Series:
    """What must stay together, as the digest of one of its rows.

    The rows of an entity, else rows with the same features, and, unless the file says otherwise,
    rows whose texts or photos are nearly the same. Very large groups of these are of one form
    rather than of one thing, and are not kept together.
    """
    if settings.split.rule == "entity" and settings.data.entity:
        return parts["entity"]
    same = parts["features"]
    if settings.split.near == "apart" or settings.split.rule == "time":
        return same
    most = max(MOST_ALIKE, round(ALIKE_SHARE * parts.height))
    kinds = ((name, catalogue.load("kinds", settings.data.columns[name].kind))
             for name in features.columns if name in settings.data.columns)  # fmt: skip
    groups = [
        group for name, kind in kinds for group in kind.alike(features[name]) or ()
        if len(group) <= most
    ]  # fmt: skip
    first = same.rank("min").to_numpy().astype(np.int64) - 1
    home = np.unique(first, return_index=True, return_inverse=True)
    copies = np.stack([home[1][home[2]], np.arange(len(same))], axis=1)
    ties = [np.stack([group[:-1], group[1:]], axis=1) for group in groups]
    chosen = np.arange(len(same))
    for group in tied_groups(len(same), np.concatenate([copies, *ties])):
        chosen[group] = group[0]
    return same.gather(chosen)


STAGE = Stage(
    "split",
    "Divide the rows into training, tune, judge and sealed test rows.",
    split,
    sections=(*TARGET_SECTIONS, "data", "clean", "split"),
    version=4,
)

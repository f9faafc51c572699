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

from fieldcraft.contracts import Stage
from fieldcraft.core import catalog, digest, files, seeds
from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.core.formatting import join_names, parse_duration
from fieldcraft.core.types import Array, Json
from fieldcraft.data.cell_parser import normalize_missing
from fieldcraft.data.schema import row_digests
from fieldcraft.data.splitting import (
    MAX_CROSS_FITTED_ROWS,
    N_HALF_FOLDS,
    SPLIT_NAMES,
    assign_parts,
    stratification_labels,
    time_ordered_split,
)
from fieldcraft.data.sql_transforms import filter_mask, referenced_columns
from fieldcraft.modeling.dataset import (
    RETRAIN_WEIGHT_COLUMN,
    ROW_NUMBER_COLUMN,
    SOURCE_COLUMN,
    TARGET_SECTIONS,
    TEST_SOURCE,
    TRAIN_SOURCE,
    VALIDATION_SOURCE,
    digest_file_contents,
    feature_schema,
    file_columns,
    parse_target,
    read_joined_rows,
    read_time_column,
    schema_of_columns,
)
from fieldcraft.project.context import StageContext
from fieldcraft.project.settings import ProjectSettings
from fieldcraft.statistics.connected_components import connected_components

PART_NAMES = ("train", "tune", "judge", "test")
PART_NUMBER_BY_WORD = {  # what a ready-made split calls its parts: a word, or a number
    word: number
    for number, part in (
        (TRAIN_SOURCE, "train"),
        (VALIDATION_SOURCE, "validation"),
        (TEST_SOURCE, "test"),
    )
    for word in (*SPLIT_NAMES[part], str(number))
}
MAX_NEAR_DUPLICATE_ROWS, MAX_NEAR_DUPLICATE_FRACTION = (
    20,
    0.02,
)  # rows of a group that is kept together: a number, a share
MIN_TARGET_ROWS = 20  # rows with a target, below which nothing can be learned and judged


def split(context: StageContext) -> Json:
    """Assign every row to its part and write develop and test rows apart."""
    settings = context.settings
    frame = apply_split_column(read_joined_rows(context.project, settings), settings)
    target = parse_target(frame, settings)
    frame_with_contents = digest_file_contents(frame, settings)
    features = feature_schema(settings).apply(frame)
    file_column_names = [name for name in features.columns if name in file_columns(settings)]
    table = pl.DataFrame(
        {
            "line": frame[ROW_NUMBER_COLUMN],
            "digest": row_digests(
                frame_with_contents.drop(
                    ROW_NUMBER_COLUMN, SOURCE_COLUMN, RETRAIN_WEIGHT_COLUMN, strict=False
                )
            ),
            "features": row_digests(
                features.with_columns(frame_with_contents[name] for name in file_column_names)
            ),
            "entity": row_digests(frame, [settings.data.group] if settings.data.group else []),
        }
    )
    table = table.with_columns(unit=group_related_rows(table, features, settings))
    conflicts = mask_conflicting_rows(table["features"], target, settings)
    usable = (~target.is_null() & ~conflicts & mask_filtered_rows(frame, settings)).to_numpy()
    if usable.sum() < MIN_TARGET_ROWS:
        raise DataError(
            "there are too few rows to learn from",
            detail=f"{usable.sum()} rows with a target in {frame.height} rows",
            hint=f"use a table with at least {MIN_TARGET_ROWS} rows that have a value of "
            f"{join_names(settings.problem.targets)}",
        )
    rule_digest = compute_rule_digest(settings)
    assignment = assign_rows(
        frame,
        table,
        target,
        usable,
        settings,
        load_previous_assignment(context.previous, rule_digest),
    )
    assigned_table = table.with_columns(
        part=pl.Series(assignment.parts.tolist(), dtype=pl.String), fold=pl.Series(assignment.folds)
    ).with_columns(
        place=pl.when(pl.col("part") == "test").then(pl.lit("sealed"))
        .when(pl.col("part") == "unused").then(pl.lit("unused")).otherwise(pl.lit("develop"))
    )  # fmt: skip
    return write_split(context, frame, assigned_table, target, rule_digest)


def write_split(
    context: StageContext,
    frame: pl.DataFrame,
    table: pl.DataFrame,
    target: pl.Series,
    rule_digest: str,
) -> Json:
    """Write develop and test rows apart, and what is known about the target."""
    cells = frame.drop(ROW_NUMBER_COLUMN, SOURCE_COLUMN)
    is_development, is_sealed = (table["place"] == name for name in ("develop", "sealed"))
    problem = context.settings.problem
    task = catalog.load_plugin("tasks", problem.task)
    # A given test part must not add classes; rows dealt out here share one list of classes.
    has_given_test = bool((frame[SOURCE_COLUMN] == TEST_SOURCE).any())
    described_target = target.filter(
        is_development if has_given_test else is_development | is_sealed
    )
    target_spec = task.describe(described_target, problem.model_dump(mode="json"))
    task.encode(target.filter(is_sealed), target_spec)
    (context.out / "sealed").mkdir(exist_ok=True)
    table.write_parquet(context.out / "split.parquet")
    cells.filter(is_development).write_parquet(context.out / "develop.parquet")
    cells.filter(is_sealed).write_parquet(context.out / "sealed" / "test.parquet")
    digests = {
        name: digest.of_bytes(b"".join(sorted(table.filter(rows)["digest"].to_list())))
        for name, rows in (("develop", is_development), ("test", is_sealed))
    }
    counts = {
        name: int(count) for name, count in table["part"].value_counts().sort("part").iter_rows()
    }
    files.atomic_write_json(
        context.out / "about.json",
        {"target": target_spec, "digests": digests, "counts": counts, "rule": rule_digest},
    )
    body = {"counts": counts, "test": digests["test"], "rule": context.settings.split.strategy}
    context.log_record("decision", {"decision": "split", **body})
    return {"rows": counts, "test": digests["test"][:12]}


def apply_split_column(frame: pl.DataFrame, settings: ProjectSettings) -> pl.DataFrame:
    """The rows with the number of their source as the column of a ready-made split says.

    Raises:
        DataError: the column holds other words than train, validation and test.
    """
    name = settings.data.split_column
    if name is None:
        return frame
    cells = normalize_missing(frame[name]).cast(pl.String).str.to_lowercase()
    numbers = cells.replace_strict(PART_NUMBER_BY_WORD, default=None, return_dtype=pl.Int64)
    unknown_words = cells.filter(numbers.is_null())
    if len(unknown_words):
        raise DataError(
            f"the column {name!r} does not say which part a row is for",
            detail=f"{unknown_words[0]!r} in {len(unknown_words):,} rows; {did_you_mean(str(unknown_words[0]), PART_NUMBER_BY_WORD)}",
            hint="use the words train, validation and test, or leave out data.split",
        )
    return frame.with_columns(numbers.alias(SOURCE_COLUMN))


def mask_filtered_rows(frame: pl.DataFrame, settings: ProjectSettings) -> pl.Series:
    """The rows that the project file's filter lets through."""
    condition = settings.data.filter
    if condition is None:
        return pl.repeat(True, frame.height, eager=True)
    schema = schema_of_columns(settings, referenced_columns(condition, "data.filter"))
    return filter_mask(schema.apply(frame), condition)


def mask_conflicting_rows(
    features: pl.Series, target: pl.Series, settings: ProjectSettings
) -> pl.Series:
    """Rows to leave out because a twin has another target, if the file asks for that."""
    if settings.clean.conflicting_rows == "keep":
        return pl.repeat(False, len(features), eager=True)
    grouped = pl.DataFrame({"features": features, "target": target})
    return grouped.select(pl.col("target").n_unique().over("features") > 1).to_series()


def compute_rule_digest(settings: ProjectSettings) -> str:
    """Digest of what decides the assignment; while it stays, known rows keep their part."""
    data = {"time": settings.data.time_column, "entity": settings.data.group}
    return digest.of_json([settings.split.model_dump(), data, settings.problem.target])


def load_previous_assignment(
    previous_folder: Path | None, rule_digest: str
) -> dict[bytes, tuple[str, int]]:
    """Part and fold of rows that an earlier split under the same rule has assigned."""
    if (
        previous_folder is None
        or files.read_json(previous_folder / "about.json")["rule"] != rule_digest
    ):
        return {}
    table = pl.read_parquet(previous_folder / "split.parquet").filter(pl.col("part") != "unused")
    return {row[0]: (row[1], row[2]) for row in table.select("digest", "part", "fold").iter_rows()}


@dataclass
class PartAssignment:
    """Part and fold of every row while they are being dealt out; ``unused`` is not yet or never."""

    parts: Array
    folds: Array
    groups: list[bytes]
    strata: list[str]
    seed: int

    @classmethod
    def unassigned(cls, groups: list[bytes], strata: list[str], seed: int) -> PartAssignment:
        """Nothing is dealt out yet."""
        n_rows = len(groups)
        return cls(
            np.full(n_rows, "unused", dtype=object), np.full(n_rows, -1), groups, strata, seed
        )

    def keep_known(
        self,
        digests: list[bytes],
        known_assignment: Mapping[bytes, tuple[str, int]],
        is_open: Array,
    ) -> None:
        """Put rows where they, or the rows they belong to, have been before."""
        for row in np.flatnonzero(is_open):
            if digests[row] in known_assignment:
                self.parts[row], self.folds[row] = known_assignment[digests[row]]
        assigned_rows = np.flatnonzero(is_open & (self.parts != "unused"))
        assignment_by_group = {
            self.groups[i]: (self.parts[i], self.folds[i]) for i in assigned_rows
        }
        for row in np.flatnonzero(is_open & (self.parts == "unused")):
            if self.groups[row] in assignment_by_group:
                self.parts[row], self.folds[row] = assignment_by_group[self.groups[row]]

    def assign(
        self, rows: Array, part_names: Sequence[str], fractions: Sequence[float], seed_name: str
    ) -> None:
        """Deal some rows out to named parts by lot."""
        numbers = self._draw(rows, fractions, seed_name)
        self.parts[rows] = np.array(part_names, dtype=object)[numbers]

    def assign_folds(self, rows: Array) -> None:
        """Deal some rows out to the half-folds of nested out-of-fold prediction."""
        self.parts[rows] = "cross"
        self.folds[rows] = self._draw(rows, (1 / N_HALF_FOLDS,) * N_HALF_FOLDS, "folds")

    def _draw(self, rows: Array, fractions: Sequence[float], seed_name: str) -> Array:
        groups, strata = [self.groups[i] for i in rows], [self.strata[i] for i in rows]
        return assign_parts(groups, strata, fractions, seeds.derive_seed(self.seed, seed_name))


def assign_rows(
    frame: pl.DataFrame,
    parts: pl.DataFrame,
    target: pl.Series,
    usable: Array,
    settings: ProjectSettings,
    known_assignment: Mapping[bytes, tuple[str, int]],
) -> PartAssignment:
    """Part and fold of every usable row."""
    source = frame[SOURCE_COLUMN].to_numpy()
    assignment = PartAssignment.unassigned(
        parts["unit"].to_list(), stratification_labels(target), settings.split.seed
    )
    assignment.parts[usable & (source == TEST_SOURCE)] = "test"
    is_open = (
        usable
        & (source != TEST_SOURCE)
        & ~mask_copies_of_sealed_rows(assignment, parts["digest"].to_list(), known_assignment)
    )
    if (source == VALIDATION_SOURCE).any():
        assignment.parts[is_open & (source == TRAIN_SOURCE)] = "train"
        known_halves = {
            row: part_and_fold
            for row, part_and_fold in known_assignment.items()
            if part_and_fold[0] in ("tune", "judge")
        }
        assignment.keep_known(
            parts["digest"].to_list(), known_halves, is_open & (source == VALIDATION_SOURCE)
        )
        held_out_rows = np.flatnonzero(
            is_open & (source == VALIDATION_SOURCE) & (assignment.parts == "unused")
        )
        assignment.assign(held_out_rows, ("tune", "judge"), (0.5, 0.5), "halves")
        return assignment
    split_settings = settings.split
    test_fraction = 0.0 if (source == TEST_SOURCE).any() else split_settings.test
    fractions = (
        1 - split_settings.validation - split_settings.evaluation - test_fraction,
        split_settings.validation,
        split_settings.evaluation,
        test_fraction,
    )
    if settings.split.strategy == "time":
        assign_by_time(assignment, frame, np.flatnonzero(is_open), fractions, settings)
        return assignment
    assignment.keep_known(parts["digest"].to_list(), known_assignment, is_open)
    unassigned_rows = np.flatnonzero(is_open & (assignment.parts == "unused"))
    assigned_parts = set(assignment.parts[is_open]) - {"unused", "test"}
    is_small = (
        "cross" in assigned_parts if assigned_parts else is_open.sum() < MAX_CROSS_FITTED_ROWS
    )
    if not is_small:
        assignment.assign(unassigned_rows, PART_NAMES, fractions, "parts")
        return assignment
    assignment.assign(
        unassigned_rows, ("develop", "test"), (1 - test_fraction, test_fraction), "parts"
    )
    assignment.assign_folds(np.flatnonzero(assignment.parts == "develop"))
    return assignment


def mask_copies_of_sealed_rows(
    assignment: PartAssignment,
    digests: list[bytes],
    known_assignment: Mapping[bytes, tuple[str, int]],
) -> Array:
    """Rows that came after the test rows were sealed, and belong to one of them: they go unused."""
    sealed_groups = {assignment.groups[row] for row in np.flatnonzero(assignment.parts == "test")}
    if not known_assignment or not sealed_groups:
        return np.zeros(len(digests), dtype=bool)
    pairs = zip(assignment.groups, digests, strict=True)
    return np.array(
        [group in sealed_groups and digest not in known_assignment for group, digest in pairs]
    )


def assign_by_time(
    assignment: PartAssignment,
    frame: pl.DataFrame,
    rows: Array,
    fractions: Sequence[float],
    settings: ProjectSettings,
) -> None:
    """Deal rows out from the oldest to the newest; those within the gap before a part go unused.

    Raises:
        DataError: the gap does not fit the column, or leaves a part without rows.
    """
    times = read_time_column(frame[rows.tolist()], settings)
    numbers = time_ordered_split(times, fractions)
    assignment.parts[rows] = np.array(PART_NAMES, dtype=object)[numbers]
    if settings.split.gap is None:
        return
    gap = parse_gap(settings.split.gap, times)
    is_temporal = times.dtype.is_temporal()
    positions = (times.dt.epoch("s") if is_temporal else times).cast(pl.Float64).to_numpy()
    for part in range(1, len(PART_NAMES)):
        if (numbers == part).any():
            start = np.nanmin(positions[numbers == part])
            assignment.parts[rows[(numbers < part) & (positions > start - gap)]] = "unused"
    empty_parts = [name for name in PART_NAMES[:-1] if name not in assignment.parts[rows]]
    if empty_parts:
        raise DataError(
            f"the gap leaves no rows for the part {empty_parts[0]}",
            detail=f"split.gap: {settings.split.gap}, {settings.data.time_column} from {times.min()!r} "
            f"to {times.max()!r}",
            hint="set split.gap to less, or leave it out",
        )


def parse_gap(gap: str | float, times: pl.Series) -> float:
    """The gap in seconds, or in units of time if that is a number.

    Raises:
        DataError: it is a length of time where time is a number, or the other way round.
    """
    is_temporal = times.dtype.is_temporal()
    if is_temporal != isinstance(gap, str):
        content = "dates" if is_temporal else "numbers"
        raise DataError(
            "split.gap does not fit the column that orders the rows",
            detail=f"split.gap: {gap}, while {times.name} holds {content}",
            hint="use a length of time such as 7d" if is_temporal else "use a number, such as 30",
        )
    return float(parse_duration(gap) or 0) if isinstance(gap, str) else gap


def group_related_rows(
    parts: pl.DataFrame, features: pl.DataFrame, settings: ProjectSettings
) -> pl.Series:
    """What must stay together, as the digest of one of its rows.

    The rows of an entity, else rows with the same features, and, unless the file says otherwise,
    rows whose texts or photos are nearly the same. Very large groups of these are of one form
    rather than of one thing, and are not kept together.
    """
    if settings.split.strategy == "entity" and settings.data.group:
        return parts["entity"]
    feature_digests = parts["features"]
    if settings.split.near_duplicates == "apart" or settings.split.strategy == "time":
        return feature_digests
    max_group_rows = max(MAX_NEAR_DUPLICATE_ROWS, round(MAX_NEAR_DUPLICATE_FRACTION * parts.height))
    kinds = ((name, catalog.load_plugin("kinds", settings.data.columns[name].kind))
             for name in features.columns if name in settings.data.columns)  # fmt: skip
    groups = [
        group for name, kind in kinds for group in kind.near_duplicate_groups(features[name]) or ()
        if len(group) <= max_group_rows
    ]  # fmt: skip
    first = feature_digests.rank("min").to_numpy().astype(np.int64) - 1
    unique = np.unique(first, return_index=True, return_inverse=True)
    duplicate_pairs = np.stack([unique[1][unique[2]], np.arange(len(feature_digests))], axis=1)
    near_duplicate_pairs = [np.stack([group[:-1], group[1:]], axis=1) for group in groups]
    representatives = np.arange(len(feature_digests))
    for group in connected_components(
        len(feature_digests), np.concatenate([duplicate_pairs, *near_duplicate_pairs])
    ):
        representatives[group] = group[0]
    return feature_digests.gather(representatives)


STAGE = Stage(
    "split",
    "Divide the rows into training, tune, judge and sealed test rows.",
    split,
    config_sections=(*TARGET_SECTIONS, "data", "clean", "split"),
    version=4,
)

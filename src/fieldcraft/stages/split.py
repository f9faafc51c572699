"""Split the rows into train, validation, evaluation and sealed test parts.

Folder of the stage::

    split.parquet          line, digests, part and fold of every row
    development.parquet    cells of all rows except the test rows
    sealed/test.parquet    cells of the test rows, read by `evaluate --final` only
    metadata.json          target_spec, counts, digests of rows and of the split settings
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.contracts import Kind, Stage
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

# A small table (fewer than MAX_CROSS_FITTED_ROWS rows) has no separate validation and evaluation
# rows. Its rows get the part "cv" and one of ten half-folds, two for each of five folds. Fold k
# evaluates on two half-folds, validates on the next one and trains on the other seven:
#
#     half-fold   0  1  2  3  4  5  6  7  8  9        E evaluation, V validation, . train
#     fold 0      E  E  V  .  .  .  .  .  .  .
#     fold 1      .  .  E  E  V  .  .  .  .  .
#     fold 2      .  .  .  .  E  E  V  .  .  .
#     fold 3      .  .  .  .  .  .  E  E  V  .
#     fold 4      V  .  .  .  .  .  .  .  E  E
#
# So every row is evaluated once, by a model that used it neither for training nor for validation
# (nested out-of-fold predictions). `data.splitting.make_folds` builds the folds.
PART_NAMES = ("train", "validation", "evaluation", "test")
PART_NUMBER_BY_WORD = {  # values of the column of a predefined split: a word or a number
    word: number
    for number, part in (
        (TRAIN_SOURCE, "train"),
        (VALIDATION_SOURCE, "validation"),
        (TEST_SOURCE, "test"),
    )
    for word in (*SPLIT_NAMES[part], str(number))
}
# Near-duplicate groups that exceed both limits, 20 rows and 2 % of the table, are instances of one
# form (such as a letter template) rather than copies of one thing. They are not kept together: the
# parts would have different distributions.
MAX_NEAR_DUPLICATE_ROWS, MAX_NEAR_DUPLICATE_FRACTION = 20, 0.02
MIN_TARGET_ROWS = 20  # rows with a target; fewer cannot be split into parts


def split(context: StageContext) -> Json:
    """Assign every row to a part; write development and test rows to separate files."""
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
            "feature_digest": row_digests(
                features.with_columns(frame_with_contents[name] for name in file_column_names)
            ),
            "group_digest": row_digests(
                frame, [settings.data.group] if settings.data.group else []
            ),
        }
    )
    table = table.with_columns(split_group=group_related_rows(table, features, settings))
    has_conflict = mask_conflicting_rows(table["feature_digest"], target, settings)
    is_usable = (~target.is_null() & ~has_conflict & mask_filtered_rows(frame, settings)).to_numpy()
    if is_usable.sum() < MIN_TARGET_ROWS:
        raise DataError(
            "there are too few rows with a target",
            detail=f"{is_usable.sum()} rows with a target in {frame.height} rows",
            hint=f"use a table with at least {MIN_TARGET_ROWS} rows that have a value of "
            f"{join_names(settings.problem.targets)}",
        )
    strategy_digest = digest_split_settings(settings)
    assignment = assign_rows(
        frame,
        table,
        target,
        is_usable,
        settings,
        load_previous_assignment(context.previous, strategy_digest),
    )
    assigned_table = table.with_columns(
        part=pl.Series(assignment.parts.tolist(), dtype=pl.String), fold=pl.Series(assignment.folds)
    ).with_columns(
        storage=pl.when(pl.col("part") == "test").then(pl.lit("sealed"))
        .when(pl.col("part") == "unused").then(pl.lit("unused")).otherwise(pl.lit("development"))
    )  # fmt: skip
    return write_split(context, frame, assigned_table, target, strategy_digest)


def write_split(
    context: StageContext,
    frame: pl.DataFrame,
    table: pl.DataFrame,
    target: pl.Series,
    strategy_digest: str,
) -> Json:
    """Write development and test rows to separate files, and the metadata."""
    cells = frame.drop(ROW_NUMBER_COLUMN, SOURCE_COLUMN)
    is_development, is_sealed = (table["storage"] == name for name in ("development", "sealed"))
    problem = context.settings.problem
    task = catalog.load_plugin("tasks", problem.task)
    # A given test part must not add classes, since no model can predict them. Where this stage
    # assigns the test rows, the classes are those of all rows: which rows are sealed is random.
    has_given_test = bool((frame[SOURCE_COLUMN] == TEST_SOURCE).any())
    described_target = target.filter(
        is_development if has_given_test else is_development | is_sealed
    )
    target_spec = task.describe(described_target, problem.model_dump(mode="json"))
    # Raises for an unknown class now rather than at the final evaluation.
    task.encode(target.filter(is_sealed), target_spec)
    (context.out / "sealed").mkdir(exist_ok=True)
    table.write_parquet(context.out / "split.parquet")
    cells.filter(is_development).write_parquet(context.out / "development.parquet")
    cells.filter(is_sealed).write_parquet(context.out / "sealed" / "test.parquet")
    digests = {
        name: digest.of_bytes(b"".join(sorted(table.filter(rows)["digest"].to_list())))
        for name, rows in (("development", is_development), ("test", is_sealed))
    }
    counts = {
        name: int(count) for name, count in table["part"].value_counts().sort("part").iter_rows()
    }
    files.atomic_write_json(
        context.out / "metadata.json",
        {
            "target_spec": target_spec,
            "digests": digests,
            "counts": counts,
            "strategy_digest": strategy_digest,
        },
    )
    body = {
        "counts": counts,
        "test_digest": digests["test"],
        "strategy": context.settings.split.strategy,
    }
    context.log_record("decision", {"decision": "split", **body})
    return {"rows": counts, "test": digests["test"][:12]}


def apply_split_column(frame: pl.DataFrame, settings: ProjectSettings) -> pl.DataFrame:
    """Set the source number of each row by the column of a predefined split.

    Raises:
        DataError: the column holds values other than train, validation and test.
    """
    name = settings.data.split_column
    if name is None:
        return frame
    cells = normalize_missing(frame[name]).cast(pl.String).str.to_lowercase()
    numbers = cells.replace_strict(PART_NUMBER_BY_WORD, default=None, return_dtype=pl.Int64)
    unknown_words = cells.filter(numbers.is_null())
    if len(unknown_words):
        raise DataError(
            f"the column {name!r} does not hold parts",
            detail=f"{unknown_words[0]!r} in {len(unknown_words):,} rows; "
            f"{did_you_mean(str(unknown_words[0]), PART_NUMBER_BY_WORD)}",
            hint="use the words train, validation and test, or leave out data.split_column",
        )
    return frame.with_columns(numbers.alias(SOURCE_COLUMN))


def mask_filtered_rows(frame: pl.DataFrame, settings: ProjectSettings) -> pl.Series:
    """Mask of the rows that satisfy ``data.filter``."""
    condition = settings.data.filter
    if condition is None:
        return pl.repeat(True, frame.height, eager=True)
    schema = schema_of_columns(settings, referenced_columns(condition, "data.filter"))
    return filter_mask(schema.apply(frame), condition)


def mask_conflicting_rows(
    features: pl.Series, target: pl.Series, settings: ProjectSettings
) -> pl.Series:
    """Mask of rows with equal features and different targets; empty if they are to be kept."""
    if settings.clean.conflicting_rows == "keep":
        return pl.repeat(False, len(features), eager=True)
    grouped = pl.DataFrame({"features": features, "target": target})
    return grouped.select(pl.col("target").n_unique().over("features") > 1).to_series()


def digest_split_settings(settings: ProjectSettings) -> str:
    """Digest of the split settings; known rows keep their part as long as it is unchanged."""
    data = {"time_column": settings.data.time_column, "group": settings.data.group}
    return digest.of_json([settings.split.model_dump(), data, settings.problem.target])


def load_previous_assignment(
    previous_folder: Path | None, strategy_digest: str
) -> dict[bytes, tuple[str, int]]:
    """Part and fold by row digest of an earlier split with the same settings."""
    if (
        previous_folder is None
        or files.read_json(previous_folder / "metadata.json")["strategy_digest"] != strategy_digest
    ):
        return {}
    table = pl.read_parquet(previous_folder / "split.parquet").filter(pl.col("part") != "unused")
    return {row[0]: (row[1], row[2]) for row in table.select("digest", "part", "fold").iter_rows()}


@dataclass
class PartAssignment:
    """Part and fold of every row during assignment; ``unused`` until a row is assigned."""

    parts: Array
    folds: Array
    groups: list[bytes]
    strata: list[str]
    seed: int

    @classmethod
    def unassigned(cls, groups: list[bytes], strata: list[str], seed: int) -> PartAssignment:
        """An assignment in which no row has a part."""
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
        """Assign rows to their earlier part, or to that of other rows of their group.

        When rows are added, sealed rows must stay sealed, and training rows must not become test
        rows.
        """
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
        """Randomly assign rows to the named parts."""
        numbers = self._draw(rows, fractions, seed_name)
        self.parts[rows] = np.array(part_names, dtype=object)[numbers]

    def assign_folds(self, rows: Array) -> None:
        """Randomly assign rows to the half-folds of cross-validation."""
        self.parts[rows] = "cv"
        self.folds[rows] = self._draw(rows, (1 / N_HALF_FOLDS,) * N_HALF_FOLDS, "folds")

    def _draw(self, rows: Array, fractions: Sequence[float], seed_name: str) -> Array:
        groups, strata = [self.groups[i] for i in rows], [self.strata[i] for i in rows]
        return assign_parts(groups, strata, fractions, seeds.derive_seed(self.seed, seed_name))


def assign_rows(
    frame: pl.DataFrame,
    table: pl.DataFrame,
    target: pl.Series,
    is_usable: Array,
    settings: ProjectSettings,
    known_assignment: Mapping[bytes, tuple[str, int]],
) -> PartAssignment:
    """Assign every usable row to a part and, in a small table, to a half-fold.

    Args:
        frame: the rows, with the number of their source.
        table: digests and ``split_group`` of each row.
        target: the parsed target.
        is_usable: mask of the rows that get a part.
        settings: the project file.
        known_assignment: part and fold by row digest of an earlier split.
    """
    source = frame[SOURCE_COLUMN].to_numpy()
    assignment = PartAssignment.unassigned(
        table["split_group"].to_list(), stratification_labels(target), settings.split.seed
    )
    assignment.parts[is_usable & (source == TEST_SOURCE)] = "test"
    is_open = (
        is_usable
        & (source != TEST_SOURCE)
        & ~mask_copies_of_sealed_rows(assignment, table["digest"].to_list(), known_assignment)
    )
    # Given validation rows are halved: one half for validation, the other for evaluation.
    if (source == VALIDATION_SOURCE).any():
        assignment.parts[is_open & (source == TRAIN_SOURCE)] = "train"
        known_held_out = {
            row: part_and_fold
            for row, part_and_fold in known_assignment.items()
            if part_and_fold[0] in ("validation", "evaluation")
        }
        assignment.keep_known(
            table["digest"].to_list(), known_held_out, is_open & (source == VALIDATION_SOURCE)
        )
        held_out_rows = np.flatnonzero(
            is_open & (source == VALIDATION_SOURCE) & (assignment.parts == "unused")
        )
        assignment.assign(held_out_rows, ("validation", "evaluation"), (0.5, 0.5), "halves")
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
    assignment.keep_known(table["digest"].to_list(), known_assignment, is_open)
    unassigned_rows = np.flatnonzero(is_open & (assignment.parts == "unused"))
    assigned_parts = set(assignment.parts[is_open]) - {"unused", "test"}
    is_small = (
        # A table keeps its scheme when it grows, else known rows would change their part.
        "cv" in assigned_parts if assigned_parts else is_open.sum() < MAX_CROSS_FITTED_ROWS
    )
    if not is_small:
        assignment.assign(unassigned_rows, PART_NAMES, fractions, "parts")
        return assignment
    assignment.assign(
        unassigned_rows, ("development", "test"), (1 - test_fraction, test_fraction), "parts"
    )
    assignment.assign_folds(np.flatnonzero(assignment.parts == "development"))
    return assignment


def mask_copies_of_sealed_rows(
    assignment: PartAssignment,
    digests: list[bytes],
    known_assignment: Mapping[bytes, tuple[str, int]],
) -> Array:
    """Mask of new rows in the group of a sealed row; no model may be trained on them."""
    sealed_groups = {assignment.groups[row] for row in np.flatnonzero(assignment.parts == "test")}
    if not known_assignment or not sealed_groups:
        return np.zeros(len(digests), dtype=bool)
    pairs = zip(assignment.groups, digests, strict=True)
    return np.array(
        [
            group in sealed_groups and row_digest not in known_assignment
            for group, row_digest in pairs
        ]
    )


def assign_by_time(
    assignment: PartAssignment,
    frame: pl.DataFrame,
    rows: Array,
    fractions: Sequence[float],
    settings: ProjectSettings,
) -> None:
    """Assign rows to parts from oldest to newest; rows in the gap before a part are unused.

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
    # Each later part has a gap before it: rows just before its start could leak into it through
    # lagged features.
    for part in range(1, len(PART_NAMES)):
        if (numbers == part).any():
            start = np.nanmin(positions[numbers == part])
            assignment.parts[rows[(numbers < part) & (positions > start - gap)]] = "unused"
    empty_parts = [name for name in PART_NAMES[:-1] if name not in assignment.parts[rows]]
    if empty_parts:
        raise DataError(
            f"the gap leaves no rows for the part {empty_parts[0]}",
            detail=f"split.gap: {settings.split.gap}, {settings.data.time_column} from "
            f"{times.min()!r} to {times.max()!r}",
            hint="set split.gap to a smaller value, or leave it out",
        )


def parse_gap(gap: str | float, times: pl.Series) -> float:
    """The gap in seconds, or in units of a numeric time column.

    Raises:
        DataError: it is a duration and the column is numeric, or the other way round.
    """
    is_temporal = times.dtype.is_temporal()
    if is_temporal != isinstance(gap, str):
        content = "dates" if is_temporal else "numbers"
        raise DataError(
            "split.gap does not fit the column that orders the rows",
            detail=f"split.gap: {gap}, while {times.name} holds {content}",
            hint="use a duration such as 7d" if is_temporal else "use a number, such as 30",
        )
    return float(parse_duration(gap) or 0) if isinstance(gap, str) else gap


def group_related_rows(
    table: pl.DataFrame, features: pl.DataFrame, settings: ProjectSettings
) -> pl.Series:
    """For each row, the key of the rows that must stay in the same part.

    Rows with the same value of ``data.group`` stay together; without groups, rows with equal
    features and, with ``split.near_duplicates: group``, rows with nearly equal texts or images. The
    key of such rows is the feature digest of one of them.
    """
    if settings.split.strategy == "group" and settings.data.group:
        return table["group_digest"]
    feature_digests = table["feature_digest"]
    if settings.split.near_duplicates == "ignore" or settings.split.strategy == "time":
        return feature_digests
    groups = find_near_duplicates(features, settings)
    # Rows with equal digests have equal ranks; each is paired with the first row of its digest.
    ranks = feature_digests.rank("min").to_numpy().astype(np.int64) - 1
    _, first_rows, inverse = np.unique(ranks, return_index=True, return_inverse=True)
    duplicate_pairs = np.stack([first_rows[inverse], np.arange(len(feature_digests))], axis=1)
    # A chain of pairs connects a group as well as all of its pairs do.
    near_duplicate_pairs = [np.stack([group[:-1], group[1:]], axis=1) for group in groups]
    representatives = np.arange(len(feature_digests))
    for group in connected_components(
        len(feature_digests), np.concatenate([duplicate_pairs, *near_duplicate_pairs])
    ):
        representatives[group] = group[0]
    return feature_digests.gather(representatives)


def find_near_duplicates(features: pl.DataFrame, settings: ProjectSettings) -> list[Array]:
    """Groups of rows with nearly equal texts or images, except for very large ones."""
    max_rows = max(MAX_NEAR_DUPLICATE_ROWS, round(MAX_NEAR_DUPLICATE_FRACTION * features.height))
    groups: list[Array] = []
    for name in features.columns:
        if name in settings.data.columns:
            kind: Kind = catalog.load_plugin("kinds", settings.data.columns[name].kind)
            groups += kind.near_duplicate_groups(features[name]) or ()
    return [group for group in groups if len(group) <= max_rows]


STAGE = Stage(
    "split",
    "Split the rows into train, validation, evaluation and sealed test parts.",
    split,
    config_sections=(*TARGET_SECTIONS, "data", "clean", "split"),
    version=5,
)

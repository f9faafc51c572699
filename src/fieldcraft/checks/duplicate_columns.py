"""Columns with the same information as another column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import join_names, truncated_list
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding, group_findings, single_column
from fieldcraft.statistics.association import encode_levels, sample_rows, to_floats

MIN_ROWS = 20
MIN_CORRELATION = 0.9999  # rounding to other units lowers it by less
MAX_SAMPLED_ROWS = 5_000
MAX_NUMBER_COLUMNS = 500  # compared with each other by one matrix product
MAX_LEVELS_FRACTION = 0.5  # of the rows; any two columns of unique values map one to one
MIN_MINORITY_ROWS = 5  # outside the most common level; below, two flags may agree by chance


class DuplicateColumns:
    """Reports columns that repeat another one: with equal cells, recoded, or rescaled."""

    code = "duplicate_columns"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare the feature columns with each other, from exact copies to correlation."""
        parsed_columns = set(context.values.columns)
        names = [column.name for column in context.schema.columns if column.name in parsed_columns]
        if context.values.height < MIN_ROWS:
            return
        exact_copies = list(self._report_exact_copies(context, names))
        yield from (finding for _, finding in exact_copies)
        # Each step skips what an earlier one reported: copies also map one to one and correlate.
        duplicate_names = {name for duplicates, _ in exact_copies for name in duplicates}
        names = [name for name in names if name not in duplicate_names]
        recoded_groups = find_one_to_one_columns(context, names)
        yield from self._report_equivalent_columns(
            recoded_groups,
            "map one to one",
            "keep one; two columns with the same information split its importance between them",
        )
        recoded_names = {name for group in recoded_groups for name in group}
        scaled_groups = [
            group
            for group in find_correlated_columns(context, names)
            if not recoded_names.issuperset(group)
        ]
        yield from self._report_equivalent_columns(
            scaled_groups,
            f"have a correlation above {MIN_CORRELATION}",
            "keep one; the others are the same quantity in other units",
        )

    def _report_exact_copies(
        self, context: CheckContext, names: list[str]
    ) -> Iterator[tuple[list[str], Finding]]:
        for groups in group_findings(find_identical_columns(context, names)):
            duplicates = [name for group in groups for name in group[1:]]
            names_text = truncated_list(duplicates)
            title = f"{len(duplicates)} columns repeat others in every row: {names_text}"
            original = single_column(group[0] for group in groups)
            if original is not None:
                verb = "repeats" if len(duplicates) == 1 else "repeat"
                title = f"{names_text} {verb} {original} in every row"
            yield (
                duplicates,
                Finding(
                    self.code,
                    "warning",
                    title,
                    single_column(group[1] for group in groups),
                    {"groups": groups, "rows": context.values.height},
                    "drop the copies",
                    tuple(ConfigEdit(("data", "drop"), name, append=True) for name in duplicates),
                ),
            )

    def _report_equivalent_columns(
        self, groups: list[list[str]], relation: str, advice: str
    ) -> Iterator[Finding]:
        if groups:
            title = f"{join_names(groups[0])} {relation}"
            if len(groups) > 1:
                descriptions = [" = ".join(group) for group in groups]
                title = (
                    f"{len(groups)} groups of columns {relation}: {truncated_list(descriptions, 5)}"
                )
            yield Finding(
                self.code,
                "info",
                title,
                None,
                {"columns": groups},
                advice,
            )


def find_identical_columns(context: CheckContext, names: list[str]) -> list[list[str]]:
    """Groups of columns with the same cells."""
    names_by_digest: dict[bytes, list[str]] = {}
    for name in names:
        if (
            context.column_profiles[name].n_unique > 1
            and not context.values[name].dtype.is_nested()
        ):
            names_by_digest.setdefault(digest_column(context, name), []).append(name)
    return [group for group in names_by_digest.values() if len(group) > 1]


def digest_column(context: CheckContext, name: str) -> bytes:
    """A digest of the values of a column and of the positions of missing ones."""
    values = context.values[name]
    # As floats, so that 1 and 1.0 are equal, whatever their types.
    numbers = to_floats(values)
    if numbers is not None:
        return blake2b(numbers.tobytes(), digest_size=16).digest()
    hasher = blake2b(encode_levels(values).tobytes(), digest_size=16)
    for level in values.unique(maintain_order=True).cast(str).to_list():
        # The length goes first, or ["ab", "c"] and ["a", "bc"] would have one digest.
        hasher.update(b"-" if level is None else f"{len(level)}:{level}".encode())
    return hasher.digest()


def find_one_to_one_columns(context: CheckContext, names: list[str]) -> list[list[str]]:
    """Groups of columns whose levels map one to one, whatever they are called."""
    names_by_digest: dict[bytes, list[str]] = {}
    rows = context.values.height
    for name in names:
        values = context.values[name]
        n_levels = context.column_profiles[name].n_unique
        if not 2 <= n_levels <= MAX_LEVELS_FRACTION * rows or values.dtype.is_nested():
            continue
        numbers = to_floats(values)
        codes = encode_levels(values) if numbers is None else encode_numbers(numbers)
        if rows - np.bincount(codes).max() >= MIN_MINORITY_ROWS:
            names_by_digest.setdefault(
                blake2b(relabel_by_first_appearance(codes).tobytes()).digest(), []
            ).append(name)
    return [group for group in names_by_digest.values() if len(group) > 1]


def encode_numbers(numbers: Array) -> Array:
    """A code for each distinct number, with one for NaN."""
    return np.unique(numbers, return_inverse=True)[1]


def relabel_by_first_appearance(codes: Array) -> Array:
    """Codes renumbered in order of first appearance, so that recoded columns become equal."""
    _, first_rows, codes = np.unique(codes, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first_rows))[codes]


def find_correlated_columns(context: CheckContext, names: list[str]) -> list[list[str]]:
    """Groups of numeric columns that are equal up to scale."""
    rows = sample_rows(context.values.height, MAX_SAMPLED_ROWS).tolist()
    numeric_names = [
        name
        for name in names
        # Two levels are compared by `find_one_to_one_columns`.
        if context.values[name].dtype.is_numeric() and context.column_profiles[name].n_unique > 2
    ]
    standardized_columns = (
        (name, standardize(context.values[name][rows])) for name in numeric_names
    )
    columns = dict(
        islice(
            ((name, values) for name, values in standardized_columns if values is not None),
            MAX_NUMBER_COLUMNS,
        )
    )
    if len(columns) < 2:
        return []
    table = np.array(list(columns.values()))
    is_correlated = np.abs(table @ table.T) / table.shape[1] > MIN_CORRELATION
    # Correlation above a threshold is not transitive: a group is what correlates with its first
    # column.
    remaining, groups = np.arange(len(columns)), []
    while len(remaining):
        is_in_group = is_correlated[remaining[0], remaining] | (remaining == remaining[0])
        groups.append([list(columns)[i] for i in remaining[is_in_group]])
        remaining = remaining[~is_in_group]
    return [group for group in groups if len(group) > 1]


def standardize(column: pl.Series) -> Array | None:
    """Numbers with mean 0 and variance 1, missing ones at 0; None if too few or all equal."""
    numbers = to_floats(column)
    if numbers is None or (is_present := ~np.isnan(numbers)).sum() < MIN_ROWS:
        return None
    filled = np.where(is_present, numbers, numbers[is_present].mean())
    std = filled.std()
    return (filled - filled.mean()) / std if std > 0 else None


CHECK = DuplicateColumns()

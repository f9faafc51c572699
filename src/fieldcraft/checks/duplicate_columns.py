"""Columns that say the same as another column."""

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

MIN_ROWS = 20  # rows
MIN_CORRELATION = 0.9999  # correlation
MAX_SAMPLED_ROWS = 5_000
MAX_NUMBER_COLUMNS = 500
MAX_LEVELS_FRACTION = 0.5  # of the rows; above, any two columns of names go one to one
MIN_MINORITY_ROWS = 5  # rows outside the commonest level; below, two flags may agree by chance


class DuplicateColumns:
    """Reports columns that repeat another: the same cells, recoded, or scaled."""

    code = "copies"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare the used columns with each other."""
        parsed_columns = set(context.values.columns)
        names = [column.name for column in context.schema.columns if column.name in parsed_columns]
        if context.values.height < MIN_ROWS:
            return
        exact_copies = list(self._report_exact_copies(context, names))
        yield from (finding for _, finding in exact_copies)
        duplicate_names = {name for duplicates, _ in exact_copies for name in duplicates}
        names = [name for name in names if name not in duplicate_names]
        recoded_groups = find_one_to_one_columns(context, names)
        yield from self._report_equivalent_columns(recoded_groups, "go one to one", "keep one; two names for one thing only "
                               "share its weight between them")  # fmt: skip
        recoded_names = {name for group in recoded_groups for name in group}
        scaled_groups = [
            group
            for group in find_correlated_columns(context, names)
            if not recoded_names.issuperset(group)
        ]
        yield from self._report_equivalent_columns(scaled_groups, f"have a correlation above {MIN_CORRELATION}", "keep one; the other is "
                               "the same in other units")  # fmt: skip

    def _report_exact_copies(
        self, view: CheckContext, names: list[str]
    ) -> Iterator[tuple[list[str], Finding]]:
        for groups in group_findings(find_identical_columns(view, names)):
            duplicates = [name for group in groups for name in group[1:]]
            title = f"{len(duplicates)} columns repeat others in every row: {truncated_list(duplicates)}"
            original = single_column(group[0] for group in groups)
            if original is not None:
                verb = "repeats" if len(duplicates) == 1 else "repeat"
                title = f"{truncated_list(duplicates)} {verb} {original} in every row"
            yield (
                duplicates,
                Finding(
                    self.code,
                    "warn",
                    title,
                    single_column(group[1] for group in groups),
                    {"groups": groups, "rows": view.values.height},
                    "drop the repetition",
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
                "tip",
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
    """A digest of the values of a column and of where it has none."""
    values = context.values[name]
    numbers = to_floats(values)
    if numbers is not None:
        return blake2b(numbers.tobytes(), digest_size=16).digest()
    hasher = blake2b(encode_levels(values).tobytes(), digest_size=16)
    for level in values.unique(maintain_order=True).cast(str).to_list():
        hasher.update(b"-" if level is None else f"{len(level)}:{level}".encode())
    return hasher.digest()


def find_one_to_one_columns(context: CheckContext, names: list[str]) -> list[list[str]]:
    """Groups of columns whose levels are the same up to their names."""
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
    """A code for each different number, NaN being one."""
    return np.unique(numbers, return_inverse=True)[1]


def relabel_by_first_appearance(codes: Array) -> Array:
    """Codes renamed in the turn in which they first appear."""
    _, first_rows, codes = np.unique(codes, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first_rows))[codes]


def find_correlated_columns(context: CheckContext, names: list[str]) -> list[list[str]]:
    """Groups of number columns that are the same up to scale."""
    rows = sample_rows(context.values.height, MAX_SAMPLED_ROWS).tolist()
    numeric = [
        n
        for n in names
        if context.values[n].dtype.is_numeric() and context.column_profiles[n].n_unique > 2
    ]
    standardized_columns = ((name, standardize(context.values[name][rows])) for name in numeric)
    columns = dict(
        islice(
            ((n, values) for n, values in standardized_columns if values is not None),
            MAX_NUMBER_COLUMNS,
        )
    )
    if len(columns) < 2:
        return []
    table = np.array(list(columns.values()))
    is_correlated = np.abs(table @ table.T) / table.shape[1] > MIN_CORRELATION
    remaining, groups = np.arange(len(columns)), []
    while len(remaining):
        is_in_group = is_correlated[remaining[0], remaining] | (remaining == remaining[0])
        groups.append([list(columns)[i] for i in remaining[is_in_group]])
        remaining = remaining[~is_in_group]
    return [group for group in groups if len(group) > 1]


def standardize(column: pl.Series) -> Array | None:
    """Numbers with mean 0 and deviation 1, gaps at the mean; None if few or all the same."""
    numbers = to_floats(column)
    if numbers is None or (is_present := ~np.isnan(numbers)).sum() < MIN_ROWS:
        return None
    filled = np.where(is_present, numbers, numbers[is_present].mean())
    std = filled.std()
    return (filled - filled.mean()) / std if std > 0 else None


CHECK = DuplicateColumns()

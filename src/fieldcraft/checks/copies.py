"""Columns that say the same as another column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import joined, listed
from fieldcraft.evidence.association import levels_of, numbers_of, some
from fieldcraft.evidence.records import Finding, sole, told_together

FEWEST = 20  # rows
SAME = 0.9999  # correlation
SAMPLE = 5_000
MOST_NUMBERS = 500
MOST_LEVELS = 0.5  # of the rows; above, any two columns of names go one to one
LEAST_MINORITY = 5  # rows outside the commonest level; below, two flags may agree by chance


class Copies:
    """Reports columns that repeat another: the same cells, recoded, or scaled."""

    code = "copies"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare the used columns with each other."""
        parsed = set(view.values.columns)
        names = [column.name for column in view.schema.columns if column.name in parsed]
        if view.values.height < FEWEST:
            return
        exact = list(self._exact(view, names))
        yield from (finding for _, finding in exact)
        repeats = {name for later, _ in exact for name in later}
        names = [name for name in names if name not in repeats]
        recoded = one_to_one(view, names)
        yield from self._pairs(recoded, "go one to one", "keep one; two names for one thing only "
                               "share its weight between them")  # fmt: skip
        known = {name for pair in recoded for name in pair}
        scaled = [pair for pair in correlated(view, names) if not known.issuperset(pair)]
        yield from self._pairs(scaled, f"have a correlation above {SAME}", "keep one; the other is "
                               "the same in other units")  # fmt: skip

    def _exact(self, view: View, names: list[str]) -> Iterator[tuple[list[str], Finding]]:
        for groups in told_together(alike(view, names)):
            later = [name for group in groups for name in group[1:]]
            title = f"{len(later)} columns repeat others in every row: {listed(later)}"
            first = sole(group[0] for group in groups)
            if first is not None:
                verb = "repeats" if len(later) == 1 else "repeat"
                title = f"{listed(later)} {verb} {first} in every row"
            yield (
                later,
                Finding(
                    self.code,
                    "warn",
                    title,
                    sole(group[1] for group in groups),
                    {"groups": groups, "rows": view.values.height},
                    "drop the repetition",
                    tuple(Edit(("data", "drop"), name, add=True) for name in later),
                ),
            )

    def _pairs(self, pairs: list[list[str]], how: str, advice: str) -> Iterator[Finding]:
        if pairs:
            title = f"{joined(pairs[0])} {how}"
            if len(pairs) > 1:
                shown = [" = ".join(pair) for pair in pairs]
                title = f"{len(pairs)} groups of columns {how}: {listed(shown, 5)}"
            yield Finding(
                self.code,
                "tip",
                title,
                None,
                {"columns": pairs},
                advice,
            )


def alike(view: View, names: list[str]) -> list[list[str]]:
    """Groups of columns with the same cells."""
    seen: dict[bytes, list[str]] = {}
    for name in names:
        if view.looks[name].distinct > 1 and not view.values[name].dtype.is_nested():
            seen.setdefault(cells_digest(view, name), []).append(name)
    return [group for group in seen.values() if len(group) > 1]


def cells_digest(view: View, name: str) -> bytes:
    """A digest of the values of a column and of where it has none."""
    values = view.values[name]
    numbers = numbers_of(values)
    if numbers is not None:
        return blake2b(numbers.tobytes(), digest_size=16).digest()
    state = blake2b(levels_of(values).tobytes(), digest_size=16)
    for level in values.unique(maintain_order=True).cast(str).to_list():
        state.update(b"-" if level is None else f"{len(level)}:{level}".encode())
    return state.digest()


def one_to_one(view: View, names: list[str]) -> list[list[str]]:
    """Groups of columns whose levels are the same up to their names."""
    seen: dict[bytes, list[str]] = {}
    rows = view.values.height
    for name in names:
        values = view.values[name]
        distinct = view.looks[name].distinct
        if not 2 <= distinct <= MOST_LEVELS * rows or values.dtype.is_nested():
            continue
        numbers = numbers_of(values)
        first = levels_of(values) if numbers is None else whole_levels(numbers)
        if rows - np.bincount(first).max() >= LEAST_MINORITY:
            seen.setdefault(blake2b(in_turn(first).tobytes()).digest(), []).append(name)
    return [group for group in seen.values() if len(group) > 1]


def whole_levels(numbers: Array) -> Array:
    """A code for each different number, NaN being one."""
    return np.unique(numbers, return_inverse=True)[1]


def in_turn(codes: Array) -> Array:
    """Codes renamed in the turn in which they first appear."""
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[codes]


def correlated(view: View, names: list[str]) -> list[list[str]]:
    """Groups of number columns that are the same up to scale."""
    rows = some(view.values.height, SAMPLE).tolist()
    numeric = [n for n in names if view.values[n].dtype.is_numeric() and view.looks[n].distinct > 2]
    tried = ((name, standardised(view.values[name][rows])) for name in numeric)
    columns = dict(islice(((n, c) for n, c in tried if c is not None), MOST_NUMBERS))
    if len(columns) < 2:
        return []
    table = np.array(list(columns.values()))
    same = np.abs(table @ table.T) / table.shape[1] > SAME
    left, groups = np.arange(len(columns)), []
    while len(left):
        like_first = same[left[0], left] | (left == left[0])
        groups.append([list(columns)[i] for i in left[like_first]])
        left = left[~like_first]
    return [group for group in groups if len(group) > 1]


def standardised(column: pl.Series) -> Array | None:
    """Numbers with mean 0 and deviation 1, gaps at the mean; None if few or all the same."""
    numbers = numbers_of(column)
    if numbers is None or (there := ~np.isnan(numbers)).sum() < FEWEST:
        return None
    filled = np.where(there, numbers, numbers[there].mean())
    spread = filled.std()
    return (filled - filled.mean()) / spread if spread > 0 else None


CHECK = Copies()

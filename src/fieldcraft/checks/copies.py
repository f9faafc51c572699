"""Columns that say the same as another column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

import numpy as np

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import joined, listed
from fieldcraft.evidence.association import levels_of, numbers_of, some
from fieldcraft.evidence.records import Finding

FEWEST = 20  # rows
APART = 3  # so many repetitions are told one by one, more of them in one line
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
        seen: dict[bytes, list[str]] = {}
        for name in names:
            if view.looks[name].distinct > 1 and not view.values[name].dtype.is_nested():
                seen.setdefault(cells_digest(view, name), []).append(name)
        groups = [group for group in seen.values() if len(group) > 1]
        for found in [[group] for group in groups] if len(groups) <= APART else [groups]:
            later = [name for group in found for name in group[1:]]
            title = f"{len(later)} columns repeat others in every row: {listed(later)}"
            if len(found) == 1:
                verb = "repeats" if len(later) == 1 else "repeat"
                title = f"{listed(later)} {verb} {found[0][0]} in every row"
            yield (
                later,
                Finding(
                    self.code,
                    "warn",
                    title,
                    later[0] if len(found) == 1 else None,
                    {"groups": found, "rows": view.values.height},
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
    rows = some(view.values.height, SAMPLE)
    columns: dict[str, Array] = {}
    for name in names:
        if view.values[name].dtype.is_numeric() and view.looks[name].distinct > 2:
            numbers = numbers_of(view.values[name][rows.tolist()])
            if numbers is not None and (there := ~np.isnan(numbers)).sum() >= FEWEST:
                filled = np.where(there, numbers, numbers[there].mean())
                if (spread := filled.std()) > 0:
                    columns[name] = (filled - filled.mean()) / spread
        if len(columns) == MOST_NUMBERS:
            break
    if len(columns) < 2:
        return []
    table = np.array(list(columns.values()))
    same = np.abs(table @ table.T) / table.shape[1] > SAME
    groups: list[list[str]] = []
    left = set(range(len(columns)))
    found = list(columns)
    for i in range(len(found)):
        group = [j for j in np.flatnonzero(same[i]) if j in left] if i in left else []
        left -= set(group)
        if len(group) > 1:
            groups.append([found[j] for j in group])
    return groups


CHECK = Copies()

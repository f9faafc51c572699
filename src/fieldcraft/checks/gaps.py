"""How gaps hang together: columns missing together, gaps told by another column, empty rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import joined, listed, plural
from fieldcraft.evidence.association import levels_of, some, uncertainty
from fieldcraft.evidence.records import Finding, sole

SAMPLE = 5_000
FEWEST = 20  # gaps a column must have for a pattern to show
ALIKE = 0.95  # of the gaps of two columns that are in the same rows
TOLD = 0.6  # of the uncertainty about a gap that another column takes away
MOST_TOLD = 30  # patterns that are looked into
MOST_TELLING = 100  # columns that may explain them
MOST_COLUMNS = 400  # compared with each other
EMPTY = 0.5  # of a row
APART = 4.0  # deviations between an empty row and the usual one, if gaps fell by chance
WIDE = 4  # columns from which on a row can be empty in part
MANY = 0.05


class Gaps:
    """Reports patterns of gaps: they say how the table was put together."""

    code = "gaps"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare where columns have gaps, with each other and with other columns' values."""
        parsed = set(view.values.columns)
        names = [column.name for column in view.schema.columns if column.name in parsed]
        if not names or not view.values.height:
            return
        features = view.values.select(names)
        yield from self._empty_rows(features, view)
        missing = {name: features[name].is_null().to_numpy() for name in names}
        holed = [
            name
            for name, rows in missing.items()
            if FEWEST <= rows.sum() <= len(rows) - FEWEST
        ][:MOST_COLUMNS]  # fmt: skip
        groups = together({name: missing[name] for name in holed})
        yield from self._together([group for group in groups if len(group) > 1], missing)
        yield from self._explained(features, [group[0] for group in groups], missing)

    def _empty_rows(self, features: pl.DataFrame, view: View) -> Iterator[Finding]:
        if features.width < WIDE:
            return
        share = features.select(pl.mean_horizontal(pl.all().is_null())).to_series().to_numpy()
        usual = float(np.median(share))
        by_chance = APART * (usual * (1 - usual) / features.width) ** 0.5
        empty = (share > EMPTY) & (share > usual + max(EMPTY / 2, by_chance))
        if not empty.any():
            return
        yield Finding(
            self.code,
            "warn" if empty.mean() >= MANY else "tip",
            f"{int(empty.sum()):,} of {len(empty):,} rows have no value in more than half of "
            f"{features.width} columns",
            None,
            {"rows": int(empty.sum()), "lines": [view.rows[i] for i in np.flatnonzero(empty)[:6]]},
            "find out where they come from; leave them out with data.filter if they are no cases",
        )

    def _together(self, groups: list[list[str]], missing: dict[str, Array]) -> Iterator[Finding]:
        if not groups:
            return
        rows = [int(missing[group[0]].sum()) for group in groups]
        title = f"{len(groups[0])} columns have their gaps in the same {rows[0]:,} rows"
        title += f": {listed(groups[0])}"
        if len(groups) > 1:
            shown = [
                f"{joined(group) if len(group) < 4 else f'{group[0]} and {len(group) - 1} more'} "
                f"({count:,} rows)"
                for group, count in zip(groups, rows, strict=True)
            ]
            title = f"{len(groups)} groups of columns have their gaps in the same rows: "
            title += listed(shown, 5)
        yield Finding(
            self.code,
            "tip",
            title,
            None,
            {"groups": groups, "rows": rows},
            "each group has one cause; ask what it is, and whether it is known at prediction",
        )

    def _explained(
        self, features: pl.DataFrame, names: list[str], missing: dict[str, Array]
    ) -> Iterator[Finding]:
        """Gaps that the values of another column foretell."""
        rows = some(features.height, SAMPLE)
        sample = features[rows.tolist()]
        codes = {name: levels_of(sample[name]) for name in features.columns[:MOST_TELLING]}
        found: dict[str, tuple[str, float]] = {}
        for name in names[:MOST_TOLD]:
            gap = missing[name][rows].astype(np.int64)
            told = {
                other: told_by(codes[other], gap, ~missing[other][rows])
                for other in codes
                if other != name
            }
            best = max(told, key=told.__getitem__, default=name)
            if told and told[best] >= TOLD:
                found[name] = (best, told[best])
        if found:
            shown = [f"{name} (by {by}, {told:.0%})" for name, (by, told) in found.items()]
            yield Finding(
                self.code,
                "tip",
                f"gaps of {plural(len(found), 'column')} depend on another column: "
                f"{listed(shown, 5)}",
                sole(found),
                {"told": {name: {"by": by, "share": told} for name, (by, told) in found.items()}},
                "such gaps often mean that the question does not apply: a level or number of "
                "their own is better than a filled value",
            )


def together(missing: dict[str, Array]) -> list[list[str]]:
    """Columns whose gaps are (nearly) in the same rows, as groups; most are alone."""
    names = list(missing)
    if not names:
        return []
    table = np.array([missing[name] for name in names], dtype=np.float32)
    both = table @ table.T
    counts = np.diag(both)
    alike = both >= ALIKE * (counts[:, None] + counts[None, :] - both)
    groups: list[list[str]] = []
    left = set(range(len(names)))
    for first in range(len(names)):
        if first in left:
            group = [i for i in np.flatnonzero(alike[first]) if i in left]
            left -= set(group)
            groups.append([names[i] for i in group])
    return groups


def told_by(codes: Array, gap: Array, there: Array) -> float:
    """Share of the uncertainty about a gap that a column takes away where it has a value."""
    known, gap = np.unique(codes[there], return_inverse=True)[1], gap[there]
    if len(gap) < FEWEST or min(gap.sum(), len(gap) - gap.sum()) < FEWEST / 2:
        return 0.0
    if len(gap) < 5 * (known.max() + 1):
        return 0.0
    return uncertainty(known, gap)


CHECK = Gaps()

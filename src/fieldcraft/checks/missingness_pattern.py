"""How gaps hang together: columns missing together, gaps told by another column, empty rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import join_names, pluralize, truncated_list
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.association import encode_levels, sample_rows, theils_u

MAX_SAMPLED_ROWS = 5_000
MIN_MISSING_ROWS = 20  # gaps a column must have for a pattern to show
MIN_JACCARD = 0.95  # of the gaps of two columns that are in the same rows
MIN_UNCERTAINTY_COEFFICIENT = 0.6  # of the uncertainty about a gap that another column takes away
MAX_EXPLAINED_COLUMNS = 30  # patterns that are looked into
MAX_EXPLAINING_COLUMNS = 100  # columns that may explain them
MAX_COMPARED_COLUMNS = 400  # compared with each other
EMPTY_ROW_FRACTION = 0.5  # of a row
MIN_EMPTY_ROW_Z_SCORE = (
    4.0  # deviations between an empty row and the usual one, if gaps fell by chance
)
MIN_COLUMNS_OF_EMPTY_ROWS = 4  # columns from which on a row can be empty in part
WARNING_FRACTION = 0.05


class MissingnessPattern:
    """Reports patterns of gaps: they say how the table was put together."""

    code = "gaps"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare where columns have gaps, with each other and with other columns' values."""
        parsed_columns = set(context.values.columns)
        names = [column.name for column in context.schema.columns if column.name in parsed_columns]
        if not names or not context.values.height:
            return
        features = context.values.select(names)
        yield from self._report_empty_rows(features, context)
        is_missing = {name: features[name].is_null().to_numpy() for name in names}
        incomplete_columns = [
            name
            for name, rows in is_missing.items()
            if MIN_MISSING_ROWS <= rows.sum() <= len(rows) - MIN_MISSING_ROWS
        ][:MAX_COMPARED_COLUMNS]  # fmt: skip
        groups = group_by_shared_gaps({name: is_missing[name] for name in incomplete_columns})
        yield from self._report_shared_gaps(
            [group for group in groups if len(group) > 1], is_missing
        )
        yield from self._report_explained_gaps(features, [group[0] for group in groups], is_missing)

    def _report_empty_rows(
        self, features: pl.DataFrame, context: CheckContext
    ) -> Iterator[Finding]:
        if features.width < MIN_COLUMNS_OF_EMPTY_ROWS:
            return
        missing_fraction = (
            features.select(pl.mean_horizontal(pl.all().is_null())).to_series().to_numpy()
        )
        median_fraction = float(np.median(missing_fraction))
        chance_margin = (
            MIN_EMPTY_ROW_Z_SCORE
            * (median_fraction * (1 - median_fraction) / features.width) ** 0.5
        )
        is_empty = (missing_fraction > EMPTY_ROW_FRACTION) & (
            missing_fraction > median_fraction + max(EMPTY_ROW_FRACTION / 2, chance_margin)
        )
        if not is_empty.any():
            return
        yield Finding(
            self.code,
            "warn" if is_empty.mean() >= WARNING_FRACTION else "tip",
            f"{int(is_empty.sum()):,} of {len(is_empty):,} rows have no value in more than half of "
            f"{features.width} columns",
            None,
            {
                "rows": int(is_empty.sum()),
                "lines": [context.row_numbers[i] for i in np.flatnonzero(is_empty)[:6]],
            },
            "find out where they come from; leave them out with data.filter if they are no cases",
        )

    def _report_shared_gaps(
        self, groups: list[list[str]], is_missing: dict[str, Array]
    ) -> Iterator[Finding]:
        if not groups:
            return
        missing_counts = [int(is_missing[group[0]].sum()) for group in groups]
        title = f"{len(groups[0])} columns have their gaps in the same {missing_counts[0]:,} rows"
        title += f": {truncated_list(groups[0])}"
        if len(groups) > 1:
            descriptions = [
                f"{join_names(group) if len(group) < 4 else f'{group[0]} and {len(group) - 1} more'} "
                f"({count:,} rows)"
                for group, count in zip(groups, missing_counts, strict=True)
            ]
            title = f"{len(groups)} groups of columns have their gaps in the same rows: "
            title += truncated_list(descriptions, 5)
        yield Finding(
            self.code,
            "tip",
            title,
            None,
            {"groups": groups, "rows": missing_counts},
            "each group has one cause; ask what it is, and whether it is known at prediction",
        )

    def _report_explained_gaps(
        self, features: pl.DataFrame, names: list[str], is_missing: dict[str, Array]
    ) -> Iterator[Finding]:
        """Gaps that the values of another column foretell."""
        rows = sample_rows(features.height, MAX_SAMPLED_ROWS)
        sample = features[rows.tolist()]
        codes = {
            name: encode_levels(sample[name]) for name in features.columns[:MAX_EXPLAINING_COLUMNS]
        }
        explained: dict[str, tuple[str, float]] = {}
        for name in names[:MAX_EXPLAINED_COLUMNS]:
            is_gap = is_missing[name][rows].astype(np.int64)
            coefficients = {
                candidate: gap_uncertainty_coefficient(
                    codes[candidate], is_gap, ~is_missing[candidate][rows]
                )
                for candidate in codes
                if candidate != name
            }
            best_column = max(coefficients, key=coefficients.__getitem__, default=name)
            if coefficients and coefficients[best_column] >= MIN_UNCERTAINTY_COEFFICIENT:
                explained[name] = (best_column, coefficients[best_column])
        if explained:
            descriptions = [
                f"{name} (by {explaining_column}, {coefficients:.0%})"
                for name, (explaining_column, coefficients) in explained.items()
            ]
            yield Finding(
                self.code,
                "tip",
                f"gaps of {pluralize(len(explained), 'column')} depend on another column: "
                f"{truncated_list(descriptions, 5)}",
                single_column(explained),
                {
                    "told": {
                        name: {"by": explaining_column, "share": coefficients}
                        for name, (explaining_column, coefficients) in explained.items()
                    }
                },
                "such gaps often mean that the question does not apply: a level or number of "
                "their own is better than a filled value",
            )


def group_by_shared_gaps(is_missing: dict[str, Array]) -> list[list[str]]:
    """Columns whose gaps are (nearly) in the same rows, as groups; most are alone."""
    names = list(is_missing)
    if not names:
        return []
    table = np.array([is_missing[name] for name in names], dtype=np.float32)
    shared_counts = table @ table.T
    counts = np.diag(shared_counts)
    is_similar = shared_counts >= MIN_JACCARD * (counts[:, None] + counts[None, :] - shared_counts)
    groups: list[list[str]] = []
    remaining = set(range(len(names)))
    for first in range(len(names)):
        if first in remaining:
            group = [i for i in np.flatnonzero(is_similar[first]) if i in remaining]
            remaining -= set(group)
            groups.append([names[i] for i in group])
    return groups


def gap_uncertainty_coefficient(codes: Array, is_gap: Array, is_present: Array) -> float:
    """Share of the uncertainty about a gap that a column takes away where it has a value."""
    present_codes, is_gap = np.unique(codes[is_present], return_inverse=True)[1], is_gap[is_present]
    if (
        len(is_gap) < MIN_MISSING_ROWS
        or min(is_gap.sum(), len(is_gap) - is_gap.sum()) < MIN_MISSING_ROWS / 2
    ):
        return 0.0
    if len(is_gap) < 5 * (present_codes.max() + 1):
        return 0.0
    return theils_u(present_codes, is_gap)


CHECK = MissingnessPattern()

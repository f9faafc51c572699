"""Patterns of missing values: shared by columns, explained by a column, or filling a row."""

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
MIN_MISSING_ROWS = 20  # of a column, and as many with a value; fewer show no pattern
MIN_JACCARD = 0.95  # similarity of the sets of rows in which two columns are missing
MIN_UNCERTAINTY_COEFFICIENT = 0.6  # of missingness, given another column (Theil's U)
MAX_EXPLAINED_COLUMNS = 30  # columns with missing values, one of each group
MAX_EXPLAINING_COLUMNS = 100
MIN_ROWS_PER_LEVEL = 5  # with fewer, levels explain missingness by chance
MAX_COMPARED_COLUMNS = 400  # pairwise
EMPTY_ROW_FRACTION = 0.5  # of the columns of a row
# Standard deviations above the median row if each value were missing at random.
MIN_EMPTY_ROW_Z_SCORE = 4.0
MIN_COLUMNS_OF_EMPTY_ROWS = 4  # with fewer, half of a row is only one value
WARNING_FRACTION = 0.05


class MissingnessPattern:
    """Reports patterns of missing values, which show how the table was collected."""

    code = "missingness_pattern"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare the missingness of columns with each other and with the values of others."""
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
        groups = group_by_shared_missingness(
            {name: is_missing[name] for name in incomplete_columns}
        )
        yield from self._report_shared_missingness(
            [group for group in groups if len(group) > 1], is_missing
        )
        yield from self._report_explained_missingness(
            features, [group[0] for group in groups], is_missing
        )

    def _report_empty_rows(
        self, features: pl.DataFrame, context: CheckContext
    ) -> Iterator[Finding]:
        if features.width < MIN_COLUMNS_OF_EMPTY_ROWS:
            return
        missing_fraction = (
            features.select(pl.mean_horizontal(pl.all().is_null())).to_series().to_numpy()
        )
        median_fraction = float(np.median(missing_fraction))
        # The binomial standard deviation of the missing fraction of a row.
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
            "warning" if is_empty.mean() >= WARNING_FRACTION else "info",
            f"{int(is_empty.sum()):,} of {len(is_empty):,} rows have no value in more than half of "
            f"the {features.width} columns",
            None,
            {
                "rows": int(is_empty.sum()),
                "line_numbers": [context.row_numbers[i] for i in np.flatnonzero(is_empty)[:6]],
            },
            "find out where they come from; exclude them with data.filter if they are not real "
            "cases",
        )

    def _report_shared_missingness(
        self, groups: list[list[str]], is_missing: dict[str, Array]
    ) -> Iterator[Finding]:
        if not groups:
            return
        missing_counts = [int(is_missing[group[0]].sum()) for group in groups]
        title = (
            f"{len(groups[0])} columns have missing values in the same {missing_counts[0]:,} rows: "
            f"{truncated_list(groups[0])}"
        )
        if len(groups) > 1:
            descriptions = [
                f"{short_group_name(group)} ({count:,} rows)"
                for group, count in zip(groups, missing_counts, strict=True)
            ]
            title = (
                f"{len(groups)} groups of columns have missing values in the same rows: "
                f"{truncated_list(descriptions, 5)}"
            )
        yield Finding(
            self.code,
            "info",
            title,
            None,
            {"groups": groups, "rows": missing_counts},
            "the columns of a group are probably missing for one reason; find out whether it holds "
            "at prediction too",
        )

    def _report_explained_missingness(
        self, features: pl.DataFrame, names: list[str], is_missing: dict[str, Array]
    ) -> Iterator[Finding]:
        """Report missing values that the values of another column explain."""
        rows = sample_rows(features.height, MAX_SAMPLED_ROWS)
        sample = features[rows.tolist()]
        codes = {
            name: encode_levels(sample[name]) for name in features.columns[:MAX_EXPLAINING_COLUMNS]
        }
        explained: dict[str, tuple[str, float]] = {}
        for name in names[:MAX_EXPLAINED_COLUMNS]:
            missing_codes = is_missing[name][rows].astype(np.int64)
            coefficients = {
                candidate: missingness_uncertainty_coefficient(
                    codes[candidate], missing_codes, ~is_missing[candidate][rows]
                )
                for candidate in codes
                if candidate != name
            }
            best_column = max(coefficients, key=coefficients.__getitem__, default=name)
            if coefficients and coefficients[best_column] >= MIN_UNCERTAINTY_COEFFICIENT:
                explained[name] = (best_column, coefficients[best_column])
        if explained:
            descriptions = [
                f"{name} (by {explaining_column}, {coefficient:.0%})"
                for name, (explaining_column, coefficient) in explained.items()
            ]
            yield Finding(
                self.code,
                "info",
                f"missing values of {pluralize(len(explained), 'column')} depend on another "
                f"column: {truncated_list(descriptions, 5)}",
                single_column(explained),
                {
                    "explained_fraction": {
                        name: {"column": explaining_column, "fraction": coefficient}
                        for name, (explaining_column, coefficient) in explained.items()
                    }
                },
                'such values often mean "not applicable": a level or number of their own is better '
                "than an imputed value",
            )


def short_group_name(group: list[str]) -> str:
    """The columns of a small group, or the first of a large one and how many more there are."""
    return join_names(group) if len(group) < 4 else f"{group[0]} and {len(group) - 1} more"


def group_by_shared_missingness(is_missing: dict[str, Array]) -> list[list[str]]:
    """Groups of columns that are missing in (nearly) the same rows; most have one column."""
    names = list(is_missing)
    if not names:
        return []
    table = np.array([is_missing[name] for name in names], dtype=np.float32)
    # One matrix product counts the shared rows of all pairs.
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


def missingness_uncertainty_coefficient(
    codes: Array, missing_codes: Array, is_present: Array
) -> float:
    """Theil's U of missingness given the codes of a column, on rows where that column has a value.

    Rows where both are missing would only repeat that they are missing together.

    Args:
        codes: of the explaining column, from 0, shape (rows,).
        missing_codes: 1 where the explained column is missing, else 0, shape (rows,).
        is_present: where the explaining column has a value, shape (rows,).
    """
    present_codes, missing_codes = (
        np.unique(codes[is_present], return_inverse=True)[1],
        missing_codes[is_present],
    )
    if (
        len(missing_codes) < MIN_MISSING_ROWS
        or min(missing_codes.sum(), len(missing_codes) - missing_codes.sum()) < MIN_MISSING_ROWS / 2
    ):
        return 0.0
    if len(missing_codes) < MIN_ROWS_PER_LEVEL * (present_codes.max() + 1):
        return 0.0
    return theils_u(present_codes, missing_codes)


CHECK = MissingnessPattern()

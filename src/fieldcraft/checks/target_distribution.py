"""Targets that are constant, censored, rounded or heavy-tailed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import format_number, truncated_list
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.association import split_targets

MIN_ROWS = 50
MIN_CENSORED_FRACTION = 0.01  # of the rows, at one end of the range
MIN_CENSORED_RATIO = 5.0  # to the rows of any of the 20 nearest values
MIN_MODE_FRACTION = 0.3  # of the rows at one value
MAX_DISTANCE_IN_IQR = 8.0  # beyond the quartiles; skewed targets reach far more than the usual 1.5
MAX_OUTLIER_FRACTION = 0.01  # a tail with more rows is a shape, not a mistake
MIN_TAIL_FRACTION = 0.25  # of the sum, held by the largest 1 % of the rows
# Fraction of the rows that are multiples of a step. Above the upper bound the step is the unit.
ROUNDED_FRACTION_RANGE = (0.2, 0.99)


class TargetDistribution:
    """Reports targets with a problematic distribution."""

    code = "target_distribution"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Check the distribution of each training target."""
        if context.task is None or context.y is None or not len(context.y):
            return
        targets = split_targets(context.y, context.targets)
        yield from self._report_constant([name for name, y in targets if np.all(y == y[0])])
        if context.task.output == "value":
            for name, y in targets:
                if len(y) >= MIN_ROWS and np.ptp(y) > 0:
                    yield from self._report_censoring(name, y)
                    yield from self._report_dominant_value(name, y)
                    yield from self._report_outliers(name, y, context)
                    yield from self._report_heavy_tail(name, y)
                    yield from self._report_rounding(name, y)

    def _report_constant(self, names: list[str]) -> Iterator[Finding]:
        if names:
            yield Finding(
                self.code,
                "warning",
                f"{truncated_list(names)} {'is' if len(names) == 1 else 'are'} the same in every "
                "training row",
                single_column(names),
                {"targets": names},
                "there is nothing to learn; add rows with other values, or split in another way",
            )

    def _report_censoring(self, name: str, y: Array) -> Iterator[Finding]:
        """Report many rows at an end of the range: values beyond it seem to be censored."""
        values, counts = np.unique(y, return_counts=True)
        if len(values) < MIN_ROWS:
            return
        for end_name, end_index, nearby_counts in (
            ("largest", -1, counts[-21:-1]),
            ("smallest", 0, counts[1:21]),
        ):
            count = int(counts[end_index])
            if (
                values[end_index] != 0  # zero is a natural end: no claims, no rain
                and count >= MIN_CENSORED_FRACTION * len(y)
                and count >= MIN_CENSORED_RATIO * nearby_counts.max()
            ):
                yield Finding(
                    self.code,
                    "info",
                    f"{name}: {count:,} of {len(y):,} rows ({count / len(y):.1%}) have the "
                    f"{end_name} value, {format_number(float(values[end_index]))}; values beyond "
                    "seem to be censored",
                    name,
                    {"value": float(values[end_index]), "rows": count},
                    "a model learns the limit, not the values beyond it; document that, or exclude "
                    "these rows with data.filter",
                )

    def _report_dominant_value(self, name: str, y: Array) -> Iterator[Finding]:
        values, counts = np.unique(y, return_counts=True)
        mode_index = int(counts.argmax())
        fraction = counts[mode_index] / len(y)
        if len(values) >= MIN_ROWS and fraction >= MIN_MODE_FRACTION:
            yield Finding(
                self.code,
                "info",
                f"{name} is {format_number(float(values[mode_index]))} in {fraction:.0%} of the "
                "rows",
                name,
                {"value": float(values[mode_index]), "rows": int(counts[mode_index])},
                "consider a hurdle model: one model predicts whether the target has this value, "
                "and another predicts it where it does not",
            )

    def _report_outliers(self, name: str, y: Array, context: CheckContext) -> Iterator[Finding]:
        low, high = np.quantile(y, [0.25, 0.75])
        is_outlier = (y < low - MAX_DISTANCE_IN_IQR * (high - low)) | (
            y > high + MAX_DISTANCE_IN_IQR * (high - low)
        )
        if high > low and 0 < is_outlier.sum() <= max(1, MAX_OUTLIER_FRACTION * len(y)):
            positions = np.flatnonzero(is_outlier)
            yield Finding(
                self.code,
                "info",
                f"{name}: {len(positions):,} training rows are far from the rest "
                f"({truncated_list([format_number(float(y[i])) for i in positions], 4)})",
                name,
                {
                    "values": y[positions[:20]].tolist(),
                    "rows": [context.row_numbers[i] for i in positions[:20]],
                },
                "review these rows: mistakes in the target do more harm than mistakes in features",
            )

    def _report_heavy_tail(self, name: str, y: Array) -> Iterator[Finding]:
        if y.min() < 0 or y.sum() == 0:
            return
        top_fraction = np.sort(y)[-max(1, len(y) // 100) :].sum() / y.sum()
        if top_fraction >= MIN_TAIL_FRACTION:
            yield Finding(
                self.code,
                "info",
                f"{name}: the largest 1% of the rows hold {top_fraction:.0%} of the sum",
                name,
                {"fraction": float(top_fraction)},
                "these rows dominate a squared error; consider mean absolute error as the metric, "
                "or the logarithm as the target",
            )

    def _report_rounding(self, name: str, y: Array) -> Iterator[Finding]:
        """Report that many rows are round numbers, which people estimated."""
        if not np.array_equal(y, np.round(y)) or len(np.unique(y)) < MIN_ROWS:
            return
        for step in (1_000, 100, 10):
            fraction = float((y % step == 0).mean())
            if (
                # One in `step` integers is a multiple by chance.
                fraction >= ROUNDED_FRACTION_RANGE[0] + 1 / step
                and fraction <= ROUNDED_FRACTION_RANGE[1]
            ):
                yield Finding(
                    self.code,
                    "info",
                    f"{name}: {fraction:.0%} of the rows are multiples of {step:,}",
                    name,
                    {"step": step, "fraction": fraction},
                    "these seem to be rounded; no model can be more exact than its targets",
                )
                return


CHECK = TargetDistribution()

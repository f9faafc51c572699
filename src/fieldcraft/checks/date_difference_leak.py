"""Dates whose distance from another date gives the target away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from fieldcraft.checks._base import SECONDS_PER_DAY
from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.association import (
    association_strength,
    encode_levels,
    split_targets,
    to_floats,
)

MAX_DATE_COLUMNS = 15
# Delays that are known at prediction (an age, a notice period) rarely explain as much.
MIN_ASSOCIATION = 0.4
ERROR_ASSOCIATION = 0.9
MIN_ASSOCIATION_GAIN = 0.05  # of the days between two dates over each date alone


@dataclass(frozen=True)
class DateDifference:
    """Two dates, and the association of the days between them with a target."""

    later: str
    earlier: str
    association: float


class DateDifferenceLeak:
    """Reports dates that seem to be written after the outcome, as a consequence of it."""

    code = "date_difference_leak"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Measure how the days between any two dates are associated with the training target."""
        if context.task is None or context.y is None or not len(context.y):
            return
        is_numeric_target = context.task.output == "value"
        for target, y in split_targets(context.y, context.targets):
            leaks: list[DateDifference] = []
            reported_dates: set[str] = set()
            for difference in sorted(
                iter_date_differences(context, y, is_numeric_target),
                key=lambda difference: -difference.association,
            ):
                # A date that gives the outcome away does so by its distance to every other date, so
                # only its strongest pair is reported, and not the other dates.
                if reported_dates.isdisjoint((difference.later, difference.earlier)):
                    leaks.append(difference)
                    reported_dates.add(difference.later)
            if leaks:
                yield self._build_finding(leaks, target)

    def _build_finding(self, leaks: list[DateDifference], target: str) -> Finding:
        names = [leak.later for leak in leaks]
        descriptions = [
            f"{leak.later} ({leak.association:.0%}, days after {leak.earlier})" for leak in leaks
        ]
        certain_names = [leak.later for leak in leaks if leak.association >= ERROR_ASSOCIATION]
        return Finding(
            self.code,
            "error" if certain_names else "warning",
            f"the time since another date explains much of {target}: "
            f"{truncated_list(descriptions, 4)}",
            single_column(names),
            {
                leak.later: {
                    "earlier_date": leak.earlier,
                    "association_strength": leak.association,
                }
                for leak in leaks
            },
            "find out when these dates are recorded; drop those that are not known at prediction",
            tuple(ConfigEdit(("data", "drop"), name, append=True) for name in certain_names),
        )


def iter_date_differences(
    context: CheckContext, y: Array, is_numeric_target: bool
) -> Iterator[DateDifference]:
    """Pairs of dates whose difference explains much more than each date alone."""
    date_columns = [
        column.name
        for column in context.schema.columns
        if context.values[column.name].dtype.is_temporal()
    ]
    seconds_by_column = {
        name: to_floats(context.values[name]) for name in date_columns[:MAX_DATE_COLUMNS]
    }
    days_by_column = {
        name: seconds / SECONDS_PER_DAY
        for name, seconds in seconds_by_column.items()
        if seconds is not None
    }
    single_associations = {
        name: association_strength(encode_levels(context.values[name]), y, is_numeric_target)
        for name in days_by_column
    }
    for pair in combinations(days_by_column, 2):
        days_between = days_by_column[pair[1]] - days_by_column[pair[0]]
        present_days = days_between[~np.isnan(days_between)]
        association = association_strength(
            encode_levels(pl.Series(days_between)), y, is_numeric_target, MIN_ASSOCIATION
        )
        if association >= max(
            MIN_ASSOCIATION, max(single_associations[name] for name in pair) + MIN_ASSOCIATION_GAIN
        ):
            # The date that usually comes later is the one that may be written after the outcome.
            earlier, later = pair if np.median(present_days) >= 0 else pair[::-1]
            yield DateDifference(later, earlier, association)


CHECK = DateDifferenceLeak()

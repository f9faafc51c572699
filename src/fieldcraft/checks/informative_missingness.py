"""Missing values that are associated with the target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fieldcraft.checks._base import LEAKAGE_THRESHOLD, MIN_CHI_SQUARE
from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.association import (
    association_strength,
    explained_variance_fraction,
    find_best_lift,
    split_targets,
)
from fieldcraft.statistics.serial_dependence import target_columns

MIN_ROWS_PER_SIDE = 20  # rows with a missing value, and rows with a value
WARNING_ASSOCIATION = 0.5
MIN_LIFT = 0.8  # of the distance from the base rate of a class to certainty
MIN_EXPLAINED_VARIANCE = 0.01  # of the target; with many rows, even less is significant


@dataclass(frozen=True)
class MissingnessAssociation:
    """How strongly the missingness of a column is associated with a target."""

    column: str
    explained_variance: float
    association: float
    lift: float
    is_filled_side: bool  # whether the rows with a value are nearly all of one class

    @property
    def is_strong(self) -> bool:
        """Whether it is worth a warning."""
        return self.association >= WARNING_ASSOCIATION or self.lift >= MIN_LIFT


class InformativeMissingness:
    """Reports columns whose missing values are associated with the target."""

    code = "informative_missingness"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare rows with and without a value, for each column and by missing values per row."""
        if context.y is None or context.task is None or not context.schema.columns:
            return
        is_numeric_target = context.task.output == "value"
        is_missing = {
            column.name: context.values[column.name].is_null().to_numpy()
            for column in context.schema.columns
        }
        for target, y in split_targets(context.y, context.targets):
            associations = [
                association
                for name, rows in is_missing.items()
                if (association := measure_missingness(name, rows, y, is_numeric_target))
            ]
            strong = [association for association in associations if association.is_strong]
            weak = [association for association in associations if not association.is_strong]
            # `target_leakage` reports associations from the threshold on.
            unreported = [item for item in strong if item.association < LEAKAGE_THRESHOLD]
            yield from self._report_strong(unreported, target)
            yield from self._report_weak(weak, target)
            yield from self._report_missing_counts(
                np.sum(list(is_missing.values()), axis=0), y, is_numeric_target, target
            )

    def _report_strong(
        self, associations: list[MissingnessAssociation], target: str
    ) -> Iterator[Finding]:
        if not associations:
            return
        associations = sorted(associations, key=lambda item: -max(item.association, item.lift))
        names, first = [association.column for association in associations], associations[0]
        title = (
            f"whether {truncated_list(names)} has a value explains {first.association:.0%} of "
            f"{target}"
        )
        if first.lift > first.association:
            side = "filled" if first.is_filled_side else "empty"
            title = f"where {truncated_list(names)} is {side}, {target} is {first.lift:.0%} certain"
        yield Finding(
            self.code,
            "warning",
            title,
            single_column(names),
            {
                "missingness_strength": {
                    association.column: {
                        "association_strength": association.association,
                        "lift": association.lift,
                    }
                    for association in associations
                }
            },
            "find out who fills it in and when; drop it if that is only after the outcome",
        )

    def _report_weak(
        self, associations: list[MissingnessAssociation], target: str
    ) -> Iterator[Finding]:
        if not associations:
            return
        associations = sorted(associations, key=lambda item: -item.explained_variance)
        names, max_explained = (
            [association.column for association in associations],
            f"{associations[0].explained_variance:.0%} of its variance",
        )
        title = f"missing values of {names[0]} are associated with {target} ({max_explained})"
        if len(names) > 1:
            title = (
                f"missing values of {len(names)} columns are associated with {target}: "
                f"{truncated_list(names)} (up to {max_explained})"
            )
        yield Finding(
            self.code,
            "info",
            title,
            single_column(names),
            {
                "explained_fraction": {
                    association.column: association.explained_variance
                    for association in associations
                }
            },
            "models see where values are missing; make sure that they are missing for the same "
            "reasons at prediction",
        )

    def _report_missing_counts(
        self, missing_counts: Array, y: Array, is_numeric_target: bool, target: str
    ) -> Iterator[Finding]:
        codes = np.unique(missing_counts, return_inverse=True)[1]
        association = association_strength(codes, y, is_numeric_target)
        if association >= WARNING_ASSOCIATION and codes.max() > 1:
            yield Finding(
                self.code,
                "warning",
                f"the number of missing values in a row explains {association:.0%} of {target}",
                None,
                {"association_strength": association, "max_missing": int(missing_counts.max())},
                "rows with different targets seem to come from different sources or times; find "
                "out how they were collected",
            )


def measure_missingness(
    name: str, is_missing: Array, y: Array, is_numeric_target: bool
) -> MissingnessAssociation | None:
    """The association of the missingness of one column, or None if it may be chance or is weak."""
    if min(is_missing.sum(), (~is_missing).sum()) < MIN_ROWS_PER_SIDE:
        return None
    codes = is_missing.astype(np.int64)
    # Under independence, n times the explained variance of a binary predictor is approximately
    # chi-square distributed with one degree of freedom, less its mean by Kelley's correction.
    explained_variance = explained_variance_fraction(codes, target_columns(y, is_numeric_target))
    if explained_variance < MIN_EXPLAINED_VARIANCE or explained_variance * len(y) < MIN_CHI_SQUARE:
        return None
    best_lift = None if is_numeric_target else find_best_lift(codes, y)
    is_filled_side = best_lift is not None and best_lift.code == 0
    return MissingnessAssociation(
        name,
        explained_variance,
        association_strength(codes, y, is_numeric_target),
        best_lift.lift if best_lift else 0.0,
        is_filled_side,
    )


CHECK = InformativeMissingness()

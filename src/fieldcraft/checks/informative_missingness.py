"""Gaps that tell of the target: where a value is missing, the target is another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

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

MIN_ROWS_PER_SIDE = 20  # rows with a gap, and rows without
LEAKAGE_THRESHOLD = 0.9  # from here on the check `leak` speaks
WARNING_ASSOCIATION = 0.5
MIN_LIFT = 0.8
MIN_EXPLAINED_VARIANCE = 0.01  # of the target's variance
MIN_CHI_SQUARE = 15.0  # chi-square of one degree of freedom: 1 in 10,000


@dataclass(frozen=True)
class MissingnessAssociation:
    """How much the gaps of a column tell."""

    column: str
    explained_variance: float
    association: float
    lift: float
    is_filled_side: bool  # whether it is the rows with a value that are nearly all of one class


class InformativeMissingness:
    """Reports columns whose gaps go with the target."""

    code = "informative_gaps"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare training rows with and without a value, column by column and row by row."""
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
            strong_associations = [
                association
                for association in associations
                if association.association >= WARNING_ASSOCIATION or association.lift >= MIN_LIFT
            ]
            yield from self._report_strong(
                [
                    association
                    for association in strong_associations
                    if association.association < LEAKAGE_THRESHOLD
                ],
                target,
            )
            yield from self._report_weak(
                [
                    association
                    for association in associations
                    if association not in strong_associations
                ],
                target,
            )
            yield from self._report_missing_counts(
                np.sum(list(is_missing.values()), axis=0), y, is_numeric_target, target
            )

    def _report_strong(
        self, associations: list[MissingnessAssociation], target: str
    ) -> Iterator[Finding]:
        if not associations:
            return
        associations = sorted(associations, key=lambda gap: -max(gap.association, gap.lift))
        names, first = [association.column for association in associations], associations[0]
        title = (
            f"whether {truncated_list(names)} has a value tells {first.association:.0%} of {target}"
        )
        if first.lift > first.association:
            side = "filled" if first.is_filled_side else "empty"
            title = f"where {truncated_list(names)} is {side}, {target} is {first.lift:.0%} certain"
        yield Finding(
            self.code,
            "warn",
            title,
            single_column(names),
            {
                "gaps": {
                    association.column: {"power": association.association, "lift": association.lift}
                    for association in associations
                }
            },
            "ask who fills it and when; if only after the event, drop it",
        )

    def _report_weak(
        self, associations: list[MissingnessAssociation], target: str
    ) -> Iterator[Finding]:
        if not associations:
            return
        associations = sorted(associations, key=lambda gap: -gap.explained_variance)
        names, max_explained = (
            [association.column for association in associations],
            f"{associations[0].explained_variance:.0%} of its variance",
        )
        title = f"gaps of {names[0]} go with {target} ({max_explained})"
        if len(names) > 1:
            title = f"gaps of {len(names)} columns go with {target}: {truncated_list(names)} (up to {max_explained})"
        yield Finding(
            self.code,
            "tip",
            title,
            single_column(names),
            {
                "told": {
                    association.column: association.explained_variance
                    for association in associations
                }
            },
            "models are told where values are missing; make sure that gaps come about in the same "
            "way at prediction",
        )

    def _report_missing_counts(
        self, missing_counts: Array, y: Array, is_numeric_target: bool, target: str
    ) -> Iterator[Finding]:
        codes = np.unique(missing_counts, return_inverse=True)[1]
        association = association_strength(codes, y, is_numeric_target)
        if association >= WARNING_ASSOCIATION and codes.max() > 1:
            yield Finding(
                self.code,
                "warn",
                f"the number of gaps in a row tells {association:.0%} of {target}",
                None,
                {"power": association, "most": int(missing_counts.max())},
                "rows of different classes seem to come from different sources or times; find out "
                "how they were put together",
            )


def measure_missingness(
    name: str, is_missing: Array, y: Array, is_numeric_target: bool
) -> MissingnessAssociation | None:
    """How much the gaps of one column tell, or None if that may be chance."""
    if min(is_missing.sum(), (~is_missing).sum()) < MIN_ROWS_PER_SIDE:
        return None
    codes = is_missing.astype(np.int64)
    explained_variance = explained_variance_fraction(codes, target_columns(y, is_numeric_target))
    if explained_variance < MIN_EXPLAINED_VARIANCE or explained_variance * len(y) < MIN_CHI_SQUARE:
        return None
    purest_code = None if is_numeric_target else find_best_lift(codes, y)
    is_filled_side = purest_code is not None and purest_code.code == 0
    return MissingnessAssociation(
        name,
        explained_variance,
        association_strength(codes, y, is_numeric_target),
        purest_code.lift if purest_code else 0.0,
        is_filled_side,
    )


CHECK = InformativeMissingness()

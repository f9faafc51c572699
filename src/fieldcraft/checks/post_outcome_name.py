"""Columns whose name suggests that they are known only after the outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fieldcraft.checks._base import LEAKAGE_THRESHOLD
from fieldcraft.checks._names import find_after_outcome_word, find_shared_word
from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.association import (
    association_strength,
    encode_levels,
    find_best_lift,
    split_targets,
)

# From this association on, a fix that drops the column is offered: a feature that is known before
# the outcome rarely explains as much.
FIX_ASSOCIATION = 0.7
WARNING_ASSOCIATION = 0.5
MIN_ASSOCIATION = 0.1  # below, a suspicious name does no harm
MIN_LIFT = 0.8  # of one value: of the distance from the base rate of a class to certainty


@dataclass(frozen=True)
class SuspectColumn:
    """A column with a suspicious name, and its association with the target."""

    name: str
    reason: str
    association: float
    lift: float

    @property
    def is_predictive(self) -> bool:
        """Whether its values too are strongly associated with the target."""
        return self.association >= WARNING_ASSOCIATION or self.lift >= MIN_LIFT


class PostOutcomeName:
    """Reports columns whose name and values suggest that they are written after the outcome."""

    code = "post_outcome_name"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Combine names with the association between columns and target on training rows."""
        if context.y is None or context.task is None or not len(context.y):
            return
        is_numeric_target = context.task.output == "value"
        weak_suspects: list[SuspectColumn] = []
        for target, y in split_targets(context.y, context.targets):
            for suspect in find_suspect_columns(context, target, y, is_numeric_target):
                if suspect.is_predictive:
                    yield self._report_predictive(suspect, target)
                else:
                    weak_suspects.append(suspect)
        if weak_suspects:
            yield self._report_weak(weak_suspects)

    def _report_weak(self, suspects: list[SuspectColumn]) -> Finding:
        names = list(dict.fromkeys(suspect.name for suspect in suspects))
        return Finding(
            self.code,
            "info",
            f"{pluralize(len(names), 'column sounds', 'columns sound')} as if known only after "
            f"the outcome: {truncated_list(names)}",
            single_column(names),
            {"columns": {suspect.name: suspect.association for suspect in suspects}},
            "find out when they are recorded; drop those that are not known at prediction",
        )

    def _report_predictive(self, suspect: SuspectColumn, target: str) -> Finding:
        has_fix = suspect.association >= FIX_ASSOCIATION or suspect.lift >= MIN_LIFT
        fraction = max(suspect.association, suspect.lift)
        description = f"explains {fraction:.0%} of {target}"
        if suspect.lift > suspect.association:
            description = f"has a value that makes {target} {fraction:.0%} certain"
        return Finding(
            self.code,
            "warning",
            f"{suspect.name} {description}, and {suspect.reason}",
            suspect.name,
            {"association_strength": suspect.association, "lift": suspect.lift},
            "find out when it is recorded; drop it unless it is known at prediction",
            (ConfigEdit(("data", "drop"), suspect.name, append=True),) if has_fix else (),
        )


def find_suspect_columns(
    context: CheckContext, target: str, y: Array, is_numeric_target: bool
) -> Iterable[SuspectColumn]:
    """Columns named after the outcome or like the target, with their association."""
    for column in context.schema.columns:
        name = column.name
        after_outcome_word, shared_target_word = (
            find_after_outcome_word(name),
            find_shared_word(name, target),
        )
        if not after_outcome_word and (is_numeric_target or not shared_target_word):
            continue  # names often share a word with a numeric target: list price and sale price
        codes = encode_levels(context.values[name])
        association = association_strength(codes, y, is_numeric_target)
        lift = 0.0 if is_numeric_target else find_best_lift(codes, y).lift
        reason = (
            f"shares {shared_target_word!r} with the target"
            if shared_target_word
            else f"says {after_outcome_word!r}"
        )
        # A shared word is weak evidence, so such columns must be predictive as well.
        suspect = SuspectColumn(name, f"its name {reason}", association, lift)
        if association < LEAKAGE_THRESHOLD and (
            association >= MIN_ASSOCIATION if after_outcome_word else suspect.is_predictive
        ):
            yield suspect


CHECK = PostOutcomeName()

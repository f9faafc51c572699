"""Columns whose name says that they are known only after the event."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.core.types import Array
from fieldcraft.data.column_names import shared_word, suggests_after_outcome
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.association import (
    association_strength,
    encode_levels,
    find_best_lift,
    split_targets,
)

LEAKAGE_THRESHOLD = 0.9  # from here on the check `leak` speaks
FIX_ASSOCIATION = (
    0.7  # of the target told by a column with such a name: not by a feature of the past
)
WARNING_ASSOCIATION = 0.5
MIN_ASSOCIATION = 0.1  # below, a name is only a name
MIN_LIFT = 0.8  # of the way to certainty that one value of the column goes for one class


@dataclass(frozen=True)
class SuspectColumn:
    """A column with a telling name, and how much it tells."""

    name: str
    reason: str
    association: float
    lift: float

    @property
    def is_predictive(self) -> bool:
        """Whether it tells much of the target, not by its name alone."""
        return self.association >= WARNING_ASSOCIATION or self.lift >= MIN_LIFT


class PostOutcomeName:
    """Reports columns that sound and act as if they were written after the event."""

    code = "hindsight"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Weigh names against how much the columns tell of the target on training rows."""
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
            "tip",
            f"{pluralize(len(names), 'column sounds', 'columns sound')} as if known only after "
            f"the event: {truncated_list(names)}",
            single_column(names),
            {"columns": {suspect.name: suspect.association for suspect in suspects}},
            "ask when they are written; drop those that are not known at prediction",
        )

    def _report_predictive(self, suspect: SuspectColumn, target: str) -> Finding:
        has_fix = suspect.association >= FIX_ASSOCIATION or suspect.lift >= MIN_LIFT
        fraction = max(suspect.association, suspect.lift)
        description = f"tells {fraction:.0%} of {target}"
        if suspect.lift > suspect.association:
            description = f"has a value that makes {target} {fraction:.0%} certain"
        return Finding(
            self.code,
            "warn",
            f"{suspect.name} {description}, and {suspect.reason}",
            suspect.name,
            {"power": suspect.association, "lift": suspect.lift},
            "ask when it is written; drop it unless it is known at the moment of prediction",
            (ConfigEdit(("data", "drop"), suspect.name, append=True),) if has_fix else (),
        )


def find_suspect_columns(
    context: CheckContext, target: str, y: Array, is_numeric_target: bool
) -> Iterable[SuspectColumn]:
    """Columns with a name that says "afterwards" or is kin to the target's, and their power."""
    for column in context.schema.columns:
        name = column.name
        after_outcome_word, shared_target_word = (
            suggests_after_outcome(name),
            shared_word(name, target),
        )
        if not after_outcome_word and (is_numeric_target or not shared_target_word):
            continue  # of a number, kin tell nothing: a list price is no leak of a sale price
        codes = encode_levels(context.values[name])
        association = association_strength(codes, y, is_numeric_target)
        lift = 0.0 if is_numeric_target else find_best_lift(codes, y).lift
        reason = (
            f"shares {shared_target_word!r} with the target"
            if shared_target_word
            else f"says {after_outcome_word!r}"
        )
        suspect = SuspectColumn(name, f"its name {reason}", association, lift)
        if association < LEAKAGE_THRESHOLD and (
            association >= MIN_ASSOCIATION if after_outcome_word else suspect.is_predictive
        ):
            yield suspect


CHECK = PostOutcomeName()

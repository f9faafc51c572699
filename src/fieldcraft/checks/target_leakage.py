"""A column that gives the target away by itself: by its values, or by where it has none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.types import Array
from fieldcraft.data.column_names import shared_word, suggests_after_outcome
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.association import (
    association_strength,
    chatterjee_xi,
    encode_levels,
    split_targets,
    to_floats,
)

ERROR_ASSOCIATION = 0.99  # of the target's uncertainty explained by one column: the run stops
LEAKAGE_THRESHOLD = 0.9
MIN_EXACTNESS = (
    0.99  # of a number target: strong is not enough, what an honest lag explains is strong too
)
MIN_FILLED_ROWS = 50  # rows that a column with gaps is judged on by itself
MIN_CONTAINED_FRACTION = 0.995  # of the filled rows of one column that are filled in another


@dataclass(frozen=True)
class EncodedColumn:
    """A column as what it tells by: codes in all rows and in those with a value, and numbers."""

    is_present: Array
    codes: Array
    present_codes: Array | None
    numbers: Array | None


@dataclass(frozen=True)
class TargetAssociation:
    """How much one column tells of a target.

    Attributes:
        association: of its values, in all rows or in those where it has one.
        missingness_association: of where it has no value.
        row_fraction: share of the rows that the power was taken on.
        is_certain: whether its values leave no doubt.
    """

    association: float
    missingness_association: float
    row_fraction: float
    is_certain: bool


class TargetLeakage:
    """Reports columns that alone tell (nearly) all of the target."""

    code = "leak"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Measure how much of the target each column explains on training rows."""
        if context.y is None or context.task is None or not len(context.y):
            return
        is_numeric_target = context.task.output == "value"
        columns = {
            c.name: encode_column(context.values[c.name], is_numeric_target)
            for c in context.schema.columns
        }
        for target, y in split_targets(context.y, context.targets):
            associations = {
                name: measure_association(column, y, is_numeric_target)
                for name, column in columns.items()
            }
            for name, association in associations.items():
                yield from self._report_column(name, target, association, is_numeric_target, len(y))
            yield from self._report_companions(columns, associations)

    def _report_column(
        self,
        name: str,
        target: str,
        association: TargetAssociation,
        is_numeric_target: bool,
        rows: int,
    ) -> Iterator[Finding]:
        strength = max(association.association, association.missingness_association)
        if strength < LEAKAGE_THRESHOLD:
            return
        reason = explain_suspect_name(name, target, is_numeric_target)
        is_error = (
            association.is_certain
            or association.missingness_association >= LEAKAGE_THRESHOLD
            or reason is not None
        )
        row_note = (
            f" where it has a value ({association.row_fraction:.0%} of the rows)"
            if association.row_fraction < 1
            else ""
        )
        title = f"{name} alone tells {association.association:.0%} of the target {target}{row_note}"
        if association.missingness_association >= LEAKAGE_THRESHOLD:
            title = f"whether {name} has a value tells {association.missingness_association:.0%} of the target {target}"
        yield Finding(
            self.code,
            "stop" if is_error else "warn",
            title + (f", and {reason}" if reason else ""),
            name,
            {"power": strength, "gaps": association.missingness_association, "rows": rows},
            "ask whether it is known at the moment of prediction; if not, drop it",
            (ConfigEdit(("data", "drop"), name, append=True),) if is_error else (),
        )

    def _report_companions(
        self, columns: dict[str, EncodedColumn], associations: dict[str, TargetAssociation]
    ) -> Iterator[Finding]:
        """Columns that are filled only where one whose gaps give the target away is filled."""
        leak_by_companion = find_companions(columns, associations)
        if leak_by_companion:
            names, leaking_column = list(leak_by_companion), next(iter(leak_by_companion.values()))
            filled_rows = {name: int(columns[name].is_present.sum()) for name in names}
            yield Finding(
                self.code,
                "warn",
                f"{truncated_list(names)} {'is' if single_column(names) else 'are'} filled only where {leaking_column} is, "
                "which gives the target away",
                single_column(names),
                {"within": leak_by_companion, "filled": filled_rows},
                "they seem to be written after the event too; drop them unless they are known "
                "at the moment of prediction",
                tuple(ConfigEdit(("data", "drop"), name, append=True) for name in names),
            )


def find_companions(
    columns: dict[str, EncodedColumn], associations: dict[str, TargetAssociation]
) -> dict[str, str]:
    """By column that tells little itself, the leaking column within whose rows it is filled."""
    leaking_columns = [
        name
        for name, association in associations.items()
        if association.missingness_association >= LEAKAGE_THRESHOLD
    ]
    leak_by_companion: dict[str, str] = {}
    for name, column in columns.items():
        count = column.is_present.sum()
        if (
            name in leaking_columns
            or associations[name].association >= LEAKAGE_THRESHOLD
            or count < MIN_FILLED_ROWS
        ):
            continue
        for leak in leaking_columns:
            if (
                column.is_present & columns[leak].is_present
            ).sum() >= MIN_CONTAINED_FRACTION * count:
                leak_by_companion.setdefault(name, leak)
    return leak_by_companion


def encode_column(column: pl.Series, is_numeric_target: bool) -> EncodedColumn:
    """A column made ready to be compared with a target, which may be a number."""
    is_present = column.is_not_null().to_numpy()
    has_gaps = MIN_FILLED_ROWS <= is_present.sum() < len(is_present)
    present_codes = encode_levels(column.filter(is_present)) if has_gaps else None
    return EncodedColumn(
        is_present,
        encode_levels(column),
        present_codes,
        to_floats(column) if is_numeric_target else None,
    )


def measure_association(
    column: EncodedColumn, y: Array, is_numeric_target: bool
) -> TargetAssociation:
    """How much one column tells of a target, in all rows and in those where it has a value."""
    is_present, row_fraction = column.is_present, 1.0
    association = association_strength(column.codes, y, is_numeric_target, LEAKAGE_THRESHOLD)
    missingness_association = association_strength(
        is_present.astype(np.int64), y, is_numeric_target, LEAKAGE_THRESHOLD
    )
    if column.present_codes is not None and association < ERROR_ASSOCIATION:
        present_association = association_strength(
            column.present_codes, y[is_present], is_numeric_target, LEAKAGE_THRESHOLD
        )
        association, row_fraction = (
            (present_association, float(is_present.mean()))
            if present_association > association
            else (association, row_fraction)
        )
    is_certain = association >= ERROR_ASSOCIATION
    if column.numbers is not None and association >= LEAKAGE_THRESHOLD:
        is_number = ~np.isnan(column.numbers)
        is_certain = chatterjee_xi(column.numbers[is_number], y[is_number]) >= MIN_EXACTNESS
    return TargetAssociation(association, missingness_association, row_fraction, is_certain)


def explain_suspect_name(name: str, target: str, is_numeric_target: bool) -> str | None:
    """What in its name says that a column is known only after the event."""
    after_outcome_word, shared_target_word = suggests_after_outcome(name), shared_word(name, target)
    # A list price is no leak of a sale price; whether one event happened tells of the other.
    if shared_target_word and not is_numeric_target:
        return f"its name shares {shared_target_word!r} with it"
    return f"its name says {after_outcome_word!r}" if after_outcome_word else None


CHECK = TargetLeakage()

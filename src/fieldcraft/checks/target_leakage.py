"""Columns that give the target away alone: by their values, or by their missing values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.checks._base import LEAKAGE_THRESHOLD
from fieldcraft.checks._names import find_after_outcome_word, find_shared_word
from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import join_names, truncated_list
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.association import (
    association_strength,
    chatterjee_xi,
    encode_levels,
    split_targets,
    to_floats,
)

ERROR_ASSOCIATION = 0.99  # from here on, a finding is an error and stops the run
# Chatterjee's xi of a numeric target. A strong association is not enough: a legitimate lagged value
# may explain 99 % of the variance, but only a copy determines the target exactly.
MIN_EXACTNESS = 0.99
MIN_FILLED_ROWS = 50  # of a column, for its association where it has a value
MIN_CONTAINED_FRACTION = 0.995  # of the filled rows of a column, filled in a leaking one too


@dataclass(frozen=True)
class EncodedColumn:
    """A column as codes in all rows and in those with a value, and as numbers."""

    is_present: Array
    codes: Array
    present_codes: Array | None
    numbers: Array | None


@dataclass(frozen=True)
class TargetAssociation:
    """The association of one column with a target.

    Attributes:
        association: of its values, in all rows or in those with a value.
        missingness_association: of its missingness.
        row_fraction: fraction of the rows that `association` was measured on.
        is_certain: whether its values determine the target.
    """

    association: float
    missingness_association: float
    row_fraction: float
    is_certain: bool


class TargetLeakage:
    """Reports columns that (nearly) determine the target alone."""

    code = "target_leakage"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Measure the association of each column with the target on training rows."""
        if context.y is None or context.task is None or not len(context.y):
            return
        is_numeric_target = context.task.output == "value"
        columns = {
            column.name: encode_column(context.values[column.name], is_numeric_target)
            for column in context.schema.columns
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
        title = (
            f"{name} alone explains {association.association:.0%} of the target {target}{row_note}"
        )
        if association.missingness_association >= LEAKAGE_THRESHOLD:
            title = (
                f"whether {name} has a value explains "
                f"{association.missingness_association:.0%} of the target {target}"
            )
        yield Finding(
            self.code,
            "error" if is_error else "warning",
            title + (f", and {reason}" if reason else ""),
            name,
            {
                "association_strength": strength,
                "missingness_strength": association.missingness_association,
                "rows": rows,
            },
            "find out whether it is known at prediction; if not, drop it",
            (ConfigEdit(("data", "drop"), name, append=True),) if is_error else (),
        )

    def _report_companions(
        self, columns: dict[str, EncodedColumn], associations: dict[str, TargetAssociation]
    ) -> Iterator[Finding]:
        """Report columns that are filled only in the rows of a column with leaking missingness."""
        leak_by_companion = find_companions(columns, associations)
        if leak_by_companion:
            names = list(leak_by_companion)
            leaking_columns = join_names(list(dict.fromkeys(leak_by_companion.values())), "or")
            filled_rows = {name: int(columns[name].is_present.sum()) for name in names}
            yield Finding(
                self.code,
                "warning",
                f"{truncated_list(names)} {'is' if single_column(names) else 'are'} filled only "
                f"where {leaking_columns} is, which gives the target away",
                single_column(names),
                {"leaking_column_by_companion": leak_by_companion, "filled_rows": filled_rows},
                "they seem to be written after the outcome too; drop them unless they are known at "
                "prediction",
                tuple(ConfigEdit(("data", "drop"), name, append=True) for name in names),
            )


def find_companions(
    columns: dict[str, EncodedColumn], associations: dict[str, TargetAssociation]
) -> dict[str, str]:
    """For each column filled only in the rows of a leaking column, that leaking column."""
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
    """Encode a column once, to be compared with several targets."""
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
    """The association of one column with a target, in all rows or in those with a value."""
    is_present, row_fraction = column.is_present, 1.0
    association = association_strength(column.codes, y, is_numeric_target, LEAKAGE_THRESHOLD)
    missingness_association = association_strength(
        is_present.astype(np.int64), y, is_numeric_target, LEAKAGE_THRESHOLD
    )
    # A column that is filled in few rows may determine the target there and explain little overall.
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
    """Why the name of a column suggests that it is known only after the outcome, if it does."""
    after_outcome_word, shared_target_word = (
        find_after_outcome_word(name),
        find_shared_word(name, target),
    )
    # A list price does not leak a sale price. But a column that shares a word with a class often
    # records the same event.
    if shared_target_word and not is_numeric_target:
        return f"its name shares {shared_target_word!r} with it"
    return f"its name says {after_outcome_word!r}" if after_outcome_word else None


CHECK = TargetLeakage()

"""Columns with missing values, and rows without a target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import truncated_list
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.ledger.records import MAX_SEPARATE_FINDINGS, Finding, Severity

WARNING_FRACTION = 0.3  # of the rows of a column, missing
NEARLY_ALL_FRACTION = 0.95
WARNING_TARGET_FRACTION = 0.01  # of the rows, which are left out of training and evaluation
MAX_DROPPED_VALUES = 50  # with fewer values a nearly empty column has too few to learn from


class MissingValues:
    """Reports columns with missing values, by how many are missing."""

    code = "missing_values"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Report rows without a target, and columns with missing values."""
        yield from (
            self._report_target(context.column_profiles[name])
            for name in context.targets
            if name in context.column_profiles
            and context.column_profiles[name].n_missing
            and context.column_profiles[name].n_unique
        )
        nearly_empty, mostly_incomplete, slightly_incomplete = (
            list[ColumnProfile](),
            list[ColumnProfile](),
            list[ColumnProfile](),
        )
        for column in context.schema.columns:
            profile = context.column_profiles[column.name]
            # A column without any value is of kind `constant`, whose own check reports it.
            if profile.n_missing and profile.n_unique:
                fraction = profile.n_missing / profile.n_rows
                (
                    nearly_empty
                    if fraction >= NEARLY_ALL_FRACTION
                    else mostly_incomplete
                    if fraction >= WARNING_FRACTION
                    else slightly_incomplete
                ).append(profile)
        advice = "they are imputed and flagged; find out whether they are missing at prediction too"
        yield from self._report_columns(
            nearly_empty, "warning", "drop it unless it matters that a value is missing"
        )
        yield from self._report_columns(mostly_incomplete, "warning", advice)
        yield from self._report_columns(slightly_incomplete, "info", advice)

    def _report_target(self, profile: ColumnProfile) -> Finding:
        return Finding(
            self.code,
            "warning" if profile.n_missing >= WARNING_TARGET_FRACTION * profile.n_rows else "info",
            f"{profile.n_missing:,} of {profile.n_rows:,} rows have no {profile.name}, the target, "
            "and are left out",
            profile.name,
            {"missing": profile.n_missing, "rows": profile.n_rows},
            "find out why; rows with a target may not represent the others",
        )

    def _report_columns(
        self, profiles: Sequence[ColumnProfile], severity: Severity, advice: str
    ) -> Iterator[Finding]:
        if len(profiles) <= MAX_SEPARATE_FINDINGS:
            for profile in profiles:
                description = (
                    f"{profile.n_missing:,} of {profile.n_rows:,} values missing "
                    f"({format_missing_fraction(profile)})"
                )
                evidence = {"missing": profile.n_missing, "rows": profile.n_rows}
                title = f"{profile.name}: {description}"
                yield Finding(
                    self.code,
                    severity,
                    title,
                    profile.name,
                    evidence,
                    advice,
                    drop_edits([profile]),
                )
            return
        profiles = sorted(profiles, key=lambda profile: -profile.n_missing)
        descriptions = truncated_list(
            [f"{profile.name} ({format_missing_fraction(profile)})" for profile in profiles]
        )
        yield Finding(
            self.code,
            severity,
            f"{len(profiles)} columns have missing values: {descriptions}",
            None,
            {
                "missing": {profile.name: profile.n_missing for profile in profiles},
                "rows": profiles[0].n_rows,
            },
            advice,
            drop_edits(profiles),
        )


def format_missing_fraction(profile: ColumnProfile) -> str:
    """The fraction of rows without a value, as a percentage."""
    return f"{profile.n_missing / profile.n_rows:.1%}"


def drop_edits(profiles: Sequence[ColumnProfile]) -> tuple[ConfigEdit, ...]:
    """Edits that drop nearly empty columns; with hundreds of values a column may be useful."""
    empty_columns = [
        profile.name
        for profile in profiles
        if profile.n_missing >= NEARLY_ALL_FRACTION * profile.n_rows
        and profile.n_rows - profile.n_missing < MAX_DROPPED_VALUES
    ]
    return tuple(ConfigEdit(("data", "drop"), name, append=True) for name in empty_columns)


CHECK = MissingValues()

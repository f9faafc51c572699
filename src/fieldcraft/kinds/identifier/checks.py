"""Checks of identifier columns."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core import catalog
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import truncated_list
from fieldcraft.data.column_names import split_words
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.ledger.records import Finding, group_findings, single_column

KEY_WORDS = frozenset({"id", "ids", "uuid", "guid", "key", "pk", "rowid", "index", "serial"})
MIN_DISTINCT_FRACTION = 0.5  # a named key has at most two rows per value on average
MIN_VALUES = 20


class IdentifierColumns:
    """Identifier columns: excluded by type inference, a risk where they are used."""

    code = "identifier"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Report the identifiers that are excluded, and warn about those used as features."""
        kind = catalog.load_plugin("kinds", "identifier")
        excluded_profiles: list[ColumnProfile] = []
        for column in context.schema.columns:
            profile = context.column_profiles[column.name]
            if column.kind == "identifier":
                excluded_profiles.append(profile)
            # The column that groups rows for the split is an identifier by design.
            elif column.kind in ("category", "number") and column.name != context.group_column:
                inference = kind.infer(profile)
                if inference or is_named_key(profile):
                    reason = (
                        inference.reason if inference else f"{profile.n_unique:,} distinct values"
                    )
                    yield self._report_used(profile, column.kind, reason)
        for profiles in group_findings(excluded_profiles):
            yield self._report_excluded(profiles)

    def _report_used(self, profile: ColumnProfile, kind: str, reason: str) -> Finding:
        return Finding(
            self.code,
            "warning",
            f"{profile.name} is used as a {kind} but looks like an identifier: {reason}",
            profile.name,
            {"distinct": profile.n_unique, "rows": profile.n_rows},
            "drop it: a model can only memorize it",
            (ConfigEdit(("data", "drop"), profile.name, append=True),),
        )

    def _report_excluded(self, profiles: list[ColumnProfile]) -> Finding:
        first, names = profiles[0], [profile.name for profile in profiles]
        title = f"{len(profiles)} identifiers are not used as features: {truncated_list(names)}"
        if single_column(names):
            title = (
                f"{first.name} is an identifier ({first.n_unique:,} distinct values in "
                f"{len(first.present_values):,} rows) and is not used as a feature"
            )
        return Finding(
            self.code,
            "info",
            title,
            single_column(names),
            {
                "distinct": {profile.name: profile.n_unique for profile in profiles},
                "rows": first.n_rows,
            },
            "if one carries meaning, set its kind under data.columns",
        )


def is_named_key(profile: ColumnProfile) -> bool:
    """Whether a column is named as a key and has few rows per value."""
    words = split_words(profile.name)
    if not words or words[-1] not in KEY_WORDS or len(profile.present_values) < MIN_VALUES:
        return False
    is_text_or_integer = profile.numeric_fraction < 1.0 or profile.is_integer
    return is_text_or_integer and profile.n_unique >= MIN_DISTINCT_FRACTION * len(
        profile.present_values
    )


CHECKS = (IdentifierColumns(),)

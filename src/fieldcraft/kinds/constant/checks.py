"""Checks of constant and nearly constant columns."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.ledger.records import Finding, group_findings, single_column

MIN_MODE_FRACTION = 0.995  # of the values that are not missing
MIN_VALUES = 50  # in columns of fewer values, a rare value is not that rare


class ConstantColumns:
    """Columns with the same value in every row."""

    code = "constant"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Report constant columns; offer to drop those that are used as features."""
        constants: dict[str, str] = {}
        for column in context.schema.columns:
            profile = context.column_profiles[column.name]
            # One value and missing ones are two levels: that it is missing may carry information.
            if profile.n_unique > 1 or (profile.n_unique == 1 and profile.n_missing):
                continue
            value = f"always {profile.most_common(1)[0][0]!r}" if profile.n_unique else "empty"
            if column.kind == "constant":
                constants[column.name] = value
            else:
                yield self._report_used(profile, value)
        for names in group_findings(constants):
            yield self._report_excluded({name: constants[name] for name in names})

    def _report_used(self, profile: ColumnProfile, value: str) -> Finding:
        return Finding(
            self.code,
            "warning",
            f"{profile.name} is {value}",
            profile.name,
            {"distinct": profile.n_unique, "missing": profile.n_missing, "rows": profile.n_rows},
            "drop it: it carries no information",
            (ConfigEdit(("data", "drop"), profile.name, append=True),),
        )

    def _report_excluded(self, values: dict[str, str]) -> Finding:
        column = single_column(values)
        title = (
            f"{len(values)} constant columns are not used as features: "
            f"{truncated_list(list(values))}"
        )
        if column is not None:
            title = f"{column} is {values[column]} and is not used as a feature"
        return Finding(self.code, "info", title, column, {"values": values}, "nothing to do")


class QuasiConstantColumns:
    """Columns with the same value in nearly every row."""

    code = "nearly_constant"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Report nearly constant columns; they stay, since the rare values may matter."""
        modes: dict[str, tuple[str, int]] = {}
        for column in context.schema.columns:
            profile = context.column_profiles[column.name]
            if (
                column.kind == "constant"
                or len(profile.present_values) < MIN_VALUES
                or profile.n_unique < 2
            ):
                continue
            value, count = profile.most_common(1)[0]
            if count >= MIN_MODE_FRACTION * len(profile.present_values):
                modes[column.name] = (value, len(profile.present_values) - count)
        if modes:
            descriptions = [
                f"{name} ({value!r} in all but {n_others:,})"
                for name, (value, n_others) in modes.items()
            ]
            yield Finding(
                self.code,
                "info",
                f"{pluralize(len(modes), 'column')} with one value in nearly every row: "
                f"{truncated_list(descriptions, 5)}",
                single_column(modes),
                {"others": {name: n_others for name, (_, n_others) in modes.items()}},
                "keep them if the few other rows matter, otherwise drop them",
            )


CHECKS = (ConstantColumns(), QuasiConstantColumns())

"""Checks of columns with one value, or nearly so."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.ledger.records import Finding, group_findings, single_column

MIN_MODE_FRACTION = 0.995  # of the values are the same
MIN_VALUES = 50


class ConstantColumns:
    """Columns that are the same in every row."""

    code = "constant"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Tell which columns never change; offer to set aside those that are still used."""
        constants: dict[str, str] = {}
        for column in context.schema.columns:
            profile = context.column_profiles[column.name]
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
            "warn",
            f"{profile.name} is {value}",
            profile.name,
            {"distinct": profile.n_unique, "missing": profile.n_missing, "rows": profile.n_rows},
            "drop it: it tells nothing",
            (ConfigEdit(("data", "drop"), profile.name, append=True),),
        )

    def _report_excluded(self, values: dict[str, str]) -> Finding:
        column = single_column(values)
        title = (
            f"{len(values)} columns never change and are set aside: {truncated_list(list(values))}"
        )
        if column is not None:
            title = f"{column} is {values[column]} and is set aside"
        return Finding(self.code, "tip", title, column, {"values": values}, "nothing to do")


class QuasiConstantColumns:
    """Columns with the same value in nearly every row."""

    code = "nearly_constant"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Tell which columns hardly ever change; rare values may matter, so they are kept."""
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
                f"{name} ({value!r} but for {n_others:,})"
                for name, (value, n_others) in modes.items()
            ]
            yield Finding(
                self.code,
                "tip",
                f"{pluralize(len(modes), 'column')} with one value in nearly every row: "
                f"{truncated_list(descriptions, 5)}",
                single_column(modes),
                {"others": {name: n_others for name, (_, n_others) in modes.items()}},
                "keep them if the few other rows matter, else drop them",
            )


CHECKS = (ConstantColumns(), QuasiConstantColumns())

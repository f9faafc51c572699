"""Columns about who a person is, by which a model may treat people unlike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.data.column_names import suggests_protected_attribute
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.association import explained_variance_fraction

MIN_ROWS_PER_GROUP = 50  # rows of a group, below which its figures have wide intervals
MAX_GROUPS = 30  # levels that can be told apart as groups
MIN_EXPLAINED_VARIANCE = 0.01  # of the variance of having a target that the group explains
MIN_CHI_SQUARE = 15.0  # chi-square of one degree of freedom: 1 in 10,000


class SensitiveFeatures:
    """Reports sensitive columns that are not declared, and groups that are hard to be fair to."""

    code = "sensitive"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Go by names, and count the rows and the missing targets of each group."""
        suspected_names = [
            name
            for name, profile in context.column_profiles.items()
            if profile.n_unique > 1
            and name not in context.targets
            and suggests_protected_attribute(name)
        ]
        yield from self._report_undeclared(
            [name for name in suspected_names if name not in context.sensitive_features]
        )
        for name in dict.fromkeys([*context.sensitive_features, *suspected_names]):
            if (
                name in context.column_profiles
                and 1 < context.column_profiles[name].n_unique <= MAX_GROUPS
            ):
                yield from self._report_small_groups(
                    context.column_profiles[name], name in context.sensitive_features
                )
                yield from self._report_missing_targets(context.column_profiles[name], context)

    def _report_undeclared(self, names: list[str]) -> Iterator[Finding]:
        if names:
            yield Finding(
                self.code,
                "tip",
                f"{pluralize(len(names), 'column')} may say who a person is: {truncated_list(names)}",
                single_column(names),
                {"words": {name: suggests_protected_attribute(name) for name in names}},
                "declare those that matter as problem.groups, so that figures are told by group",
                tuple(ConfigEdit(("problem", "groups"), name, append=True) for name in names),
            )

    def _report_small_groups(self, profile: ColumnProfile, is_declared: bool) -> Iterator[Finding]:
        small_groups = profile.value_counts.filter(pl.col("count") < MIN_ROWS_PER_GROUP)
        if small_groups.height:
            descriptions = [f"{value} ({count:,})" for value, count in small_groups.iter_rows()]
            yield Finding(
                self.code,
                "warn" if is_declared else "tip",
                f"{profile.name}: {small_groups.height} of {profile.n_unique} groups have fewer than {MIN_ROWS_PER_GROUP} "
                f"rows: {truncated_list(descriptions, 5)}",
                profile.name,
                {"rows": {str(value): int(count) for value, count in small_groups.iter_rows()}},
                "collect more rows of them; until then nobody can say how well they are served",
            )

    def _report_missing_targets(
        self, profile: ColumnProfile, context: CheckContext
    ) -> Iterator[Finding]:
        """Groups whose rows have a target more seldom than others'."""
        for name in context.targets:
            target_profile = context.column_profiles.get(name)
            if target_profile is None or not target_profile.n_missing:
                continue
            missing_targets = pl.DataFrame(
                {"group": profile.column, "gone": target_profile.column.is_null()}
            )
            missing_targets = missing_targets.drop_nulls("group")
            codes = missing_targets["group"].rank("dense").to_numpy().astype("int64") - 1
            explained_variance = explained_variance_fraction(
                codes, missing_targets["gone"].cast(pl.Float64).to_numpy()[:, None]
            )
            if (
                explained_variance < MIN_EXPLAINED_VARIANCE
                or explained_variance * len(codes) < MIN_CHI_SQUARE
            ):
                continue
            missing_fractions = (
                missing_targets.group_by("group").agg(pl.col("gone").mean()).sort("gone", "group")
            )
            lowest, highest = missing_fractions.row(0), missing_fractions.row(-1)
            yield Finding(
                self.code,
                "warn" if profile.name in context.sensitive_features else "tip",
                f"{name} is missing in {highest[1]:.0%} of the rows of {profile.name} {highest[0]}, in "
                f"{lowest[1]:.0%} of those of {lowest[0]}",
                profile.name,
                {
                    "missing": {
                        str(group): float(fraction)
                        for group, fraction in missing_fractions.iter_rows()
                    }
                },
                "find out who decides which rows get a target; a model learns from the others",
            )


CHECK = SensitiveFeatures()

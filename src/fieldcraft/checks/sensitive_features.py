"""Features about protected attributes of persons, by which a model may discriminate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from fieldcraft.checks._base import MIN_CHI_SQUARE
from fieldcraft.checks._names import find_protected_attribute_word, find_sensitive_columns
from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.association import explained_variance_fraction

MIN_ROWS_PER_GROUP = 50  # below, metrics of a group have wide intervals
MAX_GROUPS = 30
MIN_EXPLAINED_VARIANCE = 0.01  # of the missingness of the target, by the group


class SensitiveFeatures:
    """Reports undeclared sensitive features, small groups, and groups that lack targets."""

    code = "sensitive_features"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Match column names, and count the rows and the missing targets of each group."""
        declared = dict.fromkeys(context.sensitive_features)
        undeclared = [
            name
            for name in find_sensitive_columns(context)
            if name not in declared
            and name not in context.targets
            and context.column_profiles[name].n_unique > 1
        ]
        yield from self._report_undeclared(undeclared)
        for name in [*declared, *undeclared]:
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
                "info",
                f"{pluralize(len(names), 'column')} may be about a protected attribute: "
                f"{truncated_list(names)}",
                single_column(names),
                {"words": {name: find_protected_attribute_word(name) for name in names}},
                "declare those that matter as problem.sensitive_features to get metrics by group",
                tuple(
                    ConfigEdit(("problem", "sensitive_features"), name, append=True)
                    for name in names
                ),
            )

    def _report_small_groups(self, profile: ColumnProfile, is_declared: bool) -> Iterator[Finding]:
        small_groups = profile.value_counts.filter(pl.col("count") < MIN_ROWS_PER_GROUP)
        if small_groups.height:
            descriptions = [f"{value} ({count:,})" for value, count in small_groups.iter_rows()]
            yield Finding(
                self.code,
                "warning" if is_declared else "info",
                f"{profile.name}: {small_groups.height} of {profile.n_unique} groups have fewer "
                f"than {MIN_ROWS_PER_GROUP} rows: {truncated_list(descriptions, 5)}",
                profile.name,
                {"rows": {str(value): int(count) for value, count in small_groups.iter_rows()}},
                "collect more rows of them; with so few, metrics of these groups are too uncertain",
            )

    def _report_missing_targets(
        self, profile: ColumnProfile, context: CheckContext
    ) -> Iterator[Finding]:
        """Report groups whose rows lack a target more often than others."""
        for name in context.targets:
            target_profile = context.column_profiles.get(name)
            if target_profile is None or not target_profile.n_missing:
                continue
            missing_targets = pl.DataFrame(
                {"group": profile.column, "is_missing": target_profile.column.is_null()}
            )
            missing_targets = missing_targets.drop_nulls("group")
            codes = missing_targets["group"].rank("dense").to_numpy().astype("int64") - 1
            explained_variance = explained_variance_fraction(
                codes, missing_targets["is_missing"].cast(pl.Float64).to_numpy()[:, None]
            )
            # n times the explained variance is approximately chi-square distributed under
            # independence.
            if (
                explained_variance < MIN_EXPLAINED_VARIANCE
                or explained_variance * len(codes) < MIN_CHI_SQUARE
            ):
                continue
            missing_fractions = (
                missing_targets.group_by("group")
                .agg(pl.col("is_missing").mean())
                .sort("is_missing", "group")
            )
            lowest, highest = missing_fractions.row(0), missing_fractions.row(-1)
            yield Finding(
                self.code,
                "warning" if profile.name in context.sensitive_features else "info",
                f"{name} is missing in {highest[1]:.0%} of the rows where {profile.name} is "
                f"{highest[0]}, and in {lowest[1]:.0%} where it is {lowest[0]}",
                profile.name,
                {
                    "missing": {
                        str(group): float(fraction)
                        for group, fraction in missing_fractions.iter_rows()
                    }
                },
                "find out who decides which rows get a target; a model learns only from those",
            )


CHECK = SensitiveFeatures()

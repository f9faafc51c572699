"""Columns that tell who a person is although they do not say it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.types import Array
from fieldcraft.data.column_names import suggests_protected_attribute
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.association import (
    association_strength,
    encode_levels,
    sample_rows,
    to_floats,
)

MAX_SAMPLED_ROWS = 10_000
MIN_ASSOCIATION = 0.5
MAX_COLUMNS = 200
MAX_SENSITIVE_COLUMNS = 10
MAX_GROUPS = 30


class ProxyFeatures:
    """Reports columns from which a sensitive column can be told."""

    code = "proxies"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Measure how much the used columns tell of each sensitive one."""
        parsed_columns = set(context.values.columns)
        used_columns = [
            column.name for column in context.schema.columns if column.name in parsed_columns
        ]
        suspected_names = [
            name for name in context.column_profiles if suggests_protected_attribute(name)
        ]
        sensitive_names = [
            n
            for n in dict.fromkeys([*context.sensitive_features, *suspected_names])
            if n not in context.targets
        ]
        rows = sample_rows(len(context.row_numbers), MAX_SAMPLED_ROWS).tolist()
        other_names = [name for name in used_columns if name not in sensitive_names][:MAX_COLUMNS]
        sample = context.values[rows].select(other_names)
        proxies_by_column: dict[str, dict[str, float]] = {}
        for name in [name for name in sensitive_names if name in context.column_profiles][
            :MAX_SENSITIVE_COLUMNS
        ]:
            sensitive_values = (
                context.values
                if name in used_columns
                else context.column_profiles[name].column.to_frame()
            )
            proxies = find_proxies(sensitive_values[name][rows], sample)
            if proxies:
                proxies_by_column[name] = proxies
        if proxies_by_column:
            yield self._build_finding(proxies_by_column)

    def _build_finding(self, proxies_by_column: dict[str, dict[str, float]]) -> Finding:
        descriptions = [
            f"from {truncated_list([f'{proxy} ({association:.0%})' for proxy, association in proxies.items()], 3)}"
            for proxies in proxies_by_column.values()
        ]
        title = f"{next(iter(proxies_by_column))} can be told {descriptions[0]}"
        if len(proxies_by_column) > 1:
            sentences = [
                f"{name} {description}"
                for name, description in zip(proxies_by_column, descriptions, strict=True)
            ]
            title = f"{len(proxies_by_column)} sensitive columns can be told from others: {'; '.join(sentences[:4])}"
        return Finding(
            self.code,
            "tip",
            title,
            single_column(proxies_by_column),
            {"told": proxies_by_column},
            "leaving a sensitive column out does not make a model blind to it; compare figures by "
            "group instead",
        )


def find_proxies(sensitive: pl.Series, others: pl.DataFrame) -> dict[str, float]:
    """The columns from which a sensitive one can be told, and how well, the best first."""
    target, is_numeric_target = encode_sensitive(sensitive)
    is_present = ~np.isnan(target)
    if np.unique(target[is_present]).size < 2:
        return {}
    present_target = (
        target[is_present] if is_numeric_target else target[is_present].astype(np.int64)
    )
    associations = {
        other.name: association_strength(
            encode_levels(other.filter(is_present)), present_target, is_numeric_target
        )
        for other in others
    }
    proxies = {
        name: association
        for name, association in associations.items()
        if association >= MIN_ASSOCIATION
    }
    return dict(sorted(proxies.items(), key=lambda item: -item[1]))


def encode_sensitive(column: pl.Series) -> tuple[Array, bool]:
    """A sensitive column as something to tell, NaN where missing, and whether it is a number.

    Of words only the commonest 30 count, so that a column of names is not taken for groups.
    """
    numbers = to_floats(column)
    if numbers is not None and column.n_unique() > MAX_GROUPS:
        return numbers, True
    text = column.cast(pl.String)
    common_levels = text.drop_nulls().value_counts(sort=True, name="count").head(MAX_GROUPS)
    codes = text.set(~text.is_in(common_levels[column.name].to_list()), None).rank("dense")
    return codes.cast(pl.Float64).to_numpy() - 1, False


CHECK = ProxyFeatures()

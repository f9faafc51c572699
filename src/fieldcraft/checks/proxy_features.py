"""Features that act as proxies of sensitive features."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.checks._names import find_sensitive_columns
from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.types import Array
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
MAX_GROUPS = 30  # of a sensitive feature; numbers with more distinct values are not groups


class ProxyFeatures:
    """Reports features from which a sensitive feature can be predicted."""

    code = "proxy_features"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Measure the association of each sensitive feature with the other features."""
        parsed_columns = set(context.values.columns)
        used_columns = [
            column.name for column in context.schema.columns if column.name in parsed_columns
        ]
        sensitive_names = [
            name for name in find_sensitive_columns(context) if name not in context.targets
        ]
        rows = sample_rows(len(context.row_numbers), MAX_SAMPLED_ROWS).tolist()
        other_names = [name for name in used_columns if name not in sensitive_names][:MAX_COLUMNS]
        sample = context.values[rows].select(other_names)
        proxies_by_column: dict[str, dict[str, float]] = {}
        for name in [name for name in sensitive_names if name in context.column_profiles][
            :MAX_SENSITIVE_COLUMNS
        ]:
            # A sensitive feature that models do not use is not parsed, so its cells count as read.
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
            "from "
            f"{truncated_list([f'{name} ({value:.0%})' for name, value in proxies.items()], 3)}"
            for proxies in proxies_by_column.values()
        ]
        title = f"{next(iter(proxies_by_column))} can be predicted {descriptions[0]}"
        if len(proxies_by_column) > 1:
            column_descriptions = [
                f"{name} {description}"
                for name, description in zip(proxies_by_column, descriptions, strict=True)
            ]
            title = (
                f"{len(proxies_by_column)} sensitive features can be predicted from others: "
                f"{'; '.join(column_descriptions[:4])}"
            )
        return Finding(
            self.code,
            "info",
            title,
            single_column(proxies_by_column),
            {"explained_fraction": proxies_by_column},
            "dropping a sensitive feature does not keep a model from using it; compare metrics by "
            "group instead",
        )


def find_proxies(sensitive: pl.Series, others: pl.DataFrame) -> dict[str, float]:
    """The columns from which a sensitive one can be predicted, strongest association first."""
    target, is_numeric_target = encode_sensitive(sensitive)
    is_present = ~np.isnan(target)
    if np.unique(target[is_present]).size < 2:
        return {}
    present_target = (
        target[is_present] if is_numeric_target else target[is_present].astype(np.int64)
    )
    associations = {
        column.name: association_strength(
            encode_levels(column.filter(is_present)), present_target, is_numeric_target
        )
        for column in others
    }
    proxies = {
        name: association
        for name, association in associations.items()
        if association >= MIN_ASSOCIATION
    }
    return dict(sorted(proxies.items(), key=lambda item: -item[1]))


def encode_sensitive(column: pl.Series) -> tuple[Array, bool]:
    """A sensitive column as a target, NaN where missing, and whether it is numeric.

    Only the 30 most common categories count: a column of names has no groups.
    """
    numbers = to_floats(column)
    if numbers is not None and column.n_unique() > MAX_GROUPS:
        return numbers, True
    text = column.cast(pl.String)
    common_levels = text.drop_nulls().value_counts(sort=True, name="count").head(MAX_GROUPS)
    codes = text.set(~text.is_in(common_levels[column.name].to_list()), None).rank("dense")
    return codes.cast(pl.Float64).to_numpy() - 1, False


CHECK = ProxyFeatures()

"""Metrics of the champion for each group of the sensitive features."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import polars as pl

from fieldcraft.core.types import Array, Json
from fieldcraft.modeling.dataset import ModelingDataset, schema_of_columns
from fieldcraft.modeling.model_comparison import finite_or_none
from fieldcraft.project.settings import ProjectSettings
from fieldcraft.statistics.bootstrap import (
    CONFIDENCE_LEVEL,
    BootstrapPlan,
    percentile_interval,
    resample,
)
from fieldcraft.statistics.groups import MAX_GROUPS_PER_COLUMN, MIN_ROWS_PER_GROUP, groups_in_order
from fieldcraft.statistics.metrics import Metric, Predictions, weighted_mean

MAX_GROUP_METRICS = 4
PREFERRED_METRICS = (  # shown besides the main metric, in this order
    "recall", "precision", "accuracy", "mae", "mean_error", "macro_f1", "quadratic_kappa",
    "micro_f1",
)  # fmt: skip


def compute_group_metrics(
    dataset: ModelingDataset,
    evaluation_positions: Array,
    predictions: Predictions,
    main_metric: Metric,
    bootstrap_plan: BootstrapPlan,
    settings: ProjectSettings,
) -> list[Json]:
    """For each column of ``problem.sensitive_features``: metrics of each group and largest gaps.

    A gap is the difference between the groups with the highest and the lowest metric, on the same
    resamples of all evaluation rows. Since this pair is selected from all pairs of groups, its
    interval has a Bonferroni correction.
    """
    names = settings.problem.sensitive_features
    if not names:
        return []
    values = schema_of_columns(settings, names).apply(dataset.frame[evaluation_positions.tolist()])
    results = []
    for name in names:
        codes, group_names = groups_in_order(values[name])
        counts = dict(codes.value_counts(name="rows").iter_rows())
        measured_groups = [
            group for group in group_names if counts.get(group, 0) >= MIN_ROWS_PER_GROUP
        ][:MAX_GROUPS_PER_COLUMN]
        results.append(
            metrics_of_column(
                name,
                codes,
                measured_groups,
                (dataset, evaluation_positions, predictions),
                main_metric,
                bootstrap_plan,
            )
        )
    return results


def choose_group_metrics(dataset: ModelingDataset, main_metric: Metric) -> list[Metric]:
    """The metrics of groups: the main one, a few more, and the selection rate of a binary task."""
    metrics_by_name = {
        metric.name: metric for metric in dataset.task.metrics if metric is not main_metric
    }
    chosen = [
        main_metric,
        *(metrics_by_name[name] for name in PREFERRED_METRICS if name in metrics_by_name),
    ][:MAX_GROUP_METRICS]
    if dataset.task.name == "binary":
        chosen.append(Metric("selection_rate", "selection rate", True, selection_rate))
    return chosen


def selection_rate(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Fraction of rows that are predicted positive."""
    return weighted_mean(predictions.decisions == 1, weights)


def metrics_of_column(
    name: str,
    codes: pl.Series,
    measured_groups: list[str],
    evaluation: tuple[ModelingDataset, Array, Predictions],
    main_metric: Metric,
    bootstrap_plan: BootstrapPlan,
) -> Json:
    """The metrics of the groups of one column, on the same resamples of all evaluation rows.

    Args:
        name: name of the column.
        codes: group of each evaluation row.
        measured_groups: the groups with enough rows.
        evaluation: dataset, positions of the evaluation rows, and their predictions.
        main_metric: the metric by which models are compared.
        bootstrap_plan: the resamples.
    """
    dataset, evaluation_positions, predictions = evaluation
    y, metrics = dataset.y[evaluation_positions], choose_group_metrics(dataset, main_metric)
    masks = {group: (codes == group).to_numpy() for group in measured_groups}

    def metric_within(metric: Metric, mask: Array, weights: Array) -> Array:
        group_predictions = predictions.select_rows(mask)
        return metric.compute(y[mask], group_predictions, weights[:, mask])

    resampled = resample(
        {
            (group, metric.name): partial(metric_within, metric, mask)
            for group, mask in masks.items()
            for metric in metrics
        },
        bootstrap_plan,
    )
    gaps = {
        metric.name: max_group_gap(
            {group: resampled[group, metric.name] for group in measured_groups}
        )
        for metric in metrics
        if len(measured_groups) > 1
    }
    return {
        "column": name,
        "metric_titles": {metric.name: metric.title for metric in metrics},
        "groups": [
            {
                "group": group,
                "rows": int(masks[group].sum()),
                "metrics": {
                    metric.name: interval_to_json(resampled[group, metric.name])
                    for metric in metrics
                },
            }
            for group in measured_groups
        ],
        "skipped_groups": sorted(set(codes.unique().to_list()) - set(measured_groups)),
        "max_gaps": gaps,
    }


def max_group_gap(resampled_by_group: Mapping[str, Array]) -> Json:
    """The groups with the highest and the lowest metric, and the gap between them."""
    values_by_group = {
        group: values[0] for group, values in resampled_by_group.items() if np.isfinite(values[0])
    }
    if len(values_by_group) < 2:
        return {"value": None, "low": None, "high": None}
    high, low = (
        max(values_by_group, key=values_by_group.__getitem__),
        min(values_by_group, key=values_by_group.__getitem__),
    )
    # Bonferroni: this pair is the most extreme of n_pairs. With 1 / n_pairs of the error rate for
    # each, the intervals of all pairs hold together at the usual confidence level.
    n_pairs = len(values_by_group) * (len(values_by_group) - 1) / 2
    gap = interval_to_json(
        resampled_by_group[high] - resampled_by_group[low], 1 - (1 - CONFIDENCE_LEVEL) / n_pairs
    )
    return {"highest_group": high, "lowest_group": low, **gap}


def interval_to_json(resampled: Array, level: float = CONFIDENCE_LEVEL) -> Json:
    """A metric with its interval as JSON."""
    confidence_interval = percentile_interval(resampled, level)
    return {
        "value": finite_or_none(confidence_interval.value),
        "low": finite_or_none(confidence_interval.low),
        "high": finite_or_none(confidence_interval.high),
    }

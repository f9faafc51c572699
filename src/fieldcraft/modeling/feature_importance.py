"""Permutation importance: the decrease of a metric on evaluation rows when columns are shuffled.

Breiman, *Random Forests*, 2001; Fisher, Rudin & Dominici, *All Models are Wrong, but Many are
Useful*, JMLR 2019. Correlated columns share their importance: while one is shuffled, the model
still has the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from fieldcraft.core import catalog, seeds
from fieldcraft.core.types import Array, Json, ProgressCallback
from fieldcraft.modeling.dataset import ModelingDataset
from fieldcraft.modeling.fold_models import FoldModel
from fieldcraft.modeling.model_comparison import finite_or_none
from fieldcraft.statistics.association import association_strength, encode_levels
from fieldcraft.statistics.bootstrap import BootstrapPlan, percentile_interval, resample
from fieldcraft.statistics.metrics import Metric

MAX_EVALUATION_ROWS = 2_000
N_REPEATS = 3
# Each measured column costs N_REPEATS predictions that encode all columns, so the time grows with
# measured columns times all columns: MAX_COLUMN_ENCODINGS bounds that product.
MIN_COLUMNS = 20  # measured in any case
MAX_COLUMN_ENCODINGS = 40_000
N_RESAMPLES = 200
# Sums in another order differ in the last bits, so an effect of zero could come out as 1e-17.
DECIMALS = 12
INTERVAL_FIELDS = ("value", "low", "high")


@dataclass(frozen=True)
class WeightedEnsemble:
    """The fold models of each fold with their weights, and the calibration of their average."""

    members_by_fold: Sequence[Sequence[tuple[FoldModel, float]]]
    calibration: Json


@dataclass(frozen=True)
class PermutationImportance:
    """A model, and the metric measured on evaluation rows with and without shuffled columns."""

    model: WeightedEnsemble
    dataset: ModelingDataset
    metric: Metric
    seed: int

    @cached_property
    def evaluation_positions(self) -> list[Array]:
        """The evaluation rows of each fold, or a sample of them."""
        folds = self.dataset.folds
        return [sample_positions(fold.evaluation, len(folds), self.seed) for fold in folds]

    @cached_property
    def fold_tables(self) -> list[pl.DataFrame]:
        """The unshuffled rows of each fold."""
        return [
            self.dataset.features[positions.tolist()] for positions in self.evaluation_positions
        ]

    @cached_property
    def baseline_outputs(self) -> Array:
        """The outputs on the unshuffled rows."""
        return predict_by_fold(self.model, self.fold_tables)

    @cached_property
    def baseline_metric(self) -> Array:
        """The metric on the unshuffled rows and on their resamples, (1 + n_resamples,)."""
        return self.resampled_metric(self.baseline_outputs)

    def resampled_metric(self, outputs: Array) -> Array:
        """The metric of some outputs on the rows and on their resamples, (1 + n_resamples,)."""
        dataset, metric = self.dataset, self.metric
        y = dataset.y[np.concatenate(self.evaluation_positions)]
        bootstrap_plan = BootstrapPlan(
            len(y), seeds.derive_seed(self.seed, "resamples"), n_resamples=N_RESAMPLES
        )
        calibrated = dataset.task.apply_calibration(outputs, self.model.calibration)
        predictions = dataset.task.predictions_from_outputs(
            calibrated, dataset.target_spec, self.model.calibration
        )
        return resample(
            {0: lambda weights: metric.compute(y, predictions, weights)}, bootstrap_plan
        )[0]

    def metric_drop(self, columns: Sequence[str], seed_label: str) -> Json:
        """Decrease of the metric when some columns are shuffled together, with its interval."""
        sign = 1 if self.metric.greater_is_better else -1
        shuffled_metrics = [
            self.resampled_metric(
                predict_by_fold(
                    self.model,
                    permute_columns(
                        self.fold_tables, columns, seeds.derive_seed(self.seed, seed_label, repeat)
                    ),
                )
            )
            for repeat in range(N_REPEATS)
        ]
        # All outputs are measured on the same resamples (paired bootstrap): the variation of the
        # metric that both have in common cancels in the difference, and narrows the interval.
        confidence_interval = percentile_interval(
            sign * (self.baseline_metric - np.mean(shuffled_metrics, axis=0))
        )
        return {name: round_result(getattr(confidence_interval, name)) for name in INTERVAL_FIELDS}


def compute_feature_importance(
    permutation: PermutationImportance, on_progress: ProgressCallback
) -> list[Json]:
    """The importance of each column with its interval, largest first.

    An importance is the decrease of the metric, in its units; negative if the metric improves. If
    there are very many columns, only those most associated with the model's outputs are measured.
    """
    names = choose_columns_to_measure(
        pl.concat(permutation.fold_tables), permutation.baseline_outputs
    )
    results = []
    for index, name in enumerate(names):
        on_progress(f"shuffling {name}", index / len(names))
        results.append({"column": name, **permutation.metric_drop([name], name)})
    return sort_by_importance(results)


def compute_kind_importance(
    permutation: PermutationImportance,
    feature_importance: Sequence[Json],
    on_progress: ProgressCallback,
) -> list[Json]:
    """The importance of each kind of column: all its columns shuffled together, largest first.

    Information that several columns share is lost only if all of them are shuffled.

    Args:
        permutation: the model and the metric.
        feature_importance: importances of single columns, used for kinds with one column.
        on_progress: called with a message and the fraction done.

    Returns:
        An empty list if all columns are of one kind.
    """
    importance_by_column = {item["column"]: item for item in feature_importance}
    kinds: dict[str, list[str]] = {}
    for column in permutation.dataset.schema.columns:
        if catalog.load_plugin("kinds", column.kind).is_feature:
            kinds.setdefault(column.kind, []).append(column.name)
    results: list[Json] = []
    for index, (kind, names) in enumerate(kinds.items() if len(kinds) > 1 else ()):
        on_progress(f"shuffling all columns of the kind {kind}", index / len(kinds))
        single_column = importance_by_column.get(names[0]) if len(names) == 1 else None
        importance = single_column or permutation.metric_drop(names, f"kind {kind}")
        results.append(
            {
                "kind": kind,
                "columns": names,
                **{field_name: importance[field_name] for field_name in INTERVAL_FIELDS},
            }
        )
    return sort_by_importance(results)


def round_result(value: float) -> float | None:
    """Round away floating-point noise; adding 0.0 turns -0.0 into 0.0."""
    return finite_or_none(round(value, DECIMALS) + 0.0)


def sort_by_importance(results: list[Json]) -> list[Json]:
    """Largest importance first."""
    return sorted(results, key=lambda item: -(item["value"] or 0.0))


def choose_columns_to_measure(values: pl.DataFrame, outputs: Array) -> list[str]:
    """The columns to measure: all, or if very many, those most associated with the outputs."""
    max_columns = max(MIN_COLUMNS, MAX_COLUMN_ENCODINGS // max(values.width, 1))
    if values.width <= max_columns:
        return values.columns
    most_variable_output = outputs[:, outputs.std(axis=0).argmax()].astype(np.float64)
    association_by_column = {
        column.name: association_strength(
            encode_levels(column), most_variable_output, is_numeric=True
        )
        for column in values
    }
    return sorted(association_by_column, key=lambda name: -association_by_column[name])[
        :max_columns
    ]


def sample_positions(positions: Array, n_folds: int, seed: int) -> Array:
    """A sample of the evaluation rows of a fold, or all of them if there are few."""
    max_rows = MAX_EVALUATION_ROWS // n_folds
    if len(positions) <= max_rows:
        return positions
    return np.sort(np.random.default_rng(seed).choice(positions, max_rows, replace=False))


def predict_by_fold(model: WeightedEnsemble, tables: Sequence[pl.DataFrame]) -> Array:
    """The outputs on the rows of each fold, by the fold models of that fold."""
    return np.concatenate(
        [
            np.average(
                [fold_model.outputs(table) for fold_model, _ in members],
                axis=0,
                weights=[weight for _, weight in members],
            )
            for members, table in zip(model.members_by_fold, tables, strict=True)
        ]
    )


def permute_columns(
    tables: Sequence[pl.DataFrame], columns: Sequence[str], seed: int
) -> list[pl.DataFrame]:
    """Copies of the tables with some columns shuffled jointly, within each table.

    Jointly: one permutation moves whole rows of these columns, so their relations to each other are
    kept. A table holds the rows of one fold, each predicted by the models of that fold.
    """
    rng = np.random.default_rng(seed)
    return [
        table.with_columns(table[list(columns)][rng.permutation(table.height).tolist()])
        for table in tables
    ]

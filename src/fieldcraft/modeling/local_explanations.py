"""Explain predictions of single rows by occlusion: change a cell and predict again.

Occlusion (Zeiler & Fergus, *Visualizing and Understanding Convolutional Networks*, ECCV 2014)
works for every champion: an ensemble, trees or a network. The kind of a column decides which parts
of a cell are removed, and returns JSON: ``spans`` (text and weight) or a ``heatmap`` (a ``data:``
URL), and ``max_effect``, the largest change of the score by one part. Weights range from -1
(against the prediction) to 1 (for it). If the champion has a network that reads such columns,
``network_maps`` holds its attribution maps by method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.core import catalog
from fieldcraft.core.types import Array, Json, ProgressCallback
from fieldcraft.modeling.dataset import ModelingDataset
from fieldcraft.modeling.feature_importance import WeightedEnsemble, predict_by_fold
from fieldcraft.statistics.metrics import Predictions


@dataclass(frozen=True)
class ExplainedOutput:
    """The output of the champion that is explained for a row.

    Attributes:
        output_index: index of the output.
        class_or_label: class or label of the output; None for a predicted value.
        score_scale: what counts as a large change of the output: 1 for a probability, the
            interquartile range of the target for a value.
    """

    output_index: int
    class_or_label: str | None
    score_scale: float

    def select(self, outputs: Array) -> Array:
        """The explained output of each row, (n,)."""
        return np.asarray(outputs[:, self.output_index], dtype=np.float64)


def explain_rows(
    ensembles: Sequence[WeightedEnsemble],
    dataset: ModelingDataset,
    positions: Sequence[int],
    on_progress: ProgressCallback,
) -> list[Json]:
    """Explain the predictions of some evaluation rows.

    Args:
        ensembles: for each fold its fold models and their calibration.
        dataset: the dataset that they were trained on.
        positions: positions of the evaluation rows.
        on_progress: called with a message and the fraction done.

    Returns:
        For each row its ``position``, the ``score`` that is explained, its ``class_or_label`` and
        ``score_scale``, and ``columns``: the explanations by column.
    """
    fold_index_by_position = {
        int(evaluation_position): fold_index
        for fold_index, fold in enumerate(dataset.folds)
        for evaluation_position in fold.evaluation
    }
    explanations = []
    for index, position in enumerate(positions):
        on_progress(f"explaining row {index + 1} of {len(positions)}", index / len(positions))
        ensemble = ensembles[fold_index_by_position[position]]
        explanations.append(explain_row(ensemble, dataset, position))
    return explanations


def explain_row(ensemble: WeightedEnsemble, dataset: ModelingDataset, position: int) -> Json:
    """Explain one row with the fold models that were not trained on it."""
    row = dataset.features[position : position + 1]

    def calibrated_outputs(values: pl.DataFrame) -> Array:
        return dataset.task.apply_calibration(
            predict_by_fold(ensemble, [values]), ensemble.calibration
        )

    outputs = calibrated_outputs(row)
    explained_output = choose_explained_output(
        dataset,
        position,
        dataset.task.predictions_from_outputs(outputs, dataset.target_spec, ensemble.calibration),
    )
    columns: dict[str, Json] = {}
    for column in dataset.schema.columns:
        # The default binds the column of this iteration; a closure would see the last one.
        def rescore(cells: Sequence[object], column_name: str = column.name) -> Array:
            return explained_output.select(
                calibrated_outputs(replace_cells(row, column_name, cells))
            )

        explanation = catalog.load_plugin("kinds", column.kind).explain(
            row[column.name][0], rescore
        )
        if explanation:
            columns[column.name] = explanation
    for name, maps in (
        network_attributions(ensemble, dataset, row, explained_output).items() if columns else ()
    ):
        if name in columns:
            columns[name]["network_maps"] = maps
    value = float(explained_output.select(outputs)[0])
    return {
        "position": position, "class_or_label": explained_output.class_or_label,
        "score": value, "score_scale": explained_output.score_scale,
        "columns": columns,
    }  # fmt: skip


def replace_cells(row: pl.DataFrame, column_name: str, cells: Sequence[object]) -> pl.DataFrame:
    """Copies of the row with one column replaced by each of the cells."""
    repeated = row[[0] * len(cells)]
    return repeated.with_columns(pl.Series(column_name, cells, dtype=row.schema[column_name]))


def network_attributions(
    ensemble: WeightedEnsemble,
    dataset: ModelingDataset,
    row: pl.DataFrame,
    explained_output: ExplainedOutput,
) -> dict[str, Json]:
    """Attribution maps by column, of the network with the largest weight; {} without a network."""
    for fold_model, _ in sorted(ensemble.members_by_fold[0], key=lambda pair: -pair[1]):
        network = getattr(fold_model.fitted, "network", None)
        if network is None:
            continue
        tensors = fold_model.encoders.transform(fold_model.encoders.precompute(row)).tensors()
        maps_by_column: dict[str, Json] = {}
        for name in fold_model.encoders.by_kind:
            columns = [column.name for column in dataset.schema.columns_of_kind(name)]
            kind = catalog.load_plugin("kinds", name)
            maps = kind.attributions(
                network, tensors, explained_output.output_index, dataset.task.output
            )
            maps_by_column.update(zip(columns, maps, strict=False))
        return maps_by_column
    return {}


def choose_explained_output(
    dataset: ModelingDataset, position: int, predictions: Predictions
) -> ExplainedOutput:
    """The predicted class or value; for labels, the one with the largest error."""
    if dataset.task.output == "value":
        return ExplainedOutput(0, None, typical_spread(dataset.y))
    if dataset.task.output == "labels":
        output_index = int(np.abs(predictions.outputs[0] - dataset.y[position]).argmax())
        return ExplainedOutput(output_index, str(dataset.target_spec["labels"][output_index]), 1.0)
    class_label = str(dataset.task.to_frame(predictions, dataset.target_spec)["prediction"][0])
    return ExplainedOutput(int(predictions.decisions[0]), class_label, 1.0)


def typical_spread(y: Array) -> float:
    """The interquartile range of a target, which is robust to outliers."""
    lower_quartile, upper_quartile = np.quantile(y, [0.25, 0.75])
    return float(upper_quartile - lower_quartile) or float(y.std()) or 1.0

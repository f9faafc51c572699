"""Why the champion said of single rows what it said: cells are changed, and it is asked again.

That is true of whatever the champion is made of, a blend, trees or a network. How a cell is changed
is known to its kind, which returns what it found as JSON: ``spans`` (text and weight) or a
``picture`` (a ``data:`` address), and ``most``, by how much the heaviest part moves the score.
Weights go from -1, against what was said, to 1, for it. Where the champion has a network that reads
such columns, ``network`` holds further maps by name, such as those of its gradients.
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
    """What is explained of a row: one of the champion's outputs.

    Attributes:
        output_index: which output.
        class_or_label: the class or label whose probability it is; None where it is the predicted value.
        score_scale: what counts as a large difference: a probability of 1, the usual spread of a target.
    """

    output_index: int
    class_or_label: str | None
    score_scale: float

    def select(self, outputs: Array) -> Array:
        """The output that is explained, of each row."""
        return np.asarray(outputs[:, self.output_index], dtype=np.float64)


def explain_rows(
    ensembles: Sequence[WeightedEnsemble],
    dataset: ModelingDataset,
    positions: Sequence[int],
    on_progress: ProgressCallback,
) -> list[Json]:
    """For some judge rows what each column that can be explained has to do with the prediction.

    Args:
        ensembles: for each fold the members that judge its rows, with their calibration.
        dataset: the rows that they were developed on.
        positions: of judge rows.
        on_progress: told how far it is.

    Returns:
        For each row its ``position``, the ``score`` that is explained, the class or label that it
        is ``of``, its ``unit``, and ``columns``: what kinds found, by column.
    """
    fold_by_position = {
        int(evaluation_position): index
        for index, fold in enumerate(dataset.folds)
        for evaluation_position in fold.evaluation
    }
    explanations = []
    for index, position in enumerate(positions):
        on_progress(f"explaining row {index + 1} of {len(positions)}", index / len(positions))
        explanations.append(explain_row(ensembles[fold_by_position[position]], dataset, position))
    return explanations


def explain_row(ensemble: WeightedEnsemble, dataset: ModelingDataset, position: int) -> Json:
    """Why a row was predicted as it was, by the members that had not seen it."""
    row = dataset.features[position : position + 1]

    def calibrated_outputs(values: pl.DataFrame) -> Array:
        return dataset.task.apply_calibration(
            predict_by_fold(ensemble, [values]), ensemble.calibration
        )

    plain = calibrated_outputs(row)
    explained_output = choose_explained_output(
        dataset,
        position,
        dataset.task.predictions_from_outputs(plain, dataset.target_spec, ensemble.calibration),
    )
    columns: dict[str, Json] = {}
    for column in dataset.schema.columns:

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
            columns[name]["network"] = maps
    value = float(explained_output.select(plain)[0])
    return {
        "position": position, "of": explained_output.class_or_label, "score": value, "unit": explained_output.score_scale,
        "columns": columns,
    }  # fmt: skip


def replace_cells(row: pl.DataFrame, column_name: str, cells: Sequence[object]) -> pl.DataFrame:
    """The row as often as there are cells, with these in one column."""
    repeated = row[[0] * len(cells)]
    return repeated.with_columns(pl.Series(column_name, cells, dtype=row.schema[column_name]))


def network_attributions(
    ensemble: WeightedEnsemble,
    dataset: ModelingDataset,
    row: pl.DataFrame,
    explained_output: ExplainedOutput,
) -> dict[str, Json]:
    """Maps by column of what the champion's network, if it has one, traces its output back to."""
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
    """What is to be explained of a row: of labels the one that is furthest from the truth."""
    if dataset.task.output == "value":
        return ExplainedOutput(0, None, typical_spread(dataset.y))
    if dataset.task.output == "labels":
        output_index = int(np.abs(predictions.outputs[0] - dataset.y[position]).argmax())
        return ExplainedOutput(output_index, str(dataset.target_spec["labels"][output_index]), 1.0)
    class_label = str(dataset.task.to_frame(predictions, dataset.target_spec)["prediction"][0])
    return ExplainedOutput(int(predictions.decisions[0]), class_label, 1.0)


def typical_spread(y: Array) -> float:
    """How far apart the quartiles of a target are, which no single value blows up."""
    lower_quartile, upper_quartile = np.quantile(y, [0.25, 0.75])
    return float(upper_quartile - lower_quartile) or float(y.std()) or 1.0

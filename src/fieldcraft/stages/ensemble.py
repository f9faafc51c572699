"""Ensemble the trained models if that improves the loss on the validation rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.contracts import Stage
from fieldcraft.core import files
from fieldcraft.core.types import Array, Json
from fieldcraft.modeling.candidate import find_models, select_outputs
from fieldcraft.modeling.dataset import TARGET_SECTIONS, ModelingDataset, load_dataset
from fieldcraft.project.context import StageContext

ENSEMBLE_NAME = "ensemble"
# The weight of a model is the fraction of rounds that select it. Twenty rounds are no better than
# ten: docs/log.md.
N_SELECTION_ROUNDS = 10
N_RESAMPLES = 20  # of the validation rows, so that a few rows do not determine the weights
MAX_OUTPUTS_PER_RESAMPLE = 100_000  # rows times outputs, so that many classes stay affordable
MIN_WEIGHT = 0.1  # a smaller weight is not worth the latency and size of another model
MIN_COMPLEXITY = 2  # of a member; the constant and one-rule baselines stay out
MIN_RELATIVE_GAIN = 1e-4  # of the validation loss, over the best single model


def ensemble(context: StageContext) -> Json:
    """Choose ensemble weights by the loss on the validation rows; no model is trained again."""
    if not context.settings.model.ensemble:
        return {"weights": {}}
    dataset = load_dataset(context.inputs["split"], context.settings)
    model_folders = find_models({name: context.inputs[name] for name in ("baseline", "train")})
    metadata = {
        name: files.read_json(folder / "model.json") for name, folder in model_folders.items()
    }
    tables = {
        name: pl.read_parquet(model_folders[name] / "predictions.parquet")
        for name in model_folders
        if metadata[name]["complexity"] >= MIN_COMPLEXITY
    }
    weights = select_weights(
        {name: validation_outputs(table, dataset) for name, table in tables.items()}, dataset
    )
    if len(weights) > 1:
        write_ensemble(context.out / ENSEMBLE_NAME, weights, metadata, tables)
        context.log_record("decision", {"decision": "ensembled", "weights": weights})
    return {"weights": weights}


def validation_outputs(table: pl.DataFrame, dataset: ModelingDataset) -> Array:
    """The outputs of a model on the validation rows of all folds."""
    return np.concatenate(
        [select_outputs(table, fold, "validation") for fold in range(len(dataset.folds))]
    )


def select_weights(outputs: Mapping[str, Array], dataset: ModelingDataset) -> dict[str, float]:
    """The ensemble weight of each model; a single model with weight 1 if that is as good.

    Ensemble selection with weights averaged over resamples of the validation rows (Caruana et al.,
    *Ensemble Selection from Libraries of Models*, ICML 2004, and *Getting the Most Out of
    Ensemble Selection*, ICDM 2006).
    """
    validation_rows = np.concatenate([fold.validation for fold in dataset.folds])
    y, sample_weights, loss = (
        dataset.y[validation_rows],
        dataset.weights_at(validation_rows),
        dataset.task.validation_loss,
    )
    rng, n_outputs = np.random.default_rng(0), next(iter(outputs.values())).shape[1]
    # Rows are drawn by their weights, so the losses of a resample need no weights.
    sampling_probabilities = (
        None if sample_weights is None else sample_weights / sample_weights.sum()
    )
    fractions = dict.fromkeys(outputs, 0.0)
    for _ in range(N_RESAMPLES):
        sample = rng.choice(
            len(y),
            size=min(len(y), MAX_OUTPUTS_PER_RESAMPLE // n_outputs),
            p=sampling_probabilities,
        )
        selection = select_greedily(
            {name: model_outputs[sample] for name, model_outputs in outputs.items()},
            y[sample],
            loss,
        )
        for name in selection:
            fractions[name] += 1 / (N_SELECTION_ROUNDS * N_RESAMPLES)
    weights = drop_small_weights(fractions)
    ensemble_outputs = np.sum([weight * outputs[name] for name, weight in weights.items()], axis=0)
    single_losses = {
        name: loss(model_outputs, y, sample_weights) for name, model_outputs in outputs.items()
    }
    # The weights were chosen on these rows, so their gain is optimistic and must exceed a margin.
    best = min(single_losses, key=single_losses.__getitem__)
    return (
        weights
        if loss(ensemble_outputs, y, sample_weights) < single_losses[best] * (1 - MIN_RELATIVE_GAIN)
        else {best: 1.0}
    )


def drop_small_weights(fractions: Mapping[str, float]) -> dict[str, float]:
    """Drop small weights and scale the others to a sum of 1, up to rounding."""
    large = {name: fraction for name, fraction in fractions.items() if fraction >= MIN_WEIGHT}
    return {name: round(fraction / sum(large.values()), 4) for name, fraction in large.items()}


def select_greedily(
    outputs: Mapping[str, Array], y: Array, loss: Callable[[Array, Array], float]
) -> list[str]:
    """Select models one by one, with replacement; each round adds the one with the least loss."""
    selection: list[str] = []
    total = np.zeros_like(next(iter(outputs.values())))
    while len(selection) < N_SELECTION_ROUNDS:
        # The loss of the mean output of all models selected so far and the new one.
        count = len(selection) + 1
        losses = {
            name: loss((total + model_outputs) / count, y)
            for name, model_outputs in outputs.items()
        }
        selection.append(min(losses, key=losses.__getitem__))
        total = total + outputs[selection[-1]]
    return selection


def write_ensemble(
    folder: Path, weights: Mapping[str, float], metadata: Mapping[str, Json],
    tables: Mapping[str, pl.DataFrame],
) -> None:  # fmt: skip
    """Save the ensemble like a model: its metadata and its outputs."""
    folder.mkdir(parents=True, exist_ok=True)
    first_table = tables[next(iter(weights))]
    output_columns = [name for name in first_table.columns if name.startswith("output_")]
    ensemble_outputs = sum(
        weight * tables[name].select(output_columns).to_numpy() for name, weight in weights.items()
    )
    output_frame = pl.DataFrame(np.asarray(ensemble_outputs), schema=output_columns)
    first_table.drop(output_columns).hstack(output_frame).write_parquet(
        folder / "predictions.parquet"
    )
    files.atomic_write_json(folder / "model.json", build_ensemble_metadata(weights, metadata))


def build_ensemble_metadata(weights: Mapping[str, float], metadata: Mapping[str, Json]) -> Json:
    """The metadata of an ensemble.

    It has ``columns`` only if each of its models is restricted to some columns.
    """
    components = [metadata[name] for name in weights]
    columns = {column for component in components for column in component.get("columns", [])}
    columns_entry = (
        {"columns": sorted(columns)}
        if all("columns" in component for component in components)
        else {}
    )
    return {
        "learner": ENSEMBLE_NAME,
        "title": f"ensemble of {len(components)} models",
        # Never simpler than its models, so a tie goes to one of them.
        "complexity": max(component["complexity"] for component in components) + 1,
        "n_members": sum(component["n_members"] for component in components),
        "fit_seconds": round(sum(component["fit_seconds"] for component in components), 3),
        "ensemble_weights": dict(weights),
        **columns_entry,
    }


STAGE = Stage(
    "ensemble",
    "Ensemble the trained models where that is better.",
    ensemble,
    config_sections=(*TARGET_SECTIONS, "data", "clean", "model.ensemble"),
    version=4,
)

"""Evaluate all models on the same rows, compare them by paired tests, choose the champion."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.contracts import Stage
from fieldcraft.core import catalog, digest, files, seeds
from fieldcraft.core.types import Array, Json
from fieldcraft.ledger.records import MetricRecord
from fieldcraft.modeling.candidate import Candidate, find_models, load_candidate
from fieldcraft.modeling.check_runner import (
    checks_for_scope,
    make_evaluation_context,
    save_findings,
)
from fieldcraft.modeling.dataset import TARGET_SECTIONS, ModelingDataset, load_dataset
from fieldcraft.modeling.group_metrics import compute_group_metrics
from fieldcraft.modeling.model_comparison import (
    BootstrapMetrics,
    ModelComparison,
    choose_metric,
    complexity_key,
    finite_or_none,
)
from fieldcraft.project.context import StageContext
from fieldcraft.project.settings import ProblemSettings
from fieldcraft.statistics.bootstrap import BootstrapPlan, percentile_interval, resample
from fieldcraft.statistics.learning_curves import diagnose_learning_curves
from fieldcraft.statistics.metrics import Metric, Predictions

MAX_STORED_CELL_CHARS = 2_000  # of a cell of an example row in the report


def evaluate(context: StageContext) -> Json:
    """Compute metrics, compare models and choose the champion; the test rows stay sealed."""
    dataset = load_dataset(context.inputs["split"], context.settings)
    model_folders = find_models(
        {name: context.inputs[name] for name in ("baseline", "train", "ensemble")}
    )
    candidates = [load_candidate(folder, dataset) for folder in model_folders.values()]
    candidates.sort(key=complexity_key)  # simplest first, as ModelComparison expects
    evaluation_rows = np.concatenate([fold.evaluation for fold in dataset.folds])
    bootstrap_plan = plan_bootstrap(
        dataset, evaluation_rows, seeds.derive_seed(context.settings.train.seed, "bootstrap")
    )
    metric = choose_metric(dataset, context.settings.problem.metric)
    context.on_progress("computing metrics with intervals", None)
    bootstrap_metrics = resample_metrics(candidates, dataset, evaluation_rows, bootstrap_plan)
    comparison = ModelComparison(candidates, bootstrap_metrics, metric)
    champion = comparison.choose_champion()
    for candidate in candidates:
        for metric_record in build_metric_records(
            candidate, bootstrap_metrics, dataset, evaluation_rows
        ):
            context.log_record("metric", metric_record.to_json())
    comparisons = comparison.compare_champion_with_all(champion)
    groups = compute_group_metrics(
        dataset, evaluation_rows, champion.predictions, metric, bootstrap_plan, context.settings
    )
    for body in groups:
        context.log_record("group_metrics", body)
    result = {
        "metric": metric.name,
        "n_evaluation_rows": len(evaluation_rows),
        "n_folds": len(dataset.folds),
        "champion": champion.name,
        "models": [
            describe_model(candidate, bootstrap_metrics, dataset) for candidate in candidates
        ],
        "comparisons": comparisons,
        "files_comparison": comparison.compare_without_files(dataset.features.columns),
        "summary": comparison.summarize(champion, len(evaluation_rows)),
        "goal": check_goal(
            context.settings.problem, metric, bootstrap_metrics[champion.name, metric.name]
        ),
        "calibration": champion.calibration,
        "fold_calibrations": champion.fold_calibrations,
        "diagnostics": dataset.task.diagnostics(
            dataset.y[evaluation_rows], champion.predictions, dataset.target_spec
        ),
        "group_metrics": groups,
        "learning_curve_diagnosis": diagnose_training(context, model_folders),
        "largest_errors": find_largest_errors(dataset, evaluation_rows, champion.predictions),
        "label_issues": find_label_issues(dataset, evaluation_rows, champion.predictions, context),
    }
    context.log_record("decision", {
        "decision": "champion_selected", "learner": champion.name, "metric": metric.name,
        "comparisons": comparisons, "goal": result["goal"],
    })  # fmt: skip
    files.atomic_write_json(context.out / "evaluation.json", result)
    build_predictions_table(dataset, evaluation_rows, champion.predictions).write_parquet(
        context.out / "evaluation_predictions.parquet"
    )
    return {"champion": champion.name, "summary": result["summary"]}


def plan_bootstrap(dataset: ModelingDataset, evaluation_rows: Array, seed: int) -> BootstrapPlan:
    """The bootstrap of the evaluation rows; clusters of dependent rows are resampled as a whole."""
    return BootstrapPlan(
        len(evaluation_rows),
        seed,
        None if dataset.clusters is None else dataset.clusters[evaluation_rows],
        dataset.weights_at(evaluation_rows),
    )


def resample_metrics(
    candidates: list[Candidate],
    dataset: ModelingDataset,
    evaluation_rows: Array,
    bootstrap_plan: BootstrapPlan,
) -> BootstrapMetrics:
    """All metrics of all models on the evaluation rows and on their resamples."""
    y = dataset.y[evaluation_rows]
    return resample(
        {
            (candidate.name, metric.name): partial(metric.compute, y, candidate.predictions)
            for candidate in candidates
            for metric in dataset.task.metrics
        },
        bootstrap_plan,
    )


def build_metric_records(
    candidate: Candidate,
    bootstrap_metrics: BootstrapMetrics,
    dataset: ModelingDataset,
    evaluation_rows: Array,
) -> list[MetricRecord]:
    """All metrics of a model with their intervals, for the ledger."""
    data_digest = digest.of_json([dataset.digest, "evaluation", sorted(evaluation_rows.tolist())])
    records = []
    for metric in dataset.task.metrics:
        estimate = percentile_interval(
            bootstrap_metrics[candidate.name, metric.name], bias_corrected=metric.is_biased_upwards
        )
        records.append(
            MetricRecord(
                metric.name, "evaluation", candidate.name, finite_or_none(estimate.value),
                finite_or_none(estimate.low), finite_or_none(estimate.high), estimate.level,
                len(evaluation_rows), data_digest,
                candidate.digest,
            )
        )  # fmt: skip
    return records


def describe_model(
    candidate: Candidate, bootstrap_metrics: BootstrapMetrics, dataset: ModelingDataset
) -> Json:
    """A model with its metadata and metrics, for the report."""
    metrics = {}
    for metric in dataset.task.metrics:
        estimate = percentile_interval(
            bootstrap_metrics[candidate.name, metric.name], bias_corrected=metric.is_biased_upwards
        )
        metrics[metric.name] = {
            "title": metric.title,
            "greater_is_better": metric.greater_is_better,
            "value": finite_or_none(estimate.value),
            "low": finite_or_none(estimate.low),
            "high": finite_or_none(estimate.high),
        }
    return {"name": candidate.name, **candidate.metadata, "metrics": metrics}


def check_goal(problem: ProblemSettings, metric: Metric, bootstrap_values: Array) -> Json | None:
    """Whether the champion reaches ``problem.goal``, and whether it does so significantly."""
    if problem.goal is None:
        return None
    estimate = percentile_interval(bootstrap_values, bias_corrected=metric.is_biased_upwards)
    sign = 1 if metric.greater_is_better else -1
    # Significant: the whole interval is on the good side of the goal, so its worse end decides.
    is_significant = sign * (estimate.low if sign > 0 else estimate.high) >= sign * problem.goal
    is_reached = sign * estimate.value >= sign * problem.goal
    verdict = "met" if is_significant else "met, not significant" if is_reached else "missed"
    return {
        "metric": metric.name,
        "title": metric.title,
        "target": problem.goal,
        "verdict": verdict,
    }


def diagnose_training(context: StageContext, model_folders: dict[str, Any]) -> Json | None:
    """Diagnose the learning curves of the trained model; None if it has none."""
    name = context.settings.model.learner
    if name not in model_folders:
        return None
    states = [files.read_json(path) for path in sorted(model_folders[name].glob("*/model.json"))]
    curves = [state["learning_curves"] for state in states if state.get("learning_curves")]
    if not curves:
        return None
    diagnosis = diagnose_learning_curves(
        curves, min(curve["training_settings"]["epochs"] for curve in curves)
    )
    return asdict(diagnosis) if diagnosis else None


def find_largest_errors(
    dataset: ModelingDataset, evaluation_rows: Array, predictions: Predictions
) -> list[Json]:
    """The evaluation rows with the largest errors of the champion, with their cells."""
    positions = dataset.task.diagnostics(
        dataset.y[evaluation_rows], predictions, dataset.target_spec
    )["largest_errors"]
    return collect_row_details(dataset, evaluation_rows, predictions, positions)


def find_label_issues(
    dataset: ModelingDataset,
    evaluation_rows: Array,
    predictions: Predictions,
    context: StageContext,
) -> list[Json]:
    """Run the checks of the champion and save their findings; returns the rows they list."""
    check_context = make_evaluation_context(
        dataset, evaluation_rows, predictions, context.settings.problem.targets
    )
    context.on_progress("looking for label errors", None)
    findings = save_findings(
        [finding for check in checks_for_scope("model") for finding in check.run(check_context)],
        context,
    )
    issues = [issue for finding in findings for issue in finding.evidence.get("rows", [])]
    row_details = collect_row_details(
        dataset, evaluation_rows, predictions, [issue["index"] for issue in issues]
    )
    return [{**issue, **details} for issue, details in zip(issues, row_details, strict=True)]


def collect_row_details(
    dataset: ModelingDataset, evaluation_rows: Array, predictions: Predictions, indices: list[int]
) -> list[Json]:
    """Details of some evaluation rows: cells, thumbnails and predictions.

    Args:
        dataset: the dataset.
        evaluation_rows: positions of the evaluation rows in it.
        predictions: predictions on the evaluation rows.
        indices: indexes of the selected rows among the evaluation rows.
    """
    frame = dataset.task.to_frame(predictions, dataset.target_spec)
    details = []
    # An index counts evaluation rows, a position counts rows of the dataset.
    for index in indices:
        position = int(evaluation_rows[index])
        cells = dataset.frame.row(position, named=True)
        values = dataset.features.row(position, named=True)
        thumbnails = {
            column.name: catalog.load_plugin("kinds", column.kind).thumbnail(values[column.name])
            for column in dataset.schema.columns
        }
        details.append(
            {
                "thumbnails": {
                    name: thumbnail for name, thumbnail in thumbnails.items() if thumbnail
                },
                "position": position,
                "line": dataset.row_numbers[position],
                "prediction": frame["prediction"][index],
                "cells": {
                    name: None if value is None else str(value)[:MAX_STORED_CELL_CHARS]
                    for name, value in cells.items()
                },
            }
        )
    return details


def build_predictions_table(
    dataset: ModelingDataset, evaluation_rows: Array, predictions: Predictions
) -> pl.DataFrame:
    """The predictions of the champion on the evaluation rows, with row numbers and positions."""
    lines = pl.DataFrame(
        {
            "line": [dataset.row_numbers[position] for position in evaluation_rows],
            "position": evaluation_rows,
        }
    )
    return pl.concat(
        [lines, dataset.task.to_frame(predictions, dataset.target_spec)], how="horizontal"
    )


STAGE = Stage(
    "evaluate",
    "Evaluate and compare all models; choose the champion.",
    evaluate,
    config_sections=(
        *TARGET_SECTIONS, "problem.metric", "problem.goal", "problem.costs", "problem.threshold",
        "problem.coverage", "problem.reject_fraction", "problem.sensitive_features", "data",
        "clean", "train.seed",
    ),
    version=10,
)  # fmt: skip

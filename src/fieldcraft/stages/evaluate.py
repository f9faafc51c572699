"""Judge every learner on the same rows, compare them by paired tests, choose the champion."""

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

MAX_STORED_CELL_CHARS = 2_000  # characters of a worst row's cell that are kept


def evaluate(context: StageContext) -> Json:
    """Measure, compare and choose; the test rows stay sealed."""
    dataset = load_dataset(context.inputs["split"], context.settings)
    model_folders = find_models(
        {name: context.inputs[name] for name in ("baseline", "train", "blend")}
    )
    candidates = [load_candidate(folder, dataset) for folder in model_folders.values()]
    candidates.sort(key=complexity_key)
    evaluation_rows = np.concatenate([fold.evaluation for fold in dataset.folds])
    bootstrap_plan = plan_bootstrap(
        dataset, evaluation_rows, seeds.derive_seed(context.settings.train.seed, "bootstrap")
    )
    metric = choose_metric(dataset, context.settings.problem.metric)
    context.on_progress("measuring with intervals", None)
    bootstrap_metrics = resample_metrics(candidates, dataset, evaluation_rows, bootstrap_plan)
    comparison = ModelComparison(candidates, bootstrap_metrics, metric)
    champion = comparison.choose_champion()
    for candidate in candidates:
        for metric_record in build_metric_records(
            candidate, bootstrap_metrics, dataset, evaluation_rows
        ):
            context.log_record("measure", metric_record.to_json())
    comparisons = comparison.compare_champion_with_all(champion)
    groups = compute_group_metrics(
        dataset, evaluation_rows, champion.predictions, metric, bootstrap_plan, context.settings
    )
    for body in groups:
        context.log_record("groups", body)
    result = {
        "metric": metric.name,
        "judge_rows": len(evaluation_rows),
        "folds": len(dataset.folds),
        "champion": champion.name,
        "learners": [
            describe_model(candidate, bootstrap_metrics, dataset) for candidate in candidates
        ],
        "comparisons": comparisons,
        "without_files": comparison.compare_without_files(dataset.features.columns),
        "sentence": comparison.summarize(champion, len(evaluation_rows)),
        "bar": check_goal(
            context.settings.problem, metric, bootstrap_metrics[champion.name, metric.name]
        ),
        "calibration": champion.calibration,
        "calibrations": champion.fold_calibrations,
        "evidence": dataset.task.diagnostics(
            dataset.y[evaluation_rows], champion.predictions, dataset.target_spec
        ),
        "groups": groups,
        "fitness": diagnose_training(context, model_folders),
        "worst": find_largest_errors(dataset, evaluation_rows, champion.predictions),
        "doubts": find_label_issues(dataset, evaluation_rows, champion.predictions, context),
    }
    context.log_record("decision", {
        "decision": "champion", "learner": champion.name, "metric": metric.name,
        "comparisons": comparisons, "bar": result["bar"],
    })  # fmt: skip
    files.atomic_write_json(context.out / "evaluation.json", result)
    build_predictions_table(dataset, evaluation_rows, champion.predictions).write_parquet(
        context.out / "judge.parquet"
    )
    return {"champion": champion.name, "sentence": result["sentence"]}


def plan_bootstrap(dataset: ModelingDataset, evaluation_rows: Array, seed: int) -> BootstrapPlan:
    """How judge rows are drawn: whole units where rows depend on each other."""
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
    """Every metric of every model, on the rows as they are and on all resamples."""
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
    """Every metric of a learner with its interval, as evidence."""
    data_digest = digest.of_json([dataset.digest, "judge", sorted(evaluation_rows.tolist())])
    records = []
    for metric in dataset.task.metrics:
        estimate = percentile_interval(
            bootstrap_metrics[candidate.name, metric.name], bias_corrected=metric.is_biased_upwards
        )
        records.append(
            MetricRecord(
                metric.name, "judge", candidate.name, finite_or_none(estimate.value),
                finite_or_none(estimate.low), finite_or_none(estimate.high), estimate.level, len(evaluation_rows), data_digest,
                candidate.digest,
            )
        )  # fmt: skip
    return records


def describe_model(
    candidate: Candidate, bootstrap_metrics: BootstrapMetrics, dataset: ModelingDataset
) -> Json:
    """A learner with its measures, for the report."""
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
    return {"name": candidate.name, **candidate.metadata, "measures": metrics}


def check_goal(problem: ProblemSettings, metric: Metric, bootstrap_values: Array) -> Json | None:
    """Whether the champion reaches what the project file asks for, with how much certainty."""
    if problem.goal is None:
        return None
    estimate = percentile_interval(bootstrap_values, bias_corrected=metric.is_biased_upwards)
    sign = 1 if metric.greater_is_better else -1
    is_significant = sign * (estimate.low if sign > 0 else estimate.high) >= sign * problem.goal
    is_reached = sign * estimate.value >= sign * problem.goal
    verdict = "met" if is_significant else "met, but not surely" if is_reached else "missed"
    return {
        "metric": metric.name,
        "title": metric.title,
        "wanted": problem.goal,
        "verdict": verdict,
    }


def diagnose_training(context: StageContext, model_folders: dict[str, Any]) -> Json | None:
    """What the training curves say of the trained model."""
    name = context.settings.model.learner
    if name not in model_folders:
        return None
    states = [files.read_json(path) for path in sorted(model_folders[name].glob("*/model.json"))]
    curves = [state["curves"] for state in states if state.get("curves")]
    if not curves:
        return None
    diagnosis = diagnose_learning_curves(
        curves, min(curve["training"]["epochs"] for curve in curves)
    )
    return asdict(diagnosis) if diagnosis else None


def find_largest_errors(
    dataset: ModelingDataset, evaluation_rows: Array, predictions: Predictions
) -> list[Json]:
    """The judge rows that the champion gets most wrong, with their cells."""
    positions = dataset.task.diagnostics(
        dataset.y[evaluation_rows], predictions, dataset.target_spec
    )["worst"]
    return collect_row_details(dataset, evaluation_rows, predictions, positions)


def find_label_issues(
    dataset: ModelingDataset,
    evaluation_rows: Array,
    predictions: Predictions,
    context: StageContext,
) -> list[Json]:
    """What checks of the champion find; the rows that they name, with their cells."""
    check_context = make_evaluation_context(
        dataset, evaluation_rows, predictions, context.settings.problem.targets
    )
    context.on_progress("looking at what the champion contradicts", None)
    findings = save_findings(
        [reported for check in checks_for_scope("model") for reported in check.run(check_context)],
        context,
    )
    issues = [issue for finding in findings for issue in finding.evidence.get("rows", [])]
    row_details = collect_row_details(
        dataset, evaluation_rows, predictions, [issue["at"] for issue in issues]
    )
    return [{**issue, **details} for issue, details in zip(issues, row_details, strict=True)]


def collect_row_details(
    dataset: ModelingDataset, evaluation_rows: Array, predictions: Predictions, indices: list[int]
) -> list[Json]:
    """Some judge rows with their cells and photos, and what the champion says about them.

    Args:
        dataset: all rows.
        evaluation_rows: positions of the judge rows among them.
        predictions: about judge rows.
        indices: of the wanted rows among the judge rows.
    """
    frame = dataset.task.to_frame(predictions, dataset.target_spec)
    details = []
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
                "pictures": {
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
    """The champion's predictions on judge rows, with the number of each row."""
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
    "Judge and compare all learners on rows they have not seen; choose the champion.",
    evaluate,
    config_sections=(
        *TARGET_SECTIONS, "problem.metric", "problem.bar", "problem.costs", "problem.threshold",
        "problem.coverage", "problem.reject", "problem.groups", "data", "clean", "train.seed",
    ),
    version=9,
)  # fmt: skip

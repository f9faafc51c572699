"""Promotion gates: the tests that a challenger must pass against the champion.

Both models are compared on the evaluation rows of the challenger, without those that the champion
used for training or validation. The rest are evaluation rows of the champion (previous_evaluation)
and rows that it never had (new). With cross-validation, each model predicts a row with the fold
model that was not trained on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldcraft.bundle.deployment_limits import measure_size_mb
from fieldcraft.bundle.runtime import Bundle
from fieldcraft.core.formatting import format_number, join_names, truncated_list
from fieldcraft.core.types import Array, Json
from fieldcraft.modeling.dataset import (
    RETRAIN_WEIGHT_COLUMN,
    ModelingDataset,
    read_weights,
    schema_of_columns,
)
from fieldcraft.modeling.model_comparison import finite_or_none
from fieldcraft.modeling.retraining_data import ChampionDataset
from fieldcraft.project.settings import ProjectSettings
from fieldcraft.statistics.bootstrap import (
    BootstrapPlan,
    PairedComparison,
    paired_comparison,
    resample,
)
from fieldcraft.statistics.groups import MAX_GROUPS_PER_COLUMN, MIN_ROWS_PER_GROUP, groups_in_order
from fieldcraft.statistics.metrics import Metric, Predictions

CALIBRATION_METRIC = "ece"
# With many rows even tiny differences are significant; those below these limits do not matter in
# practice.
MAX_CALIBRATION_ERROR_INCREASE = 0.01
MAX_COVERAGE_DECREASE = 0.02
LATENCY_CALLS = 60  # of one row each; the models take turns, so both see the same load
# A ratio means little for tiny models: 2 ms instead of 0.5 ms is no reason to reject a challenger.
MIN_ALLOWED_INCREASE = {"latency": 5.0, "size": 1.0}  # milliseconds; megabytes
HALF_FOLDS_PER_FOLD = 2  # see the diagram in stages/split.py


@dataclass(frozen=True)
class GateResult:
    """The result of one gate.

    Attributes:
        name: name of the gate.
        passed: whether the challenger passed.
        message: the result in a sentence.
        details: the numbers behind it.
    """

    name: str
    passed: bool
    message: str
    details: Json

    def to_json(self) -> Json:
        """The gate as a JSON value."""
        return {"gate": self.name, "passed": self.passed, "message": self.message, **self.details}


@dataclass(frozen=True)
class ModelPair:
    """Champion and challenger, loaded, with the folders of their bundles."""

    champion: Bundle
    challenger: Bundle
    folders: tuple[Path, Path]


@dataclass(frozen=True)
class ChallengerEvaluation:
    """The predictions of both models on the rows on which they are compared.

    Attributes:
        dataset: the dataset of the challenger.
        positions: positions of the rows in it.
        is_previous_evaluation: mask of the evaluation rows of the champion; the others are new.
        champion: predictions of the champion.
        challenger: predictions of the challenger.
        y: the encoded targets.
    """

    dataset: ModelingDataset
    positions: Array
    is_previous_evaluation: Array
    champion: Predictions
    challenger: Predictions
    y: Array


def evaluate_challenger(
    dataset: ModelingDataset,
    row_digests: Sequence[bytes],
    champion_data: ChampionDataset,
    pair: ModelPair,
) -> ChallengerEvaluation | None:
    """Predict the rows on which neither model was trained or validated; None if there are none.

    Args:
        dataset: the dataset of the challenger.
        row_digests: digest of each of its rows.
        champion_data: the dataset of the champion.
        pair: champion and challenger.
    """
    champion_parts = {
        digest: (part, fold // HALF_FOLDS_PER_FOLD if part == "cv" else 0)
        for digest, part, fold in champion_data.parts.select("digest", "part", "fold").iter_rows()
    }
    champion_has_folds = {fold for part, fold in champion_parts.values()} != {0}
    positions, folds, champion_folds = list[int](), list[int](), list[int]()
    for fold_index, fold in enumerate(dataset.folds):
        for position in fold.evaluation.tolist():
            # Any fold model of the champion may predict a row that is new to it: take the one
            # with the index of the challenger's fold.
            part, champion_fold = champion_parts.get(
                row_digests[position], ("", fold_index if champion_has_folds else 0)
            )
            if part not in ("train", "validation"):
                positions.append(position)
                folds.append(fold_index)
                champion_folds.append(champion_fold)
    if not positions:
        return None
    position_array = np.array(positions, dtype=np.int64)
    frame = dataset.frame[positions]
    is_previous_evaluation = np.array(
        [row_digests[position] in champion_parts for position in positions], dtype=bool
    )
    champion = pair.champion.out_of_fold_predictions(frame, np.array(champion_folds))
    challenger = pair.challenger.out_of_fold_predictions(frame, np.array(folds))
    return ChallengerEvaluation(
        dataset,
        position_array,
        is_previous_evaluation,
        champion,
        challenger,
        dataset.y[position_array],
    )


def run_gates(
    evaluation: ChallengerEvaluation,
    pair: ModelPair,
    metric: Metric,
    settings: ProjectSettings,
    seed: int,
) -> list[GateResult]:
    """Run all gates; the challenger is promoted only if it passes each."""
    # Models are compared by the sample weights of the rows alone. The weights of the retraining
    # policy only set how much the challenger learns from old rows.
    weights = read_weights(
        evaluation.dataset.frame.drop(RETRAIN_WEIGHT_COLUMN, strict=False), settings
    )
    clusters = evaluation.dataset.clusters
    bootstrap_plan = BootstrapPlan(
        len(evaluation.y), seed,
        None if clusters is None else clusters[evaluation.positions],
        None if weights is None else weights[evaluation.positions],
    )  # fmt: skip
    all_rows = np.ones(len(evaluation.y), dtype=bool)
    subsets = {
        "all": all_rows,
        "previous_evaluation": evaluation.is_previous_evaluation,
        "new": ~evaluation.is_previous_evaluation,
    }
    subsets = {name: mask for name, mask in subsets.items() if mask.sum() >= MIN_ROWS_PER_GROUP}
    masks_by_group = group_masks(evaluation, settings)
    comparisons = compare_subsets(evaluation, metric, {**subsets, **masks_by_group}, bootstrap_plan)
    return [
        check_performance({name: comparisons[name] for name in subsets}, metric, subsets),
        check_group_performance(
            {name: comparisons[name] for name in masks_by_group}, metric, settings
        ),
        check_calibration(evaluation, bootstrap_plan),
        check_latency(evaluation, pair, settings),
        check_size(pair, settings),
    ]


def compare_subsets(
    evaluation: ChallengerEvaluation,
    metric: Metric,
    subsets: Mapping[str, Array],
    bootstrap_plan: BootstrapPlan,
) -> dict[str, tuple[PairedComparison, float, float]]:
    """For each subset: the paired comparison, the challenger's metric and the champion's metric."""

    def metric_on(predictions: Predictions, mask: Array) -> Callable[[Array], Array]:
        subset_predictions, y = predictions.select_rows(mask), evaluation.y[mask]
        return lambda weights: metric.compute(y, subset_predictions, weights[:, mask])

    statistics = {
        (name, side): metric_on(predictions, mask)
        for name, mask in subsets.items()
        for side, predictions in (
            ("challenger", evaluation.challenger),
            ("champion", evaluation.champion),
        )
    }
    resampled = resample(statistics, bootstrap_plan)
    return {
        name: (
            paired_comparison(
                resampled[name, "challenger"], resampled[name, "champion"], metric.greater_is_better
            ),
            float(resampled[name, "challenger"][0]), float(resampled[name, "champion"][0]),
        )
        for name in subsets
    }  # fmt: skip


def comparison_to_json(result: tuple[PairedComparison, float, float]) -> Json:
    """A comparison as JSON."""
    comparison, challenger_value, champion_value = result
    return {
        "challenger": finite_or_none(challenger_value), "champion": finite_or_none(champion_value),
        "difference": finite_or_none(comparison.difference),
        "low": finite_or_none(comparison.low), "high": finite_or_none(comparison.high),
        "verdict": comparison.verdict,
    }  # fmt: skip


def check_performance(
    comparisons: Mapping[str, tuple[PairedComparison, float, float]],
    metric: Metric,
    subsets: Mapping[str, Array],
) -> GateResult:
    """Require the challenger to be better on all rows or on new rows, and worse on no subset."""
    verdicts = {name: comparison.verdict for name, (comparison, _, _) in comparisons.items()}
    worse_subsets = [name for name, verdict in verdicts.items() if verdict == "worse"]
    better_subsets = [name for name in ("all", "new") if verdicts.get(name) == "better"]
    descriptions = "; ".join(
        f"{name} ({int(subsets[name].sum()):,} rows): {format_number(challenger_value)}, "
        f"champion {format_number(champion_value)} ({comparison.verdict})"
        for name, (comparison, challenger_value, champion_value) in comparisons.items()
    )
    message = (
        f"{metric.title} on {descriptions}" if comparisons else "too few rows for a comparison"
    )
    details = {name: comparison_to_json(result) for name, result in comparisons.items()}
    return GateResult(
        "performance",
        bool(better_subsets) and not worse_subsets,
        message,
        {"subsets": details},
    )


def group_masks(evaluation: ChallengerEvaluation, settings: ProjectSettings) -> dict[str, Array]:
    """Masks of the groups of the sensitive features, by column and group."""
    names = settings.problem.sensitive_features
    if not names:
        return {}
    values = schema_of_columns(settings, names).apply(
        evaluation.dataset.frame[evaluation.positions.tolist()]
    )
    masks_by_group: dict[str, Array] = {}
    for name in names:
        codes, group_names = groups_in_order(values[name])
        masks = {f"{name}: {group}": (codes == group).to_numpy() for group in group_names}
        large_groups = [
            (title, mask) for title, mask in masks.items() if mask.sum() >= MIN_ROWS_PER_GROUP
        ]
        masks_by_group |= dict(large_groups[:MAX_GROUPS_PER_COLUMN])
    return masks_by_group


def check_group_performance(
    comparisons: Mapping[str, tuple[PairedComparison, float, float]],
    metric: Metric,
    settings: ProjectSettings,
) -> GateResult:
    """Require the challenger to be worse for no group; not corrected for multiple testing."""
    # With a correction, a challenger that harms a small group could pass; without one, a good
    # challenger is rejected now and then, which only costs a retraining.
    worse_groups = {
        name: result for name, result in comparisons.items() if result[0].verdict == "worse"
    }
    descriptions = [
        f"{name} ({format_number(challenger_value)}, champion {format_number(champion_value)})"
        for name, (_, challenger_value, champion_value) in worse_groups.items()
    ]
    message = f"{metric.title} is worse for {join_names(descriptions)}" if worse_groups else (
        f"worse for none of {len(comparisons)} groups" if comparisons else
        "no group has enough rows" if settings.problem.sensitive_features
        else "problem.sensitive_features is not set"
    )  # fmt: skip
    return GateResult(
        "group_performance",
        not worse_groups,
        message,
        {"groups": {group: comparison_to_json(result) for group, result in comparisons.items()}},
    )


def check_calibration(
    evaluation: ChallengerEvaluation, bootstrap_plan: BootstrapPlan
) -> GateResult:
    """Require the calibration error, or the coverage of sets and intervals, to be no worse."""
    metrics = {metric.name: metric for metric in evaluation.dataset.task.metrics}
    all_rows = {"all": np.ones(len(evaluation.y), dtype=bool)}
    if CALIBRATION_METRIC in metrics:
        result = compare_subsets(evaluation, metrics[CALIBRATION_METRIC], all_rows, bootstrap_plan)[
            "all"
        ]
        comparison, challenger_value, champion_value = result
        passed = not (
            comparison.verdict == "worse"
            and -comparison.difference > MAX_CALIBRATION_ERROR_INCREASE
        )
        message = (
            f"expected calibration error {format_number(challenger_value)}, "
            f"champion {format_number(champion_value)}"
        )
        return GateResult("calibration", passed, message, comparison_to_json(result))
    comparison, challenger_value, champion_value = compare_subsets(
        evaluation, metrics["coverage"], all_rows, bootstrap_plan
    )["all"]
    target_coverage = evaluation.challenger.coverage
    # Only a shortfall counts: sets and intervals that cover more than the target are wide, not
    # wrong.
    passed = not (
        comparison.verdict == "worse"
        and max(target_coverage - challenger_value, 0) - max(target_coverage - champion_value, 0)
        > MAX_COVERAGE_DECREASE
    )
    message = (
        f"coverage {challenger_value:.1%}, champion {champion_value:.1%}, "
        f"target {target_coverage:.0%}"
    )
    return GateResult(
        "calibration",
        passed,
        message,
        comparison_to_json((comparison, challenger_value, champion_value)),
    )


def check_latency(
    evaluation: ChallengerEvaluation, pair: ModelPair, settings: ProjectSettings
) -> GateResult:
    """Require the latency to stay within a multiple of the champion's and within the limit."""
    # Medians, since other processes delay single calls.
    milliseconds = np.zeros((LATENCY_CALLS, 2))
    for call in range(LATENCY_CALLS):
        row = evaluation.dataset.frame[call % evaluation.dataset.frame.height]
        for model_index, bundle in enumerate((pair.champion, pair.challenger)):
            start = time.perf_counter()
            bundle.predict(row)
            milliseconds[call, model_index] = 1e3 * (time.perf_counter() - start)
    champion_ms, challenger_ms = np.median(milliseconds, axis=0).tolist()
    deploy = settings.deploy
    return check_cost(
        ("latency", "ms for a row"),
        (champion_ms, challenger_ms),
        deploy.retrain.max_latency_ratio,
        deploy.max_latency_ms,
    )


def check_size(pair: ModelPair, settings: ProjectSettings) -> GateResult:
    """Require the size to stay within a multiple of the champion's and within the limit."""
    champion_mb, challenger_mb = (measure_size_mb(folder) for folder in pair.folders)
    deploy = settings.deploy
    return check_cost(
        ("size", "MB"),
        (champion_mb, challenger_mb),
        deploy.retrain.max_size_ratio,
        deploy.max_size_mb,
    )


def check_cost(
    gate: tuple[str, str], costs: tuple[float, float], max_ratio: float, max_cost: float | None
) -> GateResult:
    """Require a cost of the challenger, latency or size, to stay within its limit.

    Args:
        gate: name and unit.
        costs: of the champion and of the challenger.
        max_ratio: of challenger to champion; `MIN_ALLOWED_INCREASE` is always allowed.
        max_cost: the limit of the project file, if there is one.
    """
    name, unit = gate
    champion_cost, challenger_cost = costs
    allowed_cost = min(
        max(max_ratio * champion_cost, champion_cost + MIN_ALLOWED_INCREASE[name]),
        max_cost or np.inf,
    )
    return GateResult(
        name,
        challenger_cost <= allowed_cost,
        f"{format_number(challenger_cost)} {unit}, champion {format_number(champion_cost)}, "
        f"limit {format_number(allowed_cost)}",
        {"challenger": challenger_cost, "champion": champion_cost, "limit": allowed_cost},
    )


def check_schema(champion: Bundle, challenger: Bundle) -> GateResult:
    """Require the challenger to accept the same requests and return answers of the same form."""
    added_columns = [
        name for name in challenger.required_columns if name not in champion.required_columns
    ]
    classes = [list(bundle.target_spec.get("classes") or bundle.target_spec.get("labels") or [])
               for bundle in (champion, challenger)]  # fmt: skip
    problems = []
    if champion.manifest["task"] != challenger.manifest["task"]:
        problems.append(
            f"the task is {challenger.manifest['task']}, not {champion.manifest['task']}"
        )
    if added_columns:
        problems.append(f"it requires more columns: {truncated_list(added_columns)}")
    if classes[0] != classes[1]:
        changed_classes = sorted(set(map(str, classes[0])) ^ set(map(str, classes[1])))
        problems.append(
            "the classes differ: "
            + (truncated_list(changed_classes) if changed_classes else "another order")
        )
    message = join_names(problems) if problems else "same columns, same classes"
    return GateResult(
        "schema", not problems, message, {"columns": list(challenger.required_columns)}
    )

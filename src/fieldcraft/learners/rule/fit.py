"""Fit the one-rule model, predict with it and export it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fieldcraft.contracts import Encoded, InputFormat, Matrix, State, TrainingJob
from fieldcraft.core.types import Array, Json
from fieldcraft.learners.rule.bins import BinnedTarget, assign_bins, fit_cuts

MAX_SHORTLISTED_COLUMNS = 10  # candidates that are compared on the validation rows
# A candidate must lower the BIC cost by this fraction of what the best one lowers it by.
MIN_EXPLAINED_FRACTION = 0.8


@dataclass(frozen=True)
class RuleCandidate:
    """A rule on one column, with its BIC cost on the training rows."""

    column: int
    cuts: Array
    cost: float


class RuleModel:
    """Looks up the outputs for the bin that the value of one column falls into.

    The readable rule is in ``values``: the ``column``, its ``n_levels`` and its ``bins``. Each bin
    has ``rows``, ``outputs`` and either ``level_code`` (0 for rare and unseen levels), or ``min``
    and ``max`` of the training rows with the ``upper_edge`` of the bin, or ``missing``.
    """

    input_format: InputFormat = "matrix"

    def __init__(self, arrays: Mapping[str, Array], values: Json) -> None:
        """Store the fitted arrays and the readable rule.

        Args:
            arrays: ``column``, ``cuts`` (increasing), and ``table`` (cuts + 2, n_outputs), whose
                last row is for missing values.
            values: column and bins, as JSON.
        """
        self.arrays, self.values = arrays, values

    def outputs(self, rows: Encoded) -> Array:
        """Probabilities of classes or labels, or values, shape (rows, n_outputs)."""
        column = rows.matrix().values[:, int(self.arrays["column"][0])]
        return np.asarray(self.arrays["table"][assign_bins(column, self.arrays["cuts"])])

    def state(self) -> State:
        """The arrays, and the readable rule."""
        return State(self.values, self.arrays)

    def to_onnx(self) -> bytes:
        """The model as an ONNX graph."""
        from fieldcraft.learners.rule.export import build_rule_onnx

        return build_rule_onnx(self.arrays)


def fit_rule(job: TrainingJob) -> RuleModel:
    """Fit a rule on each column; of the best ones choose by the validation loss."""
    matrix = job.train.matrix()
    weights = np.ones(len(job.train_y)) if job.weights is None else job.weights
    target = BinnedTarget(
        job.task.output, job.train_y, weights / weights.mean(), job.task.n_outputs(job.target_spec)
    )
    candidates = [
        fit_candidate(matrix, column, target, job.options.max_bins)
        for column in range(len(matrix.levels))
    ]
    models = [
        build_rule_model(matrix, chosen, target) for chosen in select_candidates(candidates, target)
    ]
    losses = [
        job.task.validation_loss(
            model.outputs(job.validation), job.validation_y, job.validation_weights
        )
        for model in models
    ]
    return models[int(np.argmin(losses))]


def select_candidates(candidates: list[RuleCandidate], target: BinnedTarget) -> list[RuleCandidate]:
    """The candidates that explain the training rows about as well as the best one, best first.

    There may be few validation rows. They choose only among candidates that are nearly equal,
    where a column that is best by chance does little harm.
    """
    statistics = target.summarize_bins(np.zeros(len(target.y), dtype=np.int64), 1)
    baseline_cost = float(statistics.compute_costs().sum()) + target.bin_penalty
    ranked = sorted(candidates, key=lambda candidate: candidate.cost)
    max_cost = baseline_cost - MIN_EXPLAINED_FRACTION * (baseline_cost - ranked[0].cost)
    return [
        ranked[0],
        *(
            candidate
            for candidate in ranked[1:MAX_SHORTLISTED_COLUMNS]
            if candidate.cost <= max_cost < baseline_cost
        ),
    ]


def fit_candidate(
    matrix: Matrix, column: int, target: BinnedTarget, max_bins: int
) -> RuleCandidate:
    """Fit a rule on one column: a bin per level, or the best few cuts."""
    values, levels = matrix.values[:, column], matrix.levels[column]
    if levels:
        cuts = np.arange(levels, dtype=np.float32) + np.float32(0.5)  # between the codes
    else:
        cuts = fit_cuts(values, target, max_bins)
    statistics = target.summarize_bins(assign_bins(values, cuts), len(cuts) + 2)
    n_bins = int((statistics.counts > 0).sum())
    return RuleCandidate(
        column, cuts, float(statistics.compute_costs().sum()) + n_bins * target.bin_penalty
    )


def build_rule_model(matrix: Matrix, candidate: RuleCandidate, target: BinnedTarget) -> RuleModel:
    """Build the model of a candidate."""
    values, cuts = matrix.values[:, candidate.column], candidate.cuts
    n_levels = matrix.levels[candidate.column]
    if not len(cuts):  # ONNX runtimes reject empty arrays, so add a bin that stays empty
        cuts = np.array([np.inf], dtype=np.float32)
    bin_index = assign_bins(values, cuts)
    table = target.summarize_bins(bin_index, len(cuts) + 2).compute_outputs().astype(np.float32)
    rule = {
        "column": matrix.names[candidate.column],
        "n_levels": n_levels,
        "bins": [
            {
                **build_bin_bounds(values[bin_index == bin_number], cuts, bin_number, n_levels),
                "rows": int((bin_index == bin_number).sum()),
                "outputs": table[bin_number].tolist(),
            }
            for bin_number in np.unique(bin_index)
        ],
    }
    arrays = {"column": np.array([candidate.column]), "cuts": cuts, "table": table}
    return RuleModel(arrays, rule)


def build_bin_bounds(values: Array, cuts: Array, bin_number: int, n_levels: int) -> Json:
    """Describe the training values of a bin as JSON."""
    if bin_number > len(cuts):
        return {"missing": True}
    if n_levels:
        return {"level_code": int(bin_number)}
    # JSON has no infinity: the last bin has no upper edge.
    upper_edge = (
        float(cuts[bin_number])
        if bin_number < len(cuts) and np.isfinite(cuts[bin_number])
        else None
    )
    return {"min": float(values.min()), "max": float(values.max()), "upper_edge": upper_edge}

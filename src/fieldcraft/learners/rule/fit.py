"""Find, run and export the one rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fieldcraft.contracts import Array, Encoded, Form, Job, Json, Matrix, State
from fieldcraft.learners.rule.bins import Target, number_cuts, place_of

SHORTLIST = 10  # columns at most that are compared on tune rows
NEAR = 0.8  # share of what the best column explains of training rows, to be compared with it


@dataclass(frozen=True)
class Candidate:
    """A rule on one column, and what it costs on training rows, its bins included."""

    column: int
    cuts: Array
    cost: float


class RuleModel:
    """Looks up the bin of one column.

    The readable rule is in ``values``: the name of the column and its ``bins``, each with its
    ``rows``, its ``outputs`` and one of ``code`` (of a level, 0 for rare and unseen ones), ``low``
    and ``high`` (values in training rows, with the ``cut`` that ends the bin) or ``missing``.
    """

    view: Form = "matrix"

    def __init__(self, arrays: Mapping[str, Array], values: Json) -> None:
        """Keep the fitted arrays and the readable rule.

        Args:
            arrays: ``column``, ``cuts`` (increasing), and ``table`` (cuts + 2, width), whose
                last row is for missing values.
            values: column and bins, as JSON.
        """
        self.arrays, self.values = arrays, values

    def outputs(self, rows: Encoded) -> Array:
        """Probabilities of classes or labels, or values."""
        column = rows.matrix().values[:, int(self.arrays["column"][0])]
        return np.asarray(self.arrays["table"][place_of(column, self.arrays["cuts"])])

    def state(self) -> State:
        """The arrays, and the readable rule."""
        return State(self.values, self.arrays)

    def onnx(self) -> bytes:
        """The same steps as an ONNX graph."""
        from fieldcraft.learners.rule.export import rule_onnx

        return rule_onnx(self.arrays)


def fit_rule(job: Job) -> RuleModel:
    """Bin every column; of those that explain training rows best, the best on tune rows."""
    matrix = job.train.matrix()
    weights = np.ones(len(job.train_y)) if job.weights is None else job.weights
    target = Target(
        job.task.output, job.train_y, weights / weights.mean(), job.task.width(job.about)
    )
    found = [
        candidate(matrix, column, target, job.options.bins) for column in range(len(matrix.levels))
    ]
    models = [build(matrix, one, target) for one in shortlist(found, target)]
    losses = [
        job.task.validation_loss(model.outputs(job.tune), job.tune_y, job.tune_weights)
        for model in models
    ]
    return models[int(np.argmin(losses))]


def shortlist(found: list[Candidate], target: Target) -> list[Candidate]:
    """The rules that explain training rows about as well as the best one, best first.

    Tune rows, which may be few, then choose between near equals only.
    """
    rows = target.tally(np.zeros(len(target.y), dtype=np.int64), 1)
    nothing = float(rows.costs().sum()) + target.price
    ranked = sorted(found, key=lambda one: one.cost)
    enough = nothing - NEAR * (nothing - ranked[0].cost)
    return [ranked[0], *(one for one in ranked[1:SHORTLIST] if one.cost <= enough < nothing)]


def candidate(matrix: Matrix, column: int, target: Target, most: int) -> Candidate:
    """The rule on one column: its levels, or the best few cuts."""
    values, levels = matrix.values[:, column], matrix.levels[column]
    if levels:
        cuts = np.arange(levels, dtype=np.float32) + np.float32(0.5)
    else:
        cuts = number_cuts(values, target, most)
    tally = target.tally(place_of(values, cuts), len(cuts) + 2)
    bins = int((tally.counts > 0).sum())
    return Candidate(column, cuts, float(tally.costs().sum()) + bins * target.price)


def build(matrix: Matrix, chosen: Candidate, target: Target) -> RuleModel:
    """The model of a candidate."""
    values, cuts = matrix.values[:, chosen.column], chosen.cuts
    if not len(cuts):  # a bin that nothing falls into keeps the arrays from being empty
        cuts = np.array([np.inf], dtype=np.float32)
    place = place_of(values, cuts)
    table = target.tally(place, len(cuts) + 2).table().astype(np.float32)
    rule = {
        "column": matrix.names[chosen.column],
        "levels": matrix.levels[chosen.column],
        "bins": [
            {**bounds(values[place == number], cuts, number, matrix.levels[chosen.column]),
             "rows": int((place == number).sum()), "outputs": table[number].tolist()}
            for number in np.unique(place)
        ],
    }  # fmt: skip
    arrays = {"column": np.array([chosen.column]), "cuts": cuts, "table": table}
    return RuleModel(arrays, rule)


def bounds(values: Array, cuts: Array, number: int, levels: int) -> Json:
    """Which values of training rows a bin holds, as JSON."""
    if number > len(cuts):
        return {"missing": True}
    if levels:
        return {"code": int(number)}
    cut = float(cuts[number]) if number < len(cuts) and np.isfinite(cuts[number]) else None
    return {"low": float(values.min()), "high": float(values.max()), "cut": cut}

"""Every task that is plugged in keeps the promises of a task."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
import torch

from fieldcraft.contracts import Array, Json, Task
from fieldcraft.core import catalogue
from fieldcraft.data.look import Look
from fieldcraft.evidence.metrics import Metric

TASKS = catalogue.names("tasks")
METRICS = [
    pytest.param(name, metric, id=f"{name}-{metric.name}")
    for name in TASKS
    for metric in catalogue.load("tasks", name).metrics
]


@dataclass(frozen=True)
class Sample:
    """A task with a target, the best outputs there can be for it, and useless ones."""

    task: Task
    target: pl.Series
    about: Json
    y: Array
    scale: Json
    best: Array
    useless: Array


@pytest.fixture
def sample(name: str, target_for: Callable[[Task], pl.Series]) -> Sample:
    task: Task = catalogue.load("tasks", name)
    target = target_for(task)
    about = task.describe(target, None)
    y = task.encode(target, about)
    scale = task.scale(y)
    draw = np.random.default_rng(0)
    if task.output == "probabilities":
        best = np.eye(task.width(about))[y]
        useless = draw.dirichlet(np.ones(best.shape[1]), len(y))
    else:
        best = task.scaled(y, scale)[:, None]
        useless = draw.permutation(best)
    return Sample(task, target, about, y, scale, best, useless)


def as_json(value: Json) -> Json:
    """What comes back of a value that was written as JSON."""
    found: Json = json.loads(json.dumps(value, allow_nan=False))
    return found


def targets(sample: Sample) -> torch.Tensor:
    """The target as a network is trained on it."""
    y = np.array(sample.task.scaled(sample.y, sample.scale))
    return torch.as_tensor(y if y.dtype.kind == "i" else y.astype(np.float32))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_the_name_it_is_found_by(name: str) -> None:
    assert catalogue.load("tasks", name).name == name


@pytest.mark.parametrize("name", TASKS)
def test_looking_at_odd_or_empty_targets_never_fails(
    name: str, columns: dict[str, pl.Series]
) -> None:
    for cells in columns.values():
        for part in (cells, cells.head(1), cells.clear()):
            guess = catalogue.load("tasks", name).recognise(Look(part))
            assert guess is None or (guess.name == name and 0 < guess.confidence <= 1)


@pytest.mark.parametrize("name", TASKS)
def test_baselines_are_learners_simplest_first(name: str) -> None:
    learners = [catalogue.load("learners", b) for b in catalogue.load("tasks", name).baselines]
    assert learners
    complexities = [learner.complexity for learner in learners]
    assert complexities == sorted(complexities)


@pytest.mark.parametrize("name", TASKS)
def test_metrics_have_names_of_their_own(name: str) -> None:
    names = [metric.name for metric in catalogue.load("tasks", name).metrics]
    assert names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("name", "metric"), METRICS)
def test_a_metric_prefers_the_truth_to_useless_outputs(sample: Sample, metric: Metric) -> None:
    weights = np.vstack([np.ones(len(sample.y)), np.arange(len(sample.y))])
    y = sample.task.scaled(sample.y, sample.scale)
    best, useless = (metric.values(y, o, weights) for o in (sample.best, sample.useless))
    assert best.shape == (2,)
    assert np.isfinite([best, useless]).all()
    assert (best > useless).all() if metric.greater_is_better else (best < useless).all()


@pytest.mark.parametrize("name", TASKS)
def test_the_best_outputs_are_decided_as_the_target(sample: Sample) -> None:
    outputs = sample.task.unscaled(sample.best, as_json(sample.scale))
    decided = sample.task.decide(outputs, as_json(sample.about))["prediction"]
    if sample.task.output == "probabilities":
        assert decided.to_list() == sample.target.cast(pl.String).to_list()
    else:
        np.testing.assert_allclose(decided.to_numpy(), sample.target.to_numpy())


@pytest.mark.parametrize("name", TASKS)
def test_a_decision_starts_with_the_prediction_and_probabilities_add_up(sample: Sample) -> None:
    for outputs in (sample.useless, sample.useless[:0]):
        decided = sample.task.decide(outputs, sample.about)
        assert decided.columns[0] == "prediction"
        assert decided.height == len(outputs)
        if sample.task.output == "probabilities":
            shares = decided.select(pl.col("^probability_.*$"))
            assert shares.columns == [f"probability_{label}" for label in sample.about["classes"]]
            np.testing.assert_allclose(shares.sum_horizontal().to_numpy(), 1)


@pytest.mark.parametrize("name", TASKS)
def test_targets_scale_and_come_back(sample: Sample) -> None:
    y, scale = sample.y, as_json(sample.scale)
    scaled = sample.task.scaled(y, scale)
    assert len(scaled) == len(y)
    if sample.task.output == "value":
        np.testing.assert_allclose(sample.task.unscaled(scaled[:, None], scale)[:, 0], y)
    else:
        np.testing.assert_array_equal(scaled, y)


@pytest.mark.parametrize("name", TASKS)
def test_calibration_survives_json_and_harms_nothing(sample: Sample) -> None:
    y = sample.task.scaled(sample.y, sample.scale)
    calibration = as_json(sample.task.calibrate(sample.useless, y))
    outputs = sample.task.calibrated(sample.useless, calibration)
    assert outputs.shape == sample.useless.shape
    chosen: Metric = {m.name: m for m in sample.task.metrics}.get(
        "log_loss", sample.task.metrics[0]
    )
    weights = np.ones((1, len(y)))
    before, after = (chosen.values(y, o, weights)[0] for o in (sample.useless, outputs))
    assert after <= before + 1e-9
    if sample.task.output == "probabilities":
        np.testing.assert_allclose(outputs.sum(axis=1), 1)


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_that_stops_training_prefers_the_truth(sample: Sample) -> None:
    y = sample.task.scaled(sample.y, sample.scale)
    best, useless = (sample.task.validation_loss(o, y) for o in (sample.best, sample.useless))
    assert best < useless < np.inf


@pytest.mark.parametrize("name", TASKS)
def test_target_columns_are_finite_numbers_for_each_row(sample: Sample) -> None:
    columns = sample.task.columns(sample.task.scaled(sample.y, sample.scale), sample.about)
    assert columns.ndim == 2
    assert len(columns) == len(sample.y)
    assert np.isfinite(columns).all()


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_loss_and_activation_have_finite_gradients(sample: Sample, size: float) -> None:
    width = sample.task.width(sample.about)
    draw = torch.Generator().manual_seed(0)
    raw = (size * torch.randn(len(sample.y), 3, width, generator=draw)).requires_grad_()
    losses = sample.task.loss()(raw, targets(sample))
    assert losses.shape == (len(sample.y),)
    (slope,) = torch.autograd.grad(losses.sum(), raw, retain_graph=True)
    outputs = sample.task.activate(raw)
    (bend,) = torch.autograd.grad(outputs.sum(), raw)
    for found in (losses, slope, outputs, bend):
        assert bool(found.isfinite().all())
    if sample.task.output == "probabilities":
        torch.testing.assert_close(outputs.sum(-1), torch.ones(len(sample.y), 3))


@pytest.mark.parametrize("name", TASKS)
def test_a_step_down_the_loss_makes_the_loss_smaller(sample: Sample) -> None:
    width = sample.task.width(sample.about)
    raw = torch.zeros(len(sample.y), 2, width, requires_grad=True)
    y, loss = targets(sample), sample.task.loss()
    before = loss(raw, y).sum()
    (slope,) = torch.autograd.grad(before, raw)
    assert bool(loss(raw - 0.1 * slope, y).sum() < before)


@pytest.mark.parametrize("name", TASKS)
def test_evidence_is_json_and_points_at_rows(sample: Sample) -> None:
    outputs = sample.task.unscaled(sample.useless, sample.scale)
    found = as_json(sample.task.evidence(sample.y, outputs, sample.about))
    assert found["worst"]
    assert set(found["worst"]) <= set(range(len(sample.y)))

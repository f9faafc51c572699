"""Every task that is plugged in keeps the promises of a task."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
import torch

from fieldcraft.contracts import Task
from fieldcraft.core import catalog
from fieldcraft.core.errors import FieldcraftError
from fieldcraft.core.types import Array, Json
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.splitting import stratification_labels
from fieldcraft.statistics.metrics import Metric, Predictions

TASKS = catalog.list_plugins("tasks")
METRICS = [
    pytest.param(name, metric, id=f"{name}-{metric.name}")
    for name in TASKS
    for metric in catalog.load_plugin("tasks", name).metrics
]
ROWS = 60
# Coverage is judged by its rate; regions of useless outputs may be as small as the best ones.
REGION_METRICS = {"mean_set_size", "mean_undecided_labels", "mean_interval_width", "pinball"}
PROBLEM: Json = {"class_order": ["low", "middle", "high"], "threshold": None, "costs": {}}


def make_targets() -> list[pl.Series]:
    """Targets as the project reads them; a new task may need another one."""
    score = np.random.default_rng(1).normal(size=ROWS)
    calm, happy = score > 0.3, np.abs(score) < 0.6
    return [
        pl.Series("bought", np.where(score > 0.4, "yes", "no")),
        pl.Series("grade", np.array(["low", "middle", "high"])[np.digitize(score, [-0.5, 0.5])]),
        pl.Series("price", 100 + 30 * score),
        pl.DataFrame({"calm": calm, "happy": happy}).to_struct("moods"),
    ]


def choose_target(task: Task) -> pl.Series:
    """The target that a task recognizes best as its own, or the first that it can describe."""
    inferences = [(task.infer(profile_target(target)), target) for target in make_targets()]
    scored = [(inference.confidence, i) for i, (inference, _) in enumerate(inferences) if inference]
    if scored:
        return inferences[max(scored)[1]][1]
    for _, target in inferences:
        try:
            task.describe(target, PROBLEM)
        except (FieldcraftError, pl.exceptions.PolarsError, AttributeError):
            continue
        return target
    raise AssertionError(f"add a target that {task.name} can describe")


def profile_target(target: pl.Series) -> list[ColumnProfile]:
    """A look at each column of a target."""
    frame = target.struct.unnest() if target.dtype == pl.Struct else target.to_frame()
    return [ColumnProfile(frame[name].cast(pl.String)) for name in frame.columns]


@dataclass(frozen=True)
class TaskSample:
    """A task with a target, the best outputs there can be for it, and useless ones.

    Outputs are as a model gives them, on the scale that learners see.
    """

    task: Task
    target: pl.Series
    target_spec: Json
    y: Array
    scale: Json
    perfect_outputs: Array
    useless_outputs: Array

    @property
    def scaled_y(self) -> Array:
        """The target on the scale that learners see."""
        return self.task.scale_target(self.y, self.scale)

    def calibrate(self, outputs: Array, target_spec: Json | None = None) -> Json:
        """What is found from outputs of a model on all rows."""
        unscaled = self.task.unscale_outputs(outputs, self.scale)
        return json_round_trip(
            self.task.calibrate(unscaled, self.y, target_spec or self.target_spec)
        )

    def predict(self, outputs: Array, target_spec: Json | None = None) -> Predictions:
        """What is said of all rows, calibrated on them."""
        calibration = self.calibrate(outputs, target_spec)
        unscaled = self.task.unscale_outputs(outputs, self.scale)
        return self.task.predictions_from_outputs(
            self.task.apply_calibration(unscaled, calibration),
            target_spec or self.target_spec,
            calibration,
        )


@pytest.fixture
def sample(name: str) -> TaskSample:
    task: Task = catalog.load_plugin("tasks", name)
    target = choose_target(task)
    target_spec = json_round_trip(task.describe(target, PROBLEM))
    y = task.encode(target, target_spec)
    scale = json_round_trip(task.fit_target_scale(y))
    rng = np.random.default_rng(0)
    if task.output == "probabilities":
        perfect_outputs = np.eye(task.n_outputs(target_spec))[y]
        useless_outputs = rng.dirichlet(np.ones(perfect_outputs.shape[1]), len(y))
    elif task.output == "labels":
        perfect_outputs = y.astype(np.float64)
        useless_outputs = rng.random(perfect_outputs.shape)
    else:
        perfect_outputs = task.scale_target(y, scale)[:, None]
        useless_outputs = rng.permutation(perfect_outputs)
    return TaskSample(task, target, target_spec, y, scale, perfect_outputs, useless_outputs)


def json_round_trip(value: Json) -> Json:
    """What comes back of a value that was written as JSON."""
    decoded: Json = json.loads(json.dumps(value, allow_nan=False))
    return decoded


def to_training_tensor(sample: TaskSample) -> torch.Tensor:
    """The target as a network is trained on it."""
    y = np.array(sample.scaled_y)
    return torch.as_tensor(y if y.dtype.kind == "i" else y.astype(np.float32))


def assert_valid(sample: TaskSample, outputs: Array) -> None:
    """Outputs are finite, of the promised width, and probabilities where they are to be."""
    assert outputs.shape[-1] == sample.task.n_outputs(sample.target_spec)
    assert np.isfinite(outputs).all()
    if sample.task.output != "value":
        assert (outputs >= 0).all()
        assert (outputs <= 1).all()
    if sample.task.output == "probabilities":
        np.testing.assert_allclose(outputs.sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_the_name_it_is_found_by(name: str) -> None:
    task = catalog.load_plugin("tasks", name)
    assert task.name == name
    assert task.output in ("probabilities", "labels", "value")


@pytest.mark.parametrize("name", TASKS)
def test_looking_at_odd_or_empty_targets_never_fails(
    name: str, text_columns: dict[str, pl.Series]
) -> None:
    task = catalog.load_plugin("tasks", name)
    for cells in text_columns.values():
        for part in (cells, cells.head(1), cells.clear()):
            for looks in (
                [ColumnProfile(part)],
                [ColumnProfile(part), ColumnProfile(text_columns["answer"])],
            ):
                inference = task.infer(looks)
                assert inference is None or (
                    inference.name == name and 0 < inference.confidence <= 1
                )


@pytest.mark.parametrize("name", TASKS)
def test_baselines_are_learners_simplest_first(name: str) -> None:
    known = catalog.list_plugins("learners")
    learners = [
        catalog.load_plugin("learners", baseline)
        for baseline in catalog.load_plugin("tasks", name).baselines
        if baseline in known
    ]
    assert learners
    assert learners[0].complexity == 0
    complexities = [learner.complexity for learner in learners]
    assert complexities == sorted(complexities)


@pytest.mark.parametrize("name", TASKS)
def test_metrics_have_names_and_titles_of_their_own(name: str) -> None:
    metrics = catalog.load_plugin("tasks", name).metrics
    assert metrics
    assert len({metric.name for metric in metrics}) == len(metrics)
    assert len({metric.title for metric in metrics}) == len(metrics)
    assert {"coverage"} < {metric.name for metric in metrics}


@pytest.mark.parametrize(("name", "metric"), METRICS)
def test_a_metric_prefers_the_truth_to_useless_outputs(sample: TaskSample, metric: Metric) -> None:
    weights = np.vstack([np.ones(ROWS), np.arange(ROWS)])
    best, useless = (
        metric.compute(sample.y, sample.predict(outputs), weights)
        for outputs in (sample.perfect_outputs, sample.useless_outputs)
    )
    assert best.shape == (2,)
    assert np.isfinite([best, useless]).all()
    if metric.name == "mean_error":
        assert (np.abs(best) <= np.abs(useless)).all()
    elif metric.name in REGION_METRICS:
        assert (best <= useless).all()
    elif metric.name != "coverage":
        assert (best > useless).all() if metric.greater_is_better else (best < useless).all()


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("outputs", ["perfect_outputs", "useless_outputs"])
def test_regions_hold_the_truth_at_least_as_often_as_asked(
    sample: TaskSample, outputs: str
) -> None:
    (metric,) = (metric for metric in sample.task.metrics if metric.name == "coverage")
    for coverage in (0.6, 0.9):
        predictions = sample.predict(
            getattr(sample, outputs), {**sample.target_spec, "coverage": coverage}
        )
        assert predictions.coverage == coverage
        assert metric.compute(sample.y, predictions, np.ones((1, ROWS)))[0] >= coverage


@pytest.mark.parametrize("name", TASKS)
def test_the_best_outputs_are_decided_as_the_target(sample: TaskSample) -> None:
    decided = sample.task.to_frame(sample.predict(sample.perfect_outputs), sample.target_spec)[
        "prediction"
    ]
    if sample.task.output == "probabilities":
        assert decided.to_list() == sample.target.cast(pl.String).to_list()
    elif sample.task.output == "labels":
        labels = np.array(sample.target_spec["labels"])
        expected = ["|".join(labels[row == 1]) for row in sample.y]
        assert decided.to_list() == expected
    else:
        np.testing.assert_allclose(decided.to_numpy(), sample.target.to_numpy())


@pytest.mark.parametrize("name", TASKS)
def test_a_decision_starts_with_the_prediction_and_tells_probabilities(sample: TaskSample) -> None:
    predictions = sample.predict(sample.useless_outputs)
    none = Predictions(
        predictions.outputs[:0],
        predictions.decisions[:0],
        predictions.regions[:0],
        predictions.coverage,
    )
    for part in (predictions, none):
        decided = sample.task.to_frame(part, sample.target_spec)
        assert decided.columns[0] == "prediction"
        assert decided.height == len(part.decisions)
        assert decided.null_count().sum_horizontal()[0] == 0
        assert not any(dtype.is_nested() for dtype in decided.dtypes)
        shares = decided.select(pl.col("^probability_.*$"))
        names = sample.target_spec.get("classes") or sample.target_spec.get("labels") or []
        assert shares.columns == [f"probability_{label}" for label in names]
        for column, share in zip(shares, part.outputs.T, strict=False):
            np.testing.assert_array_equal(column.to_numpy(), share)


@pytest.mark.parametrize("name", TASKS)
def test_every_row_is_decided_by_itself(sample: TaskSample) -> None:
    calibration = sample.calibrate(sample.useless_outputs)
    all_outputs = sample.task.unscale_outputs(sample.useless_outputs, sample.scale)

    def decided(outputs: Array) -> pl.DataFrame:
        honest = sample.task.apply_calibration(outputs, calibration)
        return sample.task.to_frame(
            sample.task.predictions_from_outputs(honest, sample.target_spec, calibration),
            sample.target_spec,
        )

    together = decided(all_outputs)
    alone = pl.concat([decided(all_outputs[i : i + 1]) for i in range(ROWS)])
    assert alone.columns == together.columns
    for column in together.columns:
        if together[column].dtype.is_float():
            np.testing.assert_allclose(alone[column], together[column], rtol=1e-12)
        else:
            assert alone[column].to_list() == together[column].to_list()


@pytest.mark.parametrize("name", TASKS)
def test_targets_scale_and_come_back(sample: TaskSample) -> None:
    y, scale = sample.y, sample.scale
    scaled = sample.scaled_y
    assert len(scaled) == len(y)
    if sample.task.output == "value":
        np.testing.assert_allclose(sample.task.unscale_outputs(scaled[:, None], scale)[:, 0], y)
    else:
        np.testing.assert_array_equal(scaled, y)
        assert sample.task.unscale_outputs(sample.useless_outputs, scale) is sample.useless_outputs


@pytest.mark.parametrize("name", TASKS)
def test_a_target_is_read_in_the_same_way_row_by_row(sample: TaskSample) -> None:
    alone = [sample.task.encode(sample.target[i : i + 1], sample.target_spec) for i in range(ROWS)]
    np.testing.assert_array_equal(np.concatenate(alone), sample.y)
    assert len(stratification_labels(sample.target)) == ROWS


@pytest.mark.parametrize("name", TASKS)
def test_calibration_harms_nothing(sample: TaskSample) -> None:
    calibration = sample.calibrate(sample.useless_outputs)
    outputs = sample.task.unscale_outputs(sample.useless_outputs, sample.scale)
    honest = sample.task.apply_calibration(outputs, calibration)
    assert honest.shape == outputs.shape
    assert_valid(sample, honest)
    chosen: Metric = {m.name: m for m in sample.task.metrics}.get(
        "log_loss", sample.task.metrics[0]
    )
    before, after = (
        chosen.compute(
            sample.y,
            sample.task.predictions_from_outputs(o, sample.target_spec, calibration),
            np.ones((1, ROWS)),
        )[0]
        for o in (outputs, honest)
    )
    assert after <= before + 1e-9


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_very_few_validation_rows_are_enough(sample: TaskSample, rows: int) -> None:
    outputs = sample.task.unscale_outputs(sample.useless_outputs, sample.scale)
    calibration = json_round_trip(
        sample.task.calibrate(outputs[:rows], sample.y[:rows], sample.target_spec)
    )
    predictions = sample.task.predictions_from_outputs(
        sample.task.apply_calibration(outputs, calibration), sample.target_spec, calibration
    )
    assert_valid(sample, predictions.outputs)
    assert np.isfinite(predictions.regions).all()
    assert sample.task.to_frame(predictions, sample.target_spec).height == ROWS


@pytest.mark.parametrize("name", TASKS)
def test_rows_that_weigh_nothing_do_not_count(sample: TaskSample) -> None:
    half = np.arange(ROWS) < ROWS // 2
    outputs = sample.perfect_outputs * 0.6 + sample.useless_outputs * 0.4
    final = sample.task.unscale_outputs(outputs, sample.scale)
    alone = sample.task.calibrate(final[half], sample.y[half], sample.target_spec)
    weighed = sample.task.calibrate(final, sample.y, sample.target_spec, np.where(half, 5.0, 1e-9))
    for part in ("outputs", "regions"):
        weighted, subset = (
            getattr(
                sample.task.predictions_from_outputs(
                    sample.task.apply_calibration(final, c), sample.target_spec, c
                ),
                part,
            )
            for c in (alone, weighed)
        )
        np.testing.assert_allclose(weighted, subset, rtol=0.02, atol=0.02)
    assert sample.task.validation_loss(
        outputs, sample.scaled_y, np.where(half, 5.0, 1e-9)
    ) == pytest.approx(sample.task.validation_loss(outputs[half], sample.scaled_y[half]), rel=0.02)


@pytest.mark.parametrize("name", TASKS)
def test_constant_outputs_are_calibrated_decided_and_evaluated(sample: TaskSample) -> None:
    """As the simplest baseline says it."""
    if sample.task.output == "probabilities":
        shares = np.bincount(sample.y) / ROWS
    else:
        shares = np.atleast_1d(sample.scaled_y.mean(axis=0))
    outputs = np.tile(shares.astype(np.float32), (ROWS, 1))
    predictions = sample.predict(outputs)
    assert_valid(sample, predictions.outputs)
    for part in (predictions.outputs, predictions.decisions, predictions.regions):
        np.testing.assert_array_equal(part, np.repeat(part[:1], ROWS, axis=0))
    for metric in sample.task.metrics:
        metric_value = metric.compute(sample.y, predictions, np.ones((1, ROWS)))[0]
        # Nothing is called, or nothing varies: that is no number, but no error either.
        assert np.isfinite(metric_value) or metric.name in (
            "precision",
            "mcc",
            "macro_f1",
            "micro_f1",
        )
    assert json_round_trip(sample.task.diagnostics(sample.y, predictions, sample.target_spec))[
        "largest_errors"
    ]
    assert np.isfinite(sample.task.validation_loss(outputs, sample.scaled_y))
    assert sample.task.to_frame(predictions, sample.target_spec)["prediction"].n_unique() == 1


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_that_stops_training_prefers_the_truth(sample: TaskSample) -> None:
    best, useless = (
        sample.task.validation_loss(outputs, sample.scaled_y)
        for outputs in (sample.perfect_outputs, sample.useless_outputs)
    )
    assert best < useless < np.inf


@pytest.mark.parametrize("name", TASKS)
def test_target_columns_are_finite_numbers_for_each_row(sample: TaskSample) -> None:
    columns = sample.task.target_indicator_matrix(sample.scaled_y, sample.target_spec)
    assert columns.ndim == 2
    assert len(columns) == ROWS
    assert columns.dtype == np.float64
    assert np.isfinite(columns).all()


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("size", [1.0, 1e4])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_activation_have_finite_gradients(
    sample: TaskSample, size: float, smoothing: float
) -> None:
    width = sample.task.n_outputs(sample.target_spec)
    draw = torch.Generator().manual_seed(0)
    raw = (size * torch.randn(ROWS, 3, width, generator=draw)).requires_grad_()
    losses = sample.task.loss(smoothing)(raw, to_training_tensor(sample))
    assert losses.shape == (ROWS,)
    (slope,) = torch.autograd.grad(losses.sum(), raw, retain_graph=True)
    outputs = sample.task.activate(raw)
    (bend,) = torch.autograd.grad(outputs.sum(), raw)
    for tensor in (losses, slope, outputs, bend):
        assert bool(tensor.isfinite().all())
    assert outputs.shape == raw.shape
    assert_valid(sample, outputs.detach().numpy())


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("start", [0.0, 30.0])
def test_the_loss_falls_down_its_slope_however_wrong_a_network_is(
    sample: TaskSample, start: float
) -> None:
    width = sample.task.n_outputs(sample.target_spec)
    # Sure of the last class or label, or far above every value.
    raw = torch.zeros(ROWS, 2, width)
    raw[:, :, -1] = start
    raw.requires_grad_()
    y, loss = to_training_tensor(sample), sample.task.loss()
    before = loss(raw, y)
    (slope,) = torch.autograd.grad(before.sum(), raw)
    after = loss(raw - 0.1 * slope, y)
    assert bool((after <= before + 1e-6).all())
    bad = before > 0.1
    assert bool((after < before)[bad].all())


@pytest.mark.parametrize("name", TASKS)
def test_steps_down_the_loss_lead_to_the_truth(sample: TaskSample) -> None:
    width = sample.task.n_outputs(sample.target_spec)
    raw = torch.zeros(ROWS, 1, width, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.3)
    y, loss = to_training_tensor(sample), sample.task.loss()
    for _ in range(120):
        optimizer.zero_grad()
        loss(raw, y).sum().backward()
        optimizer.step()
    outputs = sample.task.activate(raw.detach())[:, 0].double().numpy()
    np.testing.assert_allclose(outputs, sample.perfect_outputs, atol=0.05)


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_of_a_row_does_not_depend_on_other_rows_or_the_number_of_members(
    sample: TaskSample,
) -> None:
    width = sample.task.n_outputs(sample.target_spec)
    raw = torch.randn(ROWS, 1, width, generator=torch.Generator().manual_seed(0))
    y, loss = to_training_tensor(sample), sample.task.loss(0.1)
    losses = loss(raw, y)
    torch.testing.assert_close(loss(raw.repeat(1, 4, 1), y), losses)
    torch.testing.assert_close(loss(raw[7:9], y[7:9]), losses[7:9])


@pytest.mark.parametrize("name", TASKS)
def test_diagnostics_are_json_and_point_at_rows(sample: TaskSample) -> None:
    diagnostics = json_round_trip(
        sample.task.diagnostics(
            sample.y, sample.predict(sample.useless_outputs), sample.target_spec
        )
    )
    assert diagnostics["largest_errors"]
    assert set(diagnostics["largest_errors"]) <= set(range(ROWS))

"""Every task that is plugged in keeps the promises of a task."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
import torch

from fieldcraft.contracts import Array, Json, Task
from fieldcraft.core import catalogue
from fieldcraft.core.errors import FieldcraftError
from fieldcraft.data.look import Look
from fieldcraft.data.split import strata_of
from fieldcraft.evidence.metrics import Metric, Said

TASKS = catalogue.names("tasks")
METRICS = [
    pytest.param(name, metric, id=f"{name}-{metric.name}")
    for name in TASKS
    for metric in catalogue.load("tasks", name).metrics
]
ROWS = 60
# Coverage is judged by its rate; regions of useless outputs may be as small as the best ones.
OF_REGIONS = {"set_size", "open_labels", "width", "pinball"}
PROBLEM: Json = {"order": ["low", "middle", "high"], "threshold": None, "costs": {}}


def pool() -> list[pl.Series]:
    """Targets as the project reads them; a new task may need another one."""
    score = np.random.default_rng(1).normal(size=ROWS)
    calm, happy = score > 0.3, np.abs(score) < 0.6
    return [
        pl.Series("bought", np.where(score > 0.4, "yes", "no")),
        pl.Series("grade", np.array(["low", "middle", "high"])[np.digitize(score, [-0.5, 0.5])]),
        pl.Series("price", 100 + 30 * score),
        pl.DataFrame({"calm": calm, "happy": happy}).to_struct("moods"),
    ]


def target_of(task: Task) -> pl.Series:
    """The target that a task recognises best as its own, or the first that it can describe."""
    guesses = [(task.recognise(looks_of(target)), target) for target in pool()]
    sure = [(guess.confidence, i) for i, (guess, _) in enumerate(guesses) if guess]
    if sure:
        return guesses[max(sure)[1]][1]
    for _, target in guesses:
        try:
            task.describe(target, PROBLEM)
        except (FieldcraftError, pl.exceptions.PolarsError, AttributeError):
            continue
        return target
    raise AssertionError(f"add a target that {task.name} can describe")


def looks_of(target: pl.Series) -> list[Look]:
    """A look at each column of a target."""
    frame = target.struct.unnest() if target.dtype == pl.Struct else target.to_frame()
    return [Look(frame[name].cast(pl.String)) for name in frame.columns]


@dataclass(frozen=True)
class Sample:
    """A task with a target, the best outputs there can be for it, and useless ones.

    Outputs are as a model gives them, on the scale that learners see.
    """

    task: Task
    target: pl.Series
    about: Json
    y: Array
    scale: Json
    best: Array
    useless: Array

    @property
    def scaled(self) -> Array:
        """The target on the scale that learners see."""
        return self.task.scaled(self.y, self.scale)

    def calibration(self, outputs: Array, about: Json | None = None) -> Json:
        """What is found from outputs of a model on all rows."""
        final = self.task.unscaled(outputs, self.scale)
        return as_json(self.task.calibrate(final, self.y, about or self.about))

    def read(self, outputs: Array, about: Json | None = None) -> Said:
        """What is said of all rows, calibrated on them."""
        calibration = self.calibration(outputs, about)
        final = self.task.unscaled(outputs, self.scale)
        return self.task.read(
            self.task.calibrated(final, calibration), about or self.about, calibration
        )


@pytest.fixture
def sample(name: str) -> Sample:
    task: Task = catalogue.load("tasks", name)
    target = target_of(task)
    about = as_json(task.describe(target, PROBLEM))
    y = task.encode(target, about)
    scale = as_json(task.scale(y))
    draw = np.random.default_rng(0)
    if task.output == "probabilities":
        best = np.eye(task.width(about))[y]
        useless = draw.dirichlet(np.ones(best.shape[1]), len(y))
    elif task.output == "labels":
        best = y.astype(np.float64)
        useless = draw.random(best.shape)
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
    y = np.array(sample.scaled)
    return torch.as_tensor(y if y.dtype.kind == "i" else y.astype(np.float32))


def assert_valid(sample: Sample, outputs: Array) -> None:
    """Outputs are finite, of the promised width, and probabilities where they are to be."""
    assert outputs.shape[-1] == sample.task.width(sample.about)
    assert np.isfinite(outputs).all()
    if sample.task.output != "value":
        assert (outputs >= 0).all()
        assert (outputs <= 1).all()
    if sample.task.output == "probabilities":
        np.testing.assert_allclose(outputs.sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_the_name_it_is_found_by(name: str) -> None:
    task = catalogue.load("tasks", name)
    assert task.name == name
    assert task.output in ("probabilities", "labels", "value")


@pytest.mark.parametrize("name", TASKS)
def test_looking_at_odd_or_empty_targets_never_fails(
    name: str, columns: dict[str, pl.Series]
) -> None:
    task = catalogue.load("tasks", name)
    for cells in columns.values():
        for part in (cells, cells.head(1), cells.clear()):
            for looks in ([Look(part)], [Look(part), Look(columns["answer"])]):
                guess = task.recognise(looks)
                assert guess is None or (guess.name == name and 0 < guess.confidence <= 1)


@pytest.mark.parametrize("name", TASKS)
def test_baselines_are_learners_simplest_first(name: str) -> None:
    known = catalogue.names("learners")
    learners = [
        catalogue.load("learners", baseline)
        for baseline in catalogue.load("tasks", name).baselines
        if baseline in known
    ]
    assert learners
    assert learners[0].complexity == 0
    complexities = [learner.complexity for learner in learners]
    assert complexities == sorted(complexities)


@pytest.mark.parametrize("name", TASKS)
def test_metrics_have_names_and_titles_of_their_own(name: str) -> None:
    metrics = catalogue.load("tasks", name).metrics
    assert metrics
    assert len({metric.name for metric in metrics}) == len(metrics)
    assert len({metric.title for metric in metrics}) == len(metrics)
    assert {"coverage"} < {metric.name for metric in metrics}


@pytest.mark.parametrize(("name", "metric"), METRICS)
def test_a_metric_prefers_the_truth_to_useless_outputs(sample: Sample, metric: Metric) -> None:
    weights = np.vstack([np.ones(ROWS), np.arange(ROWS)])
    best, useless = (
        metric.values(sample.y, sample.read(outputs), weights)
        for outputs in (sample.best, sample.useless)
    )
    assert best.shape == (2,)
    assert np.isfinite([best, useless]).all()
    if metric.name == "bias":
        assert (np.abs(best) <= np.abs(useless)).all()
    elif metric.name in OF_REGIONS:
        assert (best <= useless).all()
    elif metric.name != "coverage":
        assert (best > useless).all() if metric.greater_is_better else (best < useless).all()


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("outputs", ["best", "useless"])
def test_regions_hold_the_truth_at_least_as_often_as_asked(sample: Sample, outputs: str) -> None:
    (metric,) = (metric for metric in sample.task.metrics if metric.name == "coverage")
    for coverage in (0.6, 0.9):
        said = sample.read(getattr(sample, outputs), {**sample.about, "coverage": coverage})
        assert said.coverage == coverage
        assert metric.values(sample.y, said, np.ones((1, ROWS)))[0] >= coverage


@pytest.mark.parametrize("name", TASKS)
def test_the_best_outputs_are_decided_as_the_target(sample: Sample) -> None:
    decided = sample.task.decide(sample.read(sample.best), sample.about)["prediction"]
    if sample.task.output == "probabilities":
        assert decided.to_list() == sample.target.cast(pl.String).to_list()
    elif sample.task.output == "labels":
        labels = np.array(sample.about["labels"])
        wanted = ["|".join(labels[row == 1]) for row in sample.y]
        assert decided.to_list() == wanted
    else:
        np.testing.assert_allclose(decided.to_numpy(), sample.target.to_numpy())


@pytest.mark.parametrize("name", TASKS)
def test_a_decision_starts_with_the_prediction_and_tells_probabilities(sample: Sample) -> None:
    said = sample.read(sample.useless)
    none = Said(said.outputs[:0], said.decisions[:0], said.regions[:0], said.coverage)
    for part in (said, none):
        decided = sample.task.decide(part, sample.about)
        assert decided.columns[0] == "prediction"
        assert decided.height == len(part.decisions)
        assert decided.null_count().sum_horizontal()[0] == 0
        assert not any(dtype.is_nested() for dtype in decided.dtypes)
        shares = decided.select(pl.col("^probability_.*$"))
        names = sample.about.get("classes") or sample.about.get("labels") or []
        assert shares.columns == [f"probability_{label}" for label in names]
        for column, share in zip(shares, part.outputs.T, strict=False):
            np.testing.assert_array_equal(column.to_numpy(), share)


@pytest.mark.parametrize("name", TASKS)
def test_every_row_is_decided_by_itself(sample: Sample) -> None:
    calibration = sample.calibration(sample.useless)
    whole = sample.task.unscaled(sample.useless, sample.scale)

    def decided(outputs: Array) -> pl.DataFrame:
        honest = sample.task.calibrated(outputs, calibration)
        return sample.task.decide(sample.task.read(honest, sample.about, calibration), sample.about)

    together = decided(whole)
    alone = pl.concat([decided(whole[i : i + 1]) for i in range(ROWS)])
    assert alone.columns == together.columns
    for column in together.columns:
        if together[column].dtype.is_float():
            np.testing.assert_allclose(alone[column], together[column], rtol=1e-12)
        else:
            assert alone[column].to_list() == together[column].to_list()


@pytest.mark.parametrize("name", TASKS)
def test_targets_scale_and_come_back(sample: Sample) -> None:
    y, scale = sample.y, sample.scale
    scaled = sample.scaled
    assert len(scaled) == len(y)
    if sample.task.output == "value":
        np.testing.assert_allclose(sample.task.unscaled(scaled[:, None], scale)[:, 0], y)
    else:
        np.testing.assert_array_equal(scaled, y)
        assert sample.task.unscaled(sample.useless, scale) is sample.useless


@pytest.mark.parametrize("name", TASKS)
def test_a_target_is_read_in_the_same_way_row_by_row(sample: Sample) -> None:
    alone = [sample.task.encode(sample.target[i : i + 1], sample.about) for i in range(ROWS)]
    np.testing.assert_array_equal(np.concatenate(alone), sample.y)
    assert len(strata_of(sample.target)) == ROWS


@pytest.mark.parametrize("name", TASKS)
def test_calibration_harms_nothing(sample: Sample) -> None:
    calibration = sample.calibration(sample.useless)
    outputs = sample.task.unscaled(sample.useless, sample.scale)
    honest = sample.task.calibrated(outputs, calibration)
    assert honest.shape == outputs.shape
    assert_valid(sample, honest)
    chosen: Metric = {m.name: m for m in sample.task.metrics}.get(
        "log_loss", sample.task.metrics[0]
    )
    before, after = (
        chosen.values(sample.y, sample.task.read(o, sample.about, calibration), np.ones((1, ROWS)))[
            0
        ]
        for o in (outputs, honest)
    )
    assert after <= before + 1e-9


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_hardly_any_tune_rows_are_enough_to_say_something(sample: Sample, rows: int) -> None:
    outputs = sample.task.unscaled(sample.useless, sample.scale)
    calibration = as_json(sample.task.calibrate(outputs[:rows], sample.y[:rows], sample.about))
    said = sample.task.read(sample.task.calibrated(outputs, calibration), sample.about, calibration)
    assert_valid(sample, said.outputs)
    assert np.isfinite(said.regions).all()
    assert sample.task.decide(said, sample.about).height == ROWS


@pytest.mark.parametrize("name", TASKS)
def test_rows_that_weigh_nothing_do_not_count(sample: Sample) -> None:
    half = np.arange(ROWS) < ROWS // 2
    outputs = sample.best * 0.6 + sample.useless * 0.4
    final = sample.task.unscaled(outputs, sample.scale)
    alone = sample.task.calibrate(final[half], sample.y[half], sample.about)
    weighed = sample.task.calibrate(final, sample.y, sample.about, np.where(half, 5.0, 1e-9))
    for part in ("outputs", "regions"):
        one, other = (
            getattr(sample.task.read(sample.task.calibrated(final, c), sample.about, c), part)
            for c in (alone, weighed)
        )
        np.testing.assert_allclose(one, other, rtol=0.02, atol=0.02)
    assert sample.task.validation_loss(
        outputs, sample.scaled, np.where(half, 5.0, 1e-9)
    ) == pytest.approx(sample.task.validation_loss(outputs[half], sample.scaled[half]), rel=0.02)


@pytest.mark.parametrize("name", TASKS)
def test_what_is_the_same_for_every_row_is_calibrated_decided_and_judged(sample: Sample) -> None:
    """As the simplest baseline says it."""
    if sample.task.output == "probabilities":
        shares = np.bincount(sample.y) / ROWS
    else:
        shares = np.atleast_1d(sample.scaled.mean(axis=0))
    outputs = np.tile(shares.astype(np.float32), (ROWS, 1))
    said = sample.read(outputs)
    assert_valid(sample, said.outputs)
    for part in (said.outputs, said.decisions, said.regions):
        np.testing.assert_array_equal(part, np.repeat(part[:1], ROWS, axis=0))
    for metric in sample.task.metrics:
        found = metric.values(sample.y, said, np.ones((1, ROWS)))[0]
        # Nothing is called, or nothing varies: that is no number, but no error either.
        assert np.isfinite(found) or metric.name in ("precision", "mcc", "macro_f1", "micro_f1")
    assert as_json(sample.task.evidence(sample.y, said, sample.about))["worst"]
    assert np.isfinite(sample.task.validation_loss(outputs, sample.scaled))
    assert sample.task.decide(said, sample.about)["prediction"].n_unique() == 1


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_that_stops_training_prefers_the_truth(sample: Sample) -> None:
    best, useless = (
        sample.task.validation_loss(outputs, sample.scaled)
        for outputs in (sample.best, sample.useless)
    )
    assert best < useless < np.inf


@pytest.mark.parametrize("name", TASKS)
def test_target_columns_are_finite_numbers_for_each_row(sample: Sample) -> None:
    columns = sample.task.columns(sample.scaled, sample.about)
    assert columns.ndim == 2
    assert len(columns) == ROWS
    assert columns.dtype == np.float64
    assert np.isfinite(columns).all()


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("size", [1.0, 1e4])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_activation_have_finite_gradients(
    sample: Sample, size: float, smoothing: float
) -> None:
    width = sample.task.width(sample.about)
    draw = torch.Generator().manual_seed(0)
    raw = (size * torch.randn(ROWS, 3, width, generator=draw)).requires_grad_()
    losses = sample.task.loss(smoothing)(raw, targets(sample))
    assert losses.shape == (ROWS,)
    (slope,) = torch.autograd.grad(losses.sum(), raw, retain_graph=True)
    outputs = sample.task.activate(raw)
    (bend,) = torch.autograd.grad(outputs.sum(), raw)
    for found in (losses, slope, outputs, bend):
        assert bool(found.isfinite().all())
    assert outputs.shape == raw.shape
    assert_valid(sample, outputs.detach().numpy())


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("start", [0.0, 30.0])
def test_the_loss_falls_down_its_slope_however_wrong_a_network_is(
    sample: Sample, start: float
) -> None:
    width = sample.task.width(sample.about)
    # Sure of the last class or label, or far above every value.
    raw = torch.zeros(ROWS, 2, width)
    raw[:, :, -1] = start
    raw.requires_grad_()
    y, loss = targets(sample), sample.task.loss()
    before = loss(raw, y)
    (slope,) = torch.autograd.grad(before.sum(), raw)
    after = loss(raw - 0.1 * slope, y)
    assert bool((after <= before + 1e-6).all())
    bad = before > 0.1
    assert bool((after < before)[bad].all())


@pytest.mark.parametrize("name", TASKS)
def test_steps_down_the_loss_lead_to_the_truth(sample: Sample) -> None:
    width = sample.task.width(sample.about)
    raw = torch.zeros(ROWS, 1, width, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.3)
    y, loss = targets(sample), sample.task.loss()
    for _ in range(120):
        optimizer.zero_grad()
        loss(raw, y).sum().backward()
        optimizer.step()
    outputs = sample.task.activate(raw.detach())[:, 0].double().numpy()
    np.testing.assert_allclose(outputs, sample.best, atol=0.05)


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_of_a_row_does_not_depend_on_other_rows_or_the_number_of_members(
    sample: Sample,
) -> None:
    width = sample.task.width(sample.about)
    raw = torch.randn(ROWS, 1, width, generator=torch.Generator().manual_seed(0))
    y, loss = targets(sample), sample.task.loss(0.1)
    whole = loss(raw, y)
    torch.testing.assert_close(loss(raw.repeat(1, 4, 1), y), whole)
    torch.testing.assert_close(loss(raw[7:9], y[7:9]), whole[7:9])


@pytest.mark.parametrize("name", TASKS)
def test_evidence_is_json_and_points_at_rows(sample: Sample) -> None:
    found = as_json(sample.task.evidence(sample.y, sample.read(sample.useless), sample.about))
    assert found["worst"]
    assert set(found["worst"]) <= set(range(ROWS))

"""A learner is fitted on each fold, sees no other rows, and resumes after a crash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.contracts import FittedModel, ModelSpec, State, TrainingJob
from fieldcraft.core import catalog, files
from fieldcraft.core.callbacks import JobCallbacks, NullJobCallbacks
from fieldcraft.core.executor import InProcessExecutor
from fieldcraft.core.seeds import derive_seed
from fieldcraft.core.types import Array, Json
from fieldcraft.data.schema import Column, Schema
from fieldcraft.data.splitting import Fold
from fieldcraft.modeling import fold_models
from fieldcraft.modeling.dataset import ModelingDataset, load_dataset
from fieldcraft.modeling.fold_models import (
    FitProgress,
    FoldCallbacks,
    FoldFitter,
    ModelPlan,
    TrainingLimits,
    finish_model,
    load_fold_model,
    make_fit_jobs,
)
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _workflows
from tests.callbacks import TestCallbacks


@pytest.fixture
def rows(finished_project: ProjectFolder) -> ModelingDataset:
    return load_dataset(
        _workflows.load_latest_report_data(finished_project).folders["split"],
        finished_project.load_settings(),
    )


def fit_on(
    rows: ModelingDataset, name: str, folder: Path, limits: TrainingLimits | None = None,
    **options: Any,
) -> Json:  # fmt: skip
    """Fit a learner on each fold of a dataset in this process; returns its ``model.json``."""
    learner = catalog.load_plugin("learners", name)
    plan = ModelPlan(
        name, learner.options(**options).model_dump(mode="json"), folder, limits or TrainingLimits()
    )
    return run_fits(plan, rows, NullJobCallbacks())


def run_fits(plan: ModelPlan, rows: ModelingDataset, callbacks: JobCallbacks) -> Json:
    fitter, executor = FoldFitter(rows), InProcessExecutor()
    list(executor.map(fitter, make_fit_jobs([plan], fitter, executor, callbacks)))
    return finish_model(plan, len(rows.folds))


def corrupt_rows(rows: ModelingDataset, positions: Array) -> ModelingDataset:
    """Return the rows with corrupted features and targets at these positions."""
    marks = np.zeros(len(rows.y), dtype=bool)
    marks[positions] = True
    mask = pl.Series(marks)
    values = rows.features.with_columns(
        age=pl.when(mask).then(1e6).otherwise(pl.col("age")),
        city=pl.when(mask).then(pl.lit("Atlantis")).otherwise(pl.col("city")),
    )
    return replace(rows, features=values, y=np.where(marks, 1 - rows.y, rows.y))


@pytest.mark.parametrize("name", ["linear", "lightgbm", "network"])
def test_models_are_fitted_on_training_rows_only(
    rows: ModelingDataset, tmp_path: Path, name: str
) -> None:
    """Leaks are planted in evaluation rows: the fitted model must not change by a bit."""
    options: dict[str, Any] = {"trunk": "mlp", "epochs": 2} if name == "network" else {}
    fold = rows.folds[0]
    single_fold = replace(rows, folds=[fold])
    fit_on(single_fold, name, tmp_path / "honest", **options)
    fit_on(corrupt_rows(single_fold, fold.evaluation), name, tmp_path / "planted", **options)
    for file in ("encoders.json", "encoders.safetensors", "model.safetensors", "scale.json"):
        honest, leaked = (tmp_path / side / "0" / file for side in ("honest", "planted"))
        assert honest.read_bytes() == leaked.read_bytes(), file
    models = [
        files.read_json(tmp_path / side / "0" / "model.json") for side in ("honest", "planted")
    ]
    for model in models:
        model.get("learning_curves", {}).pop(
            "threads", None
        )  # depends on timing and changes no weight
    assert models[0] == models[1]


def test_encoders_do_not_see_validation_rows(rows: ModelingDataset, tmp_path: Path) -> None:
    single_fold = replace(rows, folds=[rows.folds[0]])
    planted = corrupt_rows(single_fold, single_fold.folds[0].validation)
    fit_on(single_fold, "constant", tmp_path / "honest")
    fit_on(planted, "constant", tmp_path / "planted")
    for file in ("encoders.json", "encoders.safetensors", "model.safetensors"):
        honest, leaked = (tmp_path / side / "0" / file for side in ("honest", "planted"))
        assert honest.read_bytes() == leaked.read_bytes(), file


def test_every_row_is_evaluated_once_by_a_model_not_trained_on_it(rows: ModelingDataset) -> None:
    evaluated = np.concatenate([fold.evaluation for fold in rows.folds])
    assert sorted(evaluated) == list(range(len(rows.y)))
    for fold in rows.folds:
        parts = [set(fold.train), set(fold.validation), set(fold.evaluation)]
        assert not (parts[0] & parts[1])
        assert not (parts[0] & parts[2])
        assert not (parts[1] & parts[2])


def test_a_restored_member_predicts_the_same(rows: ModelingDataset, tmp_path: Path) -> None:
    for name in catalog.list_plugins("learners"):
        learner = catalog.load_plugin("learners", name)
        options: dict[str, Any] = {"trunk": "mlp", "epochs": 2} if name == "network" else {}
        single_fold = replace(rows, folds=[rows.folds[0]])
        fit_on(single_fold, name, tmp_path / name, **options)
        member = load_fold_model(
            learner, learner.options(**options), tmp_path / name / "0", rows.task, rows.target_spec
        )
        saved = pl.read_parquet(tmp_path / name / "predictions.parquet")
        evaluated = saved.filter(pl.col("part") == "evaluation")
        outputs = member.outputs(rows.features[evaluated["position"].to_list()])
        np.testing.assert_allclose(
            outputs, evaluated.select(pl.col("^output_.*$")).to_numpy(), atol=1e-6
        )


def test_finished_folds_are_not_fitted_again(rows: ModelingDataset, tmp_path: Path) -> None:
    fit_on(rows, "constant", tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("[0-3]/model.safetensors")}
    (tmp_path / "4" / "done.json").unlink()
    fit_on(rows, "constant", tmp_path)
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_encoders_of_a_fold_are_shared_by_all_learners(
    rows: ModelingDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("constant", "linear"):
        fit_on(rows, name, tmp_path / name)
        monkeypatch.setattr(fold_models, "EncoderSet", None)  # must not be fitted again
    for fold in map(str, range(len(rows.folds))):
        one, other = (tmp_path / name / fold / "encoders.json" for name in ("constant", "linear"))
        assert one.read_bytes() == other.read_bytes()


def test_progress_covers_all_fits_that_run_at_the_same_time() -> None:
    callbacks = TestCallbacks(stop_function=lambda epoch: epoch == 3)
    progress = FitProgress(callbacks, 4, n_done=1)
    first, second = (FoldCallbacks(progress, fold, f"fold {fold} of 4") for fold in (2, 3))
    first.on_progress("epoch 3", 0.5)
    second.on_progress("starting", None)
    second.on_progress("epoch 1", 0.25)
    first.on_progress("saved", 1.0)
    assert callbacks.messages == [
        ("fold 2 of 4, epoch 3", 1.5 / 4), ("fold 3 of 4, starting", 1.5 / 4),
        ("fold 3 of 4, epoch 1", 1.75 / 4), ("fold 2 of 4, saved", 2.25 / 4),
    ]  # fmt: skip
    assert [first.on_epoch_end(epoch, {"validation_loss": 1.0}) for epoch in (2, 3)] == [0, 1]
    assert callbacks.metrics == {2: {"validation_loss": 1.0}, 3: {"validation_loss": 1.0}}


def make_regression_dataset(parts: int = 5, rows: int = 20) -> ModelingDataset:
    """A regression dataset in several folds, with a different weight for each row."""
    positions = np.arange(rows)
    values = pl.DataFrame({"a": positions.astype(float)})
    rotations = [np.roll(positions, -number * (rows // parts)) for number in range(parts)]
    folds = [Fold(order[4:], order[2:4], order[:2]) for order in rotations]
    task = catalog.load_plugin("tasks", "regression")
    schema = Schema((Column("a", "number"),))
    y = (positions**2).astype(float)
    return ModelingDataset(values, values, y, [], folds, schema, task, {}, "", 1.0 + positions)


class TimedLearner:
    """The constant learner, which takes ten seconds of a fake clock and records its jobs."""

    real = catalog.load_plugin("learners", "constant")
    name, title, complexity, options = "timed", "timed guess", 3, real.options

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: list[TrainingJob] = []
        self.now = 0.0
        monkeypatch.setattr(fold_models, "time", SimpleNamespace(monotonic=lambda: self.now))
        load_plugin = catalog.load_plugin
        monkeypatch.setattr(
            catalog, "load_plugin", lambda *names: self if "timed" in names else load_plugin(*names)
        )

    def fit(self, job: TrainingJob) -> FittedModel:
        self.jobs.append(job)
        self.now += 10.0
        job.callbacks.on_progress("half", 0.5)
        fitted: FittedModel = self.real.fit(job)
        return fitted

    def restore(self, state: State, spec: ModelSpec) -> FittedModel:
        fitted: FittedModel = self.real.restore(state, spec)
        return fitted


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (None, [None] * 5),
        (100.0, [100 / 5, 90 / 4, 80 / 3, 70 / 2, 60.0]),
        (25.0, [25 / 5, 15 / 4, 5 / 3, 1 / 2, 1.0]),  # at least one second for each remaining fold
    ],
)
def test_the_remaining_budget_is_shared_among_the_remaining_folds(
    budget: float | None,
    expected: list[float | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learner, callbacks = TimedLearner(monkeypatch), TestCallbacks()
    limits = TrainingLimits(7, budget, "cpu", threads=3)
    plan = ModelPlan("timed", {}, tmp_path, limits, extra_metadata={"columns": ["a"]})
    metadata = run_fits(plan, make_regression_dataset(), callbacks)
    assert [job.budget for job in learner.jobs] == expected
    assert [job.seed for job in learner.jobs] == [derive_seed(7, "timed", i) for i in range(5)]
    assert {(job.device, job.threads) for job in learner.jobs} == {("cpu", 3)}
    halves, ends = callbacks.messages[::2], callbacks.messages[1::2]
    assert halves == [(f"fold {i + 1} of 5, half", (i + 0.5) / 5) for i in range(5)]
    assert ends == [(f"fold {i + 1} of 5, saved", (i + 1) / 5) for i in range(5)]
    assert metadata == files.read_json(tmp_path / "model.json") == {
        "learner": "timed", "title": "timed guess", "complexity": 3, "learner_options": {},
        "n_members": 5, "fit_seconds": 50.0, "columns": ["a"],
    }  # fmt: skip


def test_time_spent_by_a_killed_run_counts_against_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, rows = TimedLearner(monkeypatch), make_regression_dataset()
    fit_on(rows, "timed", tmp_path)
    (tmp_path / "3" / "done.json").unlink()
    (tmp_path / "4" / "done.json").unlink()
    fit_on(rows, "timed", tmp_path, TrainingLimits(budget_seconds=100.0))
    assert [job.budget for job in learner.jobs[5:]] == [(100 - 30) / 2, 100 - 40]


def test_a_learner_gets_scaled_targets_and_sample_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, rows = TimedLearner(monkeypatch), make_regression_dataset()
    fit_on(rows, "timed", tmp_path)
    for number, (job, fold) in enumerate(zip(learner.jobs, rows.folds, strict=True)):
        mean, deviation = rows.y[fold.train].mean(), rows.y[fold.train].std()
        np.testing.assert_allclose(job.train_y, (rows.y[fold.train] - mean) / deviation)
        np.testing.assert_allclose(job.validation_y, (rows.y[fold.validation] - mean) / deviation)
        assert job.weights is not None
        assert job.validation_weights is not None
        assert job.weights.tolist() == (1.0 + fold.train).tolist()
        assert job.validation_weights.tolist() == (1.0 + fold.validation).tolist()
        np.testing.assert_allclose(job.train.matrix().values[:, 0], fold.train)
        np.testing.assert_allclose(job.validation.matrix().values[:, 0], fold.validation)
        # On the scale of the target, the constant prediction is the weighted mean.
        table = pl.read_parquet(tmp_path / str(number) / "predictions.parquet")
        expected = np.average(rows.y[fold.train], weights=1.0 + fold.train)
        np.testing.assert_allclose(table["output_0"].to_numpy(), expected, rtol=1e-6)
        assert table["position"].to_list() == [*fold.validation, *fold.evaluation]
        assert table["part"].to_list() == ["validation"] * 2 + ["evaluation"] * 2
        assert set(table["fold"]) == {number}

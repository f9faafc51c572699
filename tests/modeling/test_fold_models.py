"""A learner is fitted on each fold, sees no other rows, and resumes after a crash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from fieldcraft.contracts import FittedModel, ModelSpec, State, TrainingJob
from fieldcraft.core import catalog, files
from fieldcraft.core.seeds import derive_seed
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column, Schema
from fieldcraft.data.splitting import Fold
from fieldcraft.modeling import fold_models
from fieldcraft.modeling.dataset import ModelingDataset, load_dataset
from fieldcraft.modeling.fold_models import (
    TrainingLimits,
    fit_fold_models,
    load_fold_model,
    name_fold_in_progress,
)
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _workflows


@pytest.fixture
def rows(finished_project: ProjectFolder) -> ModelingDataset:
    return load_dataset(
        _workflows.load_latest_report_data(finished_project).folders["split"],
        finished_project.load_settings(),
    )


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
    learner = catalog.load_plugin("learners", name)
    options = learner.options(**({"trunk": "mlp", "epochs": 2} if name == "network" else {}))
    fold = rows.folds[0]
    single_fold = replace(rows, folds=[fold])
    fit_fold_models(learner, options, single_fold, tmp_path / "honest", TrainingLimits())
    planted = corrupt_rows(single_fold, fold.evaluation)
    fit_fold_models(learner, options, planted, tmp_path / "planted", TrainingLimits())
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
    learner = catalog.load_plugin("learners", "constant")
    single_fold = replace(rows, folds=[rows.folds[0]])
    fit_fold_models(learner, learner.options(), single_fold, tmp_path / "honest", TrainingLimits())
    planted = corrupt_rows(single_fold, single_fold.folds[0].validation)
    fit_fold_models(learner, learner.options(), planted, tmp_path / "planted", TrainingLimits())
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
        options = learner.options(**({"trunk": "mlp", "epochs": 2} if name == "network" else {}))
        single_fold = replace(rows, folds=[rows.folds[0]])
        fit_fold_models(learner, options, single_fold, tmp_path / name, TrainingLimits())
        member = load_fold_model(
            learner, options, tmp_path / name / "0", rows.task, rows.target_spec
        )
        saved = pl.read_parquet(tmp_path / name / "predictions.parquet")
        evaluated = saved.filter(pl.col("part") == "evaluation")
        outputs = member.outputs(rows.features[evaluated["position"].to_list()])
        np.testing.assert_allclose(
            outputs, evaluated.select(pl.col("^output_.*$")).to_numpy(), atol=1e-6
        )


def test_finished_folds_are_not_fitted_again(rows: ModelingDataset, tmp_path: Path) -> None:
    learner = catalog.load_plugin("learners", "constant")
    fit_fold_models(learner, learner.options(), rows, tmp_path, TrainingLimits())
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("[0-3]/model.safetensors")}
    (tmp_path / "4" / "done.json").unlink()
    fit_fold_models(learner, learner.options(), rows, tmp_path, TrainingLimits())
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_encoders_of_a_fold_are_shared_by_all_learners(
    rows: ModelingDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("constant", "linear"):
        learner = catalog.load_plugin("learners", name)
        fit_fold_models(learner, learner.options(), rows, tmp_path / name, TrainingLimits())
        monkeypatch.setattr(fold_models, "EncoderSet", None)  # must not be fitted again
    for fold in map(str, range(len(rows.folds))):
        one, other = (tmp_path / name / fold / "encoders.json" for name in ("constant", "linear"))
        assert one.read_bytes() == other.read_bytes()


def test_progress_names_the_fold_and_covers_all_folds() -> None:
    progress: list[tuple[str, float | None]] = []
    name_fold_in_progress(lambda text, share: progress.append((text, share)), 1, 4)("epoch 3", 0.5)
    assert progress == [("fold 2 of 4, epoch 3", 0.375)]


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

    def fit(self, job: TrainingJob) -> FittedModel:
        self.jobs.append(job)
        self.now += 10.0
        job.on_progress("half", 0.5)
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
    learner, progress = TimedLearner(monkeypatch), list[tuple[str, float | None]]()
    limits = TrainingLimits(7, budget, "cpu", lambda text, share: progress.append((text, share)))
    metadata = fit_fold_models(
        learner, learner.options(), make_regression_dataset(), tmp_path, limits, {"columns": ["a"]}
    )
    assert [job.budget for job in learner.jobs] == expected
    assert [job.seed for job in learner.jobs] == [derive_seed(7, "timed", i) for i in range(5)]
    assert {job.device for job in learner.jobs} == {"cpu"}
    assert progress == [(f"fold {i + 1} of 5, half", (i + 0.5) / 5) for i in range(5)]
    assert metadata == files.read_json(tmp_path / "model.json") == {
        "learner": "timed", "title": "timed guess", "complexity": 3, "learner_options": {},
        "n_members": 5, "fit_seconds": 50.0, "columns": ["a"],
    }  # fmt: skip


def test_time_spent_by_a_killed_run_counts_against_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, rows = TimedLearner(monkeypatch), make_regression_dataset()
    fit_fold_models(learner, learner.options(), rows, tmp_path, TrainingLimits())
    (tmp_path / "3" / "done.json").unlink()
    (tmp_path / "4" / "done.json").unlink()
    fit_fold_models(
        learner, learner.options(), rows, tmp_path, TrainingLimits(budget_seconds=100.0)
    )
    assert [job.budget for job in learner.jobs[5:]] == [(100 - 30) / 2, 100 - 40]


def test_a_learner_gets_scaled_targets_and_sample_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, rows = TimedLearner(monkeypatch), make_regression_dataset()
    fit_fold_models(learner, learner.options(), rows, tmp_path, TrainingLimits())
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

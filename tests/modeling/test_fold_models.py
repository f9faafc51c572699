"""A learner is fitted on each fold, sees nothing else, and carries on where it was killed."""

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


def corrupt_rows(rows: ModelingDataset, where: Array) -> ModelingDataset:
    """The same rows with nonsense in some of them: features and targets."""
    marks = np.zeros(len(rows.y), dtype=bool)
    marks[where] = True
    mask = pl.Series(marks)
    values = rows.features.with_columns(
        age=pl.when(mask).then(1e6).otherwise(pl.col("age")),
        city=pl.when(mask).then(pl.lit("Atlantis")).otherwise(pl.col("city")),
    )
    return replace(rows, features=values, y=np.where(marks, 1 - rows.y, rows.y))


@pytest.mark.parametrize("name", ["linear", "lightgbm", "network"])
def test_nothing_is_fitted_outside_the_training_rows(
    rows: ModelingDataset, tmp_path: Path, name: str
) -> None:
    """Leaks are planted in judge rows: what is learned must not change by a bit."""
    learner = catalog.load_plugin("learners", name)
    options = learner.options(**({"trunk": "mlp", "epochs": 2} if name == "network" else {}))
    fold = rows.folds[0]
    one = replace(rows, folds=[fold])
    fit_fold_models(learner, options, one, tmp_path / "honest", TrainingLimits())
    planted = corrupt_rows(one, fold.evaluation)
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
        )  # the clock's choice, which changes no weight
    assert models[0] == models[1]


def test_encoders_do_not_see_tune_rows_either(rows: ModelingDataset, tmp_path: Path) -> None:
    learner = catalog.load_plugin("learners", "constant")
    one = replace(rows, folds=[rows.folds[0]])
    fit_fold_models(learner, learner.options(), one, tmp_path / "honest", TrainingLimits())
    planted = corrupt_rows(one, one.folds[0].validation)
    fit_fold_models(learner, learner.options(), planted, tmp_path / "planted", TrainingLimits())
    for file in ("encoders.json", "encoders.safetensors", "model.safetensors"):
        honest, leaked = (tmp_path / side / "0" / file for side in ("honest", "planted"))
        assert honest.read_bytes() == leaked.read_bytes(), file


def test_every_row_is_judged_once_by_a_model_that_has_not_seen_it(rows: ModelingDataset) -> None:
    judged = np.concatenate([fold.evaluation for fold in rows.folds])
    assert sorted(judged) == list(range(len(rows.y)))
    for fold in rows.folds:
        parts = [set(fold.train), set(fold.validation), set(fold.evaluation)]
        assert not (parts[0] & parts[1])
        assert not (parts[0] & parts[2])
        assert not (parts[1] & parts[2])


def test_a_restored_member_predicts_the_same(rows: ModelingDataset, tmp_path: Path) -> None:
    for name in catalog.list_plugins("learners"):
        learner = catalog.load_plugin("learners", name)
        options = learner.options(**({"trunk": "mlp", "epochs": 2} if name == "network" else {}))
        one = replace(rows, folds=[rows.folds[0]])
        fit_fold_models(learner, options, one, tmp_path / name, TrainingLimits())
        member = load_fold_model(
            learner, options, tmp_path / name / "0", rows.task, rows.target_spec
        )
        kept = pl.read_parquet(tmp_path / name / "predictions.parquet")
        judged = kept.filter(pl.col("part") == "evaluation")
        found = member.outputs(rows.features[judged["position"].to_list()])
        np.testing.assert_allclose(
            found, judged.select(pl.col("^output_.*$")).to_numpy(), atol=1e-6
        )


def test_finished_folds_are_left_as_they_are(rows: ModelingDataset, tmp_path: Path) -> None:
    learner = catalog.load_plugin("learners", "constant")
    fit_fold_models(learner, learner.options(), rows, tmp_path, TrainingLimits())
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("[0-3]/model.safetensors")}
    (tmp_path / "4" / "done.json").unlink()
    fit_fold_models(learner, learner.options(), rows, tmp_path, TrainingLimits())
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_encoders_are_fitted_once_for_all_learners_of_a_fold(
    rows: ModelingDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("constant", "linear"):
        learner = catalog.load_plugin("learners", name)
        fit_fold_models(learner, learner.options(), rows, tmp_path / name, TrainingLimits())
        monkeypatch.setattr(fold_models, "EncoderSet", None)  # which may not be asked for again
    for fold in map(str, range(len(rows.folds))):
        one, other = (tmp_path / name / fold / "encoders.json" for name in ("constant", "linear"))
        assert one.read_bytes() == other.read_bytes()


def test_progress_names_the_fold_and_counts_over_all() -> None:
    said: list[tuple[str, float | None]] = []
    name_fold_in_progress(lambda text, share: said.append((text, share)), 1, 4)("epoch 3", 0.5)
    assert said == [("fold 2 of 4, epoch 3", 0.375)]


def make_regression_dataset(parts: int = 5, rows: int = 20) -> ModelingDataset:
    """Rows with a number as target, dealt out to some folds, each counting differently."""
    place = np.arange(rows)
    values = pl.DataFrame({"a": place.astype(float)})
    turns = [np.roll(place, -number * (rows // parts)) for number in range(parts)]
    folds = [Fold(turn[4:], turn[2:4], turn[:2]) for turn in turns]
    task = catalog.load_plugin("tasks", "regression")
    schema = Schema((Column("a", "number"),))
    y = (place**2).astype(float)
    return ModelingDataset(values, values, y, [], folds, schema, task, {}, "", 1.0 + place)


class TimedLearner:
    """The constant learner, which takes ten seconds of a clock and keeps what it was asked."""

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
    ("budget", "of_folds"),
    [
        (None, [None] * 5),
        (100.0, [100 / 5, 90 / 4, 80 / 3, 70 / 2, 60.0]),
        (25.0, [25 / 5, 15 / 4, 5 / 3, 1 / 2, 1.0]),  # at least a second for those that are left
    ],
)
def test_what_is_left_of_the_budget_is_shared_among_the_folds_that_are_left(
    budget: float | None,
    of_folds: list[float | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learner, told = TimedLearner(monkeypatch), list[tuple[str, float | None]]()
    effort = TrainingLimits(7, budget, "cpu", lambda text, share: told.append((text, share)))
    about = fit_fold_models(
        learner, learner.options(), make_regression_dataset(), tmp_path, effort, {"columns": ["a"]}
    )
    assert [job.budget for job in learner.jobs] == of_folds
    assert [job.seed for job in learner.jobs] == [derive_seed(7, "timed", i) for i in range(5)]
    assert {job.device for job in learner.jobs} == {"cpu"}
    assert told == [(f"fold {i + 1} of 5, half", (i + 0.5) / 5) for i in range(5)]
    assert about == files.read_json(tmp_path / "model.json") == {
        "learner": "timed", "title": "timed guess", "complexity": 3, "learner_options": {},
        "n_members": 5, "fit_seconds": 50.0, "columns": ["a"],
    }  # fmt: skip


def test_time_that_a_killed_run_spent_counts_against_the_budget(
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


def test_a_learner_gets_scaled_targets_and_the_weights_of_its_rows(
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
        # In units of the target the guess is the weighted mean.
        table = pl.read_parquet(tmp_path / str(number) / "predictions.parquet")
        expected = np.average(rows.y[fold.train], weights=1.0 + fold.train)
        np.testing.assert_allclose(table["output_0"].to_numpy(), expected, rtol=1e-6)
        assert table["position"].to_list() == [*fold.validation, *fold.evaluation]
        assert table["part"].to_list() == ["validation"] * 2 + ["evaluation"] * 2
        assert set(table["fold"]) == {number}

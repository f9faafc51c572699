"""Fits in several processes give the same bytes as in one, and resume after a kill."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fieldcraft.core import catalog, files
from fieldcraft.core.callbacks import JobCallbacks, NullJobCallbacks
from fieldcraft.core.errors import TrainingError
from fieldcraft.core.executor import Executor, InProcessExecutor, MultiProcessExecutor
from fieldcraft.modeling.fold_models import (
    DatasetSource,
    FoldFitter,
    ModelPlan,
    TrainingLimits,
    finish_model,
    make_fit_jobs,
)
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _workflows
from tests.callbacks import TestCallbacks

NETWORK: dict[str, Any] = {"trunk": "mlp", "layers": [8], "epochs": 5, "patience": 5}


@pytest.fixture(scope="module")
def source(finished_project_folder: Path) -> DatasetSource:
    project = ProjectFolder(finished_project_folder / "project")
    folders = _workflows.load_latest_report_data(project).folders
    return DatasetSource(folders["split"], project.load_settings(), project.root)


def run_fits(
    source: DatasetSource, folder: Path, executor: Executor,
    callbacks: JobCallbacks | None = None, learners: tuple[str, ...] = ("network",),
) -> dict[str, bytes]:  # fmt: skip
    """Fit learners with one thread each; returns all files but those with times."""
    fitter, plans = FoldFitter(source=source), []
    for name in learners:
        options: dict[str, Any] = NETWORK if name == "network" else {}
        dumped = catalog.load_plugin("learners", name).options(**options).model_dump(mode="json")
        plans.append(ModelPlan(name, dumped, folder / name, TrainingLimits(threads=1)))
    jobs = make_fit_jobs(plans, fitter, executor, callbacks or NullJobCallbacks())
    list(executor.map(fitter, jobs))
    for plan in plans:
        metadata = finish_model(plan, len(fitter.dataset().folds))
        assert metadata["fit_seconds"] > 0
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "done.json" and path.parent.parent != folder
    }


def test_a_pool_of_processes_gives_the_same_bytes(source: DatasetSource, tmp_path: Path) -> None:
    learners = ("rule", "linear", "lightgbm", "network")
    callbacks = TestCallbacks()
    alone = run_fits(source, tmp_path / "alone", InProcessExecutor(), learners=learners)
    pool = run_fits(source, tmp_path / "pool", MultiProcessExecutor(2), callbacks, learners)
    assert len(alone) > 4 * 5 * 3
    assert alone.keys() == pool.keys()
    assert [name for name in alone if alone[name] != pool[name]] == []
    assert callbacks.messages[-1][1] == pytest.approx(1.0)
    titles = {message.split(",")[0] for message, _ in callbacks.messages}
    assert titles == {"one-rule baseline", "linear model", "LightGBM", "neural network"}


def test_fits_resume_after_a_process_of_the_pool_was_killed(
    source: DatasetSource, tmp_path: Path
) -> None:
    class Killer(NullJobCallbacks):
        def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
            if epoch == 3:
                for process in multiprocessing.active_children():
                    process.kill()
            return False

    with pytest.raises(TrainingError, match="ended before its work was done"):
        run_fits(source, tmp_path / "killed", MultiProcessExecutor(2), Killer())
    assert list((tmp_path / "killed").glob("network/*/checkpoints/checkpoint.safetensors"))
    assert not (tmp_path / "killed" / "network" / "model.json").exists()
    epochs: list[int] = []

    class CountedEpochs(NullJobCallbacks):
        def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
            epochs.append(epoch)
            return False

    resumed = run_fits(source, tmp_path / "killed", MultiProcessExecutor(2), CountedEpochs())
    assert 0 < len(epochs) < 5 * NETWORK["epochs"]  # some from a checkpoint, not all from the start
    assert resumed == run_fits(source, tmp_path / "whole", InProcessExecutor())


def test_a_callback_prunes_a_training_and_the_model_is_kept(
    source: DatasetSource, tmp_path: Path
) -> None:
    callbacks = TestCallbacks(stop_function=lambda epoch: epoch == 2)
    run_fits(source, tmp_path, InProcessExecutor(), callbacks)
    for fold in range(5):
        curves = files.read_json(tmp_path / "network" / str(fold) / "model.json")["learning_curves"]
        assert len(curves["train_losses"]) == 2
    assert callbacks.metrics[2]["validation_loss"] == pytest.approx(curves["validation_losses"][1])
    assert set(callbacks.metrics[2]) == {
        "train_loss", "validation_loss", "best_validation_loss", "learning_rate", "elapsed_seconds",
    }  # fmt: skip


def test_a_specification_is_small_and_can_be_pickled(source: DatasetSource, tmp_path: Path) -> None:
    fitter = FoldFitter(source=source)
    plan = ModelPlan("linear", {}, tmp_path)
    (job, *_) = make_fit_jobs([plan], fitter, InProcessExecutor(), NullJobCallbacks())
    spec = job.make_spec()
    assert pickle.loads(pickle.dumps(spec)) == spec
    copied = pickle.loads(pickle.dumps(fitter))
    assert copied.datasets == {}  # loaded where it is needed
    assert copied.dataset().features.equals(fitter.dataset().features)

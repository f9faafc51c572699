"""A challenger is promoted only if it is better; otherwise the champion stays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core import files
from fieldcraft.core.errors import DataError, ProjectError
from fieldcraft.ledger.store import Ledger
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.serving.prediction_log import (
    PredictionBatch,
    PredictionLogConfig,
    PredictionLogWriter,
)
from fieldcraft.stages import _pipeline, _versions, _workflows
from fieldcraft.stages.feedback import FeedbackRequest as Labels
from fieldcraft.stages.feedback import feedback
from tests.conftest import create_project, mixed_table, set_settings, source_table_path

LINEAR_SETTINGS = {"model": {"learner": "linear"}, "model.ensemble": False}


@pytest.fixture(scope="module")
def small_project_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project trained on few rows, so that more of them help."""
    folder = tmp_path_factory.mktemp("few")
    mixed_table(120).write_csv(folder / "table.csv")
    project = set_settings(
        create_project(folder / "project", folder / "table.csv", edits=()), LINEAR_SETTINGS
    )
    _workflows.run_project(project, _workflows.NullCallbacks(), fix=True)
    return folder


@pytest.fixture
def small_project(tmp_path: Path, small_project_folder: Path) -> ProjectFolder:
    """A copy of that project."""
    shutil.copytree(small_project_folder, tmp_path / "few")
    return ProjectFolder(tmp_path / "few" / "project")


def run_retraining(project: ProjectFolder, **options: Any) -> dict[str, Any]:
    result = _workflows.retrain_project(project, _workflows.NullCallbacks(), options)
    json.dumps(result, allow_nan=False)
    return result


def write_new_rows(tmp_path: Path, rows: pl.DataFrame) -> str:
    rows.write_csv(tmp_path / "new.csv")
    return str(tmp_path / "new.csv")


def current_model_id(project: ProjectFolder) -> str:
    return str(read_manifest(project.bundle_path)["model_id"])


def test_a_better_challenger_is_promoted_and_can_be_rolled_back(
    small_project: ProjectFolder, tmp_path: Path
) -> None:
    first, source = current_model_id(small_project), small_project.load_settings().data.source
    sealed = _workflows.load_latest_report_data(small_project).split["digests"]["test"]
    result = run_retraining(
        small_project, data=write_new_rows(tmp_path, mixed_table(1_200, seed=5)), reason="more rows"
    )
    assert result["outcome"] == "promoted", result["reasons"]
    assert {gate["gate"] for gate in result["gates"]} == {
        "schema", "performance", "group_performance", "calibration", "latency", "size",
    }  # fmt: skip
    second = current_model_id(small_project)
    assert second == result["challenger_model_id"] != first
    report_data = _workflows.load_latest_report_data(small_project)
    assert report_data.split["digests"]["test"] == sealed
    assert report_data.package["model_id"] == second
    assert [v["command"] for v in _workflows.list_versions(small_project)] == ["run", "retrain"]
    _workflows.run_project(small_project, _workflows.NullCallbacks())
    assert current_model_id(small_project) == second  # a run does not bring back the old model

    rollback = _workflows.rollback_project(small_project, None, "it was a try")
    assert (current_model_id(small_project), rollback["previous_model_id"]) == (first, second)
    settings = small_project.load_settings().data.source_files()
    assert settings.train == source
    assert settings.test is None
    assert _workflows.load_latest_report_data(small_project).package["model_id"] == first
    _workflows.run_project(small_project, _workflows.NullCallbacks())
    assert current_model_id(small_project) == first
    _workflows.rollback_project(small_project, second[:8], "")
    assert current_model_id(small_project) == second
    assert [v["command"] for v in _workflows.list_versions(small_project)] == [
        "run",
        "retrain",
        "rollback",
        "rollback",
    ]
    assert Ledger(small_project.ledger_path).verify() > 0
    assert _workflows.verify_run_folders(small_project) > 0
    with pytest.raises(ProjectError, match="there is no such version"):
        _workflows.rollback_project(small_project, "nobody", "")


def test_a_worse_challenger_is_not_promoted_and_changes_nothing(
    small_project: ProjectFolder, tmp_path: Path
) -> None:
    before = (
        current_model_id(small_project),
        small_project.file_path.read_bytes(),
        small_project.report_path.read_bytes(),
    )
    report_data = _workflows.load_latest_report_data(small_project)
    noisy = mixed_table(300, seed=6)
    noisy = noisy.with_columns(bought=noisy["bought"].shuffle(seed=0))
    result = run_retraining(small_project, data=write_new_rows(tmp_path, noisy))
    assert result["outcome"] == "not_promoted"
    assert any("ROC AUC on all" in reason for reason in result["reasons"])
    assert (
        current_model_id(small_project),
        small_project.file_path.read_bytes(),
        small_project.report_path.read_bytes(),
    ) == before
    assert _workflows.load_latest_report_data(small_project).folders == report_data.folders
    assert result["evaluation_rows"]["n_uses"] == 1
    [entry] = Ledger(small_project.ledger_path).entries(kind="decision", stage="retrain")
    assert entry.body["decision"] == "not_promoted"
    assert entry.body["reasons"] == result["reasons"]
    assert entry.body["user"]


def test_a_challenger_with_a_new_class_is_not_promoted(
    small_project: ProjectFolder, tmp_path: Path
) -> None:
    rows = mixed_table(300, seed=7)
    labels = pl.when(pl.int_range(rows.height) % 3 == 0).then(pl.lit("maybe")).otherwise("bought")
    set_settings(small_project, {"problem.task": "multiclass", "problem.metric": "log_loss"})
    _workflows.run_project(small_project, _workflows.NullCallbacks(), fix=True)
    result = run_retraining(
        small_project, data=write_new_rows(tmp_path, rows.with_columns(bought=labels))
    )
    assert result["outcome"] == "not_promoted"
    assert result["reasons"] == ["the classes differ: maybe"]


def test_too_few_new_rows_are_not_used(small_project: ProjectFolder, tmp_path: Path) -> None:
    result = run_retraining(small_project, data=write_new_rows(tmp_path, mixed_table(20, seed=8)))
    assert result["outcome"] == "too_few_rows"
    assert result["reasons"] == ["20 new labeled rows; at least 50 are needed"]
    known = source_table_path(small_project)  # all its rows are known, including the sealed ones
    assert run_retraining(small_project, data=str(known))["new_rows"] == 0
    assert run_retraining(small_project)["new_rows"] == 0
    pl.concat([pl.read_csv(known), mixed_table(70, seed=9)]).write_csv(known)
    set_settings(small_project, {"deploy.retrain": {"min_new_rows": 71}})
    assert run_retraining(small_project)["reasons"] == [
        "70 new labeled rows; at least 71 are needed"
    ]  # the source of the project has grown


def test_data_quality_alerts_block_retraining(small_project: ProjectFolder) -> None:
    alert = {"type": "data_quality", "message": "age: 40% of the rows are missing, 6.0% before"}
    state = {
        "model_id": current_model_id(small_project),
        "monitor": {"alerts": {"data_quality|age|missing": alert}},
    }
    files.atomic_write_json(small_project.root / "monitoring" / "state.json", state)
    result = run_retraining(small_project)
    assert result["outcome"] == "blocked"
    assert "age: 40% of the rows are missing" in result["reasons"][0]
    assert run_retraining(small_project, force=True)["outcome"] == "too_few_rows"
    files.atomic_write_json(
        small_project.root / "monitoring" / "state.json", {**state, "model_id": "another"}
    )
    assert run_retraining(small_project)["outcome"] == "too_few_rows"


def test_simultaneous_retrainings_run_once(
    small_project: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, run = write_new_rows(tmp_path, mixed_table(100, seed=10)), _pipeline.run_steps
    runs: list[ProjectFolder] = []

    def counted(project: ProjectFolder, callbacks: _pipeline.RunCallbacks) -> Any:
        runs.append(project)
        return run(project, callbacks)

    monkeypatch.setattr(_pipeline, "run_steps", counted)
    with ThreadPoolExecutor(10) as pool:
        outcomes = list(
            pool.map(lambda _: run_retraining(small_project, data=rows)["outcome"], range(10))
        )
    assert len(runs) == 1
    assert outcomes.count("already_running") == 9


@pytest.fixture
def deployed_project(small_project: ProjectFolder, tmp_path: Path) -> ProjectFolder:
    """The project with a prediction log and feedback on it."""
    bundle, rows = load_bundle(small_project.bundle_path), mixed_table(900, seed=11)
    cells = rows.cast(pl.String)
    log = PredictionLogWriter(
        PredictionLogConfig(tmp_path / "log"), bundle.model_id, bundle.task, bundle.target_spec
    )
    requests = [f"r{number}" for number in range(rows.height)]
    predictions = bundle.predict_raw(cells)
    at = datetime.now(UTC).timestamp()
    log.add(
        PredictionBatch(at, requests, [0] * rows.height, bundle.schema.apply(cells), predictions)
    )
    log.stop()
    truth = pl.DataFrame({"request_id": requests, "bought": rows["bought"]})
    truth.head(800).write_csv(tmp_path / "labels.csv")
    request = Labels(
        small_project.bundle_path,
        str(tmp_path / "labels.csv"),
        str(tmp_path / "log"),
        small_project.root / "monitoring",
    )
    feedback(request)
    return small_project


def test_labeled_log_rows_are_used_once(deployed_project: ProjectFolder, tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    with pytest.raises(DataError, match="there is no prediction log"):
        run_retraining(deployed_project)
    result = run_retraining(deployed_project, log=log)
    assert result["new_rows"] == 800
    assert result["outcome"] == "promoted", result["reasons"]
    development = pl.read_parquet(
        _workflows.load_latest_report_data(deployed_project).folders["split"]
        / "development.parquet"
    )
    names = ["age", "city", "seen", "bought"]
    logged_rows = development.tail(800).select(names).with_columns(pl.col("age").cast(pl.Float64))
    expected = mixed_table(900, seed=11).head(800).select(names)
    assert logged_rows.sort(names).equals(expected.sort(names), null_equal=True)
    assert run_retraining(deployed_project, log=log)["new_rows"] == 0


def test_a_killed_retraining_resumes(small_project: ProjectFolder, tmp_path: Path) -> None:
    rows = write_new_rows(tmp_path, mixed_table(100, seed=12))

    class Killed(_workflows.NullCallbacks):
        def on_step_end(self, step: str, seconds: float, summary: Mapping[str, Any]) -> None:
            if step == "baseline":
                raise KeyboardInterrupt

    steps: list[str] = []

    class Counted(_workflows.NullCallbacks):
        def on_step_skip(self, step: str) -> None:
            steps.append(step)

    before = current_model_id(small_project)
    with pytest.raises(KeyboardInterrupt):
        _workflows.retrain_project(small_project, Killed(), {"data": rows})
    assert current_model_id(small_project) == before
    _workflows.retrain_project(small_project, Counted(), {"data": rows})
    assert "baseline" in steps


def test_an_interrupted_publication_is_recorded_later(
    small_project: ProjectFolder,
) -> None:
    folders = _workflows.load_latest_report_data(small_project).folders
    entries = len(_workflows.list_versions(small_project))
    renamed_folders = {
        **folders,
        "package": folders["package"].rename(folders["package"].with_name("other")),
    }
    assert _versions.publish(
        small_project, renamed_folders, "run"
    )  # the bundle is in place, but there is no ledger entry
    assert len(_workflows.list_versions(small_project)) == entries + 1
    assert not _versions.publish(small_project, renamed_folders, "run")

"""A run is repeated from the data, and the results are compared part by part."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core import files
from fieldcraft.core.errors import ProjectError
from fieldcraft.ledger.store import Ledger
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _pipeline, _reproduce, _workflows
from tests.conftest import set_settings, source_table_path


def identical_by_part(comparisons: list[dict[str, object]]) -> dict[object, bool]:
    return {item["part"]: bool(item["identical"]) for item in comparisons}


def test_a_reproduced_run_is_identical_and_adds_only_a_ledger_entry(
    finished_project: ProjectFolder,
) -> None:
    before = sorted(path.name for path in finished_project.root.iterdir())
    entries = len(Ledger(finished_project.ledger_path).entries())
    identical = identical_by_part(
        _workflows.reproduce_project(finished_project, _workflows.NullCallbacks())
    )
    assert set(identical) >= {"split", "constant", "rule", "linear", "network", "metrics", "bundle"}
    assert [part for part, same in identical.items() if not same] == []
    assert sorted(path.name for path in finished_project.root.iterdir()) == before
    added = Ledger(finished_project.ledger_path).entries()[entries:]
    assert [(e.kind, e.body["decision"], e.body["identical"]) for e in added] == [
        ("decision", "reproduced", True)
    ]


def test_timing_dependent_choices_are_passed_to_the_new_training(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    trained = _workflows.load_latest_report_data(finished_project).folders["train"]
    _reproduce.write_runtime_configs(trained, tmp_path)
    config_paths = sorted(tmp_path.glob("network/*/checkpoints/runtime_config.json"))
    assert len(config_paths) == 5
    curves = files.read_json(trained / "network" / "0" / "model.json")["learning_curves"]
    assert files.read_json(config_paths[0]) == {
        "precision": curves["precision"],
        "threads": curves["threads"],
        "exact_epochs": len(curves["train_losses"]),
        "schedule_epochs": curves["training_settings"]["epochs"],
    }


def test_changed_data_is_an_error_with_a_hint(
    finished_project: ProjectFolder,
) -> None:
    source = source_table_path(finished_project)
    pl.read_csv(source).with_columns(age=pl.col("age") + 1).write_csv(source)
    with pytest.raises(ProjectError, match="no finished run to reproduce") as caught:
        _workflows.reproduce_project(finished_project, _workflows.NullCallbacks())
    assert "audit" in caught.value.detail
    assert caught.value.hint == "run it first: fieldcraft run"


def test_the_error_for_a_changed_project_file_names_the_affected_steps(
    finished_project: ProjectFolder,
) -> None:
    set_settings(finished_project, {"model.epochs": 5})
    with pytest.raises(ProjectError, match="train, ensemble, evaluate, explain, package"):
        _workflows.reproduce_project(finished_project, _workflows.NullCallbacks())


def test_missing_data_is_an_error(finished_project: ProjectFolder) -> None:
    source_table_path(finished_project).unlink()
    with pytest.raises(ProjectError, match="data of the project cannot be read"):
        _workflows.reproduce_project(finished_project, _workflows.NullCallbacks())


@pytest.fixture
def folders(finished_project: ProjectFolder) -> dict[str, Path]:
    return dict(_workflows.load_latest_report_data(finished_project).folders)


def copy_folders(folders: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Copy the folders of all steps."""
    for name, folder in folders.items():
        shutil.copytree(folder, tmp_path / "again" / name)
    return {name: tmp_path / "again" / name for name in folders}


def test_equal_runs_are_identical_in_every_part(folders: dict[str, Path], tmp_path: Path) -> None:
    comparisons = _reproduce.compare_runs(folders, copy_folders(folders, tmp_path))
    assert all(item["identical"] and item["max_output_difference"] is None for item in comparisons)


def test_the_largest_output_difference_of_a_changed_model_is_reported(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    again = copy_folders(folders, tmp_path)
    table = again["baseline"] / "linear" / "predictions.parquet"
    pl.read_parquet(table).with_columns(pl.col("output_1") + 0.25).write_parquet(table)
    comparisons = {item["part"]: item for item in _reproduce.compare_runs(folders, again)}
    assert comparisons["linear"]["identical"] is False
    assert comparisons["linear"]["max_output_difference"] == pytest.approx(0.25)
    assert comparisons["lightgbm"]["identical"] is True


def test_another_split_or_evaluation_is_reported_but_not_fit_times(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    again = copy_folders(folders, tmp_path)
    metadata = files.read_json(again["split"] / "metadata.json")
    files.atomic_write_json(
        again["split"] / "metadata.json", {**metadata, "digests": {"development": "1", "test": "2"}}
    )
    path = again["evaluate"] / "evaluation.json"
    evaluation = files.read_json(path)
    evaluation["models"][0]["fit_seconds"] += 5
    files.atomic_write_json(path, evaluation)
    assert identical_by_part(_reproduce.compare_runs(folders, again)) == {
        item: item != "split"
        for item in identical_by_part(_reproduce.compare_runs(folders, folders))
    }
    files.atomic_write_json(path, {**evaluation, "champion": "another"})
    assert identical_by_part(_reproduce.compare_runs(folders, again))["metrics"] is False


def test_a_missing_model_is_not_identical(folders: dict[str, Path], tmp_path: Path) -> None:
    again = copy_folders(folders, tmp_path)
    shutil.rmtree(again["baseline"] / "rule")
    comparisons = {item["part"]: item for item in _reproduce.compare_runs(folders, again)}
    assert comparisons["rule"] == {
        "part": "rule",
        "identical": False,
        "max_output_difference": None,
    }
    comparisons = {item["part"]: item for item in _reproduce.compare_runs(again, folders)}
    assert comparisons["rule"]["identical"] is False


def test_a_model_of_other_rows_has_no_output_difference(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    again = copy_folders(folders, tmp_path)
    table = again["baseline"] / "linear" / "predictions.parquet"
    pl.read_parquet(table).head(5).write_parquet(table)
    comparisons = {item["part"]: item for item in _reproduce.compare_runs(folders, again)}
    assert comparisons["linear"] == {
        "part": "linear",
        "identical": False,
        "max_output_difference": None,
    }


def test_the_copy_names_its_sources_by_their_full_paths(
    ensemble_project: ProjectFolder, tmp_path: Path
) -> None:
    (tmp_path / "far").mkdir()
    again = _reproduce.copy_project(ensemble_project, tmp_path / "far")
    data = again.load_settings().data
    assert Path(data.source_files().train).is_absolute()
    assert Path(data.join[0].source).is_absolute()
    assert data.join[0].on == "district"
    steps = [key for _, key in _pipeline.step_keys(again, again.load_settings(), "split")]
    keys = [
        key
        for _, key in _pipeline.step_keys(
            ensemble_project, ensemble_project.load_settings(), "split"
        )
    ]
    assert len(steps) == len(keys)

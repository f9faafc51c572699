"""A run is done over again from the data, and what comes out is compared part by part."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core import files
from fieldcraft.core.errors import ProjectError
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow, _plan, _reproduce
from tests.conftest import change, source_of


def parts(found: list[dict[str, object]]) -> dict[object, bool]:
    return {item["part"]: bool(item["same"]) for item in found}


def test_a_run_comes_out_the_same_and_leaves_only_a_record(finished: Folder) -> None:
    before = sorted(path.name for path in finished.root.iterdir())
    entries = len(Ledger(finished.ledger).entries())
    found = parts(_flow.reproduce_project(finished, _flow.Unwatched()))
    assert set(found) >= {"split", "constant", "rule", "linear", "network", "figures", "bundle"}
    assert [part for part, same in found.items() if not same] == []
    assert sorted(path.name for path in finished.root.iterdir()) == before
    added = Ledger(finished.ledger).entries()[entries:]
    assert [(e.kind, e.body["decision"], e.body["same"]) for e in added] == [
        ("decision", "reproduced", True)
    ]


def test_what_the_clock_decided_is_laid_out_for_the_training(
    finished: Folder, tmp_path: Path
) -> None:
    trained = _flow.latest(finished).folders["train"]
    _reproduce.replay(trained, tmp_path)
    found = sorted(tmp_path.glob("network/*/checkpoints/decisions.json"))
    assert len(found) == 5
    curves = files.read_json(trained / "network" / "0" / "model.json")["curves"]
    assert files.read_json(found[0]) == {
        "precision": curves["precision"],
        "threads": curves["threads"],
        "epochs": len(curves["train_losses"]),
        "horizon": curves["training"]["epochs"],
    }


def test_other_data_than_the_run_had_are_told_with_what_to_do(finished: Folder) -> None:
    source = source_of(finished)
    pl.read_csv(source).with_columns(age=pl.col("age") + 1).write_csv(source)
    with pytest.raises(ProjectError, match="no finished run to reproduce") as caught:
        _flow.reproduce_project(finished, _flow.Unwatched())
    assert "audit" in caught.value.seen
    assert caught.value.way_out == "run it first: fieldcraft run"


def test_a_changed_file_is_told_by_the_steps_that_depend_on_it(finished: Folder) -> None:
    change(finished, {"model.epochs": 5})
    with pytest.raises(ProjectError, match="train, blend, evaluate, explain, package"):
        _flow.reproduce_project(finished, _flow.Unwatched())


def test_missing_data_are_named(finished: Folder) -> None:
    source_of(finished).unlink()
    with pytest.raises(ProjectError, match="not where its file says"):
        _flow.reproduce_project(finished, _flow.Unwatched())


@pytest.fixture
def folders(finished: Folder) -> dict[str, Path]:
    return dict(_flow.latest(finished).folders)


def copied(folders: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The same steps in other folders."""
    for name, folder in folders.items():
        shutil.copytree(folder, tmp_path / "again" / name)
    return {name: tmp_path / "again" / name for name in folders}


def test_equal_runs_are_the_same_in_every_part(folders: dict[str, Path], tmp_path: Path) -> None:
    found = _reproduce.compare(folders, copied(folders, tmp_path))
    assert all(item["same"] and item["difference"] is None for item in found)


def test_a_model_that_predicts_otherwise_is_told_by_how_much(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    again = copied(folders, tmp_path)
    table = again["baseline"] / "linear" / "predictions.parquet"
    pl.read_parquet(table).with_columns(pl.col("out_1") + 0.25).write_parquet(table)
    found = {item["part"]: item for item in _reproduce.compare(folders, again)}
    assert found["linear"]["same"] is False
    assert found["linear"]["difference"] == pytest.approx(0.25)
    assert found["lightgbm"]["same"] is True


def test_another_split_and_other_figures_are_told_seconds_aside(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    again = copied(folders, tmp_path)
    about = files.read_json(again["split"] / "about.json")
    files.write_json(
        again["split"] / "about.json", {**about, "digests": {"develop": "1", "test": "2"}}
    )
    path = again["evaluate"] / "evaluation.json"
    figures = files.read_json(path)
    figures["learners"][0]["seconds"] += 5
    files.write_json(path, figures)
    assert parts(_reproduce.compare(folders, again)) == {
        item: item != "split" for item in parts(_reproduce.compare(folders, folders))
    }
    files.write_json(path, {**figures, "champion": "another"})
    assert parts(_reproduce.compare(folders, again))["figures"] is False


def test_a_model_that_is_missing_the_second_time_is_another(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    again = copied(folders, tmp_path)
    shutil.rmtree(again["baseline"] / "rule")
    found = {item["part"]: item for item in _reproduce.compare(folders, again)}
    assert found["rule"] == {"part": "rule", "same": False, "difference": None}
    found = {item["part"]: item for item in _reproduce.compare(again, folders)}
    assert found["rule"]["same"] is False


def test_a_model_of_other_rows_is_another_without_a_difference(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    again = copied(folders, tmp_path)
    table = again["baseline"] / "linear" / "predictions.parquet"
    pl.read_parquet(table).head(5).write_parquet(table)
    found = {item["part"]: item for item in _reproduce.compare(folders, again)}
    assert found["linear"] == {"part": "linear", "same": False, "difference": None}


def test_the_copy_names_its_sources_by_their_full_paths(blended: Folder, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    again = _reproduce.copy_project(blended, tmp_path / "far")
    data = again.settings().data
    assert Path(data.sources().train).is_absolute()
    assert Path(data.join[0].source).is_absolute()
    assert data.join[0].on == "district"
    steps = [key for _, key in _plan.keyed(again, again.settings(), "split")]
    mine = [key for _, key in _plan.keyed(blended, blended.settings(), "split")]
    assert len(steps) == len(mine)

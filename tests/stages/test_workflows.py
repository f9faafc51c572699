"""End-to-end runs from a table to a report and a bundle, for several kinds of targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import LedgerError, SealError
from fieldcraft.ledger.store import Ledger
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _workflows
from fieldcraft.stages.predict import PredictRequest, predict
from tests.conftest import create_project, set_settings

FEW_EPOCHS = (ConfigEdit(("model", "epochs"), 3),)  # of the default network


def test_a_run_writes_report_and_bundle(finished_project: ProjectFolder) -> None:
    report_data = _workflows.load_latest_report_data(finished_project)
    assert report_data.evaluation["champion"] in {"linear", "lightgbm", "network", "ensemble"}
    assert finished_project.report_path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (finished_project.bundle_path / "manifest.json").exists()


def test_report_data_leaves_out_a_deleted_step(
    finished_project: ProjectFolder,
) -> None:
    before = _workflows.load_latest_report_data(finished_project)
    before.folders["explain"].rename(finished_project.root / "away")
    after = _workflows.load_latest_report_data(finished_project)
    assert before.importance
    assert after.importance == []
    assert after.evaluation == before.evaluation


def test_all_ledger_entries_are_listed_in_order(finished_project: ProjectFolder) -> None:
    entries = _workflows.list_ledger_entries(finished_project)
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    assert len(entries) == len(Ledger(finished_project.ledger_path).entries())


def test_a_changed_run_folder_fails_verification(finished_project: ProjectFolder) -> None:
    assert _workflows.verify_run_folders(finished_project) == 9
    (
        _workflows.load_latest_report_data(finished_project).folders["explain"]
        / "feature_importance.json"
    ).write_text("[]", "utf-8")
    with pytest.raises(
        LedgerError, match=r"(?s)differs from its record in the ledger.*runs/explain"
    ):
        _workflows.verify_run_folders(finished_project)


def test_a_final_evaluation_needs_a_model(
    finished_project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_data = _workflows.load_latest_report_data(finished_project)
    monkeypatch.setattr(_workflows, "run_project", lambda *_: report_data)
    finished_project.bundle_path.rename(finished_project.root / "away")
    with pytest.raises(SealError, match="no model to evaluate"):
        _workflows.run_final_evaluation(finished_project, _workflows.NullCallbacks(), None)


def make_part_column(rows: int) -> pl.Series:
    """Make a column of parts, so that each model has one member."""
    words = ["train", "train", "train", "validation", "validation", "test"]
    return pl.Series("part", (words * rows)[:rows])


def use_part_column(project: ProjectFolder) -> ProjectFolder:
    return set_settings(
        project, {"data.columns.part": {"kind": "category"}, "data.split_column": "part"}
    )


def test_a_multilabel_run_from_table_to_predictions(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    x, z, rows = draw.normal(size=360), draw.choice(["r", "s"], 360), 360
    frame = pl.DataFrame(
        {
            "x": x.round(3),
            "z": z,
            "loud": np.where(x + draw.normal(0, 0.3, rows) > 0, "yes", "no"),
            "long": np.where((z == "r") ^ (draw.random(rows) < 0.1), "yes", "no"),
        }
    )
    frame.with_columns(make_part_column(rows)).write_csv(tmp_path / "songs.csv")
    project = create_project(
        tmp_path / "p", tmp_path / "songs.csv", ("loud", "long"), edits=FEW_EPOCHS
    )
    report_data = _workflows.run_project(use_part_column(project), _workflows.NullCallbacks())
    assert report_data.settings.problem.task == "multilabel"
    assert report_data.split["counts"] == {
        "evaluation": 60,
        "test": 60,
        "train": 180,
        "validation": 60,
    }
    assert report_data.champion["complexity"] > 0
    assert report_data.champion["metrics"][report_data.evaluation["metric"]]["low"] > 0.8
    frame.select("x", "z").write_csv(tmp_path / "new.csv")
    predict(
        PredictRequest(project.bundle_path, str(tmp_path / "new.csv"), tmp_path / "out.parquet")
    )
    predictions = pl.read_parquet(tmp_path / "out.parquet")
    assert {"probability_loud", "probability_long"} <= set(predictions.columns)
    for label in ("loud", "long"):
        is_predicted = predictions["prediction"].fill_null("").str.split("|").list.contains(label)
        assert (is_predicted == (frame[label] == "yes")).mean() > 0.8  # type: ignore[operator]
    final = _workflows.run_final_evaluation(
        project, _workflows.NullCallbacks(), None
    ).final_evaluation
    assert {m["n_rows"] for m in final["metrics"]} == {60}


def test_an_ordinal_run_from_table_to_predictions(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=360)
    order = ["poor", "fair", "good", "great"]
    grade = np.digitize(x + draw.normal(0, 0.3, 360), [-0.8, 0, 0.8])
    frame = pl.DataFrame({"x": x.round(3), "n": draw.normal(size=360).round(3)})
    graded = frame.with_columns(make_part_column(360), grade=pl.Series([order[g] for g in grade]))
    graded.write_csv(tmp_path / "grades.csv")
    project = create_project(tmp_path / "p", tmp_path / "grades.csv", "grade", edits=FEW_EPOCHS)
    set_settings(
        project, {"problem.task": "ordinal", "problem.class_order": order, "problem.metric": None}
    )
    report_data = _workflows.run_project(use_part_column(project), _workflows.NullCallbacks())
    assert report_data.split["target_spec"]["classes"] == order
    assert report_data.champion["metrics"]["quadratic_kappa"]["low"] > 0.6
    assert report_data.importance[0]["column"] == "x"
    predictions = load_bundle(project.bundle_path).predict(frame)
    assert [c for c in predictions.columns if c.startswith("probability_")] == [
        f"probability_{name}" for name in order
    ]
    steps = predictions["prediction"].replace_strict({name: i for i, name in enumerate(order)})
    assert np.abs(steps.to_numpy() - grade).mean() < 0.6


def test_a_run_split_by_time_from_table_to_predictions(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    days = pl.datetime_range(
        pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 1) + pl.duration(days=359), "1d", eager=True
    )
    x = draw.normal(size=360)
    frame = pl.DataFrame(
        {
            "day": days.dt.strftime("%Y-%m-%d"),
            "x": x.round(3),
            "sold": (20 + 5 * x + draw.normal(size=360)).round(2),
        }
    )
    shuffled = frame.sample(fraction=1, shuffle=True, seed=3)
    shuffled.write_csv(tmp_path / "sales.csv")
    project = create_project(tmp_path / "p", tmp_path / "sales.csv", "sold", edits=FEW_EPOCHS)
    set_settings(project, {"data.time_column": "day", "split.strategy": "time", "split.gap": "3d"})
    report_data = _workflows.run_project(project, _workflows.NullCallbacks())
    counts = report_data.split["counts"]
    assert counts["unused"] == 6  # two days before each later part
    assert counts["test"] == 54
    assert report_data.champion["metrics"]["r2"]["low"] > 0.8
    last = frame.tail(54)
    predictions = load_bundle(project.bundle_path).predict(last.drop("sold"))
    assert (predictions["prediction"] - last["sold"]).abs().mean() < 2  # type: ignore[operator]
    final = _workflows.run_final_evaluation(
        project, _workflows.NullCallbacks(), None
    ).final_evaluation
    mae = next(m["value"] for m in final["metrics"] if m["metric"] == "mae")
    assert mae == pytest.approx((predictions["prediction"] - last["sold"]).abs().mean())

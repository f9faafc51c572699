"""The way from a table to a report and a bundle, for targets of every form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import LedgerError, SealError
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow
from fieldcraft.stages.predict import Request, predict
from tests.conftest import change, start

FEW_EPOCHS = (Edit(("model", "epochs"), 3),)  # of the network as it is by itself


def test_a_run_ends_in_report_and_bundle(finished: Folder) -> None:
    story = _flow.latest(finished)
    assert story.evaluation["champion"] in {"linear", "lightgbm", "network", "blend"}
    assert finished.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (finished.bundle / "manifest.json").exists()


def test_a_step_that_is_gone_from_the_disk_is_left_out_of_the_story(finished: Folder) -> None:
    before = _flow.latest(finished)
    before.folders["explain"].rename(finished.root / "away")
    after = _flow.latest(finished)
    assert before.importance
    assert after.importance == []
    assert after.evaluation == before.evaluation


def test_the_log_holds_every_entry_in_order(finished: Folder) -> None:
    found = _flow.log(finished)
    assert [entry["number"] for entry in found] == list(range(1, len(found) + 1))
    assert len(found) == len(Ledger(finished.ledger).entries())


def test_a_run_folder_that_was_changed_is_noticed(finished: Folder) -> None:
    assert _flow.verify_folders(finished) == 9
    (_flow.latest(finished).folders["explain"] / "importance.json").write_text("[]", "utf-8")
    with pytest.raises(LedgerError, match=r"(?s)not what the ledger recorded.*runs/explain"):
        _flow.verify_folders(finished)


def test_there_is_nothing_to_open_without_a_model(
    finished: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = _flow.latest(finished)
    monkeypatch.setattr(_flow, "run_project", lambda *_: story)
    finished.bundle.rename(finished.root / "away")
    with pytest.raises(SealError, match="no model to evaluate"):
        _flow.final_evaluation(finished, _flow.Unwatched(), None)


def parts(rows: int) -> pl.Series:
    """A ready-made split, so that each model has one member."""
    words = ["train", "train", "train", "validation", "validation", "test"]
    return pl.Series("part", (words * rows)[:rows])


def given_parts(project: Folder) -> Folder:
    return change(project, {"data.columns.part": {"kind": "category"}, "data.split": "part"})


def test_many_labels_from_table_to_predictions(tmp_path: Path) -> None:
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
    frame.with_columns(parts(rows)).write_csv(tmp_path / "songs.csv")
    project = start(tmp_path / "p", tmp_path / "songs.csv", ("loud", "long"), edits=FEW_EPOCHS)
    story = _flow.run_project(given_parts(project), _flow.Unwatched())
    assert story.settings.problem.task == "multilabel"
    assert story.split["counts"] == {"judge": 60, "test": 60, "train": 180, "tune": 60}
    assert story.champion["complexity"] > 0
    assert story.champion["measures"][story.evaluation["metric"]]["low"] > 0.8
    frame.select("x", "z").write_csv(tmp_path / "new.csv")
    predict(Request(project.bundle, str(tmp_path / "new.csv"), tmp_path / "out.parquet"))
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert {"probability_loud", "probability_long"} <= set(found.columns)
    for label in ("loud", "long"):
        right = found["prediction"].fill_null("").str.split("|").list.contains(label)
        assert (right == (frame[label] == "yes")).mean() > 0.8  # type: ignore[operator]
    final = _flow.final_evaluation(project, _flow.Unwatched(), None).final
    assert {m["rows"] for m in final["measures"]} == {60}


def test_steps_of_a_scale_from_table_to_predictions(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=360)
    order = ["poor", "fair", "good", "great"]
    grade = np.digitize(x + draw.normal(0, 0.3, 360), [-0.8, 0, 0.8])
    frame = pl.DataFrame({"x": x.round(3), "n": draw.normal(size=360).round(3)})
    graded = frame.with_columns(parts(360), grade=pl.Series([order[g] for g in grade]))
    graded.write_csv(tmp_path / "grades.csv")
    project = start(tmp_path / "p", tmp_path / "grades.csv", "grade", edits=FEW_EPOCHS)
    change(project, {"problem.task": "ordinal", "problem.order": order, "problem.metric": None})
    story = _flow.run_project(given_parts(project), _flow.Unwatched())
    assert story.split["target"]["classes"] == order
    assert story.champion["measures"]["quadratic_kappa"]["low"] > 0.6
    assert story.importance[0]["column"] == "x"
    found = load_bundle(project.bundle).predict(frame)
    assert [c for c in found.columns if c.startswith("probability_")] == [
        f"probability_{name}" for name in order
    ]
    steps = found["prediction"].replace_strict({name: i for i, name in enumerate(order)})
    assert np.abs(steps.to_numpy() - grade).mean() < 0.6


def test_a_split_by_time_from_table_to_predictions(tmp_path: Path) -> None:
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
    project = start(tmp_path / "p", tmp_path / "sales.csv", "sold", edits=FEW_EPOCHS)
    change(project, {"data.time": "day", "split.rule": "time", "split.gap": "3d"})
    story = _flow.run_project(project, _flow.Unwatched())
    counts = story.split["counts"]
    assert counts["unused"] == 6  # two days before each later part
    assert counts["test"] == 54
    assert story.champion["measures"]["r2"]["low"] > 0.8
    last = frame.tail(54)
    found = load_bundle(project.bundle).predict(last.drop("sold"))
    assert (found["prediction"] - last["sold"]).abs().mean() < 2  # type: ignore[operator]
    final = _flow.final_evaluation(project, _flow.Unwatched(), None).final
    mae = next(m["value"] for m in final["measures"] if m["metric"] == "mae")
    assert mae == pytest.approx((found["prediction"] - last["sold"]).abs().mean())

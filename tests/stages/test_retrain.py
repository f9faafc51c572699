"""A challenger is promoted only if it is better; else the champion stays, with the reasons."""

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
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.project.folder import Folder
from fieldcraft.serving.record import Batch, Log, Recorder
from fieldcraft.stages import _flow, _plan, _versions
from fieldcraft.stages.labels import Request as Labels
from fieldcraft.stages.labels import labels
from tests.conftest import change, mixed_table, source_of, start

LINEAR = {"model": {"learner": "linear"}, "model.blend": False}


@pytest.fixture(scope="module")
def few_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has learned from few rows, so that more of them help."""
    place = tmp_path_factory.mktemp("few")
    mixed_table(120).write_csv(place / "table.csv")
    project = change(start(place / "project", place / "table.csv", edits=()), LINEAR)
    _flow.run_project(project, _flow.Unwatched(), fix=True)
    return place


@pytest.fixture
def few(tmp_path: Path, few_once: Path) -> Folder:
    """A copy of that project."""
    shutil.copytree(few_once, tmp_path / "few")
    return Folder(tmp_path / "few" / "project")


def asked(project: Folder, **more: Any) -> dict[str, Any]:
    found = _flow.retrain_project(project, _flow.Unwatched(), more)
    json.dumps(found, allow_nan=False)
    return found


def written(tmp_path: Path, rows: pl.DataFrame) -> str:
    rows.write_csv(tmp_path / "new.csv")
    return str(tmp_path / "new.csv")


def model(project: Folder) -> str:
    return str(read_manifest(project.bundle)["model_id"])


def test_a_better_challenger_is_promoted_and_the_way_back_is_short(
    few: Folder, tmp_path: Path
) -> None:
    first, source = model(few), few.settings().data.source
    sealed = _flow.latest(few).split["digests"]["test"]
    found = asked(few, rows=written(tmp_path, mixed_table(1_200, seed=5)), why="more rows")
    assert found["outcome"] == "promoted", found["reasons"]
    assert {gate["gate"] for gate in found["gates"]} == {
        "schema", "better", "groups", "calibration", "speed", "size",
    }  # fmt: skip
    second = model(few)
    assert second == found["challenger"] != first
    story = _flow.latest(few)
    assert story.split["digests"]["test"] == sealed
    assert story.package["model_id"] == second
    assert [v["by"] for v in _flow.versions(few)] == ["run", "retrain"]
    _flow.run_project(few, _flow.Unwatched())
    assert model(few) == second  # a run does not bring the old one back

    back = _flow.rollback_project(few, None, "it was a try")
    assert (model(few), back["before"]) == (first, second)
    settings = few.settings().data.sources()
    assert settings.train == source
    assert settings.test is None
    assert _flow.latest(few).package["model_id"] == first
    _flow.run_project(few, _flow.Unwatched())
    assert model(few) == first
    _flow.rollback_project(few, second[:8], "")
    assert model(few) == second
    assert [v["by"] for v in _flow.versions(few)] == ["run", "retrain", "rollback", "rollback"]
    assert Ledger(few.ledger).verify() > 0
    assert _flow.verify_folders(few) > 0
    with pytest.raises(ProjectError, match="there is no such version"):
        _flow.rollback_project(few, "nobody", "")


def test_a_worse_challenger_is_refused_and_changes_nothing(few: Folder, tmp_path: Path) -> None:
    before = (model(few), few.file.read_bytes(), few.report.read_bytes())
    story = _flow.latest(few)
    noisy = mixed_table(300, seed=6)
    noisy = noisy.with_columns(bought=noisy["bought"].shuffle(seed=0))
    found = asked(few, rows=written(tmp_path, noisy))
    assert found["outcome"] == "refused"
    assert any("ROC AUC on all" in reason for reason in found["reasons"])
    assert (model(few), few.file.read_bytes(), few.report.read_bytes()) == before
    assert _flow.latest(few).folders == story.folders
    assert found["judge_rows"]["use"] == 1
    [entry] = Ledger(few.ledger).entries(kind="decision", stage="retrain")
    assert entry.body["decision"] == "refused"
    assert entry.body["reasons"] == found["reasons"]
    assert entry.body["who"]


def test_a_class_that_is_new_is_no_answer_that_callers_know(few: Folder, tmp_path: Path) -> None:
    odd = mixed_table(300, seed=7)
    more = pl.when(pl.int_range(odd.height) % 3 == 0).then(pl.lit("maybe")).otherwise("bought")
    change(few, {"problem.task": "multiclass", "problem.metric": "log_loss"})
    _flow.run_project(few, _flow.Unwatched(), fix=True)
    found = asked(few, rows=written(tmp_path, odd.with_columns(bought=more)))
    assert found["outcome"] == "refused"
    assert found["reasons"] == ["the classes are others: maybe"]


def test_too_few_new_rows_wait(few: Folder, tmp_path: Path) -> None:
    found = asked(few, rows=written(tmp_path, mixed_table(20, seed=8)))
    assert found["outcome"] == "waiting"
    assert found["reasons"] == ["20 new labelled rows; 50 are wanted"]
    known = source_of(few)  # every row of it is known, the sealed ones as well
    assert asked(few, rows=str(known))["new"] == 0
    assert asked(few)["new"] == 0
    pl.concat([pl.read_csv(known), mixed_table(70, seed=9)]).write_csv(known)
    change(few, {"deploy.retrain": {"least": 71}})
    assert asked(few)["reasons"] == [
        "70 new labelled rows; 71 are wanted"
    ]  # its own table has grown


def test_broken_columns_block_it(few: Folder) -> None:
    alert = {"kind": "broken", "text": "age: 40% of the rows are missing, 6.0% before"}
    state = {"model": model(few), "watcher": {"alerts": {"broken|age": alert}}}
    files.write_json(few.root / "watch" / "state.json", state)
    found = asked(few)
    assert found["outcome"] == "blocked"
    assert "age: 40% of the rows are missing" in found["reasons"][0]
    assert asked(few, anyway=True)["outcome"] == "waiting"
    files.write_json(few.root / "watch" / "state.json", {**state, "model": "another"})
    assert asked(few)["outcome"] == "waiting"


def test_ten_triggers_at_once_are_one_run(
    few: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, run = written(tmp_path, mixed_table(100, seed=10)), _plan.run
    runs: list[Folder] = []

    def counted(project: Folder, watcher: _plan.Watcher) -> Any:
        runs.append(project)
        return run(project, watcher)

    monkeypatch.setattr(_plan, "run", counted)
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: asked(few, rows=rows)["outcome"], range(10)))
    assert len(runs) == 1
    assert found.count("running") == 9


@pytest.fixture
def at_work(few: Folder, tmp_path: Path) -> Folder:
    """The project with a prediction log and labels that were joined to it."""
    bundle, rows = load_bundle(few.bundle), mixed_table(900, seed=11)
    cells = rows.cast(pl.String)
    log = Recorder(Log(tmp_path / "log"), bundle.model_id, bundle.task, bundle.about)
    requests = [f"r{number}" for number in range(rows.height)]
    said = bundle.read(cells)
    at = datetime.now(UTC).timestamp()
    log.add(Batch(at, requests, [0] * rows.height, bundle.schema.apply(cells), said))
    log.stop()
    truth = pl.DataFrame({"request": requests, "bought": rows["bought"]})
    truth.head(800).write_csv(tmp_path / "labels.csv")
    wanted = Labels(
        few.bundle, str(tmp_path / "labels.csv"), str(tmp_path / "log"), few.root / "watch"
    )
    labels(wanted)
    return few


def test_what_was_asked_and_labelled_is_learned_from_once(at_work: Folder, tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    with pytest.raises(DataError, match="there is no prediction log"):
        asked(at_work)
    found = asked(at_work, log=log)
    assert found["new"] == 800
    assert found["outcome"] == "promoted", found["reasons"]
    develop = pl.read_parquet(_flow.latest(at_work).folders["split"] / "develop.parquet")
    names = ["age", "city", "seen", "bought"]
    mine = develop.tail(800).select(names).with_columns(pl.col("age").cast(pl.Float64))
    asked_for = mixed_table(900, seed=11).head(800).select(names)
    assert mine.sort(names).equals(asked_for.sort(names), null_equal=True)
    assert asked(at_work, log=log)["new"] == 0


def test_a_retraining_that_was_killed_goes_on(few: Folder, tmp_path: Path) -> None:
    rows = written(tmp_path, mixed_table(100, seed=12))

    class Killed(_flow.Unwatched):
        def finished(self, step: str, seconds: float, summary: Mapping[str, Any]) -> None:
            if step == "baseline":
                raise KeyboardInterrupt

    kept: list[str] = []

    class Counted(_flow.Unwatched):
        def skipped(self, step: str) -> None:
            kept.append(step)

    before = model(few)
    with pytest.raises(KeyboardInterrupt):
        _flow.retrain_project(few, Killed(), {"rows": rows})
    assert model(few) == before
    _flow.retrain_project(few, Counted(), {"rows": rows})
    assert "baseline" in kept


def test_a_publication_that_was_cut_short_is_put_on_the_record(few: Folder) -> None:
    folders = _flow.latest(few).folders
    entries = len(_flow.versions(few))
    other = {**folders, "package": folders["package"].rename(folders["package"].with_name("other"))}
    assert _versions.publish(few, other, "run")  # it lies there, but nobody has said so
    assert len(_flow.versions(few)) == entries + 1
    assert not _versions.publish(few, other, "run")

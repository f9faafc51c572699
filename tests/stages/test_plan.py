"""What is done already is kept, what depends on an edit is done again, a killed run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.core import files
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import HeldError, PlugError, ProjectError
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.evidence.records import Finding
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow, _plan
from tests.conftest import source_of, start

AFTER_TRAINING = ["train", "blend", "evaluate", "explain", "package"]


class Recorder(_flow.Unwatched):
    """A watcher that remembers which steps ran and which were kept."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.kept: list[str] = []
        self.mended: list[str] = []

    def finished(self, step: str, seconds: float, summary: dict[str, Any]) -> None:
        self.ran.append(step)

    def skipped(self, step: str) -> None:
        self.kept.append(step)

    def fixed(self, finding: Finding) -> None:
        self.mended.append(finding.name)


def run(project: Folder, **arguments: Any) -> Recorder:
    watcher = Recorder()
    _plan.run(project, watcher, **arguments)
    return watcher


def test_a_second_run_does_nothing(finished: Folder) -> None:
    before = Ledger(finished.ledger).head()
    assert run(finished).ran == []
    assert Ledger(finished.ledger).head() == before


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (Edit(("model", "epochs"), 3), AFTER_TRAINING),
        (Edit(("model", "blend"), False), AFTER_TRAINING[1:]),
        (Edit(("problem", "metric"), "log_loss"), AFTER_TRAINING[2:]),
        (Edit(("problem", "question"), "Who buys?"), ["package"]),
        (Edit(("deploy", "size"), 1000), ["package"]),
        (Edit(("card", "owner"), "Ada"), []),
        (Edit(("audit", "accept"), ["leak:age"]), []),
        (Edit(("data", "drop"), ["city"]), [step.name for step in _plan.STEPS]),
    ],
)
def test_an_edit_runs_again_just_what_depends_on_it(
    finished: Folder, edit: Edit, expected: list[str]
) -> None:
    file.edit(finished.file, [edit])
    assert run(finished).ran == expected


def test_a_comment_changes_nothing(finished: Folder) -> None:
    text = finished.file.read_text(encoding="utf-8")
    finished.file.write_text(text + "\n# looked over on Monday\n", encoding="utf-8")
    assert run(finished).ran == []


def test_new_rows_in_the_source_run_everything_again(finished: Folder) -> None:
    source = source_of(finished)
    pl.concat([pl.read_csv(source), pl.read_csv(source).head(3)]).write_csv(source)
    assert "train" in run(finished).ran


def test_another_network_in_the_folder_of_an_encoder_runs_everything_again(
    project: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def keys() -> list[str]:
        return [key for _, key in _plan.keyed(project, project.settings(), None)]

    file.edit(project.file, [Edit(("model", "text"), {"encoder": "own"})])
    absent = keys()
    files.write_text(project.root / "own" / "config.json", "{}")
    files.write_bytes(project.root / "own" / "model.safetensors", b"weights")
    before = keys()
    assert not set(before) & set(absent)
    files.write_text(project.root / "own" / "notes.log", "nothing of it")
    monkeypatch.chdir(tmp_path)
    assert keys() == before
    files.write_bytes(project.root / "own" / "model.safetensors", b"others")
    assert not set(keys()) & set(before)


def test_a_run_is_foretold_without_doing_anything(project: Folder) -> None:
    found = _plan.forecast(project)
    assert [step.name for step in found] == [step.name for step in _plan.STEPS]
    assert not any(step.done for step in found)
    assert all(step.seconds and step.seconds > 0 for step in found)
    assert not (project.root / "runs").exists()
    assert [step.name for step in _plan.forecast(project, "split")] == ["audit", "split"]


def test_larger_tables_are_foretold_to_take_longer() -> None:
    assert _plan.guess_seconds("train", 50_000) > 2 * _plan.guess_seconds("train", 1_000)
    most = _plan.guess_seconds("train", _plan.MOST_COUNTED)
    assert _plan.guess_seconds("train", 10 * _plan.MOST_COUNTED) == most


def test_the_budget_bounds_what_is_foretold_of_training(project: Folder) -> None:
    file.edit(project.file, [Edit(("train", "budget"), 1.5)])
    seconds = {step.name: step.seconds for step in _plan.forecast(project)}
    assert seconds["train"] == 1.5
    assert seconds["package"]
    assert seconds["package"] > 1.5


def test_what_is_done_is_foretold_as_kept_and_the_rest_by_what_it_took(finished: Folder) -> None:
    assert all(step.done and step.seconds is None for step in _plan.forecast(finished))
    file.edit(finished.file, [Edit(("model", "epochs"), 3)])
    found = {step.name: step for step in _plan.forecast(finished)}
    assert [name for name, step in found.items() if not step.done] == AFTER_TRAINING
    last = Ledger(finished.ledger).last("done", "train")
    assert last is not None
    assert found["train"].seconds == last.body["seconds"]


def test_until_stops_after_the_stage(project: Folder) -> None:
    assert run(project, until="split").ran == ["audit", "split"]
    assert not project.bundle.exists()


def test_an_unknown_stage_is_named_with_a_near_one(project: Folder) -> None:
    with pytest.raises(PlugError, match="did you mean 'split'"):
        run(project, until="splitt")


def test_a_crash_before_the_ledger_is_closed_loses_nothing(
    project: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise OSError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(_plan, "close", crash)
        with pytest.raises(OSError, match="power"):
            run(project, until="split")
    watcher = run(project, until="split")
    assert "audit" in watcher.kept
    assert Ledger(project.ledger).last("done", "audit") is not None
    assert len(Ledger(project.ledger).entries(kind="finding", stage="audit")) > 0


def test_a_second_run_at_the_same_time_is_refused(project: Folder) -> None:
    with files.lock(project.root / ".lock"), pytest.raises(ProjectError, match="another run"):
        run(project)


def test_missing_data_are_named(project: Folder) -> None:
    source_of(project).unlink()
    with pytest.raises(ProjectError, match="not where its file says"):
        run(project)


@pytest.fixture
def leaking(tmp_path: Path, table: pl.DataFrame) -> Folder:
    path = tmp_path / "leaking.csv"
    table.with_columns(paid=pl.col("bought").replace({"yes": "1", "no": "0"})).write_csv(path)
    return start(tmp_path / "leaking", path)


def test_a_stop_finding_holds_the_run_and_names_both_ways_out(leaking: Folder) -> None:
    with pytest.raises(HeldError, match=r"paid alone tells.*\[leak:paid\]") as caught:
        run(leaking)
    assert "data.drop: add 'paid'" in caught.value.way_out
    assert "audit.accept: [leak:paid]" in caught.value.way_out
    assert not list(leaking.root.glob("runs/train/*"))


def test_fix_mends_the_project_file_and_goes_on(leaking: Folder) -> None:
    watcher = run(leaking, until="baseline", fix=True)
    assert "leak:paid" in watcher.mended
    assert leaking.settings().data.drop == ["paid"]
    assert "baseline" in watcher.ran
    fixes = [e.body for e in Ledger(leaking.ledger).entries(kind="decision") if "finding" in e.body]
    assert any(body["finding"] == "leak:paid" for body in fixes)


def test_an_accepted_finding_holds_no_more(leaking: Folder) -> None:
    file.edit(leaking.file, [Edit(("audit", "accept"), ["leak:paid"])])
    assert "baseline" in run(leaking, until="baseline").ran


def test_a_fix_that_does_not_help_is_tried_once_and_the_run_goes_on(
    project: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = Finding("odd", "warn", "it stays", fixes=(Edit(("problem", "question"), "Why?"),))
    monkeypatch.setattr(_plan, "kept", lambda folder: [stubborn])
    watcher = run(project, until="split", fix=True)
    assert watcher.mended == ["odd"]
    assert "split" in watcher.ran


def measures(project: Folder) -> dict[tuple[str, str], float]:
    entries = Ledger(project.ledger).entries(kind="measure")
    return {(e.body["model"], e.body["metric"]): e.body["value"] for e in entries}


def test_kill_9_during_training_and_a_second_run_end_in_the_same_measures(
    tmp_path: Path, csv: Path
) -> None:
    """The run is killed as soon as a checkpoint is on the disk."""
    whole, killed = (start(tmp_path / name, csv) for name in ("whole", "killed"))
    for project in (whole, killed):
        file.edit(project.file, [Edit(("model", "epochs"), 30), Edit(("model", "patience"), 30)])
    _plan.run(whole, _flow.Unwatched(), until="evaluate")
    code = (
        "import sys; from fieldcraft.api.project import Project; from fieldcraft.fit import loop;"
        "loop.SAVE_EVERY = 0.0; Project(sys.argv[1]).run('evaluate')"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(killed.root)])
    deadline = time.monotonic() + 120
    pattern = "runs/train/*.partial/network/*/checkpoints/checkpoint.safetensors"
    while not list(killed.root.glob(pattern)) and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert list(killed.root.glob(pattern))
    assert Ledger(killed.ledger).last("done", "train") is None
    _plan.run(killed, _flow.Unwatched(), until="evaluate")
    assert measures(killed) == measures(whole)

"""Finished steps are skipped, steps that depend on an edit rerun, and a killed run resumes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.core import files
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import (
    BlockedByFindingsError,
    PluginError,
    ProjectError,
    RunCancelledError,
)
from fieldcraft.fit import trainer
from fieldcraft.fit.compute import ComputeConfig
from fieldcraft.ledger.records import Finding
from fieldcraft.ledger.store import Ledger
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _pipeline, _workflows
from tests.conftest import create_project, source_table_path

AFTER_TRAINING = ["train", "ensemble", "evaluate", "explain", "package"]


class RecordingCallbacks(_workflows.NullCallbacks):
    """Callbacks that record which steps ran and which were skipped."""

    def __init__(self) -> None:
        self.ran_steps: list[str] = []
        self.skipped_steps: list[str] = []
        self.fixed_findings: list[str] = []

    def on_step_end(self, step: str, seconds: float, summary: dict[str, Any]) -> None:
        self.ran_steps.append(step)

    def on_step_skip(self, step: str) -> None:
        self.skipped_steps.append(step)

    def on_fix(self, finding: Finding) -> None:
        self.fixed_findings.append(finding.accept_key)


def run_recorded(project: ProjectFolder, **arguments: Any) -> RecordingCallbacks:
    callbacks = RecordingCallbacks()
    _pipeline.run_steps(project, callbacks, **arguments)
    return callbacks


def test_a_second_run_does_nothing(finished_project: ProjectFolder) -> None:
    before = Ledger(finished_project.ledger_path).head()
    assert run_recorded(finished_project).ran_steps == []
    assert Ledger(finished_project.ledger_path).head() == before


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (ConfigEdit(("model", "epochs"), 3), AFTER_TRAINING),
        (ConfigEdit(("model", "ensemble"), False), AFTER_TRAINING[1:]),
        (ConfigEdit(("problem", "metric"), "log_loss"), AFTER_TRAINING[2:]),
        (ConfigEdit(("problem", "description"), "Who buys?"), ["package"]),
        (ConfigEdit(("deploy", "max_size_mb"), 1000), ["package"]),
        (ConfigEdit(("card", "owner"), "Ada"), []),
        (ConfigEdit(("audit", "accept"), ["target_leakage:age"]), []),
        (ConfigEdit(("data", "drop"), ["city"]), [step.name for step in _pipeline.STEPS]),
    ],
)
def test_an_edit_reruns_only_dependent_steps(
    finished_project: ProjectFolder, edit: ConfigEdit, expected: list[str]
) -> None:
    project_file.apply_edits(finished_project.file_path, [edit])
    assert run_recorded(finished_project).ran_steps == expected


def test_a_comment_reruns_nothing(finished_project: ProjectFolder) -> None:
    text = finished_project.file_path.read_text(encoding="utf-8")
    finished_project.file_path.write_text(text + "\n# looked over on Monday\n", encoding="utf-8")
    assert run_recorded(finished_project).ran_steps == []


def test_new_rows_in_the_source_rerun_all_steps(finished_project: ProjectFolder) -> None:
    source = source_table_path(finished_project)
    pl.concat([pl.read_csv(source), pl.read_csv(source).head(3)]).write_csv(source)
    assert "train" in run_recorded(finished_project).ran_steps


def test_changed_encoder_weights_rerun_all_steps(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def keys() -> list[str]:
        return [key for _, key in _pipeline.step_keys(project, project.load_settings(), None)]

    project_file.apply_edits(project.file_path, [ConfigEdit(("model", "text"), {"encoder": "own"})])
    absent = keys()
    files.atomic_write_text(project.root / "own" / "config.json", "{}")
    files.atomic_write_bytes(project.root / "own" / "model.safetensors", b"weights")
    before = keys()
    assert not set(before) & set(absent)
    files.atomic_write_text(project.root / "own" / "notes.log", "nothing of it")
    monkeypatch.chdir(tmp_path)
    assert keys() == before
    files.atomic_write_bytes(project.root / "own" / "model.safetensors", b"others")
    assert not set(keys()) & set(before)


def test_planning_a_run_changes_nothing(project: ProjectFolder) -> None:
    steps = _pipeline.plan_run(project)
    assert [step.name for step in steps] == [step.name for step in _pipeline.STEPS]
    assert not any(step.done for step in steps)
    assert all(step.seconds and step.seconds > 0 for step in steps)
    assert not (project.root / "runs").exists()
    assert [step.name for step in _pipeline.plan_run(project, "split")] == ["audit", "split"]


def test_estimated_time_grows_with_the_number_of_rows() -> None:
    assert _pipeline.estimate_seconds("train", 50_000) > 2 * _pipeline.estimate_seconds(
        "train", 1_000
    )
    longest = _pipeline.estimate_seconds("train", _pipeline.MAX_COUNTED_ROWS)
    assert _pipeline.estimate_seconds("train", 10 * _pipeline.MAX_COUNTED_ROWS) == longest


def test_estimated_training_time_is_bounded_by_the_budget(project: ProjectFolder) -> None:
    project_file.apply_edits(project.file_path, [ConfigEdit(("train", "time_budget"), 1.5)])
    seconds = {step.name: step.seconds for step in _pipeline.plan_run(project)}
    assert seconds["train"] == 1.5
    assert seconds["package"]
    assert seconds["package"] > 1.5


def test_the_plan_has_finished_steps_and_last_durations(
    finished_project: ProjectFolder,
) -> None:
    assert all(step.done and step.seconds is None for step in _pipeline.plan_run(finished_project))
    project_file.apply_edits(finished_project.file_path, [ConfigEdit(("model", "epochs"), 3)])
    steps = {step.name: step for step in _pipeline.plan_run(finished_project)}
    assert [name for name, step in steps.items() if not step.done] == AFTER_TRAINING
    last = Ledger(finished_project.ledger_path).last("step_completed", "train")
    assert last is not None
    assert steps["train"].seconds == last.body["seconds"]


def test_until_stops_a_run_after_the_stage(project: ProjectFolder) -> None:
    assert run_recorded(project, until="split").ran_steps == ["audit", "split"]
    assert not project.bundle_path.exists()


def test_an_unknown_stage_is_an_error_with_a_suggestion(project: ProjectFolder) -> None:
    with pytest.raises(PluginError, match="did you mean 'split'"):
        run_recorded(project, until="splitt")


def test_a_crash_before_a_step_is_recorded_loses_nothing(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise OSError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(_pipeline, "record_done", crash)
        with pytest.raises(OSError, match="power"):
            run_recorded(project, until="split")
    callbacks = run_recorded(project, until="split")
    assert "audit" in callbacks.skipped_steps
    assert Ledger(project.ledger_path).last("step_completed", "audit") is not None
    assert len(Ledger(project.ledger_path).entries(kind="finding", stage="audit")) > 0


def test_a_second_run_at_the_same_time_is_refused(project: ProjectFolder) -> None:
    with files.try_lock(project.root / ".lock"), pytest.raises(ProjectError, match="another run"):
        run_recorded(project)


def test_missing_data_is_an_error(project: ProjectFolder) -> None:
    source_table_path(project).unlink()
    with pytest.raises(ProjectError, match="data of the project cannot be read"):
        run_recorded(project)


@pytest.fixture
def leaky_project(tmp_path: Path, table: pl.DataFrame) -> ProjectFolder:
    path = tmp_path / "leaking.csv"
    table.with_columns(paid=pl.col("bought").replace({"yes": "1", "no": "0"})).write_csv(path)
    return create_project(tmp_path / "leaking", path)


def test_an_error_finding_blocks_the_run_and_hints_at_both_solutions(
    leaky_project: ProjectFolder,
) -> None:
    with pytest.raises(
        BlockedByFindingsError, match=r"paid alone explains.*\[target_leakage:paid\]"
    ) as caught:
        run_recorded(leaky_project)
    assert "data.drop: add 'paid'" in caught.value.hint
    assert "audit.accept: [target_leakage:paid]" in caught.value.hint
    assert not list(leaky_project.root.glob("runs/train/*"))


def test_the_hint_of_a_finding_without_a_fix_does_not_name_the_fix_option(
    leaky_project: ProjectFolder,
) -> None:
    finding = Finding("custom_check", "error", "the table is empty")
    with pytest.raises(BlockedByFindingsError, match="1 finding blocks the run") as caught:
        _pipeline.raise_if_blocked([finding], leaky_project.load_settings())
    assert caught.value.hint == "accept it by name: audit.accept: [custom_check]"


def test_fix_edits_the_project_file_and_continues(leaky_project: ProjectFolder) -> None:
    callbacks = run_recorded(leaky_project, until="baseline", fix=True)
    assert "target_leakage:paid" in callbacks.fixed_findings
    assert leaky_project.load_settings().data.drop == ["paid"]
    assert "baseline" in callbacks.ran_steps
    fixes = [
        e.body
        for e in Ledger(leaky_project.ledger_path).entries(kind="decision")
        if "finding" in e.body
    ]
    assert any(body["finding"] == "target_leakage:paid" for body in fixes)


def test_an_accepted_finding_does_not_block_the_run(leaky_project: ProjectFolder) -> None:
    project_file.apply_edits(
        leaky_project.file_path, [ConfigEdit(("audit", "accept"), ["target_leakage:paid"])]
    )
    assert "baseline" in run_recorded(leaky_project, until="baseline").ran_steps


def test_a_fix_that_does_not_help_is_tried_once(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Finding(
        "odd", "warning", "it stays", fixes=(ConfigEdit(("problem", "description"), "Why?"),)
    )
    monkeypatch.setattr(_pipeline, "load_findings", lambda folder: [finding])
    callbacks = run_recorded(project, until="split", fix=True)
    assert callbacks.fixed_findings == ["odd"]
    assert "split" in callbacks.ran_steps


def read_metrics(project: ProjectFolder) -> dict[tuple[str, str], float]:
    entries = Ledger(project.ledger_path).entries(kind="metric")
    return {(e.body["model"], e.body["metric"]): e.body["value"] for e in entries}


def test_a_run_killed_during_training_resumes_with_the_same_metrics(
    tmp_path: Path, csv_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is killed as soon as a checkpoint is on disk."""
    # The number of threads is chosen by timing and affects the last digits, so it is fixed here.
    monkeypatch.setattr(trainer, "autotune_compute", lambda *_: ComputeConfig("float32", 1))
    unbroken, killed = (create_project(tmp_path / name, csv_path) for name in ("whole", "killed"))
    for project in (unbroken, killed):
        project_file.apply_edits(
            project.file_path,
            [ConfigEdit(("model", "epochs"), 30), ConfigEdit(("model", "patience"), 30)],
        )
    _pipeline.run_steps(unbroken, _workflows.NullCallbacks(), until="evaluate")
    code = (
        "import sys; from fieldcraft.api.project import Project;"
        "from fieldcraft.fit import compute, trainer; trainer.CHECKPOINT_INTERVAL_SECONDS = 0.0;"
        "trainer.autotune_compute = lambda *_: compute.ComputeConfig('float32', 1);"
        "Project(sys.argv[1]).run('evaluate')"
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
    assert Ledger(killed.ledger_path).last("step_completed", "train") is None
    _pipeline.run_steps(killed, _workflows.NullCallbacks(), until="evaluate")
    assert read_metrics(killed) == read_metrics(unbroken)


class CancellingCallbacks(_workflows.NullCallbacks):
    """Cancel the run at the end of an epoch, by the flag or by Ctrl+C."""

    def __init__(self, epoch: int, interrupt: bool) -> None:
        self.epoch, self.interrupt, self.cancelled = epoch, interrupt, False

    def on_epoch_end(self, step: str, epoch: int, metrics: Mapping[str, float]) -> bool:
        if step == "train" and epoch == self.epoch:
            if self.interrupt:
                raise KeyboardInterrupt
            self.cancelled = True
        return False

    def is_cancelled(self) -> bool:
        return self.cancelled


@pytest.mark.parametrize("interrupt", [False, True])
def test_a_cancelled_step_is_in_the_ledger_and_resumes(
    project: ProjectFolder, interrupt: bool
) -> None:
    expected: type[BaseException] = KeyboardInterrupt if interrupt else RunCancelledError
    with pytest.raises(expected) as caught:
        _pipeline.run_steps(project, CancellingCallbacks(2, interrupt), until="train")
    if not interrupt:
        assert "resume" in caught.value.hint  # type: ignore[attr-defined]
    ledger = Ledger(project.ledger_path)
    cancelled = ledger.last("step_cancelled", "train")
    assert cancelled is not None
    assert cancelled.body["seconds"] > 0
    assert ledger.last("step_completed", "train") is None
    assert list(project.root.glob("runs/train/*.partial/network/0/checkpoints/*.safetensors"))
    assert run_recorded(project, until="train").ran_steps == ["train"]
    assert ledger.last("step_completed", "train") is not None


def test_a_callback_stops_a_training_and_the_run_goes_on(project: ProjectFolder) -> None:
    class Stop(_workflows.NullCallbacks):
        def on_epoch_end(self, step: str, epoch: int, metrics: Mapping[str, float]) -> bool:
            return step == "train" and epoch == 2

    outcome = _pipeline.run_steps(project, Stop(), until="evaluate")
    model = files.read_json(next(outcome.folders["train"].glob("network/0/model.json")))
    assert len(model["learning_curves"]["train_losses"]) == 2
    assert "evaluate" in outcome.folders

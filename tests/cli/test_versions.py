"""What a retraining prints fits 80 columns; its exit code tells whether the challenger lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fieldcraft.cli import app, versions
from fieldcraft.core.errors import DataError
from fieldcraft.project.folder import ProjectFolder
from tests.conftest import mixed_table

GATE = {"gate": "better", "passed": False, "text": "ROC AUC on all (900 rows): 0.93 " + "so " * 40}
REFUSED = {
    "outcome": "refused", "reasons": [GATE["text"]], "gates": [GATE, {**GATE, "passed": True}],
    "new": 900, "rows": 1_240, "judge_rows": {"of": "k", "use": 3},
}  # fmt: skip


def test_every_gate_is_told_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    versions.print_retraining(REFUSED, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "refused: the champion stays"
    assert lines[1].startswith("  NOT better: ROC AUC")
    assert any(line.startswith("  ok  better") for line in lines)
    assert " ".join(lines[-2:]).split()[-5:] == ["used", "for", "the", "3rd", "time"]


@pytest.mark.parametrize(
    ("outcome", "head"),
    [("waiting", "nothing to do yet"), ("blocked", "blocked: nothing was trained")],
)
def test_the_reason_stands_below_the_outcome(
    outcome: str, head: str, capsys: pytest.CaptureFixture[str]
) -> None:
    versions.print_retraining(
        {"outcome": outcome, "reasons": ["why so"], "gates": []}, as_json=False
    )
    assert capsys.readouterr().out.splitlines() == [head, "  why so"]


def test_versions_are_listed_and_too_few_rows_wait(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    mixed_table(20, seed=9).write_csv(tmp_path / "new.csv")
    place = ["--dir", str(finished_project.root)]
    words = ["retrain", "--rows", str(tmp_path / "new.csv"), "--json", *place]
    result = CliRunner().invoke(app.app, words)
    assert (result.exit_code, json.loads(result.stdout)["outcome"]) == (0, "waiting")
    result = CliRunner().invoke(app.app, ["rollback", "--list", *place])
    assert result.stdout.count("by run, ") == 1
    result = CliRunner().invoke(app.app, ["rollback", *place])
    assert "there is no earlier version to go back to" in str(result.exception)


def test_again_and_again_survives_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []

    def sleep(pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    def once() -> Any:
        raise DataError("the log is gone", detail="log", hint="bring it back")

    monkeypatch.setattr("time.sleep", sleep)
    work: Callable[[], Any] = once
    with pytest.raises(KeyboardInterrupt):
        app.repeat_forever(work, 5.0)
    assert pauses == [5.0] * 3
    assert capsys.readouterr().err.count("the log is gone") == 3

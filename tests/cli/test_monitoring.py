"""What a watch prints fits 80 columns, and its exit code tells whether all is quiet."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from fieldcraft.cli import monitoring
from fieldcraft.cli.app import app
from fieldcraft.core.errors import ProjectError
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import MonitorSettings
from tests.conftest import mixed_table, set_settings

QUIET = {"model_id": "m", "windows": 3, "few": 0, "least": 50, "new": [], "stand": [],
         "failed": {}, "reference": 500, "not_watched": [], "server": None}  # fmt: skip
DRIFT = {"id": "d", "kind": "drift", "column": "age", "effect": 0.2, "text": "age: " + "far " * 40}
PREDICTION_DRIFT = {
    **DRIFT,
    "id": "p",
    "column": "",
    "text": "prediction: distance 0.1",
    "effect": 0.1,
}
BROKEN = {"id": "b", "kind": "broken", "column": "city", "text": "city: not there at all"}


def test_what_is_broken_comes_first_then_predictions(capsys: pytest.CaptureFixture[str]) -> None:
    failed = {"webhook": "OSError: " + "x" * 99}
    result = {**QUIET, "few": 1, "new": [DRIFT], "stand": [DRIFT, PREDICTION_DRIFT, BROKEN], "failed": failed,
              "not_watched": ["photo"]}  # fmt: skip
    monitoring.print_monitoring(result, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "3 new windows: 3 alerts"
    assert lines[1] == "  BROKEN, still: city: not there at all"
    assert lines[2].startswith("  drift, still: prediction")
    assert lines[3].startswith("  drift, new: age")
    assert "not watched: photo" in lines


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "3 new windows: quiet"),
        ({"windows": 0}, "0 new windows: nothing to look at yet"),
        ({"windows": 1, "few": 1}, "1 new window: not enough rows (a window needs 50)"),
    ],
)
def test_it_says_how_it_stands(change: dict[str, int], line: str) -> None:
    assert monitoring.summarize_windows(QUIET | change) == line


def test_what_labels_say_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {
        "new_labels": 60,
        "known": 0,
        "twice": 0,
        "contradictory": 2,
        "unknown": 1,
        "unread": 0,
    }
    result = {**counts, "rows": 160, "coverage": 0.4, "enough": True, "loss": 0.1, "low": 0.05,
            "high": 0.2, "reference": 0.09, "right": 0.8, "alarmed": False,
            "groups": []}  # fmt: skip
    monitoring.print_feedback(result, as_json=False)
    out = capsys.readouterr().out
    assert "60 new labels, 160 in all: 40.0% of the predictions in the log" in out
    assert "2 contradictory, left out" in out
    assert "twice" not in out
    assert "80.0% of the decisions right\nno sign of harm" in out
    group = {"column": "sex", "group": "Female", "rows": 80, "loss": 0.3, "reference": 0.1}
    both = [{**group, "alarmed": True}, {**group, "group": "Male", "alarmed": False}]
    monitoring.print_feedback(result | {"groups": both}, as_json=False)
    out = capsys.readouterr().out
    assert "WORSE for sex: Female: loss 0.3000, 0.1000 when judged (80 labels)" in out
    assert "Male" not in out
    assert "no sign of harm" not in out
    monitoring.print_feedback(result | {"enough": False}, as_json=False)
    assert "not enough labels" in capsys.readouterr().out
    monitoring.print_feedback(result | {"alarmed": True}, as_json=True)
    assert json.loads(capsys.readouterr().out)["alarmed"]


def test_whom_to_tell_is_said_by_the_project_file_or_by_options(
    finished_project: ProjectFolder,
) -> None:
    set_settings(finished_project, {"deploy.watch": {"file": "alerts.jsonl", "command": ["mail"]}})
    from_file = monitoring.resolve_alert_settings(finished_project, None, None, None)
    assert from_file.alert_file == str(finished_project.root / "alerts.jsonl")
    assert from_file.alert_command == ["mail"]
    from_options = monitoring.resolve_alert_settings(
        finished_project, Path("a.jsonl"), "notify 'all of us'", "https://example.org/x"
    )
    assert (from_options.alert_file, from_options.alert_command) == (
        "a.jsonl",
        ["notify", "all of us"],
    )
    assert monitoring.resolve_alert_settings(None, None, None, None) == MonitorSettings()
    with pytest.raises(ProjectError, match="webhook is an address"):
        monitoring.resolve_alert_settings(None, None, None, "example.org")


def test_the_exit_code_is_1_if_anything_stands(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    rows = mixed_table(400, seed=9)
    rows.write_csv(tmp_path / "good.csv")
    rows.with_columns(city=pl.lit("Atlantis")).write_csv(tmp_path / "bad.csv")
    for name, code in (("good", 0), ("bad", 1)):
        words = [
            "watch",
            str(tmp_path / f"{name}.csv"),
            "--dir",
            str(finished_project.root),
            "--json",
        ]
        result = CliRunner().invoke(app, [*words, "--out", str(tmp_path / name), "--rows", "200"])
        assert result.exit_code == code, result.output
        assert json.loads(result.output)["windows"] == 2
    wrong = CliRunner().invoke(
        app, ["watch", "x.csv", "--dir", str(finished_project.root), "--every", "x"]
    )
    assert "--every" in str(wrong.exception)

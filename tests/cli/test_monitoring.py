"""Results of monitor, feedback, retrain and rollback fit 80 columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from fieldcraft.cli import app, monitoring, monitoring_commands
from fieldcraft.core.errors import DataError, ProjectError
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import MonitorSettings
from tests.conftest import mixed_table, set_settings

QUIET = {
    "model_id": "m", "windows": 3, "windows_with_too_few_rows": 0, "min_rows": 50,
    "new_alerts": [], "active_alerts": [], "failed_channels": {}, "reference_rows": 500,
    "unmonitored_columns": [], "server": None,
}  # fmt: skip
DRIFT = {
    "id": "d", "type": "drift", "column": "age", "effect_size": 0.2,
    "message": "age: " + "far " * 40,
}  # fmt: skip
PREDICTION_DRIFT = {
    **DRIFT, "id": "p", "column": "", "message": "prediction: distance 0.1", "effect_size": 0.1,
}  # fmt: skip
DATA_QUALITY = {
    "id": "b", "type": "data_quality", "column": "city", "message": "city: column missing",
}  # fmt: skip
SERVER = {
    "requests": 200, "server_error_fraction": 0.01, "client_error_fraction": 0.02,
    "median_latency_seconds": 0.002, "p99_latency_seconds": 0.01,
}  # fmt: skip
GATE = {
    "gate": "performance", "passed": False,
    "message": "ROC AUC on all (900 rows): 0.93 " + "so " * 40,
}  # fmt: skip
NOT_PROMOTED = {
    "outcome": "not_promoted", "reasons": [GATE["message"]],
    "gates": [GATE, {**GATE, "passed": True}],
    "new_rows": 900, "total_rows": 1_240, "evaluation_rows": {"split_key": "k", "n_uses": 3},
}  # fmt: skip


def test_data_quality_comes_before_drift_of_predictions_and_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = {
        **QUIET, "windows_with_too_few_rows": 1, "new_alerts": [DRIFT],
        "active_alerts": [DRIFT, PREDICTION_DRIFT, DATA_QUALITY],
        "failed_channels": {"webhook": "OSError: " + "x" * 99}, "unmonitored_columns": ["photo"],
    }  # fmt: skip
    monitoring.print_monitoring(result, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "3 new windows: 3 alerts"
    assert lines[1] == "  DATA QUALITY, still: city: column missing"
    assert lines[2].startswith("  drift, still: prediction")
    assert lines[3].startswith("  drift, new: age")
    assert any(line.startswith("alert channel webhook failed, will retry") for line in lines)
    assert "not monitored: photo" in lines


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "3 new windows: quiet"),
        ({"windows": 0}, "0 new windows: nothing to check yet"),
        (
            {"windows": 1, "windows_with_too_few_rows": 1},
            "1 new window: not enough rows (a window needs 50)",
        ),
    ],
)
def test_windows_are_summarized_in_a_line(change: dict[str, int], line: str) -> None:
    assert monitoring.summarize_windows(QUIET | change) == line


@pytest.mark.parametrize(
    ("server", "line"),
    [
        ({"error": "no answer (http://x)"}, "no answer (http://x)"),
        ({**SERVER, "requests": 0}, "0 requests since the last run"),
        (
            SERVER,
            "200 requests since the last run, 1.00% failed, 2.00% refused; "
            "median 2.0 ms, p99 10.0 ms",
        ),
        (
            {**SERVER, "median_latency_seconds": None},
            "200 requests since the last run, 1.00% failed, 2.00% refused",
        ),
    ],
)
def test_the_server_is_described_in_a_line(server: dict[str, Any], line: str) -> None:
    assert monitoring.describe_server(server) == line


def test_feedback_prints_labels_loss_and_degraded_groups(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts = {
        "new_labels": 60, "already_known": 0, "duplicates": 0, "contradictory": 2, "unmatched": 1,
        "unparseable": 0,
    }  # fmt: skip
    result = {
        **counts, "rows": 160, "labeled_fraction": 0.4, "has_enough_labels": True, "loss": 0.1,
        "low": 0.05, "high": 0.2, "reference_loss": 0.09, "accuracy": 0.8, "is_degraded": False,
        "groups": [],
    }  # fmt: skip
    monitoring.print_feedback(result, as_json=False)
    out = capsys.readouterr().out
    assert "60 new labels, 160 in all: 40.0% of the predictions in the log" in out
    assert "2 contradictory, ignored" in out
    assert "duplicates" not in out
    assert "accuracy 80.0%\nno degradation detected" in out
    group = {"column": "sex", "group": "Female", "rows": 80, "loss": 0.3, "reference_loss": 0.1}
    both = [{**group, "is_degraded": True}, {**group, "group": "Male", "is_degraded": False}]
    monitoring.print_feedback(result | {"groups": both}, as_json=False)
    out = capsys.readouterr().out
    assert "DEGRADED for sex: Female: loss 0.3000, reference 0.1000 (80 labels)" in out
    assert "Male" not in out
    assert "no degradation" not in out
    monitoring.print_feedback(result | {"has_enough_labels": False}, as_json=False)
    assert "not enough labels" in capsys.readouterr().out
    monitoring.print_feedback(result | {"is_degraded": True}, as_json=True)
    assert json.loads(capsys.readouterr().out)["is_degraded"]


def test_alert_channels_come_from_options_or_the_project_file(
    finished_project: ProjectFolder,
) -> None:
    channels = {"alert_file": "alerts.jsonl", "alert_command": ["mail"]}
    set_settings(finished_project, {"deploy.monitor": channels})
    from_file = monitoring.resolve_alert_settings(finished_project)
    assert from_file.alert_file == str(finished_project.root / "alerts.jsonl")
    assert from_file.alert_command == ["mail"]
    from_options = monitoring.resolve_alert_settings(
        finished_project, Path("a.jsonl"), "notify 'all of us'", "https://example.org/x"
    )
    assert (from_options.alert_file, from_options.alert_command) == (
        "a.jsonl",
        ["notify", "all of us"],
    )
    assert monitoring.resolve_alert_settings(None) == MonitorSettings()
    with pytest.raises(ProjectError, match="webhook is a URL") as error_info:
        monitoring.resolve_alert_settings(None, alert_webhook="example.org/secret-token")
    assert "secret" not in str(error_info.value)


def test_monitor_exits_with_1_if_an_alert_is_active(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    rows = mixed_table(400, seed=9)
    rows.write_csv(tmp_path / "good.csv")
    rows.with_columns(city=pl.lit("Atlantis")).write_csv(tmp_path / "bad.csv")
    project_option = ["--dir", str(finished_project.root)]
    for name, code in (("good", 0), ("bad", 1)):
        command = ["monitor", str(tmp_path / f"{name}.csv"), *project_option, "--json"]
        result = CliRunner().invoke(
            app.app, [*command, "--out", str(tmp_path / name), "--window-rows", "200"]
        )
        assert result.exit_code == code, result.output
        assert json.loads(result.output)["windows"] == 2
    wrong = CliRunner().invoke(app.app, ["monitor", "x.csv", *project_option, "--window", "x"])
    assert "--window" in str(wrong.exception)


def test_gates_are_printed_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    monitoring.print_retraining(NOT_PROMOTED, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "not promoted: the champion stays"
    assert lines[1].startswith("  NOT performance: ROC AUC")
    assert any(line.startswith("  ok  performance") for line in lines)
    assert " ".join(lines[-2:]).split()[-5:] == ["used", "for", "the", "3rd", "time"]


@pytest.mark.parametrize(
    ("outcome", "headline"),
    [("too_few_rows", "nothing to do yet"), ("blocked", "blocked: nothing was trained")],
)
def test_reasons_are_printed_below_the_outcome(
    outcome: str, headline: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monitoring.print_retraining(
        {"outcome": outcome, "reasons": ["the reason"], "gates": []}, as_json=False
    )
    assert capsys.readouterr().out.splitlines() == [headline, "  the reason"]


def test_rollback_prints_both_versions(capsys: pytest.CaptureFixture[str]) -> None:
    result = {"model_id": "a" * 64, "previous_model_id": "b" * 64, "seconds": 0.25}
    monitoring.print_rollback(result, as_json=False)
    out = capsys.readouterr().out
    assert out == f"{'a' * 12} is the current bundle again, in place of {'b' * 12} (250 ms)\n"


def test_versions_are_listed_and_too_few_rows_train_nothing(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    mixed_table(20, seed=9).write_csv(tmp_path / "new.csv")
    project_option = ["--dir", str(finished_project.root)]
    command = ["retrain", "--data", str(tmp_path / "new.csv"), "--json", *project_option]
    result = CliRunner().invoke(app.app, command)
    assert (result.exit_code, json.loads(result.stdout)["outcome"]) == (0, "too_few_rows")
    result = CliRunner().invoke(app.app, ["rollback", "--list", *project_option])
    assert result.stdout.count("by run, ") == 1
    result = CliRunner().invoke(app.app, ["rollback", *project_option])
    assert "there is no earlier version to go back to" in str(result.exception)


def test_repeating_survives_expected_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    def raise_error() -> Any:
        raise DataError("the log is gone", detail="log", hint="restore it")

    monkeypatch.setattr("time.sleep", sleep)
    action: Callable[[], Any] = raise_error
    with pytest.raises(KeyboardInterrupt):
        monitoring_commands.repeat_forever(action, 5.0)
    assert pauses == [5.0] * 3
    assert capsys.readouterr().err.count("the log is gone") == 3

"""A run continues where the last one stopped and sends each alert once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core import files
from fieldcraft.core.errors import DataError, ProjectError
from fieldcraft.monitoring import alerts
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import MonitorSettings
from fieldcraft.serving.prediction_log import (
    PredictionBatch,
    PredictionLogConfig,
    PredictionLogWriter,
)
from fieldcraft.stages.monitor import (
    STATE_FORMAT,
    MonitorRequest,
    load_state,
    merge_monitor_settings,
    monitor,
)
from tests.conftest import mixed_table


def make_traffic(seed: int, rows: int = 600, city: str | None = None) -> pl.DataFrame:
    rows_of_day = mixed_table(rows, seed=200 + seed)
    return rows_of_day if city is None else rows_of_day.with_columns(city=pl.lit(city))


def log_traffic(folder: Path, bundle: Bundle, rows: pl.DataFrame, hour: int) -> None:
    """Log rows as the server does, one per request, in a file named as of that hour."""
    values = bundle.schema.apply(rows.cast(pl.String))
    predictions = bundle.predict_raw(rows.cast(pl.String))
    log = PredictionLogWriter(
        PredictionLogConfig(folder), bundle.model_id, bundle.task, bundle.target_spec
    )
    requests = [f"r{number}" for number in range(rows.height)]
    log.add(
        PredictionBatch(
            datetime.now(UTC).timestamp(), requests, [0] * rows.height, values, predictions
        )
    )
    log.stop()
    [part] = (path for path in folder.rglob("*.parquet") if "as-of" not in path.name)
    part.rename(part.with_name(f"{hour:02}0000-as-of.parquet"))


def make_request(
    project: ProjectFolder, source: Path, out: Path, **alert_settings: Any
) -> MonitorRequest:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    settings = MonitorSettings(**alert_settings)
    return MonitorRequest(
        project.bundle_path,
        str(source),
        out,
        window_rows=300,
        alert_settings=settings,
        clock=lambda: tomorrow,
    )


def test_a_log_is_monitored_window_by_window_and_alerts_are_sent_once(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    alert_file = tmp_path / "alerts.jsonl"
    bundle, log, out = load_bundle(finished_project.bundle_path), tmp_path / "log", tmp_path / "out"
    log_traffic(log, bundle, make_traffic(0), hour=1)
    monitor_request = make_request(finished_project, log, out, alert_file=str(alert_file))
    first = monitor(monitor_request)
    assert (first["windows"], first["active_alerts"], first["unmonitored_columns"]) == (
        2,
        [],
        ["seen"],
    )
    assert monitor(monitor_request)["windows"] == 0
    log_traffic(log, bundle, make_traffic(1, city="Atlantis"), hour=2)
    second = monitor(monitor_request)
    broken = {alert["column"] for alert in second["new_alerts"] if alert["type"] == "data_quality"}
    assert (second["windows"], broken) == (2, {"city"})
    again = monitor(monitor_request)
    assert again["new_alerts"] == []
    assert "city" in {alert["column"] for alert in again["active_alerts"]}
    lines = [json.loads(line) for line in alert_file.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == len({line["id"] for line in lines}) == len(second["new_alerts"])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "city: unseen categories in 100% of the rows" in page


def test_a_table_is_monitored_too_unless_it_has_few_rows(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    for rows in (1, 10):
        path = tmp_path / f"{rows}.csv"
        make_traffic(2, rows, city="Atlantis").write_csv(path)
        result = monitor(make_request(finished_project, path, tmp_path / f"out{rows}"))
        assert (
            result["windows"],
            result["windows_with_too_few_rows"],
            result["active_alerts"],
        ) == (1, 1, [])
    for rows, few in ((49, 1), (50, 0), (60, 0)):  # the project requires 50
        path = tmp_path / f"{rows}.csv"
        make_traffic(2, rows).write_csv(path)
        result = monitor(make_request(finished_project, path, tmp_path / f"out{rows}"))
        assert (result["windows"], result["windows_with_too_few_rows"], result["min_rows"]) == (
            1,
            few,
            50,
        )
    make_traffic(3).drop("city").write_csv(tmp_path / "short.csv")
    result = monitor(make_request(finished_project, tmp_path / "short.csv", tmp_path / "out"))
    assert [a["issue"] for a in result["new_alerts"] if a["column"] == "city"] == ["missing_column"]


def test_a_new_model_resets_the_monitor_but_not_the_position_in_the_log(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    make_traffic(4).write_csv(tmp_path / "rows.csv")
    monitor_request = make_request(finished_project, tmp_path / "rows.csv", tmp_path / "out")
    assert monitor(monitor_request)["windows"] == 2
    state = files.read_json(tmp_path / "out" / "state.json")
    files.atomic_write_json(tmp_path / "out" / "state.json", state | {"model_id": "another"})
    assert monitor(monitor_request)["windows"] == 0
    assert files.read_json(tmp_path / "out" / "state.json")["monitor"]["windows"] == 0


def test_undelivered_alerts_are_sent_by_the_next_run(
    finished_project: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldcraft.monitoring.alerts.FIRST_RETRY_DELAY_SECONDS", 0.0)
    target = tmp_path / "there" / "alerts.jsonl"
    target.parent.write_text("in the way", encoding="utf-8")
    make_traffic(5, city="Atlantis").write_csv(tmp_path / "rows.csv")
    monitor_request = make_request(
        finished_project, tmp_path / "rows.csv", tmp_path / "out", alert_file=str(target)
    )
    result = monitor(monitor_request)
    assert "file" in result["failed_channels"]
    target.parent.unlink()
    assert monitor(monitor_request)["failed_channels"] == {}
    assert target.read_text(encoding="utf-8").count("\n") == len(result["new_alerts"]) > 0


def test_monitor_settings_come_with_the_bundle_and_alert_channels_do_not(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    bundle_settings = load_bundle(finished_project.bundle_path).manifest["monitor"]
    assert bundle_settings["window_rows"] == 500
    assert (
        not {"alert_file", "alert_command", "alert_webhook", "metrics_url"} & bundle_settings.keys()
    )
    make_traffic(7).write_csv(tmp_path / "rows.csv")
    monitor_request = MonitorRequest(
        finished_project.bundle_path,
        str(tmp_path / "rows.csv"),
        tmp_path / "out",
        with_report=False,
    )
    assert monitor(monitor_request)["windows"] == 1  # of about 500 rows
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_damaged_state_and_a_second_monitor_are_errors(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    make_traffic(6, 60).write_csv(tmp_path / "rows.csv")
    monitor_request = make_request(finished_project, tmp_path / "rows.csv", tmp_path / "out")
    files.atomic_write_text(tmp_path / "out" / "state.json", '{"format": 1')
    with pytest.raises(DataError, match="cannot be read"):
        monitor(monitor_request)
    (tmp_path / "out" / "state.json").unlink()
    with files.try_lock(tmp_path / "out" / ".lock") as free:
        assert free
        with pytest.raises(DataError, match="another monitor or feedback run"):
            monitor(monitor_request)


def test_alerts_are_saved_before_they_are_sent_so_that_a_crash_loses_none(
    finished_project: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "alerts.jsonl"
    make_traffic(5, city="Atlantis").write_csv(tmp_path / "rows.csv")
    monitor_request = make_request(
        finished_project, tmp_path / "rows.csv", tmp_path / "out", alert_file=str(target)
    )

    def crash(waiting: Any, tell: MonitorSettings) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(alerts, "deliver_alerts", crash)
        with pytest.raises(KeyboardInterrupt):
            monitor(monitor_request)
    state = files.read_json(tmp_path / "out" / "state.json")
    assert [item["channels"] for item in state["pending_alerts"]] == [["file"]] * len(
        state["pending_alerts"]
    )
    result = monitor(monitor_request)
    assert (result["windows"], result["new_alerts"]) == (0, [])
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert lines == [item["alert"] for item in state["pending_alerts"]] != []
    assert files.read_json(tmp_path / "out" / "state.json")["pending_alerts"] == []


def test_without_channels_no_alert_is_pending(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    make_traffic(5, city="Atlantis").write_csv(tmp_path / "rows.csv")
    result = monitor(make_request(finished_project, tmp_path / "rows.csv", tmp_path / "out"))
    assert result["new_alerts"]
    assert files.read_json(tmp_path / "out" / "state.json")["pending_alerts"] == []


@pytest.mark.parametrize(
    ("changes", "position", "keeps_alerts"),
    [
        ({}, {"rows": 7}, True),
        ({"model_id": "another"}, {"rows": 7}, True),
        ({"source": "elsewhere"}, {}, True),
        ({"format": STATE_FORMAT + 1}, {}, False),
        ({"format": STATE_FORMAT + 1, "model_id": "another"}, {}, False),
    ],
)
def test_the_saved_state_is_used_as_far_as_it_applies(
    finished_project: ProjectFolder,
    tmp_path: Path,
    changes: dict[str, Any],
    position: dict[str, int],
    keeps_alerts: bool,
) -> None:
    bundle = load_bundle(finished_project.bundle_path)
    path, source = tmp_path / "state.json", tmp_path / "rows.csv"
    source.write_text("", encoding="utf-8")
    saved = {
        "format": STATE_FORMAT,
        "model_id": bundle.model_id,
        "source": str(source),
        "position": {"rows": 7},
        "pending_alerts": ["an alert"],
        "monitor": "what it had seen",
    }
    files.atomic_write_json(path, saved | changes)
    loaded = load_state(path, bundle, str(source))
    assert loaded["position"] == position
    assert loaded.get("pending_alerts", []) == (["an alert"] if keeps_alerts else [])
    assert ("monitor" in loaded) == (not changes)
    expected = {"format": STATE_FORMAT, "model_id": bundle.model_id, "source": str(source)}
    assert {name: loaded[name] for name in expected} == expected


def test_window_settings_of_the_request_override_those_of_the_bundle(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    bundle = load_bundle(finished_project.bundle_path)
    bundle.manifest["monitor"] = {"window": 3_600.0, "seasonality": "day", "min_rows": 7}

    def merged_windows(**options: Any) -> tuple[Any, ...]:
        monitor_settings = merge_monitor_settings(
            bundle, MonitorRequest(finished_project.bundle_path, "log", tmp_path, **options)
        )
        assert monitor_settings.min_rows == 7
        return monitor_settings.window_rows, monitor_settings.window, monitor_settings.seasonality

    assert merged_windows() == (500, 3_600.0, "day")
    assert merged_windows(window_rows=20) == (20, None, None)  # windows of rows have no seasonality
    assert merged_windows(window=7_200.0) == (500, 7_200.0, "day")
    assert merged_windows(window_rows=20, window=86_400.0, seasonality="week") == (
        20,
        86_400.0,
        "week",
    )
    with pytest.raises(ProjectError, match="window settings do not go together") as caught:
        merged_windows(window=7_000.0)
    assert caught.value.detail == "window 7000.0"
    assert "such as 1h" in str(caught.value.hint)

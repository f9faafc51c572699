"""A watch goes on where it stopped, tells each alert once, and leaves state, page and exit code."""

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
    """Rows as the server records them, a request each; the file is named as if written then."""
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
    monitor_request = make_request(finished_project, log, out, file=str(alert_file))
    first = monitor(monitor_request)
    assert (first["windows"], first["stand"], first["not_watched"]) == (2, [], ["seen"])
    assert monitor(monitor_request)["windows"] == 0
    log_traffic(log, bundle, make_traffic(1, city="Atlantis"), hour=2)
    second = monitor(monitor_request)
    broken = {alert["column"] for alert in second["new"] if alert["kind"] == "broken"}
    assert (second["windows"], broken) == (2, {"city"})
    again = monitor(monitor_request)
    assert again["new"] == []
    assert "city" in {alert["column"] for alert in again["stand"]}
    lines = [json.loads(line) for line in alert_file.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == len({line["id"] for line in lines}) == len(second["new"])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "city: 100% of the rows are words" in page


def test_a_table_is_monitored_too_unless_it_has_few_rows(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    for rows in (1, 10):
        path = tmp_path / f"{rows}.csv"
        make_traffic(2, rows, city="Atlantis").write_csv(path)
        result = monitor(make_request(finished_project, path, tmp_path / f"out{rows}"))
        assert (result["windows"], result["few"], result["stand"]) == (1, 1, [])
    for rows, few in ((49, 1), (50, 0), (60, 0)):  # the project says that 50 are enough
        path = tmp_path / f"{rows}.csv"
        make_traffic(2, rows).write_csv(path)
        result = monitor(make_request(finished_project, path, tmp_path / f"out{rows}"))
        assert (result["windows"], result["few"], result["least"]) == (1, few, 50)
    make_traffic(3).drop("city").write_csv(tmp_path / "short.csv")
    result = monitor(make_request(finished_project, tmp_path / "short.csv", tmp_path / "out"))
    assert [a["what"] for a in result["new"] if a["column"] == "city"] == ["absent"]


def test_a_new_model_starts_anew_and_goes_on_in_the_log(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    make_traffic(4).write_csv(tmp_path / "rows.csv")
    monitor_request = make_request(finished_project, tmp_path / "rows.csv", tmp_path / "out")
    assert monitor(monitor_request)["windows"] == 2
    state = files.read_json(tmp_path / "out" / "state.json")
    files.atomic_write_json(tmp_path / "out" / "state.json", state | {"model": "another"})
    assert monitor(monitor_request)["windows"] == 0
    assert files.read_json(tmp_path / "out" / "state.json")["watcher"]["windows"] == 0


def test_alerts_that_nobody_takes_are_sent_the_next_time(
    finished_project: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldcraft.monitoring.alerts.FIRST_RETRY_DELAY_SECONDS", 0.0)
    target = tmp_path / "there" / "alerts.jsonl"
    target.parent.write_text("in the way", encoding="utf-8")
    make_traffic(5, city="Atlantis").write_csv(tmp_path / "rows.csv")
    monitor_request = make_request(
        finished_project, tmp_path / "rows.csv", tmp_path / "out", file=str(target)
    )
    result = monitor(monitor_request)
    assert "file" in result["failed"]
    target.parent.unlink()
    assert monitor(monitor_request)["failed"] == {}
    assert target.read_text(encoding="utf-8").count("\n") == len(result["new"]) > 0


def test_monitor_settings_come_with_the_bundle_and_alert_channels_do_not(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    bundle_settings = load_bundle(finished_project.bundle_path).manifest["watch"]
    assert bundle_settings["rows"] == 500
    assert not {"file", "command", "webhook"} & bundle_settings.keys()
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
        with pytest.raises(DataError, match="another watch is at work"):
            monitor(monitor_request)


def test_alerts_are_kept_before_they_are_sent_so_that_a_crash_loses_none(
    finished_project: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "alerts.jsonl"
    make_traffic(5, city="Atlantis").write_csv(tmp_path / "rows.csv")
    asked = make_request(
        finished_project, tmp_path / "rows.csv", tmp_path / "out", file=str(target)
    )

    def crash(waiting: Any, tell: MonitorSettings) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(alerts, "deliver_alerts", crash)
        with pytest.raises(KeyboardInterrupt):
            monitor(asked)
    state = files.read_json(tmp_path / "out" / "state.json")
    assert [item["ways"] for item in state["waiting"]] == [["file"]] * len(state["waiting"])
    found = monitor(asked)
    assert (found["windows"], found["new"]) == (0, [])
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert lines == [item["alert"] for item in state["waiting"]] != []
    assert files.read_json(tmp_path / "out" / "state.json")["waiting"] == []


def test_without_anyone_to_tell_no_alert_waits(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    make_traffic(5, city="Atlantis").write_csv(tmp_path / "rows.csv")
    found = monitor(make_request(finished_project, tmp_path / "rows.csv", tmp_path / "out"))
    assert found["new"]
    assert files.read_json(tmp_path / "out" / "state.json")["waiting"] == []


@pytest.mark.parametrize(
    ("changes", "mark", "waits"),
    [
        ({}, {"rows": 7}, True),
        ({"model": "another"}, {"rows": 7}, True),
        ({"source": "elsewhere"}, {}, True),
        ({"format": STATE_FORMAT + 1}, {}, False),
        ({"format": STATE_FORMAT + 1, "model": "another"}, {}, False),
    ],
)
def test_what_was_kept_is_gone_on_from_as_far_as_it_fits(
    finished_project: ProjectFolder,
    tmp_path: Path,
    changes: dict[str, Any],
    mark: dict[str, int],
    waits: bool,
) -> None:
    bundle = load_bundle(finished_project.bundle_path)
    path, source = tmp_path / "state.json", tmp_path / "rows.csv"
    source.write_text("", encoding="utf-8")
    kept = {
        "format": STATE_FORMAT, "model": bundle.model_id, "source": str(source), "mark": {"rows": 7},
        "waiting": ["an alert"], "watcher": "what it had seen",
    }  # fmt: skip
    files.atomic_write_json(path, kept | changes)
    found = load_state(path, bundle, str(source))
    assert found["mark"] == mark
    assert found.get("waiting", []) == (["an alert"] if waits else [])
    assert ("watcher" in found) == (not changes)
    now = {"format": STATE_FORMAT, "model": bundle.model_id, "source": str(source)}
    assert {name: found[name] for name in now} == now


def test_windows_that_are_asked_for_replace_those_of_the_project(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    bundle = load_bundle(finished_project.bundle_path)
    bundle.manifest["watch"] = {"every": 3_600.0, "season": "day", "least": 7}

    def wishes(**asked: Any) -> tuple[Any, ...]:
        found = merge_monitor_settings(
            bundle, MonitorRequest(finished_project.bundle_path, "log", tmp_path, **asked)
        )
        assert found.min_rows == 7
        return found.window_rows, found.window, found.seasonality

    assert wishes() == (500, 3_600.0, "day")
    assert wishes(rows=20) == (20, None, None)  # windows of rows know no hours
    assert wishes(every=7_200.0) == (500, 7_200.0, "day")
    assert wishes(rows=20, every=86_400.0, season="week") == (20, 86_400.0, "week")
    with pytest.raises(ProjectError, match="cannot be cut into such windows") as caught:
        wishes(every=7_000.0)
    assert caught.value.detail == "every 7000.0"
    assert "such as 1h" in str(caught.value.hint)

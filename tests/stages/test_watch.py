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
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Watch
from fieldcraft.serving import alerts
from fieldcraft.serving.record import Batch, Log, Recorder
from fieldcraft.stages.watch import FORMAT, Request, state_of, watch, wishes_of
from tests.conftest import mixed_table


def traffic(seed: int, rows: int = 600, city: str | None = None) -> pl.DataFrame:
    found = mixed_table(rows, seed=200 + seed)
    return found if city is None else found.with_columns(city=pl.lit(city))


def serve(folder: Path, bundle: Bundle, rows: pl.DataFrame, hour: int) -> None:
    """Rows as the server records them, a request each; the file is named as if written then."""
    values = bundle.schema.apply(rows.cast(pl.String))
    said = bundle.read(rows.cast(pl.String))
    log = Recorder(Log(folder), bundle.model_id, bundle.task, bundle.about)
    requests = [f"r{number}" for number in range(rows.height)]
    log.add(Batch(datetime.now(UTC).timestamp(), requests, [0] * rows.height, values, said))
    log.stop()
    [part] = (path for path in folder.rglob("*.parquet") if "as-of" not in path.name)
    part.rename(part.with_name(f"{hour:02}0000-as-of.parquet"))


def request(project: Folder, source: Path, out: Path, **tell: Any) -> Request:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    wishes = Watch(**tell)
    return Request(project.bundle, str(source), out, rows=300, tell=wishes, now=lambda: tomorrow)


def test_a_log_is_watched_window_by_window_and_alerts_are_told_once(
    finished: Folder, tmp_path: Path
) -> None:
    told = tmp_path / "alerts.jsonl"
    bundle, log, out = load_bundle(finished.bundle), tmp_path / "log", tmp_path / "out"
    serve(log, bundle, traffic(0), hour=1)
    asked = request(finished, log, out, file=str(told))
    first = watch(asked)
    assert (first["windows"], first["stand"], first["not_watched"]) == (2, [], ["seen"])
    assert watch(asked)["windows"] == 0
    serve(log, bundle, traffic(1, city="Atlantis"), hour=2)
    second = watch(asked)
    broken = {alert["column"] for alert in second["new"] if alert["kind"] == "broken"}
    assert (second["windows"], broken) == (2, {"city"})
    again = watch(asked)
    assert again["new"] == []
    assert "city" in {alert["column"] for alert in again["stand"]}
    lines = [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == len({line["id"] for line in lines}) == len(second["new"])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "city: 100% of the rows are words" in page


def test_what_a_table_holds_is_watched_as_well_and_few_rows_are_not(
    finished: Folder, tmp_path: Path
) -> None:
    for rows in (1, 10):
        path = tmp_path / f"{rows}.csv"
        traffic(2, rows, city="Atlantis").write_csv(path)
        found = watch(request(finished, path, tmp_path / f"out{rows}"))
        assert (found["windows"], found["few"], found["stand"]) == (1, 1, [])
    for rows, few in ((49, 1), (50, 0), (60, 0)):  # the project says that 50 are enough
        path = tmp_path / f"{rows}.csv"
        traffic(2, rows).write_csv(path)
        found = watch(request(finished, path, tmp_path / f"out{rows}"))
        assert (found["windows"], found["few"], found["least"]) == (1, few, 50)
    traffic(3).drop("city").write_csv(tmp_path / "short.csv")
    found = watch(request(finished, tmp_path / "short.csv", tmp_path / "out"))
    assert [a["what"] for a in found["new"] if a["column"] == "city"] == ["absent"]


def test_a_new_model_starts_anew_and_goes_on_in_the_log(finished: Folder, tmp_path: Path) -> None:
    traffic(4).write_csv(tmp_path / "rows.csv")
    asked = request(finished, tmp_path / "rows.csv", tmp_path / "out")
    assert watch(asked)["windows"] == 2
    state = files.read_json(tmp_path / "out" / "state.json")
    files.write_json(tmp_path / "out" / "state.json", state | {"model": "another"})
    assert watch(asked)["windows"] == 0
    assert files.read_json(tmp_path / "out" / "state.json")["watcher"]["windows"] == 0


def test_alerts_that_nobody_takes_are_sent_the_next_time(
    finished: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldcraft.serving.alerts.PAUSE", 0.0)
    target = tmp_path / "there" / "alerts.jsonl"
    target.parent.write_text("in the way", encoding="utf-8")
    traffic(5, city="Atlantis").write_csv(tmp_path / "rows.csv")
    asked = request(finished, tmp_path / "rows.csv", tmp_path / "out", file=str(target))
    found = watch(asked)
    assert "file" in found["failed"]
    target.parent.unlink()
    assert watch(asked)["failed"] == {}
    assert target.read_text(encoding="utf-8").count("\n") == len(found["new"]) > 0


def test_how_it_is_watched_comes_with_the_bundle_and_whom_to_tell_does_not(
    finished: Folder, tmp_path: Path
) -> None:
    said = load_bundle(finished.bundle).manifest["watch"]
    assert said["rows"] == 500
    assert not {"file", "command", "webhook"} & said.keys()
    traffic(7).write_csv(tmp_path / "rows.csv")
    asked = Request(finished.bundle, str(tmp_path / "rows.csv"), tmp_path / "out", report=False)
    assert watch(asked)["windows"] == 1  # of about 500 rows
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_damaged_state_and_a_second_watch_are_told(finished: Folder, tmp_path: Path) -> None:
    traffic(6, 60).write_csv(tmp_path / "rows.csv")
    asked = request(finished, tmp_path / "rows.csv", tmp_path / "out")
    files.write_text(tmp_path / "out" / "state.json", '{"format": 1')
    with pytest.raises(DataError, match="cannot be read"):
        watch(asked)
    (tmp_path / "out" / "state.json").unlink()
    with files.lock(tmp_path / "out" / ".lock") as free:
        assert free
        with pytest.raises(DataError, match="another watch is at work"):
            watch(asked)


def test_alerts_are_kept_before_they_are_sent_so_that_a_crash_loses_none(
    finished: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "alerts.jsonl"
    traffic(5, city="Atlantis").write_csv(tmp_path / "rows.csv")
    asked = request(finished, tmp_path / "rows.csv", tmp_path / "out", file=str(target))

    def crash(waiting: Any, tell: Watch) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(alerts, "deliver", crash)
        with pytest.raises(KeyboardInterrupt):
            watch(asked)
    state = files.read_json(tmp_path / "out" / "state.json")
    assert [item["ways"] for item in state["waiting"]] == [["file"]] * len(state["waiting"])
    found = watch(asked)
    assert (found["windows"], found["new"]) == (0, [])
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert lines == [item["alert"] for item in state["waiting"]] != []
    assert files.read_json(tmp_path / "out" / "state.json")["waiting"] == []


def test_without_anyone_to_tell_no_alert_waits(finished: Folder, tmp_path: Path) -> None:
    traffic(5, city="Atlantis").write_csv(tmp_path / "rows.csv")
    found = watch(request(finished, tmp_path / "rows.csv", tmp_path / "out"))
    assert found["new"]
    assert files.read_json(tmp_path / "out" / "state.json")["waiting"] == []


@pytest.mark.parametrize(
    ("changes", "mark", "waits"),
    [
        ({}, {"rows": 7}, True),
        ({"model": "another"}, {"rows": 7}, True),
        ({"source": "elsewhere"}, {}, True),
        ({"format": FORMAT + 1}, {}, False),
        ({"format": FORMAT + 1, "model": "another"}, {}, False),
    ],
)
def test_what_was_kept_is_gone_on_from_as_far_as_it_fits(
    finished: Folder, tmp_path: Path, changes: dict[str, Any], mark: dict[str, int], waits: bool
) -> None:
    bundle = load_bundle(finished.bundle)
    path, source = tmp_path / "state.json", tmp_path / "rows.csv"
    source.write_text("", encoding="utf-8")
    kept = {
        "format": FORMAT, "model": bundle.model_id, "source": str(source), "mark": {"rows": 7},
        "waiting": ["an alert"], "watcher": "what it had seen",
    }  # fmt: skip
    files.write_json(path, kept | changes)
    found = state_of(path, bundle, str(source))
    assert found["mark"] == mark
    assert found.get("waiting", []) == (["an alert"] if waits else [])
    assert ("watcher" in found) == (not changes)
    now = {"format": FORMAT, "model": bundle.model_id, "source": str(source)}
    assert {name: found[name] for name in now} == now


def test_windows_that_are_asked_for_replace_those_of_the_project(
    finished: Folder, tmp_path: Path
) -> None:
    bundle = load_bundle(finished.bundle)
    bundle.manifest["watch"] = {"every": 3_600.0, "season": "day", "least": 7}

    def wishes(**asked: Any) -> tuple[Any, ...]:
        found = wishes_of(bundle, Request(finished.bundle, "log", tmp_path, **asked))
        assert found.least == 7
        return found.rows, found.every, found.season

    assert wishes() == (500, 3_600.0, "day")
    assert wishes(rows=20) == (20, None, None)  # windows of rows know no hours
    assert wishes(every=7_200.0) == (500, 7_200.0, "day")
    assert wishes(rows=20, every=86_400.0, season="week") == (20, 86_400.0, "week")
    with pytest.raises(ProjectError, match="cannot be cut into such windows") as caught:
        wishes(every=7_000.0)
    assert caught.value.seen == "every 7000.0"
    assert "such as 1h" in str(caught.value.way_out)

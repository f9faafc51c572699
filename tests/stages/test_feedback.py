"""Labels are joined once, in whatever state they arrive; degradation is one alert."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core.errors import DataError
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import MonitorSettings
from fieldcraft.serving.prediction_log import (
    PredictionBatch,
    PredictionLogConfig,
    PredictionLogWriter,
)
from fieldcraft.stages import _workflows
from fieldcraft.stages.feedback import FeedbackRequest, evaluate_groups, feedback, write_feedback
from tests.conftest import mixed_table, set_settings

ROWS = 400


@pytest.fixture
def bundle(finished_project: ProjectFolder) -> Bundle:
    return load_bundle(finished_project.bundle_path)


@pytest.fixture
def truth(bundle: Bundle, tmp_path: Path) -> pl.DataFrame:
    """Log predictions and return their labels."""
    return log_predictions(bundle, mixed_table(ROWS, seed=300), tmp_path)


def log_predictions(bundle: Bundle, rows: pl.DataFrame, tmp_path: Path) -> pl.DataFrame:
    """Predict and log rows, two per request, as a server does; return their labels."""
    cells, row_numbers = rows.cast(pl.String), range(rows.height)
    log = PredictionLogWriter(
        PredictionLogConfig(tmp_path / "log"), bundle.model_id, bundle.task, bundle.target_spec
    )
    requests = [f"r{number // 2}" for number in row_numbers]
    values = bundle.schema.apply(cells)
    at = datetime.now(UTC).timestamp()
    log.add(
        PredictionBatch(
            at, requests, [n % 2 for n in row_numbers], values, bundle.predict_raw(cells)
        )
    )
    log.stop()
    return pl.DataFrame(
        {"request_id": requests, "row": [n % 2 for n in row_numbers], "bought": rows["bought"]}
    )


def submit_labels(
    project: ProjectFolder, tmp_path: Path, table: pl.DataFrame, **alert_settings: Any
) -> dict[str, Any]:
    table.write_csv(tmp_path / "labels.csv")
    request = FeedbackRequest(
        project.bundle_path, str(tmp_path / "labels.csv"), str(tmp_path / "log"), tmp_path / "out",
        MonitorSettings(**alert_settings),
    )  # fmt: skip
    result = feedback(request)
    json.dumps(result, allow_nan=False)
    return result


def test_labels_are_joined_once_and_coverage_is_shown(
    finished_project: ProjectFolder, tmp_path: Path, truth: pl.DataFrame
) -> None:
    first = submit_labels(finished_project, tmp_path, truth.head(100))
    assert (first["new_labels"], first["rows"], first["labeled_fraction"]) == (100, 100, 0.25)
    assert first["has_enough_labels"]
    again = submit_labels(finished_project, tmp_path, truth.head(150))
    assert (again["new_labels"], again["already_known"], again["rows"]) == (50, 100, 150)
    assert again["loss"] is not None
    assert 0.5 < again["accuracy"] <= 1
    assert not again["is_degraded"]


def test_invalid_labels_are_counted_and_left_out(
    finished_project: ProjectFolder, tmp_path: Path, truth: pl.DataFrame
) -> None:
    submit_labels(finished_project, tmp_path, truth.head(3))
    flipped = pl.col("bought").replace({"yes": "no", "no": "yes"})
    odd = pl.concat([
        truth[3:10],
        truth[3:5],  # twice
        truth[5:7].with_columns(flipped),  # contradictory among themselves
        truth[0:1].with_columns(flipped),  # contradicts what is known
        truth[7:8].with_columns(request_id=pl.lit("nobody")),
        truth[20:21].with_columns(bought=pl.lit("perhaps")),
    ])  # fmt: skip
    result = submit_labels(finished_project, tmp_path, odd)
    names = ("new_labels", "duplicates", "contradictory", "unmatched", "unparseable", "rows")
    assert [result[name] for name in names] == [5, 2, 5, 1, 1, 8]
    assert not result["has_enough_labels"]
    feedback_rows = pl.read_parquet(tmp_path / "out" / "feedback.parquet")
    assert feedback_rows.head(1)["label"].to_list() == truth.head(1)["bought"].to_list()


def test_degradation_is_one_alert(
    finished_project: ProjectFolder, tmp_path: Path, truth: pl.DataFrame
) -> None:
    wrong = truth.with_columns(pl.col("bought").replace({"yes": "no", "no": "yes"}))
    alert_file = tmp_path / "alerts.jsonl"
    result = submit_labels(finished_project, tmp_path, wrong, alert_file=str(alert_file))
    assert result["is_degraded"]
    assert result["is_new_alert"]
    again = submit_labels(finished_project, tmp_path, wrong, alert_file=str(alert_file))
    assert again["is_degraded"]
    assert not again["is_new_alert"]
    [line] = alert_file.read_text(encoding="utf-8").splitlines()
    assert "performance degraded" in json.loads(line)["message"]


def test_labels_that_cannot_be_joined_are_errors(
    finished_project: ProjectFolder, tmp_path: Path, truth: pl.DataFrame
) -> None:
    with pytest.raises(DataError, match="no column 'request_id'"):
        submit_labels(finished_project, tmp_path, truth.rename({"request_id": "requests"}))
    with pytest.raises(DataError, match="no column 'bought'"):
        submit_labels(finished_project, tmp_path, truth.drop("bought"))
    (tmp_path / "log").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="there is no prediction log"):
        submit_labels(finished_project, tmp_path, truth)


def test_a_degraded_group_is_an_alert_even_if_the_others_are_not(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    set_settings(finished_project, {"problem.sensitive_features": ["city", "age"]})
    _workflows.run_project(finished_project, _workflows.NullCallbacks())
    bundle = load_bundle(finished_project.bundle_path)
    known = bundle.manifest["reference_loss"]["groups"]
    assert set(known["city"]["groups"]) == {"Bern", "Oslo", "Rome"}
    assert len(known["age"]["groups"]) == 4
    rows = mixed_table(4_000, seed=301)
    truth = log_predictions(bundle, rows, tmp_path)
    flipped = pl.col("bought").replace({"yes": "no", "no": "yes"})
    wrong = pl.when(rows["city"] == "Bern").then(flipped).otherwise(pl.col("bought"))
    alert_file = tmp_path / "alerts.jsonl"
    result = submit_labels(
        finished_project,
        tmp_path,
        truth.with_columns(wrong.alias("bought")),
        alert_file=str(alert_file),
    )
    worse = {
        f"{group['column']}: {group['group']}" for group in result["groups"] if group["is_degraded"]
    }
    assert "city: Bern" in worse
    assert not worse & {"city: Oslo", "city: Rome"}
    texts = [
        json.loads(line)["message"] for line in alert_file.read_text(encoding="utf-8").splitlines()
    ]
    assert any("performance degraded for city: Bern" in text for text in texts)
    again = submit_labels(
        finished_project,
        tmp_path,
        truth.with_columns(wrong.alias("bought")),
        alert_file=str(alert_file),
    )
    assert not again["is_new_alert"]


def test_the_group_may_come_with_the_labels(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    set_settings(finished_project, {"problem.sensitive_features": ["city"], "data.drop": ["city"]})
    _workflows.run_project(finished_project, _workflows.NullCallbacks())
    rows = mixed_table(600, seed=302)
    truth = log_predictions(load_bundle(finished_project.bundle_path), rows, tmp_path)
    assert not submit_labels(finished_project, tmp_path, truth.head(300))["groups"]
    more = truth.tail(300).with_columns(rows["city"].tail(300))
    groups = submit_labels(finished_project, tmp_path, more)["groups"]
    assert {group["group"] for group in groups} == {"Bern", "Oslo", "Rome"}
    assert sum(group["rows"] for group in groups) == 300


def test_metrics_are_those_of_the_labeled_predictions(
    finished_project: ProjectFolder, tmp_path: Path, truth: pl.DataFrame, bundle: Bundle
) -> None:
    predictions = bundle.predict(mixed_table(ROWS, seed=300).cast(pl.String))
    yes = truth["bought"] == "yes"
    errors = [
        1 - p if is_yes else p
        for p, is_yes in zip(predictions["probability_yes"], yes, strict=True)
    ]
    for count, is_enough in ((49, False), (50, True)):
        result = submit_labels(finished_project, tmp_path, truth.head(count))
        assert (result["rows"], result["has_enough_labels"]) == (count, is_enough)
        assert result["labeled_fraction"] == pytest.approx(count / ROWS)
        assert result["loss"] == pytest.approx(sum(m * m for m in errors[:count]) / count, abs=1e-6)
        accuracy = (predictions["prediction"] == truth["bought"]).head(count).mean()
        assert result["accuracy"] == pytest.approx(accuracy)
    assert (result["model_id"], result["is_new_alert"], result["failed_channels"]) == (
        bundle.model_id,
        False,
        {},
    )


def test_an_undelivered_alert_is_sent_with_the_next_labels(
    finished_project: ProjectFolder,
    tmp_path: Path,
    truth: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fieldcraft.monitoring.alerts.FIRST_RETRY_DELAY_SECONDS", 0.0)
    wrong = truth.with_columns(pl.col("bought").replace({"yes": "no", "no": "yes"}))
    target = tmp_path / "there" / "alerts.jsonl"
    target.parent.write_text("in the way", encoding="utf-8")
    assert set(
        submit_labels(finished_project, tmp_path, wrong, alert_file=str(target))["failed_channels"]
    ) == {"file"}
    target.parent.unlink()
    again = submit_labels(finished_project, tmp_path, wrong, alert_file=str(target))
    assert (again["is_new_alert"], again["failed_channels"]) == (False, {})
    assert target.read_text(encoding="utf-8").count("\n") == 1


def test_labels_of_an_earlier_version_are_kept_and_do_not_count(
    finished_project: ProjectFolder, tmp_path: Path, truth: pl.DataFrame, bundle: Bundle
) -> None:
    submit_labels(finished_project, tmp_path, truth.head(60))
    path = tmp_path / "out" / "feedback.parquet"
    older = pl.read_parquet(path).with_columns(model_id=pl.lit("an older one"))
    older.drop("groups").write_parquet(path)  # as written before there were groups
    result = submit_labels(finished_project, tmp_path, truth[60:70])
    assert (result["rows"], result["new_labels"], result["has_enough_labels"]) == (10, 10, False)
    assert result["labeled_fraction"] == pytest.approx(10 / ROWS)
    assert pl.read_parquet(path).height == 70


def test_feedback_is_written_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "feedback.parquet"
    write_feedback(pl.DataFrame({"label": ["before"]}), path)

    def half(frame: pl.DataFrame, aside: Path) -> None:
        aside.write_bytes(b"PAR1")
        raise OSError("no space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", half)
    with pytest.raises(OSError, match="no space"):
        write_feedback(pl.DataFrame({"label": ["after"]}), path)
    assert pl.read_parquet(path)["label"].to_list() == ["before"]
    assert list(tmp_path.iterdir()) == [path]


def test_groups_with_fifty_labels_are_compared_with_their_own_loss() -> None:
    reference = {"rows": 1_000, "loss": 0.1, "std": 0.1}
    groups = {"city": {"groups": dict.fromkeys(["Bern", "Oslo", "Rome"], reference)}}
    bundle: Any = SimpleNamespace(manifest={"reference_loss": {"groups": groups}})
    counts = {"Bern": 49, "Oslo": 50, "Rome": 51}
    names = [name for name, count in counts.items() for _ in range(count)]
    rows = pl.DataFrame(
        {
            "groups": [None, *(json.dumps({"city": name}) for name in names)],
            "loss": [0.9, *(counts[name] / 1_000 for name in names)],
        }
    )
    groups_performance = evaluate_groups(rows, bundle)
    fields = ("column", "group", "rows", "reference_loss")
    assert [tuple(group[name] for name in fields) for group in groups_performance] == [
        ("city", "Oslo", 50, 0.1), ("city", "Rome", 51, 0.1),
    ]  # fmt: skip
    assert [group["loss"] for group in groups_performance] == pytest.approx([0.05, 0.051])
    bundle.manifest["reference_loss"] = {}
    assert evaluate_groups(rows, bundle) == []

"""Issues are found in their window and drift soon after, by importance of the column."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.monitoring import monitor
from fieldcraft.monitoring.monitor import DriftMonitor, MonitoredStatistic
from fieldcraft.monitoring.windows import MonitoringWindow, predict_window
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import MonitorSettings
from tests.conftest import mixed_table


@pytest.fixture(scope="module")
def bundle(finished_project_folder: Path) -> Bundle:
    return load_bundle(ProjectFolder(finished_project_folder / "project").bundle_path)


def rows(number: int, count: int = 300) -> pl.DataFrame:
    return mixed_table(count, seed=100 + number).cast(pl.String)


def test_there_is_no_alert_without_drift_or_with_too_few_rows(bundle: Bundle) -> None:
    drift_monitor = DriftMonitor(bundle, MonitorSettings())
    for number in range(8):
        assert drift_monitor.process_window(predict_window(rows(number), bundle)) == []
    for count in (0, 1, 10):
        broken = rows(0, count).with_columns(city=pl.lit("Atlantis"))
        assert drift_monitor.process_window(predict_window(broken, bundle)) == []
        assert drift_monitor.history[-1]["note"] == "not enough rows"
    assert drift_monitor.n_windows == 11


def test_data_quality_alerts_are_active_until_they_are_fixed(bundle: Bundle) -> None:
    drift_monitor = DriftMonitor(bundle, MonitorSettings())
    broken = rows(1).with_columns(
        age=pl.lit("old"), city=pl.lit("Atlantis"), member=pl.lit(None, pl.String)
    )
    window = predict_window(broken.drop("seen"), bundle)
    new = {alert["column"]: alert["issue"] for alert in drift_monitor.process_window(window)}
    assert new == {
        "age": "unparseable",
        "city": "unseen_category",
        "member": "missing",
        "seen": "missing_column",
    } | {name: issue for name, issue in new.items() if name == monitor.PREDICTION_COLUMN}
    assert drift_monitor.process_window(window) == []  # reported once
    assert {"age", "city"} <= {alert["column"] for alert in drift_monitor.active_alerts.values()}
    drift_monitor.process_window(predict_window(rows(2), bundle))
    assert drift_monitor.active_alerts == {}


def test_drift_is_one_alert_with_effect_size_and_distance(bundle: Bundle) -> None:
    drift_monitor = DriftMonitor(bundle, MonitorSettings())
    new = []
    for number in range(9):
        shifted = rows(number, 1_000 if number < 2 else 300).with_columns(
            (pl.col("age").cast(pl.Float64) + 8 * (number > 1)).cast(pl.String).alias("age")
        )
        new += drift_monitor.process_window(predict_window(shifted, bundle))
    [age] = [alert for alert in new if alert["column"] == "age"]
    assert age["type"] == "drift"
    assert 5 < age["wasserstein_distance"] < 11
    assert 0.15 < age["effect_size"] < 0.5
    assert age["bins"][0]["fraction"] > age["bins"][0]["reference_fraction"]
    assert "age: distance" in age["message"]
    assert monitor.PREDICTION_COLUMN in {alert["column"] for alert in new}
    assert "age" in {alert["column"] for alert in drift_monitor.active_alerts.values()}


def test_less_important_columns_need_a_larger_effect(bundle: Bundle) -> None:
    statistics = DriftMonitor(bundle, MonitorSettings(min_effect_size=0.03)).statistics
    min_effects = {
        statistic.column: statistic.detector.limits.min_js_distance
        for statistic in statistics.values()
    }
    most_important = max(bundle.manifest["feature_importance"], key=lambda item: item["value"])[
        "column"
    ]
    assert min_effects[monitor.PREDICTION_COLUMN] == min_effects[most_important] == 0.03
    assert min_effects["seen"] > 0.04
    assert monitor.normalize_importance([{"column": "a", "value": None}]) == {}


def test_cells_unparseable_in_the_reference_too_are_no_issue(bundle: Bundle) -> None:
    assert (
        bundle.profile["columns"]["age"]["value"]["bin_counts"][0] > 0
    )  # every 17th cell is missing
    few = rows(6).with_columns(
        pl.when(pl.int_range(pl.len()) % 8 == 0).then(pl.lit("?!")).otherwise("age").alias("age")
    )
    assert "age" not in {
        alert["column"]
        for alert in DriftMonitor(bundle, MonitorSettings()).process_window(
            predict_window(few, bundle)
        )
    }
    assert monitor.missing_fraction({"bin_counts": [1, 3]}) == 0.25


def test_constant_dates_in_short_windows_are_no_issue(bundle: Bundle) -> None:
    now = rows(4).with_columns(seen=pl.lit("2025-03-04"))
    assert not DriftMonitor(bundle, MonitorSettings()).process_window(predict_window(now, bundle))
    weekly = DriftMonitor(bundle, MonitorSettings(window=7 * 86_400.0)).process_window(
        predict_window(now, bundle)
    )
    assert [(alert["column"], alert["issue"]) for alert in weekly] == [("seen", "constant")]
    gone = predict_window(rows(4).with_columns(seen=pl.lit(None, pl.String)), bundle)
    assert [
        alert["issue"] for alert in DriftMonitor(bundle, MonitorSettings()).process_window(gone)
    ] == ["missing"]


def test_of_two_classes_one_probability_is_enough(bundle: Bundle) -> None:
    names = [
        key for key in DriftMonitor(bundle, MonitorSettings()).statistics if key.startswith("|")
    ]
    assert names == ["|prediction", "|probability_yes"]


def test_a_monitor_continues_from_its_state(bundle: Bundle) -> None:
    one, other = DriftMonitor(bundle, MonitorSettings()), DriftMonitor(bundle, MonitorSettings())
    one.process_window(predict_window(rows(1).with_columns(city=pl.lit("Atlantis")), bundle))
    one.process_window(predict_window(rows(2).head(9), bundle))
    other.load_state(json.loads(json.dumps(one.get_state(), allow_nan=False)))
    window = predict_window(rows(3), bundle)
    assert one.process_window(window) == other.process_window(window)
    assert one.get_state() == other.get_state()


NOON = datetime(2026, 11, 28, 12, 0, 0, 900_000, tzinfo=UTC)


def at(window: MonitoringWindow, hour: int) -> MonitoringWindow:
    """Return the window with the times of an hour of the log."""
    first = NOON + timedelta(hours=hour)
    last = first + timedelta(hours=1)
    return MonitoringWindow(
        window.values,
        window.outputs,
        first,
        last,
        (),
        window.n_unparseable,
        n_other_model_rows=hour,
    )


def test_windows_with_min_rows_are_processed(bundle: Bundle) -> None:
    drift_monitor = DriftMonitor(bundle, MonitorSettings(min_rows=60))
    for count, note in ((59, "not enough rows"), (60, "")):
        unseen = rows(0, count).with_columns(city=pl.lit("Atlantis"))
        new = drift_monitor.process_window(predict_window(unseen, bundle))
        assert drift_monitor.history[-1]["note"] == note
        assert {alert["column"] for alert in new} >= ({"city"} if not note else set())
    assert (drift_monitor.n_windows, len(drift_monitor.history)) == (2, 2)
    few = predict_window(rows(0, 9), bundle)
    seasonal = DriftMonitor(bundle, MonitorSettings(window=3_600.0, seasonality="day"))
    assert (
        drift_monitor.process_window(at(few, 0))
        == seasonal.process_window(few)
        == seasonal.process_window(at(few, 1))
        == []
    )
    assert seasonal.season
    assert seasonal.season.windows_seen == (1, 0)  # only the one with a start time


def test_a_data_quality_alert_has_all_fields(bundle: Bundle) -> None:
    drift_monitor = DriftMonitor(bundle, MonitorSettings())
    drift_monitor.process_window(at(predict_window(rows(1), bundle), 0))

    is_unseen = pl.int_range(pl.len()) < 240
    unseen = rows(1).with_columns(
        city=pl.when(is_unseen).then(pl.lit("Atlantis")).otherwise("city")
    )
    [city] = [
        alert
        for alert in drift_monitor.process_window(at(predict_window(unseen, bundle), 1))
        if alert["column"] == "city"
    ]
    assert city == {
        "id": "data_quality|city|unseen_category",
        "type": "data_quality",
        "column": "city",
        "issue": "unseen_category",
        "model_id": bundle.model_id,
        "window": 2,
        "rows": 300,
        "title": "city",
        "window_start": "2026-11-28T13:00:00+00:00",
        "window_end": "2026-11-28T14:00:00+00:00",
        "message": "city: unseen categories in 80% of the rows, 0.0% in the reference",
        "fraction": 0.8,
        "reference_fraction": 0.0,
    }
    assert [item["other_model_rows"] for item in drift_monitor.history] == [0, 1]
    assert [item["data_quality_issues"] for item in drift_monitor.history] == [[], ["city"]]
    assert not any(
        key.startswith("city") for key in drift_monitor.history[1]["levels"]
    )  # not also drift


def test_the_history_keeps_the_last_windows(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "MAX_HISTORY_WINDOWS", 3)
    monkeypatch.setattr(monitor, "RECENT_WINDOWS", 2)
    drift_monitor = DriftMonitor(bundle, MonitorSettings())
    confidences = []
    for number in range(5):
        window = predict_window(rows(number), bundle)
        drift_monitor.process_window(window)
        chances = window.outputs.select("probability_no", "probability_yes").to_numpy()
        confidences.append(float(chances.max(axis=1).mean()))
    assert [item["window"] for item in drift_monitor.history] == [3, 4, 5]
    expected = [item["expected_accuracy"] for item in drift_monitor.history]
    assert expected == pytest.approx(confidences[2:])
    assert drift_monitor.expected_accuracy() == pytest.approx(np.mean(confidences[3:]))
    drift_monitor.history[-1]["expected_accuracy"] = None  # of a window without probabilities
    assert drift_monitor.expected_accuracy() == pytest.approx(confidences[3])
    drift_monitor.active_alerts = {"one": {}}
    assert drift_monitor.expected_accuracy() is None
    assert DriftMonitor(bundle, MonitorSettings()).expected_accuracy() is None


def test_latest_levels_are_of_the_last_window_with_the_statistic(bundle: Bundle) -> None:
    drift_monitor = DriftMonitor(bundle, MonitorSettings())
    drift_monitor.history = [{"levels": {"a": [1, 2], "b": [3, 4]}}, {"levels": {"a": [5, 6]}}]
    assert drift_monitor.latest_levels() == {"a": (5, 6), "b": (3, 4)}


@pytest.mark.parametrize(
    ("window_settings", "tests_per_month"),
    [
        ({}, 720.0),  # windows per month; windows of rows count as hours
        ({"window": 1_800.0}, 1_440.0),
        ({"window": 3_600.0, "seasonality": "day"}, 720.0 + 30.0),
        ({"window": 86_400.0, "seasonality": "week"}, 30.0 + 30.0 / 7),
    ],
)
def test_the_false_alarm_rate_does_not_depend_on_the_windows(
    bundle: Bundle, window_settings: dict[str, Any], tests_per_month: float
) -> None:
    drift_monitor = DriftMonitor(
        bundle, MonitorSettings(false_alarms_per_month=0.2, tolerance=0.03, **window_settings)
    )
    unseasonal = {
        key: statistic
        for key, statistic in drift_monitor.statistics.items()
        if not statistic.seasonality
    }
    limits = [statistic.detector.limits for statistic in drift_monitor.statistics.values()]
    expected = math.log(tests_per_month * len(unseasonal) / 0.2)
    assert [limit.log_level for limit in limits] == pytest.approx([expected] * len(limits))
    assert {limit.tolerance for limit in limits} == {0.03}
    windows = 720 * 3_600 / window_settings["window"] if window_settings else 720
    assert drift_monitor.issue_false_positive_rate == pytest.approx(
        0.05 / (windows * len(unseasonal) * 4)
    )
    assert {limit.issue_false_positive_rate for limit in limits} == {
        drift_monitor.issue_false_positive_rate
    }
    assert len(drift_monitor.statistics) == len(unseasonal) * (
        2 if "seasonality" in window_settings else 1
    )


def test_predictions_of_an_ensemble_need_a_warmup(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def columns_with_warmup(members: int) -> set[str]:
        monkeypatch.setitem(bundle.profile, "n_folds", members)
        statistics = DriftMonitor(bundle, MonitorSettings()).statistics.values()
        return {statistic.column for statistic in statistics if statistic.detector.warmup}

    assert (columns_with_warmup(1), columns_with_warmup(2)) == (set(), {monitor.PREDICTION_COLUMN})


def test_statistics_are_those_of_the_profile_without_dates_and_redundant_probabilities() -> None:
    def profiled(classes: list[str]) -> list[tuple[str, str]]:
        predictions = {"prediction": {"type": "categorical"}}
        predictions |= {f"probability_{name}": {"type": "numeric"} for name in classes}
        columns = {"a": {"value": {"type": "numeric"}, "length": {"type": "numeric"}},
                   "t": {"value": {"type": "temporal"}}}  # fmt: skip
        profile = {"predictions": predictions, "columns": columns}
        return [(column, name) for column, name, _ in monitor.iter_profiled_statistics(profile)]

    column_statistics = [("a", "value"), ("a", "length")]
    assert profiled(["n", "y"]) == [("", "prediction"), ("", "probability_y"), *column_statistics]
    three = [("", f"probability_{name}") for name in "abc"]
    assert profiled(["a", "b", "c"]) == [("", "prediction"), *three, *column_statistics]


def test_importance_is_relative_to_the_largest() -> None:
    items = [{"column": name, "value": value} for name, value in
             {"a": 0.2, "b": 0.05, "c": -0.1, "d": None, "e": 0.0}.items()]  # fmt: skip
    assert monitor.normalize_importance(items) == {
        "a": 1.0,
        "b": 0.25,
        "c": 0.0,
        "d": 0.0,
        "e": 0.0,
    }
    assert monitor.normalize_importance([]) == monitor.normalize_importance(items[2:]) == {}


def test_files_that_a_log_names_are_not_opened() -> None:
    columns = [SimpleNamespace(name="photo", kind="image"),
               SimpleNamespace(name="city", kind="category")]  # fmt: skip
    plain: Any = SimpleNamespace(schema=SimpleNamespace(columns=columns))
    values = pl.DataFrame({"photo": ["/etc/passwd"], "city": ["Bern"], "other": ["x"]})
    window = MonitoringWindow(values, pl.DataFrame(), NOON, NOON)
    assert {key.split("|")[0] for key, _ in monitor.iter_statistic_values(window, plain)} == {
        "city"
    }


def test_titles_name_the_column_its_measure_and_the_season() -> None:
    stream: Any = None
    titles = {
        ("age", "value", ""): "age", ("text", "length", ""): "text (length)",
        ("", "prediction", ""): "prediction", ("age", "value", "day"): "age, same time of the day",
    }  # fmt: skip
    assert {
        key: MonitoredStatistic(key[0], key[1], stream, key[2]).title for key in titles
    } == titles
    keys = [MonitoredStatistic("age", "value", stream, season).key for season in ("", "week")]
    assert keys == ["age|value", "age|value|week"]


def test_unparseable_cells_are_an_issue_from_a_tenth_above_the_reference_on(bundle: Bundle) -> None:
    drift_monitor = DriftMonitor(bundle, MonitorSettings())
    usual = monitor.missing_fraction(bundle.profile["columns"]["age"]["value"])
    window = predict_window(rows(3, 1_000), bundle)
    for share, broken in ((usual + 0.099, False), (usual + 0.101, True)):
        odd = MonitoringWindow(
            window.values, window.outputs, n_unparseable={"age": round(1_000 * share)}
        )
        issues = drift_monitor.find_issues(odd, {}, ())
        assert set(issues) == ({"age"} if broken else set())
        if broken:
            assert issues["age"].fraction == pytest.approx(share, abs=0.001)
            assert issues["age"].reference_fraction == usual

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
    found = DriftMonitor(bundle, MonitorSettings())
    for number in range(8):
        assert found.process_window(predict_window(rows(number), bundle)) == []
    for count in (0, 1, 10):
        broken = rows(0, count).with_columns(city=pl.lit("Atlantis"))
        assert found.process_window(predict_window(broken, bundle)) == []
        assert found.history[-1]["note"] == "not enough rows"
    assert found.n_windows == 11


def test_data_quality_alerts_are_active_until_they_are_fixed(bundle: Bundle) -> None:
    found = DriftMonitor(bundle, MonitorSettings())
    broken = rows(1).with_columns(
        age=pl.lit("old"), city=pl.lit("Atlantis"), member=pl.lit(None, pl.String)
    )
    window = predict_window(broken.drop("seen"), bundle)
    new = {alert["column"]: alert["issue"] for alert in found.process_window(window)}
    assert new == {
        "age": "unparseable",
        "city": "unseen_category",
        "member": "missing",
        "seen": "missing_column",
    } | {name: what for name, what in new.items() if name == monitor.PREDICTION_COLUMN}
    assert found.process_window(window) == []  # told once
    assert {"age", "city"} <= {one["column"] for one in found.active_alerts.values()}
    found.process_window(predict_window(rows(2), bundle))
    assert found.active_alerts == {}


def test_drift_is_one_alert_with_effect_size_and_distance(bundle: Bundle) -> None:
    found = DriftMonitor(bundle, MonitorSettings())
    new = []
    for number in range(9):
        moved = rows(number, 1_000 if number < 2 else 300).with_columns(
            (pl.col("age").cast(pl.Float64) + 8 * (number > 1)).cast(pl.String).alias("age")
        )
        new += found.process_window(predict_window(moved, bundle))
    [age] = [alert for alert in new if alert["column"] == "age"]
    assert age["type"] == "drift"
    assert 5 < age["wasserstein_distance"] < 11
    assert 0.15 < age["effect_size"] < 0.5
    assert age["bins"][0]["fraction"] > age["bins"][0]["reference_fraction"]
    assert "age: distance" in age["message"]
    assert monitor.PREDICTION_COLUMN in {alert["column"] for alert in new}
    assert "age" in {one["column"] for one in found.active_alerts.values()}


def test_less_important_columns_need_a_larger_effect(bundle: Bundle) -> None:
    kept = DriftMonitor(bundle, MonitorSettings(min_effect_size=0.03)).statistics
    least = {one.column: one.detector.limits.min_js_distance for one in kept.values()}
    most = max(bundle.manifest["feature_importance"], key=lambda item: item["value"])["column"]
    assert least[monitor.PREDICTION_COLUMN] == least[most] == 0.03
    assert least["seen"] > 0.04
    assert monitor.normalize_importance([{"column": "a", "value": None}]) == {}


def test_cells_unparseable_in_the_reference_too_are_no_issue(bundle: Bundle) -> None:
    assert bundle.profile["columns"]["age"]["value"]["bin_counts"][0] > 0  # every 17th is missing
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
    """A window as one of the log, an hour long."""
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
    found = DriftMonitor(bundle, MonitorSettings(min_rows=60))
    for count, note in ((59, "not enough rows"), (60, "")):
        odd = rows(0, count).with_columns(city=pl.lit("Atlantis"))
        new = found.process_window(predict_window(odd, bundle))
        assert found.history[-1]["note"] == note
        assert {alert["column"] for alert in new} >= ({"city"} if not note else set())
    assert (found.n_windows, len(found.history)) == (2, 2)
    few = predict_window(rows(0, 9), bundle)
    seasonal = DriftMonitor(bundle, MonitorSettings(window=3_600.0, seasonality="day"))
    assert (
        found.process_window(at(few, 0))
        == seasonal.process_window(few)
        == seasonal.process_window(at(few, 1))
        == []
    )
    assert seasonal.season
    assert seasonal.season.windows_seen == (1, 0)  # one whose hour is known


def test_a_data_quality_alert_has_all_fields(bundle: Bundle) -> None:
    found = DriftMonitor(bundle, MonitorSettings())
    found.process_window(at(predict_window(rows(1), bundle), 0))
    odd = rows(1).with_columns(city=pl.when(pl.int_range(pl.len()) < 240).then(pl.lit("Atlantis"))
                               .otherwise("city"))  # fmt: skip
    [city] = [
        a for a in found.process_window(at(predict_window(odd, bundle), 1)) if a["column"] == "city"
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
    assert [item["other_model_rows"] for item in found.history] == [0, 1]
    assert [item["data_quality_issues"] for item in found.history] == [[], ["city"]]
    assert not any(key.startswith("city") for key in found.history[1]["levels"])  # not also drift


def test_the_history_keeps_the_last_windows(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "MAX_HISTORY_WINDOWS", 3)
    monkeypatch.setattr(monitor, "RECENT_WINDOWS", 2)
    found = DriftMonitor(bundle, MonitorSettings())
    promises = []
    for number in range(5):
        window = predict_window(rows(number), bundle)
        found.process_window(window)
        chances = window.outputs.select("probability_no", "probability_yes").to_numpy()
        promises.append(float(chances.max(axis=1).mean()))
    assert [item["window"] for item in found.history] == [3, 4, 5]
    expected = [item["expected_accuracy"] for item in found.history]
    assert expected == pytest.approx(promises[2:])
    assert found.expected_accuracy() == pytest.approx(np.mean(promises[3:]))
    found.history[-1]["expected_accuracy"] = None  # of a window that promised nothing
    assert found.expected_accuracy() == pytest.approx(promises[3])
    found.active_alerts = {"one": {}}
    assert found.expected_accuracy() is None
    assert DriftMonitor(bundle, MonitorSettings()).expected_accuracy() is None


def test_latest_levels_are_of_the_last_window_with_the_statistic(bundle: Bundle) -> None:
    found = DriftMonitor(bundle, MonitorSettings())
    found.history = [{"levels": {"a": [1, 2], "b": [3, 4]}}, {"levels": {"a": [5, 6]}}]
    assert found.latest_levels() == {"a": (5, 6), "b": (3, 4)}


@pytest.mark.parametrize(
    ("wishes", "looks"),
    [
        ({}, 720.0),  # windows a month; windows of rows count as hours
        ({"window": 1_800.0}, 1_440.0),
        ({"window": 3_600.0, "seasonality": "day"}, 720.0 + 30.0),
        ({"window": 86_400.0, "seasonality": "week"}, 30.0 + 30.0 / 7),
    ],
)
def test_the_false_alarm_rate_does_not_depend_on_the_windows(
    bundle: Bundle, wishes: dict[str, Any], looks: float
) -> None:
    found = DriftMonitor(
        bundle, MonitorSettings(false_alarms_per_month=0.2, tolerance=0.03, **wishes)
    )
    plain = {key: one for key, one in found.statistics.items() if not one.seasonality}
    limits = [one.detector.limits for one in found.statistics.values()]
    expected = math.log(looks * len(plain) / 0.2)
    assert [one.log_level for one in limits] == pytest.approx([expected] * len(limits))
    assert {one.tolerance for one in limits} == {0.03}
    windows = 720 * 3_600 / wishes["window"] if wishes else 720
    assert found.false_break_probability == pytest.approx(0.05 / (windows * len(plain) * 4))
    assert {one.false_break_probability for one in limits} == {found.false_break_probability}
    assert len(found.statistics) == len(plain) * (2 if "seasonality" in wishes else 1)


def test_predictions_of_an_ensemble_need_a_warmup(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gathering(members: int) -> set[str]:
        monkeypatch.setitem(bundle.profile, "n_folds", members)
        measures = DriftMonitor(bundle, MonitorSettings()).statistics.values()
        return {one.column for one in measures if one.detector.warmup}

    assert (gathering(1), gathering(2)) == (set(), {monitor.PREDICTION_COLUMN})


def test_statistics_are_those_of_the_profile_without_dates_and_redundant_probabilities() -> None:
    def measured(classes: list[str]) -> list[tuple[str, str]]:
        predictions = {"prediction": {"type": "categorical"}}
        predictions |= {f"probability_{name}": {"type": "numeric"} for name in classes}
        columns = {"a": {"value": {"type": "numeric"}, "length": {"type": "numeric"}},
                   "t": {"value": {"type": "temporal"}}}  # fmt: skip
        known = {"predictions": predictions, "columns": columns}
        return [(column, name) for column, name, _ in monitor.iter_profiled_statistics(known)]

    of_rows = [("a", "value"), ("a", "length")]
    assert measured(["n", "y"]) == [("", "prediction"), ("", "probability_y"), *of_rows]
    three = [("", f"probability_{name}") for name in "abc"]
    assert measured(["a", "b", "c"]) == [("", "prediction"), *three, *of_rows]


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
    found = DriftMonitor(bundle, MonitorSettings())
    usual = monitor.missing_fraction(bundle.profile["columns"]["age"]["value"])
    window = predict_window(rows(3, 1_000), bundle)
    for share, broken in ((usual + 0.099, False), (usual + 0.101, True)):
        odd = MonitoringWindow(
            window.values, window.outputs, n_unparseable={"age": round(1_000 * share)}
        )
        faults = found.find_issues(odd, {}, ())
        assert set(faults) == ({"age"} if broken else set())
        if broken:
            assert faults["age"].fraction == pytest.approx(share, abs=0.001)
            assert faults["age"].reference_fraction == usual

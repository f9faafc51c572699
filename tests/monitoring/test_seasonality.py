"""Windows know their slot; a season is complete only without gaps."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.monitoring.monitor import PREDICTION_COLUMN, DriftMonitor
from fieldcraft.monitoring.prometheus_textfile import MonitorCollector
from fieldcraft.monitoring.seasonality import SLOT_WARMUP, SeasonTracker
from fieldcraft.monitoring.windows import MonitoringWindow, predict_window
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import MonitorSettings
from fieldcraft.report.monitoring_report import render_monitoring_report
from tests.conftest import mixed_table

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
HALF = 43_200.0
SEASONAL = MonitorSettings(window=HALF, seasonality="day")
ONE = {"age|value": np.array([1, 2])}


@pytest.fixture(scope="module")
def bundle(finished_project_folder: Path) -> Bundle:
    return load_bundle(ProjectFolder(finished_project_folder / "project").bundle_path)


def test_a_week_begins_on_monday_and_a_day_at_midnight() -> None:
    week, day = SeasonTracker("week", 3_600), SeasonTracker("day", 3_600)
    assert [week.slot_of(MONDAY + timedelta(hours=hour)) for hour in (0, 25, 167, 168)] == [
        0, 25, 167, 0,
    ]  # fmt: skip
    assert day.slot_of(MONDAY + timedelta(hours=25)) == 1


def test_a_complete_season_returns_the_statistics_that_all_windows_had() -> None:
    day = SeasonTracker("day", HALF)
    assert day.add_window(MONDAY, {**ONE, "city|value": np.array([1])}) == {}
    day.load_state(json.loads(json.dumps(day.get_state())))
    complete = day.add_window(MONDAY + timedelta(hours=12), ONE)
    assert {key: counts.tolist() for key, counts in complete.items()} == {"age|value": [2, 4]}
    assert day.add_window(MONDAY + timedelta(hours=24), ONE) == {}
    assert day.add_window(MONDAY + timedelta(hours=60), ONE) == {}  # the third half day is missing
    assert day.add_window(MONDAY + timedelta(hours=72), None) == {}  # of too few rows
    assert list(day.add_window(MONDAY + timedelta(hours=84), ONE)) == ["age|value"]


def window(bundle: Bundle, number: int, shift: float = 0.0) -> MonitoringWindow:
    """Return a window of half a day; ages are higher in every second one."""
    years = pl.col("age").cast(pl.Float64) + (6 if number % 2 else -6) + shift
    rows = mixed_table(400, seed=300 + number).with_columns(years.cast(pl.String).alias("age"))
    predicted = predict_window(rows.cast(pl.String), bundle)
    first = MONDAY + timedelta(seconds=HALF * number)
    return MonitoringWindow(
        predicted.values, predicted.outputs, first, first + timedelta(seconds=HALF)
    )


def test_nights_are_no_drift_with_seasonality(bundle: Bundle) -> None:
    plain, seasonal = (
        DriftMonitor(bundle, MonitorSettings(window=HALF)),
        DriftMonitor(bundle, SEASONAL),
    )
    for number in range(12):
        plain.process_window(window(bundle, number))
        assert seasonal.process_window(window(bundle, number)) == []
        if number == 5:
            state = json.loads(json.dumps(seasonal.get_state(), allow_nan=False))
            seasonal = DriftMonitor(bundle, SEASONAL)
            seasonal.load_state(state)
    assert "age" in {alert["column"] for alert in plain.active_alerts.values()}
    new_alerts = []
    for number in range(12, 20):
        new_alerts += seasonal.process_window(window(bundle, number, shift=8))
    ages = [alert for alert in new_alerts if alert["id"] == "drift|age|value|day"]
    assert "age, same time of the day: distance" in ages[0]["message"]
    assert "age, same time of the day" in render_monitoring_report(
        seasonal, {**RESULT, "active_alerts": new_alerts}
    )
    samples = [
        sample for metric in MonitorCollector(seasonal).collect() for sample in metric.samples
    ]
    assert any("same time of the day" in sample.labels.get("statistic", "") for sample in samples)


def test_a_slot_is_compared_after_two_windows_and_500_rows() -> None:
    assert asdict(SLOT_WARMUP) == {"min_rows": 500, "min_windows": 2}  # docs/monitor.md


def test_windows_of_another_size_start_without_seasonal_state(bundle: Bundle) -> None:
    seasonal = DriftMonitor(bundle, SEASONAL)
    for number in range(4):
        seasonal.process_window(window(bundle, number))
    state = json.loads(json.dumps(seasonal.get_state()))
    other, same = (
        DriftMonitor(bundle, MonitorSettings(window=HALF / 2, seasonality="day")),
        DriftMonitor(bundle, SEASONAL),
    )
    other.load_state(state)
    same.load_state(state)
    assert not other.statistics["age|value|day"].detector.references
    assert set(same.statistics["age|value|day"].detector.references) == {0, 1}
    assert other.n_windows == same.n_windows == 4


RESULT = {
    "model_id": "0" * 64, "windows": 20, "windows_with_too_few_rows": 0, "min_rows": 50,
    "new_alerts": [], "failed_channels": {}, "reference_rows": 600, "expected_accuracy": None,
    "unmonitored_columns": [],
}  # fmt: skip


def test_whole_days_are_compared_with_the_reference_rows(bundle: Bundle) -> None:
    seasonal, new_alerts = DriftMonitor(bundle, SEASONAL), []
    for number in range(4):  # from the first day on, before any slot has a reference
        new_alerts += seasonal.process_window(window(bundle, number, shift=15))
    assert {("age", None)} <= {(alert["column"], alert.get("seasonality")) for alert in new_alerts}
    assert seasonal.history[0]["levels"].keys() <= {
        key for key, statistic in seasonal.statistics.items() if statistic.seasonality
    }
    assert {statistic.column for statistic in seasonal.statistics.values()} >= {
        "age",
        PREDICTION_COLUMN,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"seasonality": "day"},
        {"seasonality": "day", "window": "7h"},
        {"seasonality": "day", "window": "1d"},
        {"seasonality": "week", "window": "30d"},
    ],
)
def test_windows_must_divide_their_season(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="such as 1h"):
        MonitorSettings.model_validate(wrong)
    assert (
        MonitorSettings.model_validate({"seasonality": "week", "window": "1d"}).seasonality
        == "week"
    )


@pytest.mark.parametrize(("name", "seconds"), [("day", 3_600.0), ("week", 43_200.0)])
def test_a_season_has_each_of_its_slots_once(name: str, seconds: float) -> None:
    season = SeasonTracker(name, seconds)
    count = round(season.length_seconds / seconds)
    slots = [season.slot_of(MONDAY + timedelta(seconds=seconds * n)) for n in range(2 * count)]
    assert slots == [*range(count), *range(count)]
    within = [
        season.slot_of(MONDAY + timedelta(seconds=seconds * 3 + s)) for s in (0.0, seconds - 1)
    ]
    assert within == [3, 3]


def test_windows_with_too_few_rows_count_for_the_season_and_add_nothing() -> None:
    season = SeasonTracker("day", 21_600.0)  # four windows per day
    counts = {"a": np.array([1, 0]), "b": np.array([0, 1])}
    for hour, given in {0: counts, 6: None, 12: {"a": np.array([2, 2])}}.items():
        assert season.add_window(MONDAY + timedelta(hours=hour), given) == {}
    whole = season.add_window(MONDAY + timedelta(hours=18), counts)
    assert {key: total.tolist() for key, total in whole.items()} == {
        "a": [4, 2]
    }  # b is missing in one window
    assert season.windows_seen == (4, 3)
    assert season.add_window(MONDAY + timedelta(hours=24), counts) == {}
    assert (season.windows_seen, season.windows_by_key) == ((1, 1), {"a": 1, "b": 1})  # a new day

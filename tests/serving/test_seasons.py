"""A window knows its hour; a whole day is told once, and one with gaps is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Watch
from fieldcraft.report.watched import page
from fieldcraft.serving.gauges import lines
from fieldcraft.serving.seasons import Season
from fieldcraft.serving.watcher import PREDICTED, Watcher
from fieldcraft.serving.windows import Window, predicted
from tests.conftest import mixed_table

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
HALF = 43_200.0
SEASONAL = Watch(every=HALF, season="day")
ONE = {"age|value": np.array([1, 2])}


@pytest.fixture(scope="module")
def bundle(finished_once: Path) -> Bundle:
    return load_bundle(Folder(finished_once / "project").bundle)


def test_a_week_begins_on_monday_and_a_day_at_midnight() -> None:
    week, day = Season("week", 3_600), Season("day", 3_600)
    assert [week.slot(MONDAY + timedelta(hours=hour)) for hour in (0, 25, 167, 168)] == [
        0, 25, 167, 0,
    ]  # fmt: skip
    assert day.slot(MONDAY + timedelta(hours=25)) == 1


def test_a_whole_season_is_told_once_with_what_all_windows_had() -> None:
    day = Season("day", HALF)
    assert day.add(MONDAY, {**ONE, "city|value": np.array([1])}) == {}
    day.restore(json.loads(json.dumps(day.state())))
    whole = day.add(MONDAY + timedelta(hours=12), ONE)
    assert {key: counts.tolist() for key, counts in whole.items()} == {"age|value": [2, 4]}
    assert day.add(MONDAY + timedelta(hours=24), ONE) == {}
    assert day.add(MONDAY + timedelta(hours=60), ONE) == {}  # the third half day never came
    assert day.add(MONDAY + timedelta(hours=72), None) == {}  # of too few rows
    assert list(day.add(MONDAY + timedelta(hours=84), ONE)) == ["age|value"]


def window(bundle: Bundle, number: int, shift: float = 0.0) -> Window:
    """Half a day; ages are higher in every other one."""
    years = pl.col("age").cast(pl.Float64) + (6 if number % 2 else -6) + shift
    rows = mixed_table(400, seed=300 + number).with_columns(years.cast(pl.String).alias("age"))
    seen = predicted(rows.cast(pl.String), bundle)
    first = MONDAY + timedelta(seconds=HALF * number)
    return Window(seen.values, seen.said, first, first + timedelta(seconds=HALF))


def test_nights_are_no_drift_where_the_season_is_told(bundle: Bundle) -> None:
    plain, told = Watcher(bundle, Watch(every=HALF)), Watcher(bundle, SEASONAL)
    for number in range(12):
        plain.look(window(bundle, number))
        assert told.look(window(bundle, number)) == []
        if number == 5:
            state = json.loads(json.dumps(told.state(), allow_nan=False))
            told = Watcher(bundle, SEASONAL)
            told.restore(state)
    assert "age" in {alert["column"] for alert in plain.alerts.values()}
    found = []
    for number in range(12, 20):
        found += told.look(window(bundle, number, shift=8))
    ages = [alert for alert in found if alert["id"] == "drift|age|value|day"]
    assert "age, same time of the day: distance" in ages[0]["text"]
    assert "age, same time of the day" in page(told, {**RESULT, "stand": found})
    assert any("same time of the day" in line for line in lines(told))


def test_hours_that_are_cut_otherwise_begin_anew(bundle: Bundle) -> None:
    told = Watcher(bundle, SEASONAL)
    for number in range(4):
        told.look(window(bundle, number))
    state = json.loads(json.dumps(told.state()))
    other, same = Watcher(bundle, Watch(every=HALF / 2, season="day")), Watcher(bundle, SEASONAL)
    other.restore(state)
    same.restore(state)
    assert not other.measures["age|value|day"].stream.references
    assert set(same.measures["age|value|day"].stream.references) == {0, 1}
    assert other.windows == same.windows == 4


RESULT = {
    "model_id": "0" * 64, "windows": 20, "few": 0, "least": 50, "new": [], "failed": [],
    "reference": 600, "expected": None, "not_watched": [],
}  # fmt: skip


def test_whole_days_are_compared_with_the_reference_rows(bundle: Bundle) -> None:
    told, found = Watcher(bundle, SEASONAL), []
    for number in range(4):  # from the first day on, when no hour has a past
        found += told.look(window(bundle, number, shift=15))
    assert {("age", None)} <= {(alert["column"], alert.get("season")) for alert in found}
    assert told.history[0]["levels"].keys() <= {
        key for key, one in told.measures.items() if one.season
    }
    assert {one.column for one in told.measures.values()} >= {"age", PREDICTED}


@pytest.mark.parametrize(
    "wrong", [{"season": "day"}, {"season": "day", "every": "7h"}, {"season": "day", "every": "1d"},
              {"season": "week", "every": "30d"}],
)  # fmt: skip
def test_windows_must_divide_their_season(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="such as 1h"):
        Watch.model_validate(wrong)
    assert Watch.model_validate({"season": "week", "every": "1d"}).season == "week"


@pytest.mark.parametrize(("name", "every"), [("day", 3_600.0), ("week", 43_200.0)])
def test_a_season_has_each_of_its_slots_once(name: str, every: float) -> None:
    season = Season(name, every)
    count = round(season.length / every)
    slots = [season.slot(MONDAY + timedelta(seconds=every * n)) for n in range(2 * count)]
    assert slots == [*range(count), *range(count)]
    within = [season.slot(MONDAY + timedelta(seconds=every * 3 + s)) for s in (0.0, every - 1)]
    assert within == [3, 3]


def test_windows_of_too_few_rows_count_as_passed_and_add_nothing() -> None:
    season = Season("day", 21_600.0)  # four a day
    counts = {"a": np.array([1, 0]), "b": np.array([0, 1])}
    for hour, given in {0: counts, 6: None, 12: {"a": np.array([2, 2])}}.items():
        assert season.add(MONDAY + timedelta(hours=hour), given) == {}
    whole = season.add(MONDAY + timedelta(hours=18), counts)
    assert {key: found.tolist() for key, found in whole.items()} == {"a": [4, 2]}  # b lacked one
    assert season.passed == (4, 3)
    assert season.add(MONDAY + timedelta(hours=24), counts) == {}
    assert (season.passed, season.windows) == ((1, 1), {"a": 1, "b": 1})  # a new day

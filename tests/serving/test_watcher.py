"""What is broken is named in its window, what drifts soon after; what matters less alarms later."""

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
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Watch
from fieldcraft.serving import watcher
from fieldcraft.serving.watcher import Measure, Watcher
from fieldcraft.serving.windows import Window, predicted
from tests.conftest import mixed_table


@pytest.fixture(scope="module")
def bundle(finished_once: Path) -> Bundle:
    return load_bundle(Folder(finished_once / "project").bundle)


def rows(number: int, count: int = 300) -> pl.DataFrame:
    return mixed_table(count, seed=100 + number).cast(pl.String)


def test_it_is_quiet_without_drift_and_for_too_few_rows(bundle: Bundle) -> None:
    found = Watcher(bundle, Watch())
    for number in range(8):
        assert found.look(predicted(rows(number), bundle)) == []
    for count in (0, 1, 10):
        broken = rows(0, count).with_columns(city=pl.lit("Atlantis"))
        assert found.look(predicted(broken, bundle)) == []
        assert found.history[-1]["note"] == "not enough rows"
    assert found.windows == 11


def test_what_is_broken_is_named_in_its_window_until_it_is_mended(bundle: Bundle) -> None:
    found = Watcher(bundle, Watch())
    broken = rows(1).with_columns(
        age=pl.lit("old"), city=pl.lit("Atlantis"), member=pl.lit(None, pl.String)
    )
    window = predicted(broken.drop("seen"), bundle)
    new = {alert["column"]: alert["what"] for alert in found.look(window)}
    assert new == {"age": "unread", "city": "unseen", "member": "missing", "seen": "absent"} | {
        name: what for name, what in new.items() if name == watcher.PREDICTED
    }
    assert found.look(window) == []  # told once
    assert {"age", "city"} <= {one["column"] for one in found.alerts.values()}
    found.look(predicted(rows(2), bundle))
    assert found.alerts == {}


def test_drift_is_told_once_with_its_measure_and_unit(bundle: Bundle) -> None:
    found = Watcher(bundle, Watch())
    new = []
    for number in range(9):
        moved = rows(number, 1_000 if number < 2 else 300).with_columns(
            (pl.col("age").cast(pl.Float64) + 8 * (number > 1)).cast(pl.String).alias("age")
        )
        new += found.look(predicted(moved, bundle))
    [age] = [alert for alert in new if alert["column"] == "age"]
    assert age["kind"] == "drift"
    assert 5 < age["moved"] < 11
    assert 0.15 < age["effect"] < 0.5
    assert age["bins"][0]["share"] > age["bins"][0]["usual"]
    assert "age: distance" in age["text"]
    assert watcher.PREDICTED in {alert["column"] for alert in new}
    assert "age" in {one["column"] for one in found.alerts.values()}


def test_what_matters_less_needs_a_larger_effect(bundle: Bundle) -> None:
    kept = Watcher(bundle, Watch(effect=0.03)).measures
    least = {one.column: one.stream.limits.effect for one in kept.values()}
    most = max(bundle.manifest["importance"], key=lambda item: item["value"])["column"]
    assert least[watcher.PREDICTED] == least[most] == 0.03
    assert least["seen"] > 0.04
    assert watcher.weights_of([{"column": "a", "value": None}]) == {}


def test_cells_that_never_could_be_read_are_no_fault(bundle: Bundle) -> None:
    assert bundle.profile["columns"]["age"]["value"]["counts"][0] > 0  # every 17th is missing
    few = rows(6).with_columns(
        pl.when(pl.int_range(pl.len()) % 8 == 0).then(pl.lit("?!")).otherwise("age").alias("age")
    )
    assert "age" not in {
        alert["column"] for alert in Watcher(bundle, Watch()).look(predicted(few, bundle))
    }
    assert watcher.share_missing({"counts": [1, 3]}) == 0.25


def test_moments_are_alike_in_short_windows_and_no_fault(bundle: Bundle) -> None:
    now = rows(4).with_columns(seen=pl.lit("2025-03-04"))
    assert not Watcher(bundle, Watch()).look(predicted(now, bundle))
    weekly = Watcher(bundle, Watch(every=7 * 86_400.0)).look(predicted(now, bundle))
    assert [(alert["column"], alert["what"]) for alert in weekly] == [("seen", "alike")]
    gone = predicted(rows(4).with_columns(seen=pl.lit(None, pl.String)), bundle)
    assert [alert["what"] for alert in Watcher(bundle, Watch()).look(gone)] == ["missing"]


def test_of_two_classes_one_probability_is_enough(bundle: Bundle) -> None:
    names = [key for key in Watcher(bundle, Watch()).measures if key.startswith("|")]
    assert names == ["|prediction", "|probability_yes"]


def test_it_goes_on_from_its_state(bundle: Bundle) -> None:
    one, other = Watcher(bundle, Watch()), Watcher(bundle, Watch())
    one.look(predicted(rows(1).with_columns(city=pl.lit("Atlantis")), bundle))
    one.look(predicted(rows(2).head(9), bundle))
    other.restore(json.loads(json.dumps(one.state(), allow_nan=False)))
    window = predicted(rows(3), bundle)
    assert one.look(window) == other.look(window)
    assert one.state() == other.state()


NOON = datetime(2026, 11, 28, 12, 0, 0, 900_000, tzinfo=UTC)


def at(window: Window, hour: int) -> Window:
    """A window as one of the log, an hour long."""
    first = NOON + timedelta(hours=hour)
    last = first + timedelta(hours=1)
    return Window(window.values, window.said, first, last, (), window.unread, others=hour)


def test_a_window_of_the_least_rows_is_judged(bundle: Bundle) -> None:
    found = Watcher(bundle, Watch(least=60))
    for count, note in ((59, "not enough rows"), (60, "")):
        odd = rows(0, count).with_columns(city=pl.lit("Atlantis"))
        new = found.look(predicted(odd, bundle))
        assert found.history[-1]["note"] == note
        assert {alert["column"] for alert in new} >= ({"city"} if not note else set())
    assert (found.windows, len(found.history)) == (2, 2)
    few = predicted(rows(0, 9), bundle)
    seasonal = Watcher(bundle, Watch(every=3_600.0, season="day"))
    assert found.look(at(few, 0)) == seasonal.look(few) == seasonal.look(at(few, 1)) == []
    assert seasonal.season
    assert seasonal.season.passed == (1, 0)  # one whose hour is known


def test_an_alert_says_what_where_when_and_how_much(bundle: Bundle) -> None:
    found = Watcher(bundle, Watch())
    found.look(at(predicted(rows(1), bundle), 0))
    odd = rows(1).with_columns(city=pl.when(pl.int_range(pl.len()) < 240).then(pl.lit("Atlantis"))
                               .otherwise("city"))  # fmt: skip
    [city] = [a for a in found.look(at(predicted(odd, bundle), 1)) if a["column"] == "city"]
    assert city == {
        "id": "broken|city|unseen", "kind": "broken", "column": "city", "what": "unseen",
        "model": bundle.model_id, "window": 2, "rows": 300, "title": "city",
        "first": "2026-11-28T13:00:00+00:00", "last": "2026-11-28T14:00:00+00:00",
        "text": "city: 80% of the rows are words that training did not show, 0.0% before",
        "share": 0.8, "usual": 0.0,
    }  # fmt: skip
    assert [item["others"] for item in found.history] == [0, 1]
    assert [item["faults"] for item in found.history] == [[], ["city"]]
    assert not any(key.startswith("city") for key in found.history[1]["levels"])  # not also drift


def test_figures_of_the_last_windows_are_kept(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "HISTORY", 3)
    monkeypatch.setattr(watcher, "RECENT", 2)
    found = Watcher(bundle, Watch())
    promises = []
    for number in range(5):
        window = predicted(rows(number), bundle)
        found.look(window)
        chances = window.said.select("probability_no", "probability_yes").to_numpy()
        promises.append(float(chances.max(axis=1).mean()))
    assert [item["window"] for item in found.history] == [3, 4, 5]
    expected = [item["expected"] for item in found.history]
    assert expected == pytest.approx(promises[2:])
    assert found.expects() == pytest.approx(np.mean(promises[3:]))
    found.history[-1]["expected"] = None  # of a window that promised nothing
    assert found.expects() == pytest.approx(promises[3])
    found.alerts = {"one": {}}
    assert found.expects() is None
    assert Watcher(bundle, Watch()).expects() is None


def test_the_latest_figures_are_of_the_last_window_that_had_the_measure(bundle: Bundle) -> None:
    found = Watcher(bundle, Watch())
    found.history = [{"levels": {"a": [1, 2], "b": [3, 4]}}, {"levels": {"a": [5, 6]}}]
    assert found.latest() == {"a": (5, 6), "b": (3, 4)}


@pytest.mark.parametrize(
    ("wishes", "looks"),
    [
        ({}, 720.0),  # windows a month; windows of rows count as hours
        ({"every": 1_800.0}, 1_440.0),
        ({"every": 3_600.0, "season": "day"}, 720.0 + 30.0),
        ({"every": 86_400.0, "season": "week"}, 30.0 + 30.0 / 7),
    ],
)
def test_an_alarm_is_as_rare_however_often_one_looks(
    bundle: Bundle, wishes: dict[str, Any], looks: float
) -> None:
    found = Watcher(bundle, Watch(alarms=0.2, tolerance=0.03, **wishes))
    plain = {key: one for key, one in found.measures.items() if not one.season}
    limits = [one.stream.limits for one in found.measures.values()]
    expected = math.log(looks * len(plain) / 0.2)
    assert [one.level for one in limits] == pytest.approx([expected] * len(limits))
    assert {one.tolerance for one in limits} == {0.03}
    windows = 720 * 3_600 / wishes["every"] if wishes else 720
    assert found.chance == pytest.approx(0.05 / (windows * len(plain) * 4))
    assert {one.chance for one in limits} == {found.chance}
    assert len(found.measures) == len(plain) * (2 if "season" in wishes else 1)


def test_a_blend_has_no_reference_of_its_own_predictions(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gathering(members: int) -> set[str]:
        monkeypatch.setitem(bundle.profile, "members", members)
        measures = Watcher(bundle, Watch()).measures.values()
        return {one.column for one in measures if one.stream.gather}

    assert (gathering(1), gathering(2)) == (set(), {watcher.PREDICTED})


def test_measures_are_those_of_the_profile_but_for_times_and_the_other_of_two_classes() -> None:
    def measured(classes: list[str]) -> list[tuple[str, str]]:
        predictions = {"prediction": {"form": "word"}}
        predictions |= {f"probability_{name}": {"form": "number"} for name in classes}
        columns = {"a": {"value": {"form": "number"}, "length": {"form": "number"}},
                   "t": {"value": {"form": "time"}}}  # fmt: skip
        known = {"predictions": predictions, "columns": columns}
        return [(column, name) for column, name, _ in watcher.measures_in(known)]

    of_rows = [("a", "value"), ("a", "length")]
    assert measured(["n", "y"]) == [("", "prediction"), ("", "probability_y"), *of_rows]
    three = [("", f"probability_{name}") for name in "abc"]
    assert measured(["a", "b", "c"]) == [("", "prediction"), *three, *of_rows]


def test_weights_are_shares_of_the_largest_importance() -> None:
    items = [{"column": name, "value": value} for name, value in
             {"a": 0.2, "b": 0.05, "c": -0.1, "d": None, "e": 0.0}.items()]  # fmt: skip
    assert watcher.weights_of(items) == {"a": 1.0, "b": 0.25, "c": 0.0, "d": 0.0, "e": 0.0}
    assert watcher.weights_of([]) == watcher.weights_of(items[2:]) == {}


def test_files_that_a_log_names_are_not_opened() -> None:
    columns = [SimpleNamespace(name="photo", kind="image"),
               SimpleNamespace(name="city", kind="category")]  # fmt: skip
    plain: Any = SimpleNamespace(schema=SimpleNamespace(columns=columns))
    values = pl.DataFrame({"photo": ["/etc/passwd"], "city": ["Bern"], "other": ["x"]})
    window = Window(values, pl.DataFrame(), NOON, NOON)
    assert {key.split("|")[0] for key, _ in watcher.values_of(window, plain)} == {"city"}


def test_titles_name_the_column_its_measure_and_the_season() -> None:
    stream: Any = None
    titles = {
        ("age", "value", ""): "age", ("text", "length", ""): "text (length)",
        ("", "prediction", ""): "prediction", ("age", "value", "day"): "age, same time of the day",
    }  # fmt: skip
    assert {key: Measure(key[0], key[1], stream, key[2]).title for key in titles} == titles
    keys = [Measure("age", "value", stream, season).key for season in ("", "week")]
    assert keys == ["age|value", "age|value|week"]


def test_unread_cells_break_a_column_from_a_tenth_more_than_usual_on(bundle: Bundle) -> None:
    found = Watcher(bundle, Watch())
    usual = watcher.share_missing(bundle.profile["columns"]["age"]["value"])
    window = predicted(rows(3, 1_000), bundle)
    for share, broken in ((usual + 0.099, False), (usual + 0.101, True)):
        odd = Window(window.values, window.said, unread={"age": round(1_000 * share)})
        faults = found.broken(odd, {}, ())
        assert set(faults) == ({"age"} if broken else set())
        if broken:
            assert faults["age"].share == pytest.approx(share, abs=0.001)
            assert faults["age"].usual == usual

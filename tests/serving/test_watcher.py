"""What is broken is named in its window, what drifts soon after; what matters less alarms later."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Watch
from fieldcraft.serving import watcher
from fieldcraft.serving.watcher import Watcher
from fieldcraft.serving.windows import predicted
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

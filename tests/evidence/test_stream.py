"""A stream is quiet without drift, tells drift that matters, names what is broken, and goes on."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from fieldcraft.evidence import profile, stream
from fieldcraft.evidence.sequential import threshold
from fieldcraft.evidence.stream import Gathering, Limits, Stream

DRAW = np.random.default_rng(0)
NUMBERS = profile.learned(pl.Series(DRAW.normal(size=8_000)), pl.Series(DRAW.normal(size=5_000)))
WORDS = profile.learned(
    pl.Series(DRAW.choice(["a", "b", "c"], 8_000)), pl.Series(DRAW.choice(["a", "b", "c"], 5_000))
)
LIMITS = Limits(threshold(720, 20))


def counts(shift: float, rows: int = 500) -> np.ndarray:
    found: np.ndarray = profile.counted(pl.Series(DRAW.normal(shift, 1, rows)), NUMBERS)
    return found


def test_what_stays_is_quiet_and_what_moves_is_told_until_it_is_back() -> None:
    about = Stream(NUMBERS, LIMITS)
    assert {about.look(counts(0)).verdict for _ in range(50)} == {"quiet"}
    found = [about.look(counts(0.5)) for _ in range(4)]
    assert "drift" in [seen.verdict for seen in found]
    assert max(seen.effect for seen in found) == pytest.approx(0.21, abs=0.06)
    assert about.alarmed
    for _ in range(40):
        about.look(counts(0))
    assert about.alarmed is None


def test_a_month_of_hours_and_twenty_columns_without_drift_has_at_most_one_alert() -> None:
    draw, alerts = np.random.default_rng(7), 0
    for number in range(20):
        shares = draw.dirichlet(np.full(20, 0.3 + number / 4))
        known = [0, 0, *shares, 0] if number % 2 else [0, 0, 0, *shares]
        about = {
            "form": "number" if number % 2 else "word",
            "counts": draw.multinomial(4_500, known),
        }
        one = Stream(about, Limits(threshold(720, 20), effect=0.0))
        for window in draw.multinomial(300, known, size=720):
            alerts += one.look(window).verdict == "drift"
            alerts += bool(stream.faults(window, about, stream.chance(720, 20)))
    assert alerts <= 1


def test_what_is_sure_but_small_is_no_alarm() -> None:
    about = Stream(NUMBERS, Limits(LIMITS.level, effect=0.15))
    verdicts = {about.look(counts(0.2)).verdict for _ in range(40)}
    assert verdicts == {"quiet", "small"}
    assert about.detector.level <= LIMITS.level + stream.SPARE + 1e-9


def test_a_stream_goes_on_from_its_state() -> None:
    one, other = Stream(NUMBERS, LIMITS), Stream(NUMBERS, LIMITS)
    windows = [counts(0.15) for _ in range(12)]
    for window in windows[:6]:
        one.look(window)
    other.restore(json.loads(json.dumps(one.state())))
    for window in windows[6:]:
        assert one.look(window) == other.look(window)
    fresh = Stream(WORDS, LIMITS)
    fresh.restore(one.state())  # of another form
    assert fresh.seen == 0
    json.dumps(Stream(NUMBERS, LIMITS).state(), allow_nan=False)


def test_a_stream_without_a_reference_gathers_one_at_work() -> None:
    about = Stream(NUMBERS, LIMITS, gather=Gathering(1_000))
    levels = [about.look(counts(2)).level for _ in range(2)]
    assert levels == [0, 0]
    assert not about.gathering
    other = Stream(NUMBERS, LIMITS, gather=Gathering(1_000))
    other.restore(json.loads(json.dumps(about.state())))
    assert {other.look(counts(2)).verdict for _ in range(10)} == {"quiet"}
    assert "drift" in {other.look(counts(0)).verdict for _ in range(3)}


def day_and_night(hour: int, shift: float = 0, rows: int = 500) -> np.ndarray:
    return counts(shift + 1.5 * (hour % 2), rows)


def test_a_slot_is_compared_with_its_own_past() -> None:
    about = Stream(NUMBERS, LIMITS, gather=Gathering(800, windows=2))
    plain = Stream(NUMBERS, LIMITS)
    for hour in range(60):
        assert about.look(day_and_night(hour), slot=hour % 2).verdict == "quiet"
        plain.look(day_and_night(hour))
    assert plain.alarmed
    assert about.windows == {0: 2, 1: 2}
    kept = Stream(NUMBERS, LIMITS, gather=Gathering(800, windows=2))
    kept.restore(json.loads(json.dumps(about.state(), allow_nan=False)))
    found, known = [], set()
    for hour in range(60, 80):
        found.append(kept.look(day_and_night(hour, 0.3), slot=hour % 2))
        known.add(round(kept.usual.sum()))
    assert "drift" in [seen.verdict for seen in found]
    assert max(seen.effect for seen in found) == pytest.approx(0.14, abs=0.06)
    assert 2_000 in known  # of both slots


def test_slots_are_gathered_until_there_are_rows_and_windows_enough() -> None:
    about = Stream(NUMBERS, LIMITS, gather=Gathering(100, windows=3))
    assert about.gathering
    assert about.usual.sum() == 0
    for known in (False, False, True):
        about.look(counts(0, 50))
        assert about.known(0) == known
    assert not about.known(1)
    flat = Stream(NUMBERS, LIMITS, gather=Gathering(100))
    for _ in range(30):  # a slot in which all values are alike has no order to look along
        assert flat.look(np.eye(len(flat.counts), dtype=np.int64)[5] * 200, 7).verdict == "quiet"


def test_a_broken_column_is_named_by_what_is_broken() -> None:
    odds = stream.chance(720, 20)
    assert stream.faults(counts(0), NUMBERS, odds) == []

    def found(values: pl.Series, about: stream.Json) -> list[str]:
        window = profile.counted(values, about)
        return [fault.what for fault in stream.faults(window, about, odds)]

    good = pl.Series(DRAW.normal(size=100))
    empty = pl.Series([None] * 100, dtype=pl.Float64)
    assert found(pl.concat([good, empty]), NUMBERS) == ["missing"]
    assert found(good * 1_000, NUMBERS) == ["outside"]
    assert found(pl.Series([0.1] * 100), NUMBERS) == ["alike"]
    assert found(pl.Series(["new"] * 60 + ["a", "b"] * 20), WORDS) == ["unseen"]
    assert found(pl.Series(["a"] * 100), WORDS) == ["alike"]
    assert found(good[:1] * 1_000, NUMBERS) == []  # too few to be sure
    assert found(pl.Series([], dtype=pl.Float64), NUMBERS) == []


def test_the_bins_that_changed_most_come_first() -> None:
    window = profile.counted(pl.Series(["a"] * 80 + ["b"] * 20), WORDS)
    changed = stream.shifts(window, np.array(WORDS["counts"]), WORDS)
    assert changed[0]["bin"] == "a"
    assert changed[0]["share"] == 0.8
    assert 0.3 < changed[0]["usual"] < 0.37

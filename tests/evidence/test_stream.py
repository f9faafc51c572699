"""A stream is quiet without drift, tells drift that matters, names what is broken, and goes on."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from fieldcraft.evidence import drift, profile, stream
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


FLAT: stream.Json = {
    "form": "word",
    "counts": [0, 0, 0, 2_000, 2_000],
    "levels": ["a", "b"],
    "seen": ["a", "b"],
}
SAME, MOVED = np.array([0, 0, 0, 100, 100]), np.array([0, 0, 0, 190, 10])


def after(moved: int, same: int, *, first: int = 0) -> Stream:
    """A stream of words after windows that are as usual, moved ones, and usual ones again."""
    found = Stream(FLAT, LIMITS)
    for window in [SAME] * first + [MOVED] * moved + [SAME] * same:
        found.look(window)
    return found


@pytest.mark.parametrize("first", [0, 50])
def test_an_alarm_stands_for_three_times_its_delay_and_is_then_over(first: int) -> None:
    assert after(1, 0, first=first).alarmed == (first + 1, 1)  # found in one window
    assert after(1, 6, first=first).alarmed == (first + 1, 1)
    assert after(1, 7, first=first).alarmed is None


def test_an_alarm_that_took_longer_stands_longer() -> None:
    level, slow = Limits(LIMITS.level, effect=0.0), np.array([0, 0, 0, 123, 77])
    found = Stream(FLAT, level)
    verdicts = [found.look(SAME).verdict for _ in range(5)]
    while found.alarmed is None:
        verdicts.append(found.look(slow).verdict)
    number, delay = found.alarmed
    assert verdicts == ["quiet"] * (number - 1) + ["drift"]
    assert 2 <= delay <= number - 5
    for _ in range(3 * (1 + delay)):
        found.look(SAME)
        assert found.alarmed == (number, delay)
    found.look(SAME)
    assert found.alarmed is None


def test_drift_that_goes_on_renews_the_alarm() -> None:
    found = after(1, 5)
    found.look(MOVED)
    assert found.alarmed == (7, 1)
    for _ in range(6):
        found.look(SAME)
    assert found.alarmed == (7, 1)


def test_an_alarm_starts_the_detector_afresh_and_what_is_small_does_not() -> None:
    assert after(1, 0).detector.level == -np.inf
    small = Stream(FLAT, Limits(LIMITS.level, effect=0.9))
    assert small.look(MOVED).verdict == "small"
    assert small.alarmed is None
    assert small.detector.level == pytest.approx(LIMITS.level + stream.SPARE, abs=1.4)
    assert (small.detector.sums <= LIMITS.level + stream.SPARE).all()


def test_an_alarm_is_over_in_small_drift_too() -> None:
    found = after(1, 0)
    found.limits = Limits(LIMITS.level, effect=0.9)
    verdicts = [found.look(MOVED).verdict for _ in range(7)]
    assert set(verdicts) == {"small"}
    assert found.alarmed is None


@pytest.mark.parametrize("same", [0, 3, 6, 7])
def test_a_restored_stream_is_the_one_that_was_kept(same: int) -> None:
    kept = after(1, same, first=2)
    found = Stream(FLAT, LIMITS)
    found.restore(json.loads(json.dumps(kept.state(), allow_nan=False)))
    assert found.state() == kept.state()
    assert (found.alarmed, found.seen, found.begun) == (kept.alarmed, kept.seen, kept.begun)
    assert (found.passed, found.counts.tolist()) == (kept.passed, kept.counts.tolist())
    for window in [SAME] * 4 + [MOVED]:
        assert found.look(window) == kept.look(window)
        assert found.alarmed == kept.alarmed


def test_a_state_of_other_bins_or_of_another_order_is_left_alone() -> None:
    kept = after(1, 2)
    longer = {**FLAT, "counts": [*FLAT["counts"], 9], "levels": ["a", "b", "c"]}
    ordered = {"form": "number", "counts": FLAT["counts"], "edges": [0.0], "low": -1, "high": 1}
    for about in (longer, ordered):
        other = Stream(about, LIMITS)
        before = other.state()
        other.restore(kept.state())
        assert other.state() == before


def test_windows_are_counted_together_from_half_way_to_an_alarm_on() -> None:
    found, slow = Stream(FLAT, LIMITS), np.array([0, 0, 0, 120, 80])
    for number in range(1, 30):
        before = found.detector.level
        found.look(slow)
        if before <= LIMITS.level / 2:
            assert found.begun == number - 1
            assert found.counts.tolist() == slow.tolist()
            assert found.passed == {0: 200}
        else:
            assert found.counts.sum() == found.passed[0] == 200 * (number - found.begun)
            return
    pytest.fail("it never came half way")


def test_what_is_usual_is_mixed_as_the_slots_were_seen() -> None:
    found = Stream(FLAT, LIMITS, gather=Gathering(100))
    day, night = np.array([0, 0, 0, 150, 50]), np.array([0, 0, 0, 0, 100])
    found.look(day, slot=1)
    found.look(night, slot=2)
    found.counts, found.passed = day + night, {1: 300, 2: 100}
    shares = 0.75 * day / 200 + 0.25 * night / 100
    assert found.usual == pytest.approx(300 * shares)
    found.passed = {1: 5, 2: 0}
    assert found.usual.tolist() == day.tolist()


def test_no_slot_is_known_before_it_has_rows_and_windows_enough() -> None:
    found = Stream(FLAT, LIMITS, gather=Gathering(400, windows=1))
    assert not found.known(0)
    found.look(SAME)
    assert not found.known(0)
    found.look(SAME)
    assert found.known(0)
    assert found.references[0].counts.tolist() == (2 * SAME).tolist()
    assert found.look(MOVED).verdict == "drift"


@pytest.mark.parametrize(("windows", "streams"), [(720, 20), (30, 1), (0, 0)])
def test_the_chance_of_a_false_break_is_shared_by_windows_streams_and_sorts(
    windows: float, streams: int
) -> None:
    assert stream.chance(windows, streams) == 0.05 / max(4 * windows * streams, 1)


def words(missing: int, unseen: int, a: int, b: int) -> np.ndarray:
    return np.array([missing, unseen, 0, a, b])


def test_a_column_is_broken_where_a_tenth_more_of_its_rows_are_of_a_sort() -> None:
    about = {**FLAT, "counts": [400, 0, 0, 1_800, 1_800]}  # a tenth is missing as it is
    for missing, broken in ((1_990, False), (2_010, True)):
        window = words(missing, 0, 5_000 - missing // 2, 5_000 - missing + missing // 2)
        assert bool(stream.faults(window, about, 1e-6)) == broken
    (fault,) = stream.faults(words(300, 0, 350, 350), about, 1e-6)
    assert fault == stream.Fault("missing", 0.3, 0.1)
    (unseen,) = stream.faults(words(0, 300, 350, 350), about, 1e-6)
    assert unseen == stream.Fault("unseen", 0.3, 0.0)


def test_a_break_must_be_beyond_chance_and_beyond_the_error_of_the_reference() -> None:
    # Half of 12 rows are missing where none of 4,000 were: how sure that is, by hand.
    usual = drift.share_at_most(0, 4_000)
    bound = drift.far(6, 12, usual)
    window = words(6, 0, 3, 3)
    assert stream.faults(window, FLAT, bound * 1.01)[0].what == "missing"
    assert stream.faults(window, FLAT, bound * 0.99) == []
    small = {**FLAT, "counts": [0, 0, 0, 15, 15]}  # of 30 rows, none being missing says little
    assert stream.faults(words(30, 0, 35, 35), small, 1e-6) == []


def test_all_alike_is_judged_by_the_bin_they_are_in_and_by_the_values_that_are_there() -> None:
    half = drift.share_at_most(2_000, 4_000)
    assert stream.faults(words(1, 0, 20, 0), FLAT, half**20 * 1.01)[0].what == "alike"
    assert stream.faults(words(1, 0, 20, 0), FLAT, half**20 * 0.99) == []
    assert stream.faults(words(1, 0, 20, 1), FLAT, 0.01) == []
    one_word = {**FLAT, "counts": [0, 0, 0, 3_900, 100]}
    assert stream.faults(words(0, 0, 200, 0), one_word, 1e-6) == []
    (fault,) = stream.faults(words(0, 0, 0, 20), one_word, 1e-6)
    assert fault == stream.Fault("alike", 1.0, 0.025)


def test_numbers_on_either_side_of_what_was_seen_are_outside() -> None:
    about = {"form": "number", "counts": [0, 0, 1_000, 1_000, 0], "edges": [0.0]}
    for window in ([0, 60, 20, 20, 0], [0, 0, 20, 20, 60], [0, 30, 20, 20, 30]):
        (fault,) = stream.faults(np.array(window), about, 1e-6)
        assert fault == stream.Fault("outside", 0.6, 0.0)


def test_the_largest_changes_come_first_whichever_way_they_went() -> None:
    changed = stream.shifts(words(10, 0, 90, 0), np.array([0, 0, 0, 50, 50]), FLAT)
    assert [(item["bin"], item["share"], item["usual"]) for item in changed] == [
        ("b", 0.0, 0.5), ("a", 0.9, 0.5), ("missing", 0.1, 0.0),
    ]  # fmt: skip
    assert len(stream.shifts(words(10, 5, 85, 0), np.array([0, 0, 0, 50, 50]), FLAT)) == 3
    assert stream.shifts(SAME, 2 * SAME, FLAT) == []


def test_missing_numbers_have_no_place_in_the_order_and_words_have_none_at_all() -> None:
    scores = Stream(NUMBERS, LIMITS).references[0].scores
    assert scores is not None
    assert scores[0] == 0
    assert (np.diff(scores[1:]) >= 0).all()
    assert Stream(FLAT, LIMITS).references[0].scores is None

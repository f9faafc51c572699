"""A detector is quiet without drift, alarms on drift that matters, and finds issues."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from fieldcraft.core.types import Json
from fieldcraft.monitoring import drift_detector
from fieldcraft.monitoring.drift_detector import AlarmLimits, DriftDetector, WarmupPolicy
from fieldcraft.statistics import drift, reference_profile
from fieldcraft.statistics.sequential import alarm_threshold

RNG = np.random.default_rng(0)
NUMERIC_PROFILE = reference_profile.fit_reference_profile(
    pl.Series(RNG.normal(size=8_000)), pl.Series(RNG.normal(size=5_000))
)
CATEGORICAL_PROFILE = reference_profile.fit_reference_profile(
    pl.Series(RNG.choice(["a", "b", "c"], 8_000)), pl.Series(RNG.choice(["a", "b", "c"], 5_000))
)
LIMITS = AlarmLimits(alarm_threshold(720, 20))


def normal_counts(mean: float, rows: int = 500) -> np.ndarray:
    found: np.ndarray = reference_profile.bin_counts(
        pl.Series(RNG.normal(mean, 1, rows)), NUMERIC_PROFILE
    )
    return found


def test_drift_is_an_alarm_until_it_is_over() -> None:
    about = DriftDetector(NUMERIC_PROFILE, LIMITS)
    assert {about.update(normal_counts(0)).verdict for _ in range(50)} == {"quiet"}
    found = [about.update(normal_counts(0.5)) for _ in range(4)]
    assert "drift" in [seen.verdict for seen in found]
    assert max(seen.js_distance for seen in found) == pytest.approx(0.21, abs=0.06)
    assert about.alarm
    for _ in range(40):
        about.update(normal_counts(0))
    assert about.alarm is None


def test_a_month_of_hours_and_twenty_columns_without_drift_has_at_most_one_alert() -> None:
    draw, alerts = np.random.default_rng(7), 0
    for number in range(20):
        shares = draw.dirichlet(np.full(20, 0.3 + number / 4))
        known = [0, 0, *shares, 0] if number % 2 else [0, 0, 0, *shares]
        about = {
            "type": "numeric" if number % 2 else "word",
            "bin_counts": draw.multinomial(4_500, known),
        }
        one = DriftDetector(about, AlarmLimits(alarm_threshold(720, 20), min_js_distance=0.0))
        for window in draw.multinomial(300, known, size=720):
            alerts += one.update(window).verdict == "drift"
            alerts += bool(
                drift_detector.find_issues(
                    window, about, drift_detector.false_break_probability(720, 20)
                )
            )
    assert alerts <= 1


def test_significant_drift_below_the_min_effect_is_no_alarm() -> None:
    about = DriftDetector(NUMERIC_PROFILE, AlarmLimits(LIMITS.log_level, min_js_distance=0.15))
    verdicts = {about.update(normal_counts(0.2)).verdict for _ in range(40)}
    assert verdicts == {"quiet", "below_min_effect"}
    assert about.detector.log_level <= LIMITS.log_level + drift_detector.MAX_EXCESS_LOG_LEVEL + 1e-9


def test_a_detector_continues_from_its_state() -> None:
    one, other = DriftDetector(NUMERIC_PROFILE, LIMITS), DriftDetector(NUMERIC_PROFILE, LIMITS)
    windows = [normal_counts(0.15) for _ in range(12)]
    for window in windows[:6]:
        one.update(window)
    other.restore(json.loads(json.dumps(one.state())))
    for window in windows[6:]:
        assert one.update(window) == other.update(window)
    fresh = DriftDetector(CATEGORICAL_PROFILE, LIMITS)
    fresh.restore(one.state())  # of another form
    assert fresh.n_windows == 0
    json.dumps(DriftDetector(NUMERIC_PROFILE, LIMITS).state(), allow_nan=False)


def test_a_detector_with_warmup_uses_live_traffic_as_reference() -> None:
    about = DriftDetector(NUMERIC_PROFILE, LIMITS, warmup=WarmupPolicy(1_000))
    levels = [about.update(normal_counts(2)).log_level for _ in range(2)]
    assert levels == [0, 0]
    assert not about.is_warming_up
    other = DriftDetector(NUMERIC_PROFILE, LIMITS, warmup=WarmupPolicy(1_000))
    other.restore(json.loads(json.dumps(about.state())))
    assert {other.update(normal_counts(2)).verdict for _ in range(10)} == {"quiet"}
    assert "drift" in {other.update(normal_counts(0)).verdict for _ in range(3)}


def counts_at_hour(hour: int, shift: float = 0, rows: int = 500) -> np.ndarray:
    return normal_counts(shift + 1.5 * (hour % 2), rows)


def test_slots_are_compared_with_their_own_references() -> None:
    about = DriftDetector(NUMERIC_PROFILE, LIMITS, warmup=WarmupPolicy(800, min_windows=2))
    plain = DriftDetector(NUMERIC_PROFILE, LIMITS)
    for hour in range(60):
        assert about.update(counts_at_hour(hour), slot=hour % 2).verdict == "quiet"
        plain.update(counts_at_hour(hour))
    assert plain.alarm
    assert about.warmup_windows == {0: 2, 1: 2}
    kept = DriftDetector(NUMERIC_PROFILE, LIMITS, warmup=WarmupPolicy(800, min_windows=2))
    kept.restore(json.loads(json.dumps(about.state(), allow_nan=False)))
    found, known = [], set()
    for hour in range(60, 80):
        found.append(kept.update(counts_at_hour(hour, 0.3), slot=hour % 2))
        known.add(round(kept.expected_counts.sum()))
    assert "drift" in [seen.verdict for seen in found]
    assert max(seen.js_distance for seen in found) == pytest.approx(0.14, abs=0.06)
    assert 2_000 in known  # of both slots


def test_a_slot_is_ready_after_enough_rows_and_windows() -> None:
    about = DriftDetector(NUMERIC_PROFILE, LIMITS, warmup=WarmupPolicy(100, min_windows=3))
    assert about.is_warming_up
    assert about.expected_counts.sum() == 0
    for known in (False, False, True):
        about.update(normal_counts(0, 50))
        assert about.is_ready(0) == known
    assert not about.is_ready(1)
    flat = DriftDetector(NUMERIC_PROFILE, LIMITS, warmup=WarmupPolicy(100))
    for _ in range(30):  # a slot in which all values are alike has no order to look along
        assert (
            flat.update(np.eye(len(flat.suspect_counts), dtype=np.int64)[5] * 200, 7).verdict
            == "quiet"
        )


def test_data_quality_issues_are_named_by_type() -> None:
    odds = drift_detector.false_break_probability(720, 20)
    assert drift_detector.find_issues(normal_counts(0), NUMERIC_PROFILE, odds) == []

    def found(values: pl.Series, about: Json) -> list[str]:
        window = reference_profile.bin_counts(values, about)
        return [fault.issue_type for fault in drift_detector.find_issues(window, about, odds)]

    good = pl.Series(RNG.normal(size=100))
    empty = pl.Series([None] * 100, dtype=pl.Float64)
    assert found(pl.concat([good, empty]), NUMERIC_PROFILE) == ["missing"]
    assert found(good * 1_000, NUMERIC_PROFILE) == ["out_of_range"]
    assert found(pl.Series([0.1] * 100), NUMERIC_PROFILE) == ["constant"]
    assert found(pl.Series(["new_alerts"] * 60 + ["a", "b"] * 20), CATEGORICAL_PROFILE) == [
        "unseen_category"
    ]
    assert found(pl.Series(["a"] * 100), CATEGORICAL_PROFILE) == ["constant"]
    assert found(good[:1] * 1_000, NUMERIC_PROFILE) == []  # too few to be sure
    assert found(pl.Series([], dtype=pl.Float64), NUMERIC_PROFILE) == []


def test_the_bins_that_changed_most_come_first() -> None:
    window = reference_profile.bin_counts(pl.Series(["a"] * 80 + ["b"] * 20), CATEGORICAL_PROFILE)
    changed = drift_detector.largest_shifts(
        window, np.array(CATEGORICAL_PROFILE["bin_counts"]), CATEGORICAL_PROFILE
    )
    assert changed[0]["bin"] == "a"
    assert changed[0]["fraction"] == 0.8
    assert 0.3 < changed[0]["reference_fraction"] < 0.37


EVEN_PROFILE: Json = {
    "type": "categorical",
    "bin_counts": [0, 0, 0, 2_000, 2_000],
    "categories": ["a", "b"],
    "known_categories": ["a", "b"],
}
USUAL_WINDOW, SHIFTED_WINDOW = np.array([0, 0, 0, 100, 100]), np.array([0, 0, 0, 190, 10])


def detector_after(n_shifted: int, n_usual: int, *, n_before: int = 0) -> DriftDetector:
    """A stream of words after windows that are as usual, moved ones, and usual ones again."""
    found = DriftDetector(EVEN_PROFILE, LIMITS)
    for window in (
        [USUAL_WINDOW] * n_before + [SHIFTED_WINDOW] * n_shifted + [USUAL_WINDOW] * n_usual
    ):
        found.update(window)
    return found


@pytest.mark.parametrize("first", [0, 50])
def test_an_alarm_lasts_three_times_its_delay(first: int) -> None:
    assert detector_after(1, 0, n_before=first).alarm == (first + 1, 1)  # found in one window
    assert detector_after(1, 6, n_before=first).alarm == (first + 1, 1)
    assert detector_after(1, 7, n_before=first).alarm is None


def test_an_alarm_that_took_longer_lasts_longer() -> None:
    level, slow = AlarmLimits(LIMITS.log_level, min_js_distance=0.0), np.array([0, 0, 0, 123, 77])
    found = DriftDetector(EVEN_PROFILE, level)
    verdicts = [found.update(USUAL_WINDOW).verdict for _ in range(5)]
    while found.alarm is None:
        verdicts.append(found.update(slow).verdict)
    number, delay = found.alarm
    assert verdicts == ["quiet"] * (number - 1) + ["drift"]
    assert 2 <= delay <= number - 5
    for _ in range(3 * (1 + delay)):
        found.update(USUAL_WINDOW)
        assert found.alarm == (number, delay)
    found.update(USUAL_WINDOW)
    assert found.alarm is None


def test_persistent_drift_renews_the_alarm() -> None:
    found = detector_after(1, 5)
    found.update(SHIFTED_WINDOW)
    assert found.alarm == (7, 1)
    for _ in range(6):
        found.update(USUAL_WINDOW)
    assert found.alarm == (7, 1)


def test_an_alarm_resets_the_detector_and_small_drift_does_not() -> None:
    assert detector_after(1, 0).detector.log_level == -np.inf
    small = DriftDetector(EVEN_PROFILE, AlarmLimits(LIMITS.log_level, min_js_distance=0.9))
    assert small.update(SHIFTED_WINDOW).verdict == "below_min_effect"
    assert small.alarm is None
    assert small.detector.log_level == pytest.approx(
        LIMITS.log_level + drift_detector.MAX_EXCESS_LOG_LEVEL, abs=1.4
    )
    assert (small.detector.log_sums <= LIMITS.log_level + drift_detector.MAX_EXCESS_LOG_LEVEL).all()


def test_an_alarm_ends_during_small_drift_too() -> None:
    found = detector_after(1, 0)
    found.limits = AlarmLimits(LIMITS.log_level, min_js_distance=0.9)
    verdicts = [found.update(SHIFTED_WINDOW).verdict for _ in range(7)]
    assert set(verdicts) == {"below_min_effect"}
    assert found.alarm is None


@pytest.mark.parametrize("same", [0, 3, 6, 7])
def test_a_restored_detector_equals_the_saved_one(same: int) -> None:
    kept = detector_after(1, same, n_before=2)
    found = DriftDetector(EVEN_PROFILE, LIMITS)
    found.restore(json.loads(json.dumps(kept.state(), allow_nan=False)))
    assert found.state() == kept.state()
    assert (found.alarm, found.n_windows, found.first_suspect_window) == (
        kept.alarm,
        kept.n_windows,
        kept.first_suspect_window,
    )
    assert (found.rows_by_slot, found.suspect_counts.tolist()) == (
        kept.rows_by_slot,
        kept.suspect_counts.tolist(),
    )
    for window in [USUAL_WINDOW] * 4 + [SHIFTED_WINDOW]:
        assert found.update(window) == kept.update(window)
        assert found.alarm == kept.alarm


def test_a_state_of_other_bins_is_ignored() -> None:
    kept = detector_after(1, 2)
    longer = {
        **EVEN_PROFILE,
        "bin_counts": [*EVEN_PROFILE["bin_counts"], 9],
        "categories": ["a", "b", "c"],
    }
    ordered = {
        "type": "numeric",
        "bin_counts": EVEN_PROFILE["bin_counts"],
        "bin_edges": [0.0],
        "min": -1,
        "max": 1,
    }
    for about in (longer, ordered):
        other = DriftDetector(about, LIMITS)
        before = other.state()
        other.restore(kept.state())
        assert other.state() == before


def test_windows_are_suspect_from_half_the_threshold_on() -> None:
    found, slow = DriftDetector(EVEN_PROFILE, LIMITS), np.array([0, 0, 0, 120, 80])
    for number in range(1, 30):
        before = found.detector.log_level
        found.update(slow)
        if before <= LIMITS.log_level / 2:
            assert found.first_suspect_window == number - 1
            assert found.suspect_counts.tolist() == slow.tolist()
            assert found.rows_by_slot == {0: 200}
        else:
            assert (
                found.suspect_counts.sum()
                == found.rows_by_slot[0]
                == 200 * (number - found.first_suspect_window)
            )
            return
    pytest.fail("it never came half way")


def test_references_are_mixed_by_the_rows_of_each_slot() -> None:
    found = DriftDetector(EVEN_PROFILE, LIMITS, warmup=WarmupPolicy(100))
    day, night = np.array([0, 0, 0, 150, 50]), np.array([0, 0, 0, 0, 100])
    found.update(day, slot=1)
    found.update(night, slot=2)
    found.suspect_counts, found.rows_by_slot = day + night, {1: 300, 2: 100}
    shares = 0.75 * day / 200 + 0.25 * night / 100
    assert found.expected_counts == pytest.approx(300 * shares)
    found.rows_by_slot = {1: 5, 2: 0}
    assert found.expected_counts.tolist() == day.tolist()


def test_a_slot_is_not_ready_before_it_has_enough_rows() -> None:
    found = DriftDetector(EVEN_PROFILE, LIMITS, warmup=WarmupPolicy(400, min_windows=1))
    assert not found.is_ready(0)
    found.update(USUAL_WINDOW)
    assert not found.is_ready(0)
    found.update(USUAL_WINDOW)
    assert found.is_ready(0)
    assert found.references[0].counts.tolist() == (2 * USUAL_WINDOW).tolist()
    assert found.update(SHIFTED_WINDOW).verdict == "drift"


@pytest.mark.parametrize(("windows", "streams"), [(720, 20), (30, 1), (0, 0)])
def test_the_false_issue_rate_is_divided_by_windows_statistics_and_types(
    windows: float, streams: int
) -> None:
    assert drift_detector.false_break_probability(windows, streams) == 0.05 / max(
        4 * windows * streams, 1
    )


def categorical_counts(missing: int, unseen: int, a: int, b: int) -> np.ndarray:
    return np.array([missing, unseen, 0, a, b])


def test_an_issue_needs_an_increase_by_a_tenth_of_the_rows() -> None:
    about = {**EVEN_PROFILE, "bin_counts": [400, 0, 0, 1_800, 1_800]}  # a tenth is missing as it is
    for missing, broken in ((1_990, False), (2_010, True)):
        window = categorical_counts(
            missing, 0, 5_000 - missing // 2, 5_000 - missing + missing // 2
        )
        assert bool(drift_detector.find_issues(window, about, 1e-6)) == broken
    (fault,) = drift_detector.find_issues(categorical_counts(300, 0, 350, 350), about, 1e-6)
    assert fault == drift_detector.DataQualityIssue("missing", 0.3, 0.1)
    (unseen,) = drift_detector.find_issues(categorical_counts(0, 300, 350, 350), about, 1e-6)
    assert unseen == drift_detector.DataQualityIssue("unseen_category", 0.3, 0.0)


def test_an_issue_must_exceed_chance_and_the_error_of_the_reference() -> None:
    # Half of 12 rows are missing where none of 4,000 were: how sure that is, by hand.
    usual = drift.proportion_upper_bound(0, 4_000)
    bound = drift.chernoff_p_value(6, 12, usual)
    window = categorical_counts(6, 0, 3, 3)
    assert drift_detector.find_issues(window, EVEN_PROFILE, bound * 1.01)[0].issue_type == "missing"
    assert drift_detector.find_issues(window, EVEN_PROFILE, bound * 0.99) == []
    small = {
        **EVEN_PROFILE,
        "bin_counts": [0, 0, 0, 15, 15],
    }  # of 30 rows, none being missing says little
    assert drift_detector.find_issues(categorical_counts(30, 0, 35, 35), small, 1e-6) == []


def test_constant_values_are_tested_by_their_bin_without_missing_values() -> None:
    half = drift.proportion_upper_bound(2_000, 4_000)
    assert (
        drift_detector.find_issues(categorical_counts(1, 0, 20, 0), EVEN_PROFILE, half**20 * 1.01)[
            0
        ].issue_type
        == "constant"
    )
    assert (
        drift_detector.find_issues(categorical_counts(1, 0, 20, 0), EVEN_PROFILE, half**20 * 0.99)
        == []
    )
    assert drift_detector.find_issues(categorical_counts(1, 0, 20, 1), EVEN_PROFILE, 0.01) == []
    one_word = {**EVEN_PROFILE, "bin_counts": [0, 0, 0, 3_900, 100]}
    assert drift_detector.find_issues(categorical_counts(0, 0, 200, 0), one_word, 1e-6) == []
    (fault,) = drift_detector.find_issues(categorical_counts(0, 0, 0, 20), one_word, 1e-6)
    assert fault == drift_detector.DataQualityIssue("constant", 1.0, 0.025)


def test_numbers_below_and_above_the_range_are_out_of_range() -> None:
    about = {"type": "numeric", "bin_counts": [0, 0, 1_000, 1_000, 0], "bin_edges": [0.0]}
    for window in ([0, 60, 20, 20, 0], [0, 0, 20, 20, 60], [0, 30, 20, 20, 30]):
        (fault,) = drift_detector.find_issues(np.array(window), about, 1e-6)
        assert fault == drift_detector.DataQualityIssue("out_of_range", 0.6, 0.0)


def test_the_largest_changes_come_first_in_either_direction() -> None:
    changed = drift_detector.largest_shifts(
        categorical_counts(10, 0, 90, 0), np.array([0, 0, 0, 50, 50]), EVEN_PROFILE
    )
    assert [(item["bin"], item["fraction"], item["reference_fraction"]) for item in changed] == [
        ("b", 0.0, 0.5), ("a", 0.9, 0.5), ("missing", 0.1, 0.0),
    ]  # fmt: skip
    assert (
        len(
            drift_detector.largest_shifts(
                categorical_counts(10, 5, 85, 0), np.array([0, 0, 0, 50, 50]), EVEN_PROFILE
            )
        )
        == 3
    )
    assert drift_detector.largest_shifts(USUAL_WINDOW, 2 * USUAL_WINDOW, EVEN_PROFILE) == []


def test_missing_numbers_and_categories_have_no_rank() -> None:
    scores = DriftDetector(NUMERIC_PROFILE, LIMITS).references[0].rank_scores
    assert scores is not None
    assert scores[0] == 0
    assert (np.diff(scores[1:]) >= 0).all()
    assert DriftDetector(EVEN_PROFILE, LIMITS).references[0].rank_scores is None

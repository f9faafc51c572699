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
    counts: np.ndarray = reference_profile.bin_counts(
        pl.Series(RNG.normal(mean, 1, rows)), NUMERIC_PROFILE
    )
    return counts


def test_drift_is_an_alarm_until_it_is_over() -> None:
    detector = DriftDetector(NUMERIC_PROFILE, LIMITS)
    assert {detector.update(normal_counts(0)).verdict for _ in range(50)} == {"quiet"}
    statuses = [detector.update(normal_counts(0.5)) for _ in range(4)]
    assert "drift" in [status.verdict for status in statuses]
    assert max(status.js_distance for status in statuses) == pytest.approx(0.21, abs=0.06)
    assert detector.alarm
    for _ in range(40):
        detector.update(normal_counts(0))
    assert detector.alarm is None


def test_a_month_of_hours_and_twenty_columns_without_drift_has_at_most_one_alert() -> None:
    draw, alerts = np.random.default_rng(7), 0
    for number in range(20):
        shares = draw.dirichlet(np.full(20, 0.3 + number / 4))
        probabilities = [0, 0, *shares, 0] if number % 2 else [0, 0, 0, *shares]
        profile = {
            "type": "numeric" if number % 2 else "word",
            "bin_counts": draw.multinomial(4_500, probabilities),
        }
        detector = DriftDetector(
            profile, AlarmLimits(alarm_threshold(720, 20), min_js_distance=0.0)
        )
        for window in draw.multinomial(300, probabilities, size=720):
            alerts += detector.update(window).verdict == "drift"
            alerts += bool(
                drift_detector.find_issues(
                    window, profile, drift_detector.issue_false_positive_rate(720, 20)
                )
            )
    assert alerts <= 1


def test_significant_drift_below_the_min_effect_is_no_alarm() -> None:
    detector = DriftDetector(NUMERIC_PROFILE, AlarmLimits(LIMITS.log_level, min_js_distance=0.15))
    verdicts = {detector.update(normal_counts(0.2)).verdict for _ in range(40)}
    assert verdicts == {"quiet", "below_min_effect"}
    assert (
        detector.detector.log_level <= LIMITS.log_level + drift_detector.MAX_EXCESS_LOG_LEVEL + 1e-9
    )


def test_a_detector_continues_from_its_state() -> None:
    one, other = DriftDetector(NUMERIC_PROFILE, LIMITS), DriftDetector(NUMERIC_PROFILE, LIMITS)
    windows = [normal_counts(0.15) for _ in range(12)]
    for window in windows[:6]:
        one.update(window)
    other.load_state(json.loads(json.dumps(one.get_state())))
    for window in windows[6:]:
        assert one.update(window) == other.update(window)
    fresh = DriftDetector(CATEGORICAL_PROFILE, LIMITS)
    fresh.load_state(one.get_state())  # of another type
    assert fresh.n_windows == 0
    json.dumps(DriftDetector(NUMERIC_PROFILE, LIMITS).get_state(), allow_nan=False)


def test_a_detector_with_warmup_uses_live_traffic_as_reference() -> None:
    detector = DriftDetector(NUMERIC_PROFILE, LIMITS, warmup=WarmupPolicy(1_000))
    levels = [detector.update(normal_counts(2)).log_level for _ in range(2)]
    assert levels == [0, 0]
    assert not detector.is_warming_up
    other = DriftDetector(NUMERIC_PROFILE, LIMITS, warmup=WarmupPolicy(1_000))
    other.load_state(json.loads(json.dumps(detector.get_state())))
    assert {other.update(normal_counts(2)).verdict for _ in range(10)} == {"quiet"}
    assert "drift" in {other.update(normal_counts(0)).verdict for _ in range(3)}


def counts_at_hour(hour: int, shift: float = 0, rows: int = 500) -> np.ndarray:
    return normal_counts(shift + 1.5 * (hour % 2), rows)


def test_slots_are_compared_with_their_own_references() -> None:
    detector = DriftDetector(NUMERIC_PROFILE, LIMITS, warmup=WarmupPolicy(800, min_windows=2))
    unseasonal = DriftDetector(NUMERIC_PROFILE, LIMITS)
    for hour in range(60):
        assert detector.update(counts_at_hour(hour), slot=hour % 2).verdict == "quiet"
        unseasonal.update(counts_at_hour(hour))
    assert unseasonal.alarm
    assert detector.warmup_windows == {0: 2, 1: 2}
    restored = DriftDetector(NUMERIC_PROFILE, LIMITS, warmup=WarmupPolicy(800, min_windows=2))
    restored.load_state(json.loads(json.dumps(detector.get_state(), allow_nan=False)))
    statuses, expected_rows = [], set()
    for hour in range(60, 80):
        statuses.append(restored.update(counts_at_hour(hour, 0.3), slot=hour % 2))
        expected_rows.add(round(restored.expected_counts.sum()))
    assert "drift" in [status.verdict for status in statuses]
    assert max(status.js_distance for status in statuses) == pytest.approx(0.14, abs=0.06)
    assert 2_000 in expected_rows  # of both slots


def test_a_slot_is_ready_after_enough_rows_and_windows() -> None:
    detector = DriftDetector(NUMERIC_PROFILE, LIMITS, warmup=WarmupPolicy(100, min_windows=3))
    assert detector.is_warming_up
    assert detector.expected_counts.sum() == 0
    for expected in (False, False, True):
        detector.update(normal_counts(0, 50))
        assert detector.is_ready(0) == expected
    assert not detector.is_ready(1)
    flat = DriftDetector(NUMERIC_PROFILE, LIMITS, warmup=WarmupPolicy(100))
    for _ in range(30):  # constant values have no ranks
        assert (
            flat.update(np.eye(len(flat.suspect_counts), dtype=np.int64)[5] * 200, 7).verdict
            == "quiet"
        )


def test_data_quality_issues_are_named_by_type() -> None:
    max_probability = drift_detector.issue_false_positive_rate(720, 20)
    assert drift_detector.find_issues(normal_counts(0), NUMERIC_PROFILE, max_probability) == []

    def issue_types(values: pl.Series, profile: Json) -> list[str]:
        window = reference_profile.bin_counts(values, profile)
        return [
            issue.issue_type
            for issue in drift_detector.find_issues(window, profile, max_probability)
        ]

    usual = pl.Series(RNG.normal(size=100))
    empty = pl.Series([None] * 100, dtype=pl.Float64)
    assert issue_types(pl.concat([usual, empty]), NUMERIC_PROFILE) == ["missing"]
    assert issue_types(usual * 1_000, NUMERIC_PROFILE) == ["out_of_range"]
    assert issue_types(pl.Series([0.1] * 100), NUMERIC_PROFILE) == ["constant"]
    assert issue_types(pl.Series(["new"] * 60 + ["a", "b"] * 20), CATEGORICAL_PROFILE) == [
        "unseen_category"
    ]
    assert issue_types(pl.Series(["a"] * 100), CATEGORICAL_PROFILE) == ["constant"]
    assert issue_types(usual[:1] * 1_000, NUMERIC_PROFILE) == []  # too few rows to be significant
    assert issue_types(pl.Series([], dtype=pl.Float64), NUMERIC_PROFILE) == []


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
    """A detector of categories after usual windows, shifted ones, and usual ones again."""
    detector = DriftDetector(EVEN_PROFILE, LIMITS)
    for window in (
        [USUAL_WINDOW] * n_before + [SHIFTED_WINDOW] * n_shifted + [USUAL_WINDOW] * n_usual
    ):
        detector.update(window)
    return detector


@pytest.mark.parametrize("first", [0, 50])
def test_an_alarm_lasts_three_times_its_delay(first: int) -> None:
    assert detector_after(1, 0, n_before=first).alarm == (first + 1, 1)  # found in one window
    assert detector_after(1, 6, n_before=first).alarm == (first + 1, 1)
    assert detector_after(1, 7, n_before=first).alarm is None


def test_an_alarm_that_took_longer_lasts_longer() -> None:
    limits, slow = AlarmLimits(LIMITS.log_level, min_js_distance=0.0), np.array([0, 0, 0, 123, 77])
    detector = DriftDetector(EVEN_PROFILE, limits)
    verdicts = [detector.update(USUAL_WINDOW).verdict for _ in range(5)]
    while detector.alarm is None:
        verdicts.append(detector.update(slow).verdict)
    number, delay = detector.alarm
    assert verdicts == ["quiet"] * (number - 1) + ["drift"]
    assert 2 <= delay <= number - 5
    for _ in range(3 * (1 + delay)):
        detector.update(USUAL_WINDOW)
        assert detector.alarm == (number, delay)
    detector.update(USUAL_WINDOW)
    assert detector.alarm is None


def test_persistent_drift_renews_the_alarm() -> None:
    detector = detector_after(1, 5)
    detector.update(SHIFTED_WINDOW)
    assert detector.alarm == (7, 1)
    for _ in range(6):
        detector.update(USUAL_WINDOW)
    assert detector.alarm == (7, 1)


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
    detector = detector_after(1, 0)
    detector.limits = AlarmLimits(LIMITS.log_level, min_js_distance=0.9)
    verdicts = [detector.update(SHIFTED_WINDOW).verdict for _ in range(7)]
    assert set(verdicts) == {"below_min_effect"}
    assert detector.alarm is None


@pytest.mark.parametrize("n_usual", [0, 3, 6, 7])
def test_a_restored_detector_equals_the_saved_one(n_usual: int) -> None:
    saved = detector_after(1, n_usual, n_before=2)
    restored = DriftDetector(EVEN_PROFILE, LIMITS)
    restored.load_state(json.loads(json.dumps(saved.get_state(), allow_nan=False)))
    assert restored.get_state() == saved.get_state()
    assert (restored.alarm, restored.n_windows, restored.first_suspect_window) == (
        saved.alarm,
        saved.n_windows,
        saved.first_suspect_window,
    )
    assert (restored.rows_by_slot, restored.suspect_counts.tolist()) == (
        saved.rows_by_slot,
        saved.suspect_counts.tolist(),
    )
    for window in [USUAL_WINDOW] * 4 + [SHIFTED_WINDOW]:
        assert restored.update(window) == saved.update(window)
        assert restored.alarm == saved.alarm


def test_a_state_of_other_bins_is_ignored() -> None:
    saved = detector_after(1, 2)
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
    for profile in (longer, ordered):
        other = DriftDetector(profile, LIMITS)
        before = other.get_state()
        other.load_state(saved.get_state())
        assert other.get_state() == before


def test_windows_are_suspect_from_half_the_threshold_on() -> None:
    detector, slow = DriftDetector(EVEN_PROFILE, LIMITS), np.array([0, 0, 0, 120, 80])
    for number in range(1, 30):
        before = detector.detector.log_level
        detector.update(slow)
        if before <= LIMITS.log_level / 2:
            assert detector.first_suspect_window == number - 1
            assert detector.suspect_counts.tolist() == slow.tolist()
            assert detector.rows_by_slot == {0: 200}
        else:
            assert (
                detector.suspect_counts.sum()
                == detector.rows_by_slot[0]
                == 200 * (number - detector.first_suspect_window)
            )
            return
    pytest.fail("the evidence never reached half the threshold")


def test_references_are_mixed_by_the_rows_of_each_slot() -> None:
    detector = DriftDetector(EVEN_PROFILE, LIMITS, warmup=WarmupPolicy(100))
    day, night = np.array([0, 0, 0, 150, 50]), np.array([0, 0, 0, 0, 100])
    detector.update(day, slot=1)
    detector.update(night, slot=2)
    detector.suspect_counts, detector.rows_by_slot = day + night, {1: 300, 2: 100}
    shares = 0.75 * day / 200 + 0.25 * night / 100
    assert detector.expected_counts == pytest.approx(300 * shares)
    detector.rows_by_slot = {1: 5, 2: 0}
    assert detector.expected_counts.tolist() == day.tolist()


def test_a_slot_is_not_ready_before_it_has_enough_rows() -> None:
    detector = DriftDetector(EVEN_PROFILE, LIMITS, warmup=WarmupPolicy(400, min_windows=1))
    assert not detector.is_ready(0)
    detector.update(USUAL_WINDOW)
    assert not detector.is_ready(0)
    detector.update(USUAL_WINDOW)
    assert detector.is_ready(0)
    assert detector.references[0].counts.tolist() == (2 * USUAL_WINDOW).tolist()
    assert detector.update(SHIFTED_WINDOW).verdict == "drift"


@pytest.mark.parametrize(("windows", "streams"), [(720, 20), (30, 1), (0, 0)])
def test_the_false_issue_rate_is_divided_by_windows_statistics_and_types(
    windows: float, streams: int
) -> None:
    assert drift_detector.issue_false_positive_rate(windows, streams) == 0.05 / max(
        4 * windows * streams, 1
    )


def categorical_counts(missing: int, unseen: int, a: int, b: int) -> np.ndarray:
    return np.array([missing, unseen, 0, a, b])


def test_an_issue_needs_an_increase_by_a_tenth_of_the_rows() -> None:
    profile = {
        **EVEN_PROFILE,
        "bin_counts": [400, 0, 0, 1_800, 1_800],
    }  # a tenth of the reference is missing
    for missing, broken in ((1_990, False), (2_010, True)):
        window = categorical_counts(
            missing, 0, 5_000 - missing // 2, 5_000 - missing + missing // 2
        )
        assert bool(drift_detector.find_issues(window, profile, 1e-6)) == broken
    (issue,) = drift_detector.find_issues(categorical_counts(300, 0, 350, 350), profile, 1e-6)
    assert issue == drift_detector.DataQualityIssue("missing", 0.3, 0.1)
    (unseen,) = drift_detector.find_issues(categorical_counts(0, 300, 350, 350), profile, 1e-6)
    assert unseen == drift_detector.DataQualityIssue("unseen_category", 0.3, 0.0)


def test_an_issue_must_exceed_chance_and_the_error_of_the_reference() -> None:
    # Half of 12 rows are missing, and none of 4,000 were: the expected p-value.
    usual = drift.proportion_upper_bound(0, 4_000)
    bound = drift.chernoff_p_value(6, 12, usual)
    window = categorical_counts(6, 0, 3, 3)
    assert drift_detector.find_issues(window, EVEN_PROFILE, bound * 1.01)[0].issue_type == "missing"
    assert drift_detector.find_issues(window, EVEN_PROFILE, bound * 0.99) == []
    small = {
        **EVEN_PROFILE,
        "bin_counts": [0, 0, 0, 15, 15],
    }  # 30 reference rows are too few
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
    (issue,) = drift_detector.find_issues(categorical_counts(0, 0, 0, 20), one_word, 1e-6)
    assert issue == drift_detector.DataQualityIssue("constant", 1.0, 0.025)


def test_numbers_below_and_above_the_range_are_out_of_range() -> None:
    profile = {"type": "numeric", "bin_counts": [0, 0, 1_000, 1_000, 0], "bin_edges": [0.0]}
    for window in ([0, 60, 20, 20, 0], [0, 0, 20, 20, 60], [0, 30, 20, 20, 30]):
        (issue,) = drift_detector.find_issues(np.array(window), profile, 1e-6)
        assert issue == drift_detector.DataQualityIssue("out_of_range", 0.6, 0.0)


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

"""Detect drift and data-quality issues of one statistic, window by window.

Drift is tested sequentially: an e-detector (`statistics.sequential`) adds up the evidence of all
windows, so that even small drift is detected after some of them, and the rate of false alarms
holds over any number of windows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fieldcraft.core.types import Array, Json
from fieldcraft.statistics import drift, reference_profile
from fieldcraft.statistics.sequential import EDetector

MIN_JS_DISTANCE = 0.04  # smallest distance worth an alert, in the most important columns
MIN_ISSUE_FRACTION_INCREASE = 0.1  # of the fraction of affected rows, over the reference rows
# Up to half the log threshold, evidence counts as noise, and the windows so far are not suspect.
# Above it, windows are counted together, and an alert reports the distance of all of them.
RESET_FRACTION = 0.5
# Significant drift below the smallest distance would raise the evidence without limit, and once it
# is over the evidence would take as long to fall again.
MAX_EXCESS_LOG_LEVEL = 3.0
# An alarm ends unless the detector repeats it within three times as many windows as it took first.
ALARM_DURATION_IN_DELAYS = 3
MAX_FALSE_ISSUES_PER_MONTH = 0.05  # expected number, of all statistics together
N_ISSUE_TYPES = 4  # missing, unseen category, out of range, constant


@dataclass(frozen=True)
class AlarmLimits:
    """Limits above which a detector raises an alarm.

    Attributes:
        log_level: log evidence of an alarm: see `sequential.alarm_threshold`.
        min_js_distance: smallest Jensen-Shannon distance worth an alert.
        issue_false_positive_rate: probability that a test for a data-quality issue finds one in a
            window without it.
        tolerance: Jensen-Shannon distance that does not count as drift.
    """

    log_level: float
    min_js_distance: float = MIN_JS_DISTANCE
    issue_false_positive_rate: float = 1e-6
    tolerance: float = drift.MAX_TOLERATED_JS_DISTANCE


@dataclass(frozen=True)
class DriftStatus:
    """The status of a detector after a window.

    Attributes:
        log_level: log evidence of drift.
        js_distance: Jensen-Shannon distance of the suspect windows from the reference.
        verdict: ``quiet``, ``below_min_effect`` (significant, but too small) or ``drift``.
    """

    log_level: float
    js_distance: float
    verdict: str


@dataclass(frozen=True)
class WarmupPolicy:
    """How much live traffic becomes the reference of a slot.

    Attributes:
        min_rows: smallest number of rows of a complete reference.
        min_windows: smallest number of windows of a complete reference.
    """

    min_rows: int
    min_windows: int = 1


@dataclass
class DriftDetector:
    """Drift detector of one statistic.

    Each slot, such as an hour of the day, has its own reference; without seasonality there is one
    slot. The evidence of all slots adds up in one e-detector.

    Attributes:
        profile: bins and reference counts: see `reference_profile.fit_reference_profile`.
        limits: limits of an alarm.
        warmup: how much live traffic becomes the reference; None to use the counts of the profile.
        suspect_counts: counts by bin of the windows that may have drifted.
        rows_by_slot: rows of these windows in each slot.
        first_suspect_window: number of the first of these windows.
        n_windows: windows so far.
        alarm: window of the active alarm, and its delay in windows; None if there is none.
    """

    profile: Json
    limits: AlarmLimits
    warmup: WarmupPolicy | None = None
    suspect_counts: Array = field(default_factory=lambda: np.zeros(0))
    rows_by_slot: dict[int, int] = field(default_factory=dict)
    first_suspect_window: int = 0
    n_windows: int = 0
    alarm: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Start without evidence."""
        self.suspect_counts = np.zeros(len(self.profile["bin_counts"]), dtype=np.int64)
        self.references: dict[int, drift.ReferenceDistribution] = {}
        self.warmup_windows: dict[int, int] = {}  # by slot
        # The weights of the detector do not depend on the counts of the reference.
        empty = self.make_reference(self.suspect_counts)
        if not self.warmup:
            self.references[0] = self.make_reference(self.profile["bin_counts"])
        self.detector = EDetector.create(empty.detector_weights)

    def make_reference(self, counts: Array) -> drift.ReferenceDistribution:
        """Build a reference distribution from counts by bin."""
        # Bins of numbers are ordered, except the first one, of missing values; categories are not.
        ordered_bins = slice(1, None) if self.profile["type"] == "numeric" else None
        return drift.ReferenceDistribution(counts, ordered_bins, self.limits.tolerance)

    @property
    def is_warming_up(self) -> bool:
        """Whether no slot has a complete reference yet."""
        return not any(map(self.is_ready, self.references))

    def is_ready(self, slot: int) -> bool:
        """Whether the reference of a slot is complete."""
        if not self.warmup:
            return True
        n_rows = self.references[slot].n_rows if slot in self.references else 0
        return (
            n_rows >= self.warmup.min_rows and self.warmup_windows[slot] >= self.warmup.min_windows
        )

    @property
    def expected_counts(self) -> Array:
        """Reference counts to compare `suspect_counts` with.

        The references of several slots are mixed in proportion to the suspect rows of each, so that
        a suspect night is not compared with an average day.
        """
        active_slots = [slot for slot, rows in self.rows_by_slot.items() if rows] or list(
            self.references
        )
        active_references = [self.references[slot] for slot in active_slots]
        if len(active_references) < 2:
            return (
                active_references[0].counts
                if active_references
                else np.zeros_like(self.suspect_counts)
            )
        slot_weights = np.array(
            [max(self.rows_by_slot.get(slot, 0), 1) for slot in active_slots], dtype=np.float64
        )
        slot_probabilities = np.array([reference.probabilities for reference in active_references])
        mixture: Array = (
            slot_weights
            / slot_weights.sum()
            @ slot_probabilities
            * sum(reference.n_rows for reference in active_references)
        )
        return mixture

    def update(self, window: Array, slot: int = 0) -> DriftStatus:
        """Update the detector with the counts of a window."""
        self.n_windows += 1
        if not self.is_ready(slot):
            previous_counts = self.references[slot].counts if slot in self.references else 0
            self.references[slot] = self.make_reference(previous_counts + window)
            self.warmup_windows[slot] = self.warmup_windows.get(slot, 0) + 1
            return DriftStatus(0.0, 0.0, "quiet")
        if self.detector.log_level <= RESET_FRACTION * self.limits.log_level:
            self.suspect_counts, self.rows_by_slot = np.zeros_like(self.suspect_counts), {}
            self.first_suspect_window = self.n_windows - 1
        # The cap comes after the update, so the returned level shows the evidence in full.
        log_level = self.detector.update(self.references[slot].log_e_values(window))
        self.detector.log_sums = np.minimum(
            self.detector.log_sums, self.limits.log_level + MAX_EXCESS_LOG_LEVEL
        )
        self.suspect_counts = self.suspect_counts + window
        self.rows_by_slot[slot] = self.rows_by_slot.get(slot, 0) + int(window.sum())
        js_distance = drift.debiased_js_distance(self.suspect_counts, self.expected_counts)
        if log_level < self.limits.log_level:
            self.clear_stale_alarm()
            return DriftStatus(log_level, js_distance, "quiet")
        if js_distance < self.limits.min_js_distance:
            self.clear_stale_alarm()
            return DriftStatus(log_level, js_distance, "below_min_effect")
        # The evidence starts anew: the alarm lasts only as long as new evidence confirms it.
        self.alarm = (self.n_windows, self.n_windows - self.first_suspect_window)
        self.detector = EDetector.create(self.detector.weights)
        return DriftStatus(log_level, js_distance, "drift")

    def clear_stale_alarm(self) -> None:
        """End an alarm that the detector would have repeated by now."""
        if self.alarm and self.n_windows - self.alarm[0] > ALARM_DURATION_IN_DELAYS * (
            1 + self.alarm[1]
        ):
            self.alarm = None

    def get_state(self) -> Json:
        """Return the state to save between runs, as JSON."""
        warmup_state = {
            str(slot): {"counts": reference.counts.tolist(), "windows": self.warmup_windows[slot]}
            for slot, reference in self.references.items()
            if self.warmup
        }
        return {
            "log_e_sums": [
                # JSON has no infinity: minus infinity, before the first window, is null.
                value if np.isfinite(value) else None
                for value in self.detector.log_sums.tolist()
            ],
            "counts": self.suspect_counts.tolist(),
            "start_window": self.first_suspect_window,
            "n_windows": self.n_windows,
            "rows_by_slot": {str(slot): rows for slot, rows in self.rows_by_slot.items()},
            "alarm": list(self.alarm) if self.alarm else None,
            "warmup": warmup_state,
        }

    def load_state(self, state: Json) -> None:
        """Restore a saved state; a state with other bins, of another profile, is ignored."""
        log_sums = np.array(
            [-np.inf if value is None else value for value in state["log_e_sums"]], dtype=np.float64
        )
        if len(state["counts"]) != len(self.suspect_counts) or len(log_sums) != len(
            self.detector.log_sums
        ):
            return
        if self.warmup:
            for slot, slot_state in state["warmup"].items():
                self.references[int(slot)] = self.make_reference(np.asarray(slot_state["counts"]))
                self.warmup_windows[int(slot)] = slot_state["windows"]
        self.detector.log_sums = log_sums
        self.suspect_counts = np.asarray(state["counts"], dtype=np.int64)
        self.rows_by_slot = {int(slot): rows for slot, rows in state["rows_by_slot"].items()}
        self.first_suspect_window, self.n_windows = state["start_window"], state["n_windows"]
        self.alarm = (state["alarm"][0], state["alarm"][1]) if state["alarm"] else None


@dataclass(frozen=True)
class DataQualityIssue:
    """A data-quality issue of a column in a window.

    Attributes:
        issue_type: ``missing``, ``unparseable``, ``unseen_category``, ``out_of_range``,
            ``constant`` or ``missing_column``.
        fraction: fraction of the rows of the window that have it.
        reference_fraction: fraction of the reference rows that have it.
    """

    issue_type: str
    fraction: float
    reference_fraction: float


def find_issues(window: Array, profile: Json, false_positive_rate: float) -> list[DataQualityIssue]:
    """Find data-quality issues of a statistic in a window.

    It is an issue if the fraction of affected rows is significantly higher than in the reference
    rows, and higher by at least `MIN_ISSUE_FRACTION_INCREASE`.

    Args:
        window: counts of the window by bin.
        profile: bins and reference counts.
        false_positive_rate: probability of a false issue, per issue type.
    """
    reference = np.asarray(profile["bin_counts"])
    n_rows, n_reference_rows = int(window.sum()), int(reference.sum())
    # Bin 0 counts missing values. Unseen categories are in bin 1; numbers below and above the range
    # of the training rows are in bin 1 and in the last bin.
    if profile["type"] == "categorical":
        bins_by_type = {"missing": [0], "unseen_category": [1]}
    else:
        bins_by_type = {"missing": [0], "out_of_range": [1, len(reference) - 1]}
    issues = []
    for issue_type, bins in bins_by_type.items():
        fraction, reference_fraction = (
            window[bins].sum() / max(n_rows, 1),
            reference[bins].sum() / max(n_reference_rows, 1),
        )
        # The reference is a sample too: test against the highest fraction compatible with it.
        max_fraction = drift.proportion_upper_bound(int(reference[bins].sum()), n_reference_rows)
        is_significant = (
            drift.chernoff_p_value(int(window[bins].sum()), n_rows, max_fraction)
            <= false_positive_rate
        )
        if is_significant and fraction - reference_fraction >= MIN_ISSUE_FRACTION_INCREASE:
            issues.append(DataQualityIssue(issue_type, float(fraction), float(reference_fraction)))
    # Values that are all out of range fall into one bin too: the first issue is enough.
    return issues or find_constant_values(window[1:], reference[1:], false_positive_rate)


def find_constant_values(
    window: Array, reference: Array, false_positive_rate: float
) -> list[DataQualityIssue]:
    """Report that all values of a window fall into one bin, unless chance may explain it."""
    n_rows, largest_bin = int(window.sum()), int(window.argmax())
    n_reference_rows = int(reference.sum())
    max_fraction = drift.proportion_upper_bound(int(reference[largest_bin]), n_reference_rows)
    if (
        not n_rows
        or window[largest_bin] < n_rows
        or drift.chernoff_p_value(n_rows, n_rows, max_fraction) > false_positive_rate
    ):
        return []
    return [
        DataQualityIssue("constant", 1.0, float(reference[largest_bin] / max(n_reference_rows, 1)))
    ]


def issue_false_positive_rate(windows_per_month: float, n_statistics: int) -> float:
    """Return the false-positive rate per test that keeps false issues rare over a month.

    It is a Bonferroni correction over windows, statistics and issue types.
    """
    return MAX_FALSE_ISSUES_PER_MONTH / max(windows_per_month * n_statistics * N_ISSUE_TYPES, 1.0)


def largest_shifts(window: Array, reference: Array, profile: Json, max_bins: int = 3) -> list[Json]:
    """Return the bins whose fraction of rows changed most, largest change first."""
    fractions, reference_fractions = (
        window / max(window.sum(), 1),
        reference / max(reference.sum(), 1),
    )
    bin_labels = reference_profile.bin_names(profile)
    order = np.argsort(-np.abs(fractions - reference_fractions), kind="stable")[:max_bins]
    return [
        {
            "bin": bin_labels[bin_index],
            "fraction": float(fractions[bin_index]),
            "reference_fraction": float(reference_fractions[bin_index]),
        }
        for bin_index in order
        if fractions[bin_index] != reference_fractions[bin_index]
    ]

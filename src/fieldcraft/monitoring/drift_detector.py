"""One measure at work, window by window: has it drifted, is it broken?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fieldcraft.core.types import Array, Json
from fieldcraft.statistics import drift, reference_profile
from fieldcraft.statistics.sequential import EDetector

MIN_JS_DISTANCE = 0.04  # least distance worth an alert, in columns that matter most
MIN_BROKEN_FRACTION_INCREASE = (
    0.1  # share of rows that must change its sort for a column to be broken
)
RESET_FRACTION = (
    0.5  # of the way to an alarm, as a logarithm, from which windows are counted together
)
MAX_EXCESS_LOG_LEVEL = 3.0  # logarithm by which a detector goes above its threshold at most
ALARM_DURATION_IN_DELAYS = (
    3  # windows, and as many times the delay of the alarm, after which it is over
)
MAX_FALSE_BREAKS_PER_MONTH = 0.05  # false "broken" a month that are expected at most
N_ISSUE_TYPES = 4  # missing, unseen, out of range, all alike


@dataclass(frozen=True)
class AlarmLimits:
    """When a stream alarms.

    Attributes:
        log_level: of its detector, a logarithm: see `sequential.threshold`.
        min_js_distance: least Jensen-Shannon distance worth an alert.
        false_break_probability: with which a window without a fault may be taken for broken.
        tolerance: distance that is no drift.
    """

    log_level: float
    min_js_distance: float = MIN_JS_DISTANCE
    false_break_probability: float = 1e-6
    tolerance: float = drift.MAX_TOLERATED_JS_DISTANCE


@dataclass(frozen=True)
class DriftStatus:
    """What a stream says after a window.

    Attributes:
        log_level: of the detector, and the one from which on it alarms, as logarithms.
        js_distance: distance of all windows since the detector was half way to an alarm.
        verdict: ``quiet``, ``small`` (sure, but too small to matter) or ``drift``.
    """

    log_level: float
    js_distance: float
    verdict: str


@dataclass(frozen=True)
class WarmupPolicy:
    """How much of what is seen at work becomes the reference, in each slot.

    Attributes:
        min_rows: at least.
        min_windows: at least.
    """

    min_rows: int
    min_windows: int = 1


@dataclass
class DriftDetector:
    """The drift of one measure.

    A reference belongs to a slot, such as an hour of the day; where days do not matter there is
    one. The windows of all slots add up in one detector.

    Attributes:
        profile: its bins and reference counts: see `profile.learned`.
        limits: when it alarms.
        warmup: windows at work that become the reference of their slot, where there is none before.
        suspect_counts: of the windows since `begun`, which are those that may have drifted.
        rows_by_slot: rows of them in each slot.
        first_suspect_window: the number of the first of them.
        n_windows: windows so far.
        alarm: number of the window of the last alarm that still stands, and its delay.
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
        """Start with nothing seen."""
        self.suspect_counts = np.zeros(len(self.profile["counts"]), dtype=np.int64)
        self.references: dict[int, drift.ReferenceDistribution] = {}
        self.warmup_windows: dict[int, int] = {}  # that a slot's reference was gathered from
        empty = self.make_reference(self.suspect_counts)
        if not self.warmup:
            self.references[0] = self.make_reference(self.profile["counts"])
        self.detector = EDetector.create(empty.detector_weights)

    def make_reference(self, counts: Array) -> drift.ReferenceDistribution:
        """Counts of rows as something to compare with."""
        ordered_bins = slice(1, None) if self.profile["form"] == "number" else None
        return drift.ReferenceDistribution(counts, ordered_bins, self.limits.tolerance)

    @property
    def is_warming_up(self) -> bool:
        """Whether no slot has a reference yet."""
        return not any(map(self.is_ready, self.references))

    def is_ready(self, slot: int) -> bool:
        """Whether there is enough to compare windows of a slot with."""
        if not self.warmup:
            return True
        n_rows = self.references[slot].n_rows if slot in self.references else 0
        return (
            n_rows >= self.warmup.min_rows and self.warmup_windows[slot] >= self.warmup.min_windows
        )

    @property
    def expected_counts(self) -> Array:
        """Reference counts for `counts`: of each slot in proportion to the rows seen of it."""
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
        """Take in the counts of a window."""
        self.n_windows += 1
        if not self.is_ready(slot):
            previous_counts = self.references[slot].counts if slot in self.references else 0
            self.references[slot] = self.make_reference(previous_counts + window)
            self.warmup_windows[slot] = self.warmup_windows.get(slot, 0) + 1
            return DriftStatus(0.0, 0.0, "quiet")
        if self.detector.log_level <= RESET_FRACTION * self.limits.log_level:
            self.suspect_counts, self.rows_by_slot = np.zeros_like(self.suspect_counts), {}
            self.first_suspect_window = self.n_windows - 1
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
            return DriftStatus(log_level, js_distance, "small")
        self.alarm = (self.n_windows, self.n_windows - self.first_suspect_window)
        self.detector = EDetector.create(self.detector.weights)
        return DriftStatus(log_level, js_distance, "drift")

    def clear_stale_alarm(self) -> None:
        """An alarm is over once the detector would have found it again, and did not."""
        if self.alarm and self.n_windows - self.alarm[0] > ALARM_DURATION_IN_DELAYS * (
            1 + self.alarm[1]
        ):
            self.alarm = None

    def state(self) -> Json:
        """What is to be kept between runs."""
        warmup_state = {
            str(slot): {"counts": reference.counts.tolist(), "windows": self.warmup_windows[slot]}
            for slot, reference in self.references.items()
            if self.warmup
        }
        return {
            "sums": [value if np.isfinite(value) else None for value in self.detector.log_sums.tolist()],
            "counts": self.suspect_counts.tolist(), "begun": self.first_suspect_window, "seen": self.n_windows,
            "passed": {str(slot): rows for slot, rows in self.rows_by_slot.items()},
            "alarmed": list(self.alarm) if self.alarm else None, "gathered": warmup_state,
        }  # fmt: skip

    def restore(self, state: Json) -> None:
        """Go on from what was kept; one of another form is left alone."""
        log_sums = np.array(
            [-np.inf if value is None else value for value in state["sums"]], dtype=np.float64
        )
        if len(state["counts"]) != len(self.suspect_counts) or len(log_sums) != len(
            self.detector.log_sums
        ):
            return
        if self.warmup:
            for slot, slot_state in state["gathered"].items():
                self.references[int(slot)] = self.make_reference(np.asarray(slot_state["counts"]))
                self.warmup_windows[int(slot)] = slot_state["windows"]
        self.detector.log_sums = log_sums
        self.suspect_counts = np.asarray(state["counts"], dtype=np.int64)
        self.rows_by_slot = {int(slot): rows for slot, rows in state["passed"].items()}
        self.first_suspect_window, self.n_windows = state["begun"], state["seen"]
        self.alarm = (state["alarmed"][0], state["alarmed"][1]) if state["alarmed"] else None


@dataclass(frozen=True)
class DataQualityIssue:
    """What is broken about a column in a window.

    Attributes:
        issue_type: ``missing``, ``unseen``, ``outside``, ``alike`` or ``unread``.
        fraction: of the rows of the window.
        reference_fraction: share of the reference rows.
    """

    issue_type: str
    fraction: float
    reference_fraction: float


def find_issues(
    window: Array, profile_json: Json, false_positive_rate: float
) -> list[DataQualityIssue]:
    """What is broken about a measure in a window: far more of a sort than there ever was.

    Args:
        window: its counts.
        profile_json: its bins and reference counts.
        false_positive_rate: with which a window without a fault may be called broken, by sort.
    """
    reference = np.asarray(profile_json["counts"])
    n_rows, n_reference_rows = int(window.sum()), int(reference.sum())
    unseen_bins = [1] if profile_json["form"] == "word" else [1, len(reference) - 1]
    bins_by_type = {
        "missing": [0],
        "unseen" if profile_json["form"] == "word" else "outside": unseen_bins,
    }
    issues = []
    for issue_type, bins in bins_by_type.items():
        fraction, reference_fraction = (
            window[bins].sum() / max(n_rows, 1),
            reference[bins].sum() / max(n_reference_rows, 1),
        )
        max_fraction = drift.proportion_upper_bound(int(reference[bins].sum()), n_reference_rows)
        is_significant = (
            drift.chernoff_p_value(int(window[bins].sum()), n_rows, max_fraction)
            <= false_positive_rate
        )
        if is_significant and fraction - reference_fraction >= MIN_BROKEN_FRACTION_INCREASE:
            issues.append(DataQualityIssue(issue_type, float(fraction), float(reference_fraction)))
    return issues or find_constant_values(window[1:], reference[1:], false_positive_rate)


def find_constant_values(
    window: Array, reference: Array, false_positive_rate: float
) -> list[DataQualityIssue]:
    """Whether all values of a window are in one bin where they never would be."""
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
        DataQualityIssue("alike", 1.0, float(reference[largest_bin] / max(n_reference_rows, 1)))
    ]


def false_break_probability(windows_per_month: float, n_streams: int) -> float:
    """The chance with which a window may be taken for broken so that few are in a month."""
    return MAX_FALSE_BREAKS_PER_MONTH / max(windows_per_month * n_streams * N_ISSUE_TYPES, 1.0)


def largest_shifts(
    window: Array, reference: Array, profile_json: Json, max_bins: int = 3
) -> list[Json]:
    """The bins whose share changed most, with both shares."""
    fractions, reference_fractions = (
        window / max(window.sum(), 1),
        reference / max(reference.sum(), 1),
    )
    bin_labels = reference_profile.bin_names(profile_json)
    order = np.argsort(-np.abs(fractions - reference_fractions), kind="stable")[:max_bins]
    return [
        {
            "bin": bin_labels[bin_index],
            "share": float(fractions[bin_index]),
            "usual": float(reference_fractions[bin_index]),
        }
        for bin_index in order
        if fractions[bin_index] != reference_fractions[bin_index]
    ]

"""Monitor a deployed model: data-quality issues and drift, window by window.

Each statistic of each column, and of the predictions, has a drift detector. The rate of false
alarms is set for all detectors together, so it does not depend on the number of columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from fieldcraft.bundle.runtime import Bundle
from fieldcraft.core import catalog
from fieldcraft.core.formatting import format_number
from fieldcraft.core.types import Array, Json
from fieldcraft.data.schema import load_kind
from fieldcraft.monitoring import drift_detector
from fieldcraft.monitoring.drift_detector import (
    MIN_ISSUE_FRACTION_INCREASE,
    AlarmLimits,
    DataQualityIssue,
    DriftDetector,
    WarmupPolicy,
)
from fieldcraft.monitoring.seasonality import SLOT_WARMUP, SeasonTracker
from fieldcraft.monitoring.windows import MonitoringWindow
from fieldcraft.project.settings import MonitorSettings
from fieldcraft.statistics import drift, reference_profile
from fieldcraft.statistics.performance import expected_accuracy
from fieldcraft.statistics.sequential import HOURS_PER_MONTH, alarm_threshold

MAX_HISTORY_WINDOWS = 400  # windows kept for the report
PREDICTION_COLUMN = ""  # stands for the predictions; no column has this name
RECENT_WINDOWS = 24  # windows over which the expected accuracy is averaged
SECONDS_PER_HOUR = 3600.0
# Windows shorter than a week have few different dates and weekdays, as they should, but tests of
# drift and of constant values would report every window.
SECONDS_PER_WEEK = 168 * SECONDS_PER_HOUR
# Each reference row of an ensemble was predicted by the model of one fold, but each live row is
# predicted by all of them, with less extreme probabilities. So live traffic becomes the reference
# of predictions (docs/log.md).
PREDICTION_WARMUP = WarmupPolicy(2_000)
ISSUE_DESCRIPTIONS = {
    "missing": "missing",
    "unparseable": "unparseable",
    "unseen_category": "unseen categories",
    "out_of_range": "out of range",
    "constant": "constant",
    "missing_column": "column missing",
}


@dataclass(frozen=True)
class MonitoredStatistic:
    """A statistic of a column or of the predictions, with its drift detector.

    Attributes:
        column: name of the column; `PREDICTION_COLUMN` for the predictions.
        name: name of the statistic.
        detector: drift detector.
        seasonality: ``day`` or ``week`` if windows are compared with earlier ones of the same time.
    """

    column: str
    name: str
    detector: DriftDetector
    seasonality: str = ""

    @property
    def values_key(self) -> str:
        """Key of the values in a window."""
        return f"{self.column}|{self.name}"

    @property
    def key(self) -> str:
        """Key of the detector; with seasonality a statistic has two."""
        return f"{self.values_key}|{self.seasonality}" if self.seasonality else self.values_key

    @property
    def title(self) -> str:
        """Name shown to users."""
        label = self.column if self.name == "value" else f"{self.column} ({self.name})"
        label = self.name if self.column == PREDICTION_COLUMN else label
        return f"{label}, same time of the {self.seasonality}" if self.seasonality else label


class DriftMonitor:
    """Processes the windows of a deployed model one after another."""

    def __init__(self, bundle: Bundle, settings: MonitorSettings) -> None:
        """Create the detectors, before any window."""
        self.bundle, self.settings = bundle, settings
        self.season = (
            SeasonTracker(settings.seasonality, settings.window or 0.0)
            if settings.seasonality
            else None
        )
        windows_per_month = (
            HOURS_PER_MONTH * SECONDS_PER_HOUR / settings.window
            if settings.window
            else HOURS_PER_MONTH
        )
        # With seasonality both each window and each whole season are tested.
        tests_per_month = windows_per_month + (
            HOURS_PER_MONTH * SECONDS_PER_HOUR / self.season.length_seconds if self.season else 0.0
        )
        profiled = list(iter_profiled_statistics(bundle.profile))
        importance_weights = normalize_importance(bundle.manifest.get("feature_importance", []))
        n_statistics = len(profiled)
        self.issue_false_positive_rate = drift_detector.issue_false_positive_rate(
            windows_per_month, n_statistics
        )
        is_ensemble = bundle.profile.get("n_folds", 1) > 1
        self.statistics: dict[str, MonitoredStatistic] = {}
        for column, name, statistic_profile in profiled:
            # Without feature importance, and for predictions, drift has full weight.
            has_weight = importance_weights and column != PREDICTION_COLUMN
            weight = importance_weights.get(column, 0.0) if has_weight else 1.0
            # A column of no importance needs twice the effect to raise an alert.
            limits = AlarmLimits(
                alarm_threshold(tests_per_month, n_statistics, settings.false_alarms_per_month),
                settings.min_effect_size * (2 - weight),
                self.issue_false_positive_rate,
                settings.tolerance,
            )
            warmup = PREDICTION_WARMUP if is_ensemble and column == PREDICTION_COLUMN else None
            monitored = [
                MonitoredStatistic(column, name, DriftDetector(statistic_profile, limits, warmup))
            ]
            if settings.seasonality:
                monitored.append(
                    MonitoredStatistic(
                        column,
                        name,
                        DriftDetector(statistic_profile, limits, SLOT_WARMUP),
                        settings.seasonality,
                    )
                )
            self.statistics |= {statistic.key: statistic for statistic in monitored}
        self.n_windows = 0
        self.active_alerts: dict[str, Json] = {}
        self.history: list[Json] = []

    def process_window(self, window: MonitoringWindow) -> list[Json]:
        """Process a window and return its new alerts."""
        self.n_windows += 1
        if window.n_rows < self.settings.min_rows:
            if self.season and window.start:
                self.season.add_window(window.start, None)
            self.record_window(window, {}, note="not enough rows")
            return []
        values_by_key = dict(iter_statistic_values(window, self.bundle))
        counts_by_key = {
            statistic.values_key: reference_profile.bin_counts(
                values_by_key[statistic.values_key], statistic.detector.profile
            )
            for statistic in self.statistics.values()
            if statistic.values_key in values_by_key and not statistic.seasonality
        }
        window_seconds = self.season.length_seconds if self.season else self.settings.window or 0
        datetime_columns = (
            () if window_seconds >= SECONDS_PER_WEEK else get_datetime_columns(window.values)
        )
        issues = self.find_issues(window, counts_by_key, datetime_columns)
        window_alerts = [
            self.build_issue_alert(window, column, issue) for column, issue in issues.items()
        ]
        levels = {}
        # A column with an issue would drift as well. One alert is enough, and the detector must not
        # count the broken values as evidence of drift.
        intact_counts = {
            statistic.values_key: counts_by_key[statistic.values_key]
            for statistic in self.statistics.values()
            if statistic.values_key in counts_by_key
            and statistic.column not in {*issues, *datetime_columns}
        }
        for statistic, statistic_counts, slot in self.iter_statistics(window, intact_counts):
            status = statistic.detector.update(statistic_counts, slot)
            levels[statistic.key] = [
                round(max(status.log_level, 0.0), 3),
                round(status.js_distance, 4),
            ]
            if status.verdict == "drift":
                window_alerts.append(
                    self.build_drift_alert(
                        window, statistic, status.js_distance, values_by_key[statistic.values_key]
                    )
                )
        new_alerts = [alert for alert in window_alerts if alert["id"] not in self.active_alerts]
        self.clear_inactive_alerts({alert["id"] for alert in window_alerts})
        self.active_alerts |= {alert["id"]: alert for alert in new_alerts}
        self.record_window(window, levels, issue_columns=list(issues))
        return new_alerts

    def iter_statistics(
        self, window: MonitoringWindow, counts: Mapping[str, Array]
    ) -> Iterator[tuple[MonitoredStatistic, Array, int]]:
        """Yield the statistics to test after a window, each with its counts and slot.

        With seasonality the seasonal detectors get the counts of the window, and the other
        detectors the counts of the whole season, after its last window.
        """
        season_counts, slot = counts, 0
        if self.season and window.start:
            season_counts, slot = (
                self.season.add_window(window.start, counts),
                self.season.slot_of(window.start),
            )
        for statistic in self.statistics.values():
            bin_counts = (counts if statistic.seasonality else season_counts).get(
                statistic.values_key
            )
            if bin_counts is not None:
                yield statistic, bin_counts, slot if statistic.seasonality else 0

    def find_issues(
        self,
        window: MonitoringWindow,
        counts: Mapping[str, Array],
        datetime_columns: Collection[str],
    ) -> dict[str, DataQualityIssue]:
        """Return the columns with data-quality issues in a window, with the first issue of each.

        Args:
            window: the window.
            counts: counts by bin of its statistics.
            datetime_columns: columns of dates that may be constant in a window of this length.
        """
        issues = {
            name: DataQualityIssue("missing_column", 1.0, 0.0) for name in window.missing_columns
        }
        missing_fractions = {
            statistic.column: missing_fraction(statistic.detector.profile)
            for statistic in self.statistics.values()
        }
        for name, n_unparseable in window.n_unparseable.items():
            # In the reference, unparseable cells are counted as missing values: compare with those.
            fraction = n_unparseable / window.n_rows
            reference_fraction = missing_fractions.get(name, 0.0)
            if fraction - reference_fraction >= MIN_ISSUE_FRACTION_INCREASE:
                issue = DataQualityIssue("unparseable", fraction, reference_fraction)
                issues.setdefault(name, issue)
        for key, window_counts in counts.items():
            statistic = self.statistics[key]
            for issue in drift_detector.find_issues(
                window_counts, statistic.detector.profile, self.issue_false_positive_rate
            ):
                if issue.issue_type == "missing" or statistic.column not in datetime_columns:
                    issues.setdefault(statistic.column, issue)
        return issues

    def build_issue_alert(
        self, window: MonitoringWindow, column: str, issue: DataQualityIssue
    ) -> Json:
        """Build the alert of a data-quality issue."""
        title = column or "predictions"
        description = ISSUE_DESCRIPTIONS[issue.issue_type]
        if issue.issue_type != "missing_column":
            description += (
                f" in {issue.fraction:.0%} of the rows, "
                f"{issue.reference_fraction:.1%} in the reference"
            )
        return {
            **self.alert_fields(window, "data_quality", column, issue.issue_type),
            "issue": issue.issue_type,
            "title": title,
            "message": f"{title}: {description}",
            "fraction": issue.fraction,
            "reference_fraction": issue.reference_fraction,
        }

    def build_drift_alert(
        self,
        window: MonitoringWindow,
        statistic: MonitoredStatistic,
        js_distance: float,
        values: pl.Series,
    ) -> Json:
        """Build the alert of a drifted statistic."""
        statistic_profile, counts = statistic.detector.profile, statistic.detector.suspect_counts
        # For readers, in the unit of the column. The quantiles of the profile are those of its own
        # reference rows; with a warm-up or seasonality the reference is another.
        wasserstein_distance = None
        if (
            statistic_profile["type"] == "numeric"
            and not statistic.detector.warmup
            and not self.season
        ):
            current_quantiles = reference_profile.even_quantiles(
                reference_profile.finite_values(values)
            )
            wasserstein_distance = drift.wasserstein_1d(
                current_quantiles, np.asarray(statistic_profile["quantiles"])
            )
        bins = drift_detector.largest_shifts(
            counts, statistic.detector.expected_counts, statistic_profile
        )
        most_changed_bin = (
            bins[0]
            if bins
            else {
                "bin": "-",
                "fraction": 0.0,
                "reference_fraction": 0.0,
            }
        )
        message = f"{statistic.title}: distance {js_distance:.2f}"
        if wasserstein_distance is not None:
            message += f", Wasserstein distance {format_number(wasserstein_distance)}"
        message += (
            f"; {most_changed_bin['bin']}: {most_changed_bin['reference_fraction']:.1%} in the "
            f"reference, {most_changed_bin['fraction']:.1%} now"
        )
        return {
            **self.alert_fields(window, "drift", statistic.column, statistic.name),
            # By key, because the seasonal detector of a statistic has its own alerts.
            "id": f"drift|{statistic.key}",
            "statistic": statistic.name,
            "title": statistic.title,
            "message": message,
            "seasonality": statistic.seasonality or None,
            "effect_size": js_distance,
            "wasserstein_distance": wasserstein_distance,
            "bins": bins,
            "n_windows": statistic.detector.alarm[1] if statistic.detector.alarm else 1,
        }

    def alert_fields(
        self, window: MonitoringWindow, alert_type: str, column: str, subject: str
    ) -> Json:
        """Return the fields that all alerts share; the subject is a statistic or an issue type."""
        return {
            "id": f"{alert_type}|{column}|{subject}",
            "type": alert_type,
            "column": column,
            "model_id": self.bundle.model_id,
            "window": self.n_windows,
            "rows": window.n_rows,
            "window_start": format_time(window.start),
            "window_end": format_time(window.end),
        }

    def clear_inactive_alerts(self, current_ids: set[str]) -> None:
        """Remove alerts that are no longer active."""
        active_ids = {
            f"drift|{statistic.key}"
            for statistic in self.statistics.values()
            if statistic.detector.alarm is not None
        }
        self.active_alerts = {
            key: alert
            for key, alert in self.active_alerts.items()
            if key in current_ids | active_ids
        }

    def record_window(
        self,
        window: MonitoringWindow,
        levels: Json,
        note: str = "",
        issue_columns: list[str] | None = None,
    ) -> None:
        """Add a window to the history, for the report."""
        self.history.append(
            {
                "window": self.n_windows,
                "rows": window.n_rows,
                "other_model_rows": window.n_other_model_rows,
                "note": note,
                "window_start": format_time(window.start),
                "window_end": format_time(window.end),
                "levels": levels,
                "data_quality_issues": issue_columns or [],
                # The estimate holds for the reference distribution only: see `expected_accuracy`.
                "expected_accuracy": expected_accuracy(window.outputs)
                if levels and not self.active_alerts
                else None,
            }
        )
        self.history = self.history[-MAX_HISTORY_WINDOWS:]

    def latest_levels(self) -> dict[str, tuple[float, float]]:
        """Return log evidence and distance of each statistic in its latest window."""
        levels_by_key: dict[str, tuple[float, float]] = {}
        for item in self.history:
            levels_by_key |= {
                key: (level, effect) for key, (level, effect) in item["levels"].items()
            }
        return levels_by_key

    def expected_accuracy(self) -> float | None:
        """Return the mean expected accuracy of recent windows; None if there are active alerts."""
        if self.active_alerts:
            return None
        accuracies = [
            item["expected_accuracy"]
            for item in self.history[-RECENT_WINDOWS:]
            if item["expected_accuracy"] is not None
        ]
        return float(np.mean(accuracies)) if accuracies else None

    def get_state(self) -> Json:
        """Return the state to save between runs, as JSON."""
        return {
            "windows": self.n_windows,
            "alerts": self.active_alerts,
            "history": self.history,
            "season": self.season.get_state() if self.season else None,
            "detectors": {
                key: statistic.detector.get_state() for key, statistic in self.statistics.items()
            },
        }

    def load_state(self, state: Json) -> None:
        """Restore a saved state; without the seasonal part if the windows have another size."""
        self.n_windows, self.active_alerts = state["windows"], state["alerts"]
        self.history = state["history"]
        season = state["season"]
        # Slots of another window size are other times of the day: their references start anew.
        has_same_windows = bool(
            self.season and season and season["window_seconds"] == self.season.window_seconds
        )
        if self.season and has_same_windows:
            self.season.load_state(season)
        for key, detector_state in state["detectors"].items():
            if key in self.statistics and (
                has_same_windows or not self.statistics[key].seasonality
            ):
                self.statistics[key].detector.load_state(detector_state)


def iter_profiled_statistics(bundle_profile: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield column, name and profile of each statistic of a bundle, predictions first."""
    probability_names = [
        name for name in bundle_profile["predictions"] if name.startswith("probability_")
    ]
    # With two classes one probability determines the other, and a second test would cost power.
    redundant_name = probability_names[0] if len(probability_names) == 2 else ""
    for name, statistic_profile in bundle_profile["predictions"].items():
        if name != redundant_name:
            yield PREDICTION_COLUMN, name, statistic_profile
    for column, column_statistics in bundle_profile["columns"].items():
        for name, statistic_profile in column_statistics.items():
            if statistic_profile["type"] != "temporal":  # dates move on, which is no drift
                yield column, name, statistic_profile


def iter_statistic_values(
    window: MonitoringWindow, bundle: Bundle
) -> Iterator[tuple[str, pl.Series]]:
    """Yield the values of each statistic of a window by its key."""
    if "prediction" in window.outputs.columns:
        for name, values in reference_profile.prediction_measures(window.outputs).items():
            yield f"{PREDICTION_COLUMN}|{name}", values
    kind_by_column = {column.name: column.kind for column in bundle.schema.columns}
    # Paths in the log come from clients: opening them would let clients read this machine's files.
    is_from_log = window.start is not None
    for name in window.values.columns:
        if name in kind_by_column and not (
            is_from_log and load_kind(kind_by_column[name]).storage == "files"
        ):
            kind = catalog.load_plugin("kinds", kind_by_column[name])
            for statistic, values in kind.drift_statistics(window.values[name]).items():
                yield f"{name}|{statistic}", values


def missing_fraction(statistic_profile: Json) -> float:
    """Return the fraction of reference rows without a value."""
    return float(statistic_profile["bin_counts"][0] / max(sum(statistic_profile["bin_counts"]), 1))


def get_datetime_columns(values: pl.DataFrame) -> list[str]:
    """Return the columns of dates and times."""
    return [name for name, dtype in values.schema.items() if dtype.is_temporal()]


def normalize_importance(importance: list[Json]) -> dict[str, float]:
    """Return importance relative to the most important column; {} if no column has any."""
    max_importance = max((item["value"] or 0.0 for item in importance), default=0.0)
    if max_importance <= 0:
        return {}
    return {item["column"]: max(item["value"] or 0.0, 0.0) / max_importance for item in importance}


def format_time(time: datetime | None) -> str | None:
    """Format a time in ISO 8601, with seconds."""
    return None if time is None else time.isoformat(timespec="seconds")

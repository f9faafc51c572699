"""Watch a model at work: look at window after window, and tell what is broken or has drifted."""

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
    MIN_BROKEN_FRACTION_INCREASE,
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

MAX_HISTORY_WINDOWS = 400  # windows whose figures are kept
PREDICTION_COLUMN = ""  # the column of what the model says
RECENT_WINDOWS = 24  # windows whose promise of right decisions is told
SECONDS_PER_HOUR = 3600.0
SECONDS_PER_WEEK = (
    168 * SECONDS_PER_HOUR
)  # length of windows from which on weekdays and hours can be compared
PREDICTION_WARMUP = WarmupPolicy(
    2_000
)  # with which predictions are compared, if there is nothing else
ISSUE_DESCRIPTIONS = {
    "missing": "missing",
    "unread": "cells that cannot be read",
    "unseen": "words that training did not show",
    "outside": "numbers beyond those of training",
    "alike": "one and the same value or range",
    "absent": "not there at all",
}


@dataclass(frozen=True)
class MonitoredStatistic:
    """One measure of a column, or of predictions, and its stream.

    Attributes:
        column: whose; "" for predictions.
        name: of the measure.
        detector: its drift.
        seasonality: ``day`` or ``week`` if windows are compared with earlier ones of the same time.
    """

    column: str
    name: str
    detector: DriftDetector
    seasonality: str = ""

    @property
    def values_key(self) -> str:
        """The key of its values in a window."""
        return f"{self.column}|{self.name}"

    @property
    def key(self) -> str:
        """What it is kept under."""
        return f"{self.values_key}|{self.seasonality}" if self.seasonality else self.values_key

    @property
    def title(self) -> str:
        """How it is called where people read."""
        label = self.column if self.name == "value" else f"{self.column} ({self.name})"
        label = self.name if self.column == PREDICTION_COLUMN else label
        return f"{label}, same time of the {self.seasonality}" if self.seasonality else label


class DriftMonitor:
    """Looks at the windows of one bundle, one after the other."""

    def __init__(self, bundle: Bundle, settings: MonitorSettings) -> None:
        """Start with nothing seen."""
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
        looks_per_month = windows_per_month + (
            HOURS_PER_MONTH * SECONDS_PER_HOUR / self.season.length_seconds if self.season else 0.0
        )
        profiled = list(iter_profiled_statistics(bundle.profile))
        importance_weights = normalize_importance(bundle.manifest.get("importance", []))
        n_statistics = len(profiled)
        self.false_break_probability = drift_detector.false_break_probability(
            windows_per_month, n_statistics
        )
        is_ensemble = bundle.profile.get("members", 1) > 1  # none of them says what all do together
        self.statistics: dict[str, MonitoredStatistic] = {}
        for column, name, statistic_profile in profiled:
            weight = (
                1.0
                if column == PREDICTION_COLUMN
                else importance_weights.get(column, 0.0)
                if importance_weights
                else 1.0
            )
            limits = AlarmLimits(
                alarm_threshold(looks_per_month, n_statistics, settings.false_alarms_per_month), settings.min_effect_size * (2 - weight),
                self.false_break_probability, settings.tolerance,
            )  # fmt: skip
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
        self.active_alerts: dict[str, Json] = {}  # those that stand
        self.history: list[Json] = []

    def process_window(self, window: MonitoringWindow) -> list[Json]:
        """Look at a window; the alerts that are new with it."""
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
        """The measures that are looked at with a window, each with counts and their slot."""
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
        """The columns that are broken in a window, each with the first thing that is.

        Args:
            window: the window.
            counts: of its measures.
            datetime_columns: columns of moments: of a short window they are alike, as they should be.
        """
        issues = {name: DataQualityIssue("absent", 1.0, 0.0) for name in window.missing_columns}
        missing_fractions = {
            statistic.column: missing_fraction(statistic.detector.profile)
            for statistic in self.statistics.values()
        }
        for name, n_unparseable in window.n_unparseable.items():
            fraction, reference_fraction = (
                n_unparseable / window.n_rows,
                missing_fractions.get(name, 0.0),
            )  # unread is missing too
            if fraction - reference_fraction >= MIN_BROKEN_FRACTION_INCREASE:
                issues.setdefault(name, DataQualityIssue("unread", fraction, reference_fraction))
        for key, window_counts in counts.items():
            statistic = self.statistics[key]
            for issue in drift_detector.find_issues(
                window_counts, statistic.detector.profile, self.false_break_probability
            ):
                if issue.issue_type == "missing" or statistic.column not in datetime_columns:
                    issues.setdefault(statistic.column, issue)
        return issues

    def build_issue_alert(
        self, window: MonitoringWindow, column: str, issue: DataQualityIssue
    ) -> Json:
        """The alert of a broken column."""
        title = column or "predictions"
        text = f"{issue.fraction:.0%} of the rows are {ISSUE_DESCRIPTIONS[issue.issue_type]}, {issue.reference_fraction:.1%} before"
        return {
            **self.alert_fields(window, "broken", column, issue.issue_type), "title": title,
            "text": f"{title}: {ISSUE_DESCRIPTIONS['absent'] if issue.issue_type == 'absent' else text}",
            "share": issue.fraction, "usual": issue.reference_fraction,
        }  # fmt: skip

    def build_drift_alert(
        self,
        window: MonitoringWindow,
        statistic: MonitoredStatistic,
        js_distance: float,
        values: pl.Series,
    ) -> Json:
        """The alert of a drift."""
        statistic_profile, counts = statistic.detector.profile, statistic.detector.suspect_counts
        wasserstein_distance = None
        if (
            statistic_profile["form"] == "number"
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
        most_changed_bin = bins[0] if bins else {"bin": "-", "share": 0.0, "usual": 0.0}
        text = f"{statistic.title}: distance {js_distance:.2f}"
        text += (
            f", moved by {format_number(wasserstein_distance)}"
            if wasserstein_distance is not None
            else ""
        )
        text += f"; {most_changed_bin['bin']}: {most_changed_bin['usual']:.1%} before, {most_changed_bin['share']:.1%} now"
        return {
            **self.alert_fields(window, "drift", statistic.column, statistic.name), "id": f"drift|{statistic.key}",
            "title": statistic.title, "text": text, "season": statistic.seasonality or None,
            "effect": js_distance, "moved": wasserstein_distance, "bins": bins,
            "windows": statistic.detector.alarm[1] if statistic.detector.alarm else 1,
        }  # fmt: skip

    def alert_fields(
        self, window: MonitoringWindow, alert_type: str, column: str, what: str
    ) -> Json:
        """What all alerts say."""
        return {
            "id": f"{alert_type}|{column}|{what}", "kind": alert_type, "column": column, "what": what,
            "model": self.bundle.model_id, "window": self.n_windows, "rows": window.n_rows,
            "first": format_time(window.start), "last": format_time(window.end),
        }  # fmt: skip

    def clear_inactive_alerts(self, current_ids: set[str]) -> None:
        """Forget alerts that no longer stand."""
        active_ids = {
            f"drift|{statistic.key}"
            for statistic in self.statistics.values()
            if statistic.detector.alarm is not None
        }
        self.active_alerts = {
            key: statistic
            for key, statistic in self.active_alerts.items()
            if key in current_ids | active_ids
        }

    def record_window(
        self,
        window: MonitoringWindow,
        levels: Json,
        note: str = "",
        issue_columns: list[str] | None = None,
    ) -> None:
        """Keep the figures of a window for the report."""
        self.history.append(
            {
                "window": self.n_windows, "rows": window.n_rows, "others": window.n_other_model_rows, "note": note,
                "first": format_time(window.start), "last": format_time(window.end),
                "levels": levels, "faults": issue_columns or [],
                "expected": expected_accuracy(window.outputs) if levels and not self.active_alerts else None,
            }
        )  # fmt: skip
        self.history = self.history[-MAX_HISTORY_WINDOWS:]

    def latest_levels(self) -> dict[str, tuple[float, float]]:
        """Evidence and distance of each measure in the last window in which it was looked at."""
        levels_by_key: dict[str, tuple[float, float]] = {}
        for item in self.history:
            levels_by_key |= {
                key: (level, effect) for key, (level, effect) in item["levels"].items()
            }
        return levels_by_key

    def expected_accuracy(self) -> float | None:
        """The share of right decisions that the last windows promise; None if anything stands."""
        if self.active_alerts:
            return None
        promises = [
            item["expected"]
            for item in self.history[-RECENT_WINDOWS:]
            if item["expected"] is not None
        ]
        return float(np.mean(promises)) if promises else None

    def get_state(self) -> Json:
        """What is to be kept between runs."""
        return {
            "windows": self.n_windows, "alerts": self.active_alerts, "history": self.history,
            "season": self.season.get_state() if self.season else None,
            "streams": {key: statistic.detector.state() for key, statistic in self.statistics.items()},
        }  # fmt: skip

    def load_state(self, state: Json) -> None:
        """Go on from what was kept; hours that are cut otherwise begin anew."""
        self.n_windows, self.active_alerts = state["windows"], state["alerts"]
        self.history = state["history"]
        season = state["season"]
        has_same_windows = bool(
            self.season and season and season["every"] == self.season.window_seconds
        )
        if self.season and has_same_windows:
            self.season.load_state(season)
        for key, detector_state in state["streams"].items():
            if key in self.statistics and (
                has_same_windows or not self.statistics[key].seasonality
            ):
                self.statistics[key].detector.restore(detector_state)


def iter_profiled_statistics(bundle_profile: Json) -> Iterator[tuple[str, str, Json]]:
    """Column, name and bins of each measure of a profile; predictions first."""
    probability_names = [
        name for name in bundle_profile["predictions"] if name.startswith("probability_")
    ]
    redundant_name = (
        probability_names[0] if len(probability_names) == 2 else ""
    )  # that of one class says that of the other
    for name, statistic_profile in bundle_profile["predictions"].items():
        if name != redundant_name:
            yield PREDICTION_COLUMN, name, statistic_profile
    for column, column_statistics in bundle_profile["columns"].items():
        for name, statistic_profile in column_statistics.items():
            if statistic_profile["form"] != "time":  # which goes on
                yield column, name, statistic_profile


def iter_statistic_values(
    window: MonitoringWindow, bundle: Bundle
) -> Iterator[tuple[str, pl.Series]]:
    """The measures of a window's rows, by their key; files that a log names are not opened."""
    if "prediction" in window.outputs.columns:
        for name, values in reference_profile.prediction_measures(window.outputs).items():
            yield f"{PREDICTION_COLUMN}|{name}", values
    kind_by_column = {column.name: column.kind for column in bundle.schema.columns}
    is_from_log = window.start is not None
    for name in window.values.columns:
        if name in kind_by_column and not (
            is_from_log and load_kind(kind_by_column[name]).storage == "files"
        ):
            kind = catalog.load_plugin("kinds", kind_by_column[name])
            for statistic, values in kind.drift_statistics(window.values[name]).items():
                yield f"{name}|{statistic}", values


def missing_fraction(statistic_profile: Json) -> float:
    """The share of reference rows without a value."""
    return float(statistic_profile["counts"][0] / max(sum(statistic_profile["counts"]), 1))


def get_datetime_columns(values: pl.DataFrame) -> list[str]:
    """The columns of moments."""
    return [name for name, dtype in values.schema.items() if dtype.is_temporal()]


def normalize_importance(importance: list[Json]) -> dict[str, float]:
    """How much each column matters, 1 for the one that matters most."""
    max_importance = max((item["value"] or 0.0 for item in importance), default=0.0)
    if max_importance <= 0:
        return {}
    return {item["column"]: max(item["value"] or 0.0, 0.0) / max_importance for item in importance}


def format_time(time: datetime | None) -> str | None:
    """A moment as text, to the second."""
    return None if time is None else time.isoformat(timespec="seconds")

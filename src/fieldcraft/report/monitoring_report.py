"""The monitoring report: active alerts, drift of predictions and columns, performance, server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl
from markupsafe import Markup

from fieldcraft.core import files
from fieldcraft.core.types import Array, Json
from fieldcraft.monitoring.monitor import DriftMonitor, MonitoredStatistic
from fieldcraft.report.charts import (
    CHART_WIDTH_PX,
    GRID_COLOR,
    MAIN_COLOR,
    MUTED_COLOR,
    SECOND_COLOR,
    render_svg,
)
from fieldcraft.report.render import render_template
from fieldcraft.statistics import reference_profile

MAX_TIMELINE_SERIES = 4
MAX_BINS_SHOWN = 25
MAX_HISTOGRAMS = 6
MAX_WINDOWS_SHOWN = 25
MAX_BIN_LABEL_CHARS = 28


def write_monitoring_report(path: Path, monitor: DriftMonitor, result: Json) -> None:
    """Write the report, atomically."""
    files.atomic_write_text(path, render_monitoring_report(monitor, result))


def render_monitoring_report(monitor: DriftMonitor, result: Json) -> str:
    """The report as HTML text."""
    alert_columns = {alert["column"] for alert in result["active_alerts"]}
    rows = summarize_statistics(monitor)
    return render_template(
        "monitoring.html.j2",
        manifest=monitor.bundle.manifest,
        result=result,
        headline=summarize_alerts(result),
        alerts=sorted(
            result["active_alerts"],
            key=lambda alert: (alert["type"] != "data_quality", bool(alert["column"])),
        ),
        predictions=[row for row in rows if not row["column"]],
        columns=[row for row in rows if row["column"]],
        alarm_threshold=get_alarm_threshold(monitor),
        windows=monitor.history[::-1][:MAX_WINDOWS_SHOWN],
        n_windows=monitor.n_windows,
        n_rows=sum(item["rows"] for item in monitor.history),
        timeline=plot_evidence_timeline(monitor),
        histograms=plot_histograms(monitor, alert_columns),
        performance=result.get("performance"),
        settings=monitor.settings,
    )


def summarize_alerts(result: Json) -> str:
    """The number of active alerts, in a sentence."""
    if not result["active_alerts"]:
        return "Quiet: no data-quality or drift alerts."
    n_data_quality = sum(alert["type"] == "data_quality" for alert in result["active_alerts"])
    n_drift = len(result["active_alerts"]) - n_data_quality
    counts = ((n_data_quality, "data-quality"), (n_drift, "drift"))
    return f"Alerts: {', '.join(f'{count} {name}' for count, name in counts if count)}."


def get_alarm_threshold(monitor: DriftMonitor) -> float:
    """The log evidence at which a detector raises an alarm; the same for all detectors."""
    return next(
        (statistic.detector.limits.log_level for statistic in monitor.statistics.values()), 0.0
    )


def summarize_statistics(monitor: DriftMonitor) -> list[Json]:
    """The state of each statistic, those with the most evidence of drift first."""
    latest = monitor.latest_levels()
    summaries = []
    for key, statistic in monitor.statistics.items():
        level, effect_size = latest.get(key, (None, None))
        detector = statistic.detector
        summaries.append(
            {
                "title": statistic.title, "column": statistic.column,
                "level": level, "effect_size": effect_size,
                "min_effect_size": detector.limits.min_js_distance,
                "is_alarmed": detector.alarm is not None, "is_gathering": detector.is_warming_up,
            }
        )  # fmt: skip
    return sorted(summaries, key=lambda row: (not row["is_alarmed"], -(row["level"] or 0.0)))


def plot_evidence_timeline(monitor: DriftMonitor) -> Markup | None:
    """Log evidence over the windows for the highest statistics, with the alert threshold."""
    # By the highest level rather than the last one, as the evidence starts over after an alarm.
    max_levels: dict[str, float] = {}
    for item in monitor.history:
        for key, (level, _) in item["levels"].items():
            max_levels[key] = max(max_levels.get(key, 0.0), level)
    series = sorted(max_levels, key=lambda key: -max_levels[key])[:MAX_TIMELINE_SERIES]
    if not series or len(monitor.history) < 2:
        return None
    names = {key: monitor.statistics[key].title for key in series if key in monitor.statistics}
    rows = [
        {"window": item["window"], "level": item["levels"][key][0], "statistic": name}
        for item in monitor.history
        for key, name in names.items()
        if key in item["levels"]
    ]
    y_max = max(get_alarm_threshold(monitor) * 1.15, *max_levels.values())
    y = alt.Y("level:Q", title="log evidence", scale=alt.Scale(domain=[0, y_max]))
    x = alt.X("window:Q", title="window", axis=alt.Axis(tickMinStep=1, format="d"))
    colors = [MAIN_COLOR, SECOND_COLOR, MUTED_COLOR, GRID_COLOR][: len(names)]
    lines = (
        alt.Chart(pl.DataFrame(rows))
        .mark_line(strokeWidth=2)
        .encode(
            x=x, y=y,
            color=alt.Color(
                "statistic:N", title=None, legend=alt.Legend(orient="top", labelLimit=200),
                scale=alt.Scale(domain=list(names.values()), range=colors),
            ),
        )
    )  # fmt: skip
    alarm = alt.Chart(pl.DataFrame({"at": [get_alarm_threshold(monitor)]})).mark_rule(
        color=MUTED_COLOR, strokeDash=[4, 4]
    )
    layers = (lines + alarm.encode(y="at:Q")).properties(width=CHART_WIDTH_PX, height=200)
    return Markup(render_svg(layers))


def plot_histograms(monitor: DriftMonitor, alert_columns: set[str]) -> list[Json]:
    """Histograms of the predictions, then of the columns with alerts."""
    statistics = [
        statistic
        for statistic in monitor.statistics.values()
        if statistic.column in alert_columns | {""}
    ]
    statistics.sort(
        key=lambda statistic: (bool(statistic.column), statistic.detector.alarm is None)
    )
    return [
        {"title": statistic.title, "svg": Markup(plot_bin_fractions(statistic))}
        for statistic in statistics[:MAX_HISTOGRAMS]
        if statistic.detector.suspect_counts.sum()
    ]


def plot_bin_fractions(statistic: MonitoredStatistic) -> str:
    """The fraction of rows in each bin, current against reference."""
    bins = select_fullest_bins(
        statistic.detector.profile,
        statistic.detector.expected_counts,
        statistic.detector.suspect_counts,
    )
    rows = [
        {"bin": item["bin"], "fraction": item[name], "rows": title}
        for item in bins
        for name, title in (("reference_fraction", "reference"), ("fraction", "current"))
    ]
    order = [item["bin"] for item in bins]
    chart = (
        alt.Chart(pl.DataFrame(rows))
        .mark_bar()
        .encode(
            y=alt.Y("bin:N", sort=order, title=None),
            yOffset=alt.YOffset("rows:N", sort=["reference", "current"]),
            x=alt.X(
                "fraction:Q", title="fraction of rows", axis=alt.Axis(format=".0%", tickCount=5)
            ),
            color=alt.Color(
                "rows:N", title=None, legend=alt.Legend(orient="top"),
                scale=alt.Scale(domain=["reference", "current"], range=[MUTED_COLOR, MAIN_COLOR]),
            ),
        )
    )  # fmt: skip
    return render_svg(chart.properties(width=CHART_WIDTH_PX - 120, height=18 * len(order)))


def select_fullest_bins(bin_spec: Json, reference: Array, counts: Array) -> list[Json]:
    """The bins that are not empty, in their order; if there are very many, the fullest."""
    # max(..., 1) avoids a division by zero: a detector that has just been reset has no rows.
    fractions, reference_fractions = (rows / max(rows.sum(), 1) for rows in (counts, reference))
    filled = np.flatnonzero((fractions > 0) | (reference_fractions > 0))
    selected = np.sort(
        filled[np.argsort(-np.maximum(fractions, reference_fractions)[filled], kind="stable")][
            :MAX_BINS_SHOWN
        ]
    )
    names = reference_profile.bin_names(bin_spec)
    return [
        {"bin": shorten_bin_label(names[position], names), "fraction": float(fractions[position]),
         "reference_fraction": float(reference_fractions[position])}
        for position in selected
    ]  # fmt: skip


def shorten_bin_label(name: str, names: Sequence[str]) -> str:
    """The name of a bin; a long one is cut, and numbered so that it stays unique."""
    shortened = name[: MAX_BIN_LABEL_CHARS - 1] + "…" if len(name) > MAX_BIN_LABEL_CHARS else name
    return f"{shortened} ({names.index(name)})" if shortened != name else name

"""The page about a model at work: what stands, what its predictions and columns do, since when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl
from markupsafe import Markup

from fieldcraft.core import files
from fieldcraft.core.formatting import pluralize
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

MAX_TIMELINE_SERIES = 4  # measures in the chart over time
MAX_BINS_SHOWN = 25  # in a chart of counts
MAX_HISTOGRAMS = 6  # of counts
MAX_WINDOWS_SHOWN = 25  # in the table of windows
MAX_BIN_LABEL_CHARS = 28  # characters of a bin's name


def write_monitoring_report(path: Path, monitor: DriftMonitor, result: Json) -> None:
    """Write the page, whole or not at all."""
    files.atomic_write_text(path, render_monitoring_report(monitor, result))


def render_monitoring_report(monitor: DriftMonitor, result: Json) -> str:
    """The page as HTML text."""
    alert_columns = {alert["column"] for alert in result["stand"]}
    rows = summarize_statistics(monitor)
    return render_template(
        "watch.html.j2",
        manifest=monitor.bundle.manifest,
        result=result,
        headline=summarize_alerts(result),
        alerts=sorted(
            result["stand"], key=lambda one: (one["kind"] != "broken", bool(one["column"]))
        ),
        predictions=[row for row in rows if not row["column"]],
        columns=[row for row in rows if row["column"]],
        level=get_alarm_threshold(monitor),
        windows=monitor.history[::-1][:MAX_WINDOWS_SHOWN],
        seen=monitor.n_windows,
        looked=sum(item["rows"] for item in monitor.history),
        timeline=plot_evidence_timeline(monitor),
        counted=plot_histograms(monitor, alert_columns),
        performance=result.get("performance"),
        wishes=monitor.settings,
    )


def summarize_alerts(result: Json) -> str:
    """How it stands, in a sentence."""
    n_broken = sum(alert["kind"] == "broken" for alert in result["stand"])
    n_drifted = len(result["stand"]) - n_broken
    if not result["stand"]:
        return "Quiet: nothing is broken, nothing has drifted by more than is allowed for."
    parts = [
        f"{pluralize(count, noun)} {verb}"
        for count, noun, verb in ((n_broken, "column", "broken"), (n_drifted, "measure", "drifted"))
        if count
    ]
    return f"Look here: {' and '.join(parts)}."


def get_alarm_threshold(monitor: DriftMonitor) -> float:
    """The level from which on detectors alarm, a logarithm."""
    return next(
        (statistic.detector.limits.log_level for statistic in monitor.statistics.values()), 0.0
    )


def summarize_statistics(monitor: DriftMonitor) -> list[Json]:
    """Where each measure stands, those nearest to an alarm first."""
    latest = monitor.latest_levels()
    summaries = []
    for key, statistic in monitor.statistics.items():
        level, effect = latest.get(key, (None, None))
        summaries.append(
            {
                "title": statistic.title, "column": statistic.column, "level": level, "effect": effect,
                "least": statistic.detector.limits.min_js_distance, "alarmed": statistic.detector.alarm is not None,
                "gathering": statistic.detector.is_warming_up,
            }
        )  # fmt: skip
    return sorted(summaries, key=lambda row: (not row["alarmed"], -(row["level"] or 0.0)))


def plot_evidence_timeline(monitor: DriftMonitor) -> Markup | None:
    """The level of the detectors that came highest, over the windows, with the alarm's level."""
    max_levels: dict[str, float] = {}
    for item in monitor.history:
        for key, (level, _) in item["levels"].items():
            max_levels[key] = max(max_levels.get(key, 0.0), level)
    series = sorted(max_levels, key=lambda key: -max_levels[key])[:MAX_TIMELINE_SERIES]
    if not series or len(monitor.history) < 2:
        return None
    names = {key: monitor.statistics[key].title for key in series if key in monitor.statistics}
    rows = [
        {"window": item["window"], "level": item["levels"][key][0], "measure": name}
        for item in monitor.history
        for key, name in names.items()
        if key in item["levels"]
    ]
    y_max = max(get_alarm_threshold(monitor) * 1.15, *max_levels.values())
    y = alt.Y("level:Q", title="evidence (logarithm)", scale=alt.Scale(domain=[0, y_max]))
    x = alt.X("window:Q", title="window", axis=alt.Axis(tickMinStep=1, format="d"))
    colors = [MAIN_COLOR, SECOND_COLOR, MUTED_COLOR, GRID_COLOR][: len(names)]
    lines = (
        alt.Chart(pl.DataFrame(rows))
        .mark_line(strokeWidth=2)
        .encode(
            x=x, y=y,
            color=alt.Color(
                "measure:N", title=None, legend=alt.Legend(orient="top", labelLimit=200),
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
    """Charts of counts by bin: of predictions first, then of what alarmed."""
    statistics = [
        statistic
        for statistic in monitor.statistics.values()
        if statistic.column in alert_columns | {""}
    ]
    statistics.sort(key=lambda one: (bool(one.column), one.detector.alarm is None))
    return [
        {"title": statistic.title, "svg": Markup(plot_bin_fractions(statistic))}
        for statistic in statistics[:MAX_HISTOGRAMS]
        if statistic.detector.suspect_counts.sum()
    ]


def plot_bin_fractions(statistic: MonitoredStatistic) -> str:
    """Shares of rows by bin, of the last windows beside the reference."""
    bins = select_fullest_bins(
        statistic.detector.profile,
        statistic.detector.expected_counts,
        statistic.detector.suspect_counts,
    )
    rows = [
        {"bin": item["bin"], "share": item[name], "rows": title, "at": number}
        for number, item in enumerate(bins)
        for name, title in (("usual", "reference"), ("share", "now"))
    ]
    order = [item["bin"] for item in bins]
    chart = (
        alt.Chart(pl.DataFrame(rows))
        .mark_bar()
        .encode(
            y=alt.Y("bin:N", sort=order, title=None),
            yOffset=alt.YOffset("rows:N", sort=["reference", "now"]),
            x=alt.X("share:Q", title="share of rows", axis=alt.Axis(format=".0%", tickCount=5)),
            color=alt.Color(
                "rows:N", title=None, legend=alt.Legend(orient="top"),
                scale=alt.Scale(domain=["reference", "now"], range=[MUTED_COLOR, MAIN_COLOR]),
            ),
        )
    )  # fmt: skip
    return render_svg(chart.properties(width=CHART_WIDTH_PX - 120, height=18 * len(order)))


def select_fullest_bins(bin_spec: Json, reference: Array, counts: Array) -> list[Json]:
    """The bins that hold anything, in their order; of very many, those that hold most."""
    fractions, reference_fractions = (rows / max(rows.sum(), 1) for rows in (counts, reference))
    filled = np.flatnonzero((fractions > 0) | (reference_fractions > 0))
    selected = np.sort(
        filled[np.argsort(-np.maximum(fractions, reference_fractions)[filled], kind="stable")][
            :MAX_BINS_SHOWN
        ]
    )
    names = reference_profile.bin_names(bin_spec)
    return [
        {"bin": shorten_bin_label(names[position], names), "share": float(fractions[position]),
         "usual": float(reference_fractions[position])}
        for position in selected
    ]  # fmt: skip


def shorten_bin_label(name: str, names: Sequence[str]) -> str:
    """A bin's name, cut where it is long and still its own."""
    shortened = name[: MAX_BIN_LABEL_CHARS - 1] + "…" if len(name) > MAX_BIN_LABEL_CHARS else name
    return f"{shortened} ({names.index(name)})" if shortened != name else name

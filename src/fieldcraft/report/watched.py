"""The page about a model at work: what stands, what its predictions and columns do, since when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl
from markupsafe import Markup

from fieldcraft.contracts import Array, Json
from fieldcraft.core import files
from fieldcraft.core.words import plural
from fieldcraft.evidence import profile
from fieldcraft.report.charts import GRID, MAIN, MUTED, SECOND, WIDTH, draw
from fieldcraft.report.render import fill
from fieldcraft.serving.watcher import Measure, Watcher

MOST_LINES = 4  # measures in the chart over time
MOST_BINS = 25  # in a chart of counts
MOST_CHARTS = 6  # of counts
MOST_WINDOWS = 25  # in the table of windows
LABEL = 28  # characters of a bin's name


def write(path: Path, watcher: Watcher, result: Json) -> None:
    """Write the page, whole or not at all."""
    files.write_text(path, page(watcher, result))


def page(watcher: Watcher, result: Json) -> str:
    """The page as HTML text."""
    told = {alert["column"] for alert in result["stand"]}
    rows = measures(watcher)
    return fill(
        "watch.html.j2",
        manifest=watcher.bundle.manifest,
        result=result,
        headline=headline(result),
        alerts=sorted(
            result["stand"], key=lambda one: (one["kind"] != "broken", bool(one["column"]))
        ),
        predictions=[row for row in rows if not row["column"]],
        columns=[row for row in rows if row["column"]],
        level=limit(watcher),
        windows=watcher.history[::-1][:MOST_WINDOWS],
        seen=watcher.windows,
        looked=sum(item["rows"] for item in watcher.history),
        timeline=timeline(watcher),
        counted=counted(watcher, told),
        performance=result.get("performance"),
        wishes=watcher.wishes,
    )


def headline(result: Json) -> str:
    """How it stands, in a sentence."""
    broken = sum(alert["kind"] == "broken" for alert in result["stand"])
    drifted = len(result["stand"]) - broken
    if not result["stand"]:
        return "Quiet: nothing is broken, nothing has drifted by more than is allowed for."
    parts = [
        f"{plural(count, noun)} {verb}"
        for count, noun, verb in ((broken, "column", "broken"), (drifted, "measure", "drifted"))
        if count
    ]
    return f"Look here: {' and '.join(parts)}."


def limit(watcher: Watcher) -> float:
    """The level from which on detectors alarm, a logarithm."""
    return next((one.stream.limits.level for one in watcher.measures.values()), 0.0)


def measures(watcher: Watcher) -> list[Json]:
    """Where each measure stands, those nearest to an alarm first."""
    last = watcher.latest()
    found = []
    for key, one in watcher.measures.items():
        level, effect = last.get(key, (None, None))
        found.append(
            {
                "title": one.title, "column": one.column, "level": level, "effect": effect,
                "least": one.stream.limits.effect, "alarmed": one.stream.alarmed is not None,
                "gathering": one.stream.gathering,
            }
        )  # fmt: skip
    return sorted(found, key=lambda row: (not row["alarmed"], -(row["level"] or 0.0)))


def timeline(watcher: Watcher) -> Markup | None:
    """The level of the detectors that came highest, over the windows, with the alarm's level."""
    tops: dict[str, float] = {}
    for item in watcher.history:
        for key, (level, _) in item["levels"].items():
            tops[key] = max(tops.get(key, 0.0), level)
    chosen = sorted(tops, key=lambda key: -tops[key])[:MOST_LINES]
    if not chosen or len(watcher.history) < 2:
        return None
    names = {key: watcher.measures[key].title for key in chosen if key in watcher.measures}
    rows = [
        {"window": item["window"], "level": item["levels"][key][0], "measure": name}
        for item in watcher.history
        for key, name in names.items()
        if key in item["levels"]
    ]
    top = max(limit(watcher) * 1.15, *tops.values())
    y = alt.Y("level:Q", title="evidence (logarithm)", scale=alt.Scale(domain=[0, top]))
    x = alt.X("window:Q", title="window", axis=alt.Axis(tickMinStep=1, format="d"))
    colours = [MAIN, SECOND, MUTED, GRID][: len(names)]
    lines = (
        alt.Chart(pl.DataFrame(rows))
        .mark_line(strokeWidth=2)
        .encode(
            x=x, y=y,
            color=alt.Color(
                "measure:N", title=None, legend=alt.Legend(orient="top", labelLimit=200),
                scale=alt.Scale(domain=list(names.values()), range=colours),
            ),
        )
    )  # fmt: skip
    alarm = alt.Chart(pl.DataFrame({"at": [limit(watcher)]})).mark_rule(
        color=MUTED, strokeDash=[4, 4]
    )
    both = (lines + alarm.encode(y="at:Q")).properties(width=WIDTH, height=200)
    return Markup(draw(both))


def counted(watcher: Watcher, told: set[str]) -> list[Json]:
    """Charts of counts by bin: of predictions first, then of what alarmed."""
    chosen = [one for one in watcher.measures.values() if one.column in told | {""}]
    chosen.sort(key=lambda one: (bool(one.column), one.stream.alarmed is None))
    return [
        {"title": one.title, "svg": Markup(bins_chart(one))}
        for one in chosen[:MOST_CHARTS]
        if one.stream.counts.sum()
    ]


def bins_chart(one: Measure) -> str:
    """Shares of rows by bin, of the last windows beside the reference."""
    shown = fullest(one.stream.about, one.stream.usual, one.stream.counts)
    rows = [
        {"bin": item["bin"], "share": item[name], "rows": title, "at": number}
        for number, item in enumerate(shown)
        for name, title in (("usual", "reference"), ("share", "now"))
    ]
    order = [item["bin"] for item in shown]
    chart = (
        alt.Chart(pl.DataFrame(rows))
        .mark_bar()
        .encode(
            y=alt.Y("bin:N", sort=order, title=None),
            yOffset=alt.YOffset("rows:N", sort=["reference", "now"]),
            x=alt.X("share:Q", title="share of rows", axis=alt.Axis(format=".0%", tickCount=5)),
            color=alt.Color(
                "rows:N", title=None, legend=alt.Legend(orient="top"),
                scale=alt.Scale(domain=["reference", "now"], range=[MUTED, MAIN]),
            ),
        )
    )  # fmt: skip
    return draw(chart.properties(width=WIDTH - 120, height=18 * len(order)))


def fullest(about: Json, reference: Array, counts: Array) -> list[Json]:
    """The bins that hold anything, in their order; of very many, those that hold most."""
    shares, usual = (rows / max(rows.sum(), 1) for rows in (counts, reference))
    held = np.flatnonzero((shares > 0) | (usual > 0))
    most = np.sort(held[np.argsort(-np.maximum(shares, usual)[held], kind="stable")][:MOST_BINS])
    names = profile.bins(about)
    return [
        {"bin": short(names[place], names), "share": float(shares[place]),
         "usual": float(usual[place])}
        for place in most
    ]  # fmt: skip


def short(name: str, names: Sequence[str]) -> str:
    """A bin's name, cut where it is long and still its own."""
    cut = name[: LABEL - 1] + "…" if len(name) > LABEL else name
    return f"{cut} ({names.index(name)})" if cut != name else name

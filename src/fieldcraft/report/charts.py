"""Charts as SVG that take their colours from the page, so that they fit light and dark.

Altair describes a chart, vl-convert draws it without a browser. Colours in the description are
stand-ins that are replaced by the page's own variables.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from fieldcraft.contracts import Json

# Stand-ins for the page's colours; no chart uses them by chance.
INK, MUTED, GRID, MAIN, SECOND = "#010101", "#020202", "#030303", "#040404", "#050505"
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", MAIN: "main", SECOND: "second"}
WIDTH = 420
SQUARE = 260
FONT = "system-ui, sans-serif"
PADDING = {"left": 20, "right": 16, "top": 6, "bottom": 6}  # the page's font may be wider


def draw(chart: alt.Chart | alt.LayerChart) -> str:
    """A chart as SVG text for the page."""
    dressed = (
        chart.configure(background="transparent", font=FONT, padding=PADDING)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=MUTED,
            titleColor=MUTED,
            gridColor=GRID,
            domainColor=GRID,
            tickColor=GRID,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelLimit=220,
        )
        .configure_legend(labelColor=MUTED, titleColor=MUTED, labelFontSize=12)
    )
    text = vl_convert.vegalite_to_svg(dressed.to_dict())
    for stand_in, name in VARIABLES.items():
        text = text.replace(f'"{stand_in}"', f'"var(--{name})"')
    size = re.search(r'<svg[^>]*?width="([\d.]+)"', text)
    width = float(size[1]) if size else WIDTH
    return re.sub(
        r'(<svg[^>]*?) width="[\d.]+" height="[\d.]+"',
        rf'\1 style="max-width:{width:.0f}px"',
        text,
        count=1,
    )


def learners(described: Sequence[Json], metric: str, champion: str) -> str:
    """Each learner's figure with its interval, the champion marked."""
    rows = [
        {
            "learner": learner["title"],
            "champion": learner["name"] == champion,
            **{key: learner["measures"][metric][key] for key in ("value", "low", "high")},
        }
        for learner in described
    ]
    title = described[0]["measures"][metric]["title"]
    order = [row["learner"] for row in rows]
    base = alt.Chart(pl.DataFrame(rows)).encode(
        y=alt.Y("learner:N", sort=order, title=None),
        color=alt.condition("datum.champion", alt.value(MAIN), alt.value(MUTED)),
    )
    whisker = base.mark_rule(strokeWidth=3).encode(
        x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6)),
        x2="high:Q",
    )
    point = base.mark_point(filled=True, size=110, opacity=1).encode(x="value:Q")
    return draw((whisker + point).properties(width=WIDTH, height=34 * len(rows)))


def parts(counts: Json) -> str:
    """How many rows each part has, as one bar cut into pieces."""
    order = ["train", "cross", "tune", "judge", "test", "unused"]
    rows = [
        {"part": name, "rows": counts[name], "at": i}
        for i, name in enumerate(order)
        if name in counts
    ]
    colours = {"train": MAIN, "cross": MAIN, "tune": SECOND, "judge": SECOND, "test": INK}
    chart = (
        alt.Chart(pl.DataFrame(rows))
        .mark_bar(height=22)
        .encode(
            x=alt.X("rows:Q", title="rows"),
            y=alt.Y("part:N", sort=order, title=None),
            color=alt.Color(
                "part:N",
                legend=None,
                scale=alt.Scale(
                    domain=[r["part"] for r in rows],
                    range=[colours.get(str(r["part"]), MUTED) for r in rows],
                ),
            ),
        )
    )
    return draw(chart.properties(width=WIDTH, height=30 * len(rows)))


def diagonal(low: float, high: float) -> alt.Chart:
    """The line on which both axes are equal."""
    ends = pl.DataFrame({"x": [low, high], "y": [low, high]})
    line: alt.Chart = alt.Chart(ends).mark_line(color=MUTED, strokeDash=[4, 4])
    return line.encode(x="x:Q", y="y:Q")


def reliability(curve: Sequence[Json]) -> str:
    """Predicted against observed frequency."""
    data = alt.Chart(pl.DataFrame(list(curve)))
    x = alt.X("predicted:Q", title="predicted", scale=alt.Scale(domain=[0, 1]))
    y = alt.Y("observed:Q", title="observed", scale=alt.Scale(domain=[0, 1]))
    line = data.mark_line(color=MAIN).encode(x=x, y=y)
    points = data.mark_point(color=MAIN, filled=True, size=50, opacity=1).encode(x=x, y=y)
    return draw((diagonal(0, 1) + line + points).properties(width=SQUARE, height=SQUARE))


def roc(points: Sequence[Sequence[float]]) -> str:
    """True against false positive rate."""
    frame = pl.DataFrame({"miss": [p[0] for p in points], "hit": [p[1] for p in points]})
    line = (
        alt.Chart(frame)
        .mark_line(color=MAIN, interpolate="linear")
        .encode(
            x=alt.X("miss:Q", title="false positive rate", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("hit:Q", title="true positive rate", scale=alt.Scale(domain=[0, 1])),
            order="hit:Q",
        )
    )
    return draw((diagonal(0, 1) + line).properties(width=SQUARE, height=SQUARE))


def scatter(points: Sequence[Sequence[float]], target: str) -> str:
    """Predicted against true values."""
    frame = pl.DataFrame({"true": [p[0] for p in points], "predicted": [p[1] for p in points]})
    low, high = float(min(map(min, points))), float(max(map(max, points)))
    scale = alt.Scale(domain=[low, high], nice=True)
    axis = alt.Axis(tickCount=5, format="~s")
    dots = (
        alt.Chart(frame)
        .mark_point(color=MAIN, filled=True, size=22, opacity=0.45)
        .encode(
            x=alt.X("true:Q", title=f"true {target}", scale=scale, axis=axis),
            y=alt.Y("predicted:Q", title="predicted", scale=scale, axis=axis),
        )
    )
    return draw((diagonal(low, high) + dots).properties(width=SQUARE, height=SQUARE))


def curves(members: Sequence[Json]) -> str:
    """Training and tune loss by epoch, a thin line for each member, its best epoch marked."""
    rows: list[dict[str, Any]] = []
    best: list[dict[str, Any]] = []
    for number, curve in enumerate(members):
        for kind, losses in (("training", curve["train_losses"]), ("tune", curve["tune_losses"])):
            step = max(1, len(losses) // 200)
            rows += [
                {"epoch": i + 1, "loss": losses[i], "rows": kind, "line": f"{kind} {number}"}
                for i in range(0, len(losses), step)
            ]
        at = curve["best_epoch"]
        best.append({"epoch": at, "loss": curve["tune_losses"][at - 1]})
    colour = alt.Color(
        "rows:N", title=None, scale=alt.Scale(domain=["training", "tune"], range=[MUTED, MAIN]),
        legend=alt.Legend(orient="top"),
    )  # fmt: skip
    lines = (
        alt.Chart(pl.DataFrame(rows))
        .mark_line(strokeWidth=1.6, opacity=0.9)
        .encode(
            x=alt.X("epoch:Q", title="epoch"),
            y=alt.Y("loss:Q", title="loss", scale=alt.Scale(zero=False)),
            color=colour,
            detail="line:N",
        )
    )
    points = (
        alt.Chart(pl.DataFrame(best))
        .mark_point(color=SECOND, filled=True, size=60, opacity=1)
        .encode(x="epoch:Q", y="loss:Q")
    )
    return draw((lines + points).properties(width=WIDTH, height=220))


def importance(found: Sequence[Json], title: str) -> str:
    """How much worse the metric gets when a column is shuffled, with its interval."""
    order = [item["column"] for item in found]
    base = alt.Chart(pl.DataFrame(list(found))).encode(y=alt.Y("column:N", sort=order, title=None))
    bars = base.mark_bar(color=MAIN, height=12).encode(
        x=alt.X("value:Q", title=f"{title} lost", axis=alt.Axis(tickCount=6))
    )
    whisker = base.mark_rule(color=MUTED, strokeWidth=2).encode(x="low:Q", x2="high:Q")
    return draw((bars + whisker).properties(width=WIDTH, height=22 * len(order)))


def thresholds(curve: Sequence[Json], chosen: float) -> str:
    """Precision and recall by the probability from which a row is decided positive."""
    rows = [
        {"threshold": point["threshold"], "share": point[name], "figure": name}
        for point in curve
        for name in ("precision", "recall")
    ]
    lines = (
        alt.Chart(pl.DataFrame(rows))
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("threshold:Q", title="threshold", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("share:Q", title=None, scale=alt.Scale(domain=[0, 1])),
            color=alt.Color(
                "figure:N",
                title=None,
                scale=alt.Scale(domain=["precision", "recall"], range=[MAIN, SECOND]),
                legend=alt.Legend(orient="top"),
            ),
            order="threshold:Q",
        )
    )
    mark = alt.Chart(pl.DataFrame({"at": [chosen]})).mark_rule(color=MUTED, strokeDash=[4, 4])
    return draw((lines + mark.encode(x="at:Q")).properties(width=SQUARE, height=SQUARE))

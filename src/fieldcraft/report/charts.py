"""Charts as SVG whose colors are CSS variables of the page, for light and dark mode.

Altair describes a chart, and vl-convert renders it without a browser. Vega accepts no CSS
variables, so charts use placeholder colors, which `render_svg` replaces by variables.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from fieldcraft.core.types import Json

# Placeholders for the colors of the page: near-black tones that charts use for nothing else.
INK_COLOR, MUTED_COLOR, GRID_COLOR, MAIN_COLOR, SECOND_COLOR = (
    "#010101",
    "#020202",
    "#030303",
    "#040404",
    "#050505",
)
CSS_VARIABLES = {
    INK_COLOR: "ink",
    MUTED_COLOR: "muted",
    GRID_COLOR: "grid",
    MAIN_COLOR: "main",
    SECOND_COLOR: "second",
}
CHART_WIDTH_PX = 420
SQUARE_CHART_PX = 260
MAX_CURVE_POINTS = 200  # of a curve; more make the page large and look the same
FONT_FAMILY = "system-ui, sans-serif"
# Room for labels: they are measured in another font than that of the page.
CHART_PADDING_PX = {"left": 20, "right": 16, "top": 6, "bottom": 6}


def render_svg(chart: alt.Chart | alt.LayerChart) -> str:
    """A chart as SVG text that scales with the page."""
    styled_chart = (
        chart.configure(background="transparent", font=FONT_FAMILY, padding=CHART_PADDING_PX)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=MUTED_COLOR,
            titleColor=MUTED_COLOR,
            gridColor=GRID_COLOR,
            domainColor=GRID_COLOR,
            tickColor=GRID_COLOR,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelLimit=220,
        )
        .configure_legend(labelColor=MUTED_COLOR, titleColor=MUTED_COLOR, labelFontSize=12)
    )
    svg = vl_convert.vegalite_to_svg(styled_chart.to_dict())
    for placeholder, name in CSS_VARIABLES.items():
        svg = svg.replace(f'"{placeholder}"', f'"var(--{name})"')
    # Without fixed width and height the chart shrinks on a phone and in print.
    size = re.search(r'<svg[^>]*?width="([\d.]+)"', svg)
    width = float(size[1]) if size else CHART_WIDTH_PX
    return re.sub(
        r'(<svg[^>]*?) width="[\d.]+" height="[\d.]+"',
        rf'\1 style="max-width:{width:.0f}px"',
        svg,
        count=1,
    )


def plot_models(models: Sequence[Json], metric: str, champion: str) -> str:
    """The metric of each model with its interval, the champion highlighted."""
    rows = [
        {
            "model": model["title"],
            "champion": model["name"] == champion,
            **{key: model["metrics"][metric][key] for key in ("value", "low", "high")},
        }
        for model in models
    ]
    title = models[0]["metrics"][metric]["title"]
    order = [row["model"] for row in rows]
    base = alt.Chart(pl.DataFrame(rows)).encode(
        y=alt.Y("model:N", sort=order, title=None),
        color=alt.condition("datum.champion", alt.value(MAIN_COLOR), alt.value(MUTED_COLOR)),
    )
    # The axis does not start at zero, as models differ by little compared with the metric itself.
    whisker = base.mark_rule(strokeWidth=3).encode(
        x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6)),
        x2="high:Q",
    )
    point = base.mark_point(filled=True, size=110, opacity=1).encode(x="value:Q")
    return render_svg((whisker + point).properties(width=CHART_WIDTH_PX, height=34 * len(rows)))


def plot_parts(counts: Json) -> str:
    """The number of rows in each part of the split."""
    order = ["train", "cv", "validation", "evaluation", "test", "unused"]
    rows = [{"part": name, "rows": counts[name]} for name in order if name in counts]
    colors = {
        "train": MAIN_COLOR,
        "cv": MAIN_COLOR,
        "validation": SECOND_COLOR,
        "evaluation": SECOND_COLOR,
        "test": INK_COLOR,
    }
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
                    domain=[row["part"] for row in rows],
                    range=[colors.get(str(row["part"]), MUTED_COLOR) for row in rows],
                ),
            ),
        )
    )
    return render_svg(chart.properties(width=CHART_WIDTH_PX, height=30 * len(rows)))


def diagonal_line(low: float, high: float) -> alt.Chart:
    """The dashed line on which both axes are equal."""
    endpoints = pl.DataFrame({"x": [low, high], "y": [low, high]})
    line: alt.Chart = alt.Chart(endpoints).mark_line(color=MUTED_COLOR, strokeDash=[4, 4])
    return line.encode(x="x:Q", y="y:Q")


def plot_reliability(curve: Sequence[Json]) -> str:
    """Reliability diagram: observed against predicted frequency."""
    data = alt.Chart(pl.DataFrame(list(curve)))
    x = alt.X("predicted:Q", title="predicted", scale=alt.Scale(domain=[0, 1]))
    y = alt.Y("observed:Q", title="observed", scale=alt.Scale(domain=[0, 1]))
    line = data.mark_line(color=MAIN_COLOR).encode(x=x, y=y)
    points = data.mark_point(color=MAIN_COLOR, filled=True, size=50, opacity=1).encode(x=x, y=y)
    return render_svg(
        (diagonal_line(0, 1) + line + points).properties(
            width=SQUARE_CHART_PX, height=SQUARE_CHART_PX
        )
    )


def plot_roc_curve(points: Sequence[Sequence[float]]) -> str:
    """ROC curve: true positive rate against false positive rate."""
    frame = pl.DataFrame(
        {"fpr": [point[0] for point in points], "tpr": [point[1] for point in points]}
    )
    line = (
        alt.Chart(frame)
        .mark_line(color=MAIN_COLOR, interpolate="linear")
        .encode(
            x=alt.X("fpr:Q", title="false positive rate", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("tpr:Q", title="true positive rate", scale=alt.Scale(domain=[0, 1])),
            order="tpr:Q",  # by default a line connects its points by x, which repeats here
        )
    )
    return render_svg(
        (diagonal_line(0, 1) + line).properties(width=SQUARE_CHART_PX, height=SQUARE_CHART_PX)
    )


def plot_scatter(points: Sequence[Sequence[float]], target: str) -> str:
    """Predicted against actual values."""
    frame = pl.DataFrame(
        {"actual": [point[0] for point in points], "predicted": [point[1] for point in points]}
    )
    low, high = float(min(map(min, points))), float(max(map(max, points)))
    scale = alt.Scale(domain=[low, high], nice=True)
    axis = alt.Axis(tickCount=5, format="~s")
    dots = (
        alt.Chart(frame)
        .mark_point(color=MAIN_COLOR, filled=True, size=22, opacity=0.45)
        .encode(
            x=alt.X("actual:Q", title=f"actual {target}", scale=scale, axis=axis),
            y=alt.Y("predicted:Q", title="predicted", scale=scale, axis=axis),
        )
    )
    return render_svg(
        (diagonal_line(low, high) + dots).properties(width=SQUARE_CHART_PX, height=SQUARE_CHART_PX)
    )


def plot_learning_curves(curves: Sequence[Json]) -> str:
    """Train and validation loss by epoch, a line for each fold model, its best epoch marked."""
    rows: list[dict[str, Any]] = []
    best: list[dict[str, Any]] = []
    for number, curve in enumerate(curves):
        for part, key in (("train", "train_losses"), ("validation", "validation_losses")):
            losses = curve[key]
            step = max(1, len(losses) // MAX_CURVE_POINTS)
            rows += [
                {
                    "epoch": index + 1,
                    "loss": losses[index],
                    "rows": part,
                    "line": f"{part} {number}",
                }
                for index in range(0, len(losses), step)
            ]
        best_epoch = curve["best_epoch"]
        best.append({"epoch": best_epoch, "loss": curve["validation_losses"][best_epoch - 1]})
    color = alt.Color(
        "rows:N", title=None,
        scale=alt.Scale(domain=["train", "validation"], range=[MUTED_COLOR, MAIN_COLOR]),
        legend=alt.Legend(orient="top"),
    )  # fmt: skip
    lines = (
        alt.Chart(pl.DataFrame(rows))
        .mark_line(strokeWidth=1.6, opacity=0.9)
        .encode(
            x=alt.X("epoch:Q", title="epoch"),
            y=alt.Y("loss:Q", title="loss", scale=alt.Scale(zero=False)),
            color=color,
            detail="line:N",
        )
    )
    points = (
        alt.Chart(pl.DataFrame(best))
        .mark_point(color=SECOND_COLOR, filled=True, size=60, opacity=1)
        .encode(x="epoch:Q", y="loss:Q")
    )
    return render_svg((lines + points).properties(width=CHART_WIDTH_PX, height=220))


def plot_importance(importances: Sequence[Json], title: str) -> str:
    """Permutation importance of each column, with its interval."""
    order = [item["column"] for item in importances]
    base = alt.Chart(pl.DataFrame(list(importances))).encode(
        y=alt.Y("column:N", sort=order, title=None)
    )
    bars = base.mark_bar(color=MAIN_COLOR, height=12).encode(
        x=alt.X("value:Q", title=f"decrease in {title}", axis=alt.Axis(tickCount=6))
    )
    whisker = base.mark_rule(color=MUTED_COLOR, strokeWidth=2).encode(x="low:Q", x2="high:Q")
    return render_svg((bars + whisker).properties(width=CHART_WIDTH_PX, height=22 * len(order)))


def plot_thresholds(curve: Sequence[Json], chosen: float) -> str:
    """Precision and recall by decision threshold, the chosen one marked."""
    rows = [
        {"threshold": point["threshold"], "value": point[name], "metric": name}
        for point in curve
        for name in ("precision", "recall")
    ]
    lines = (
        alt.Chart(pl.DataFrame(rows))
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("threshold:Q", title="threshold", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1])),
            color=alt.Color(
                "metric:N",
                title=None,
                scale=alt.Scale(domain=["precision", "recall"], range=[MAIN_COLOR, SECOND_COLOR]),
                legend=alt.Legend(orient="top"),
            ),
            order="threshold:Q",
        )
    )
    threshold_rule = alt.Chart(pl.DataFrame({"at": [chosen]})).mark_rule(
        color=MUTED_COLOR, strokeDash=[4, 4]
    )
    return render_svg(
        (lines + threshold_rule.encode(x="at:Q")).properties(
            width=SQUARE_CHART_PX, height=SQUARE_CHART_PX
        )
    )

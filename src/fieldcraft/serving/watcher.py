"""Watch a model at work: look at window after window, and tell what is broken or has drifted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from fieldcraft.bundle.runtime import Bundle
from fieldcraft.contracts import Array, Json
from fieldcraft.core import catalogue
from fieldcraft.core.words import figure
from fieldcraft.data.table import kind_named
from fieldcraft.evidence import drift, profile, stream
from fieldcraft.evidence.performance import expected
from fieldcraft.evidence.sequential import HOURS, threshold
from fieldcraft.evidence.stream import BREAK, Fault, Gathering, Limits, Stream
from fieldcraft.project.settings import Watch
from fieldcraft.serving.seasons import EARLIER, Season
from fieldcraft.serving.windows import Window

HISTORY = 400  # windows whose figures are kept
PREDICTED = ""  # the column of what the model says
RECENT = 24  # windows whose promise of right decisions is told
HOUR = 3600.0
WEEK = 168 * HOUR  # length of windows from which on weekdays and hours can be compared
GATHERED = Gathering(2_000)  # with which predictions are compared, if there is nothing else
SAYS = {
    "missing": "missing",
    "unread": "cells that cannot be read",
    "unseen": "words that training did not show",
    "outside": "numbers beyond those of training",
    "alike": "one and the same value or range",
    "absent": "not there at all",
}


@dataclass(frozen=True)
class Measure:
    """One measure of a column, or of predictions, and its stream.

    Attributes:
        column: whose; "" for predictions.
        name: of the measure.
        stream: its drift.
        season: ``day`` or ``week`` if windows are compared with earlier ones of the same time.
    """

    column: str
    name: str
    stream: Stream
    season: str = ""

    @property
    def of(self) -> str:
        """The key of its values in a window."""
        return f"{self.column}|{self.name}"

    @property
    def key(self) -> str:
        """What it is kept under."""
        return f"{self.of}|{self.season}" if self.season else self.of

    @property
    def title(self) -> str:
        """How it is called where people read."""
        plain = self.column if self.name == "value" else f"{self.column} ({self.name})"
        plain = self.name if self.column == PREDICTED else plain
        return f"{plain}, same time of the {self.season}" if self.season else plain


class Watcher:
    """Looks at the windows of one bundle, one after the other."""

    def __init__(self, bundle: Bundle, wishes: Watch) -> None:
        """Start with nothing seen."""
        self.bundle, self.wishes = bundle, wishes
        self.season = Season(wishes.season, wishes.every or 0.0) if wishes.season else None
        windows = HOURS * HOUR / wishes.every if wishes.every else HOURS
        looks = windows + (HOURS * HOUR / self.season.length if self.season else 0.0)
        measured = list(measures_in(bundle.profile))
        weights = weights_of(bundle.manifest.get("importance", []))
        count = len(measured)
        self.chance = stream.chance(windows, count)
        several = bundle.profile.get("members", 1) > 1  # none of them says what all do together
        self.measures: dict[str, Measure] = {}
        for column, name, about in measured:
            weight = 1.0 if column == PREDICTED else weights.get(column, 0.0) if weights else 1.0
            limits = Limits(
                threshold(looks, count, wishes.alarms), wishes.effect * (2 - weight),
                self.chance, wishes.tolerance,
            )  # fmt: skip
            gather = GATHERED if several and column == PREDICTED else None
            found = [Measure(column, name, Stream(about, limits, gather))]
            if wishes.season:
                found.append(Measure(column, name, Stream(about, limits, EARLIER), wishes.season))
            self.measures |= {one.key: one for one in found}
        self.windows = 0
        self.alerts: dict[str, Json] = {}  # those that stand
        self.history: list[Json] = []

    def look(self, window: Window) -> list[Json]:
        """Look at a window; the alerts that are new with it."""
        self.windows += 1
        if window.rows < self.wishes.least:
            if self.season and window.first:
                self.season.add(window.first, None)
            self.remember(window, {}, note="not enough rows")
            return []
        columns = dict(values_of(window, self.bundle))
        counts = {
            one.of: profile.counted(columns[one.of], one.stream.about)
            for one in self.measures.values()
            if one.of in columns and not one.season
        }
        span = self.season.length if self.season else self.wishes.every or 0
        times = () if span >= WEEK else times_in(window.values)
        broken = self.broken(window, counts, times)
        found = [self.fault(window, column, fault) for column, fault in broken.items()]
        levels = {}
        sound = {
            one.of: counts[one.of]
            for one in self.measures.values()
            if one.of in counts and one.column not in {*broken, *times}
        }
        for one, measured, slot in self.looked_at(window, sound):
            seen = one.stream.look(measured, slot)
            levels[one.key] = [round(max(seen.level, 0.0), 3), round(seen.effect, 4)]
            if seen.verdict == "drift":
                found.append(self.drifted(window, one, seen.effect, columns[one.of]))
        new = [alert for alert in found if alert["id"] not in self.alerts]
        self.settle({alert["id"] for alert in found})
        self.alerts |= {alert["id"]: alert for alert in new}
        self.remember(window, levels, faults=list(broken))
        return new

    def looked_at(
        self, window: Window, counts: Mapping[str, Array]
    ) -> Iterator[tuple[Measure, Array, int]]:
        """The measures that are looked at with a window, each with counts and their slot."""
        whole, slot = counts, 0
        if self.season and window.first:
            whole, slot = self.season.add(window.first, counts), self.season.slot(window.first)
        for one in self.measures.values():
            rows = (counts if one.season else whole).get(one.of)
            if rows is not None:
                yield one, rows, slot if one.season else 0

    def broken(
        self, window: Window, counts: Mapping[str, Array], times: Collection[str]
    ) -> dict[str, Fault]:
        """The columns that are broken in a window, each with the first thing that is.

        Args:
            window: the window.
            counts: of its measures.
            times: columns of moments: of a short window they are alike, as they should be.
        """
        found = {name: Fault("absent", 1.0, 0.0) for name in window.absent}
        gaps = {one.column: share_missing(one.stream.about) for one in self.measures.values()}
        for name, cells in window.unread.items():
            share, usual = cells / window.rows, gaps.get(name, 0.0)  # unread is missing too
            if share - usual >= BREAK:
                found.setdefault(name, Fault("unread", share, usual))
        for key, window_counts in counts.items():
            one = self.measures[key]
            for fault in stream.faults(window_counts, one.stream.about, self.chance):
                if fault.what == "missing" or one.column not in times:
                    found.setdefault(one.column, fault)
        return found

    def fault(self, window: Window, column: str, fault: Fault) -> Json:
        """The alert of a broken column."""
        title = column or "predictions"
        text = f"{fault.share:.0%} of the rows are {SAYS[fault.what]}, {fault.usual:.1%} before"
        return {
            **self.about(window, "broken", column, fault.what), "title": title,
            "text": f"{title}: {SAYS['absent'] if fault.what == 'absent' else text}",
            "share": fault.share, "usual": fault.usual,
        }  # fmt: skip

    def drifted(self, window: Window, one: Measure, effect: float, values: pl.Series) -> Json:
        """The alert of a drift."""
        about, counts = one.stream.about, one.stream.counts
        moved = None
        if about["form"] == "number" and not one.stream.gather and not self.season:
            now = profile.at_quantiles(profile.finite(values))
            moved = drift.moved(now, np.asarray(about["quantiles"]))
        bins = stream.shifts(counts, one.stream.usual, about)
        most = bins[0] if bins else {"bin": "-", "share": 0.0, "usual": 0.0}
        text = f"{one.title}: distance {effect:.2f}"
        text += f", moved by {figure(moved)}" if moved is not None else ""
        text += f"; {most['bin']}: {most['usual']:.1%} before, {most['share']:.1%} now"
        return {
            **self.about(window, "drift", one.column, one.name), "id": f"drift|{one.key}",
            "title": one.title, "text": text, "season": one.season or None,
            "effect": effect, "moved": moved, "bins": bins,
            "windows": one.stream.alarmed[1] if one.stream.alarmed else 1,
        }  # fmt: skip

    def about(self, window: Window, kind: str, column: str, what: str) -> Json:
        """What all alerts say."""
        return {
            "id": f"{kind}|{column}|{what}", "kind": kind, "column": column, "what": what,
            "model": self.bundle.model_id, "window": self.windows, "rows": window.rows,
            "first": said_at(window.first), "last": said_at(window.last),
        }  # fmt: skip

    def settle(self, found: set[str]) -> None:
        """Forget alerts that no longer stand."""
        standing = {
            f"drift|{one.key}" for one in self.measures.values() if one.stream.alarmed is not None
        }
        self.alerts = {key: one for key, one in self.alerts.items() if key in found | standing}

    def remember(
        self, window: Window, levels: Json, note: str = "", faults: list[str] | None = None
    ) -> None:
        """Keep the figures of a window for the report."""
        self.history.append(
            {
                "window": self.windows, "rows": window.rows, "others": window.others, "note": note,
                "first": said_at(window.first), "last": said_at(window.last),
                "levels": levels, "faults": faults or [],
                "expected": expected(window.said) if levels and not self.alerts else None,
            }
        )  # fmt: skip
        self.history = self.history[-HISTORY:]

    def latest(self) -> dict[str, tuple[float, float]]:
        """Evidence and distance of each measure in the last window in which it was looked at."""
        found: dict[str, tuple[float, float]] = {}
        for item in self.history:
            found |= {key: (level, effect) for key, (level, effect) in item["levels"].items()}
        return found

    def expects(self) -> float | None:
        """The share of right decisions that the last windows promise; None if anything stands."""
        if self.alerts:
            return None
        last = [item["expected"] for item in self.history[-RECENT:] if item["expected"] is not None]
        return float(np.mean(last)) if last else None

    def state(self) -> Json:
        """What is to be kept between runs."""
        return {
            "windows": self.windows, "alerts": self.alerts, "history": self.history,
            "season": self.season.state() if self.season else None,
            "streams": {key: one.stream.state() for key, one in self.measures.items()},
        }  # fmt: skip

    def restore(self, state: Json) -> None:
        """Go on from what was kept; hours that are cut otherwise begin anew."""
        self.windows, self.alerts = state["windows"], state["alerts"]
        self.history = state["history"]
        season = state["season"]
        alike = bool(self.season and season and season["every"] == self.season.every)
        if self.season and alike:
            self.season.restore(season)
        for key, kept in state["streams"].items():
            if key in self.measures and (alike or not self.measures[key].season):
                self.measures[key].stream.restore(kept)


def measures_in(known: Json) -> Iterator[tuple[str, str, Json]]:
    """Column, name and bins of each measure of a profile; predictions first."""
    chances = [name for name in known["predictions"] if name.startswith("probability_")]
    same = chances[0] if len(chances) == 2 else ""  # that of one class says that of the other
    for name, about in known["predictions"].items():
        if name != same:
            yield PREDICTED, name, about
    for column, measures in known["columns"].items():
        for name, about in measures.items():
            if about["form"] != "time":  # which goes on
                yield column, name, about


def values_of(window: Window, bundle: Bundle) -> Iterator[tuple[str, pl.Series]]:
    """The measures of a window's rows, by their key; files that a log names are not opened."""
    if "prediction" in window.said.columns:
        for name, values in profile.said(window.said).items():
            yield f"{PREDICTED}|{name}", values
    kinds = {column.name: column.kind for column in bundle.schema.columns}
    of_log = window.first is not None
    for name in window.values.columns:
        if name in kinds and not (of_log and kind_named(kinds[name]).holds == "files"):
            kind = catalogue.load("kinds", kinds[name])
            for measure, values in kind.measures(window.values[name]).items():
                yield f"{name}|{measure}", values


def share_missing(about: Json) -> float:
    """The share of reference rows without a value."""
    return float(about["counts"][0] / max(sum(about["counts"]), 1))


def times_in(values: pl.DataFrame) -> list[str]:
    """The columns of moments."""
    return [name for name, kind in values.schema.items() if kind.is_temporal()]


def weights_of(importance: list[Json]) -> dict[str, float]:
    """How much each column matters, 1 for the one that matters most."""
    most = max((item["value"] or 0.0 for item in importance), default=0.0)
    if most <= 0:
        return {}
    return {item["column"]: max(item["value"] or 0.0, 0.0) / most for item in importance}


def said_at(moment: datetime | None) -> str | None:
    """A moment as text, to the second."""
    return None if moment is None else moment.isoformat(timespec="seconds")

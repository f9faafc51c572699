"""One measure at work, window by window: has it drifted, is it broken?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fieldcraft.evidence import drift, profile
from fieldcraft.evidence.sequential import Detector

Array = npt.NDArray[Any]
Json = dict[str, Any]

EFFECT = 0.04  # least distance worth an alert, in columns that matter most
BREAK = 0.1  # share of rows that must change its sort for a column to be broken
HALF = 0.5  # of the way to an alarm, as a logarithm, from which windows are counted together
SPARE = 3.0  # logarithm by which a detector goes above its threshold at most
QUIET = 3  # windows, and as many times the delay of the alarm, after which it is over
BROKEN = 0.05  # false "broken" a month that are expected at most
SORTS = 4  # missing, unseen, out of range, all alike


@dataclass(frozen=True)
class Limits:
    """When a stream alarms.

    Attributes:
        level: of its detector, a logarithm: see `sequential.threshold`.
        effect: least Jensen-Shannon distance worth an alert.
        chance: with which a window without a fault may be taken for broken.
        tolerance: distance that is no drift.
    """

    level: float
    effect: float = EFFECT
    chance: float = 1e-6
    tolerance: float = drift.TOLERANCE


@dataclass(frozen=True)
class Seen:
    """What a stream says after a window.

    Attributes:
        level: of the detector, and the one from which on it alarms, as logarithms.
        effect: distance of all windows since the detector was half way to an alarm.
        verdict: ``quiet``, ``small`` (sure, but too small to matter) or ``drift``.
    """

    level: float
    effect: float
    verdict: str


@dataclass(frozen=True)
class Gathering:
    """How much of what is seen at work becomes the reference, in each slot.

    Attributes:
        rows: at least.
        windows: at least.
    """

    rows: int
    windows: int = 1


@dataclass
class Stream:
    """The drift of one measure.

    A reference belongs to a slot, such as an hour of the day; where days do not matter there is
    one. The windows of all slots add up in one detector.

    Attributes:
        about: its bins and reference counts: see `profile.learned`.
        limits: when it alarms.
        gather: windows at work that become the reference of their slot, where there is none before.
        counts: of the windows since `begun`, which are those that may have drifted.
        passed: rows of them in each slot.
        begun: the number of the first of them.
        seen: windows so far.
        alarmed: number of the window of the last alarm that still stands, and its delay.
    """

    about: Json
    limits: Limits
    gather: Gathering | None = None
    counts: Array = field(default_factory=lambda: np.zeros(0))
    passed: dict[int, int] = field(default_factory=dict)
    begun: int = 0
    seen: int = 0
    alarmed: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Start with nothing seen."""
        self.counts = np.zeros(len(self.about["counts"]), dtype=np.int64)
        self.references: dict[int, drift.Reference] = {}
        self.windows: dict[int, int] = {}  # that a slot's reference was gathered from
        none = self.reference(self.counts)
        if not self.gather:
            self.references[0] = self.reference(self.about["counts"])
        self.detector = Detector.fresh(none.weights)

    def reference(self, counts: Array) -> drift.Reference:
        """Counts of rows as something to compare with."""
        ordered = slice(1, None) if self.about["form"] == "number" else None
        return drift.Reference(counts, ordered, self.limits.tolerance)

    @property
    def gathering(self) -> bool:
        """Whether no slot has a reference yet."""
        return not any(map(self.known, self.references))

    def known(self, slot: int) -> bool:
        """Whether there is enough to compare windows of a slot with."""
        if not self.gather:
            return True
        rows = self.references[slot].rows if slot in self.references else 0
        return rows >= self.gather.rows and self.windows[slot] >= self.gather.windows

    @property
    def usual(self) -> Array:
        """Reference counts for `counts`: of each slot in proportion to the rows seen of it."""
        slots = [slot for slot, rows in self.passed.items() if rows] or list(self.references)
        known = [self.references[slot] for slot in slots]
        if len(known) < 2:
            return known[0].counts if known else np.zeros_like(self.counts)
        weights = np.array([max(self.passed.get(slot, 0), 1) for slot in slots], dtype=np.float64)
        shares = np.array([one.shares for one in known])
        mixed: Array = weights / weights.sum() @ shares * sum(one.rows for one in known)
        return mixed

    def look(self, window: Array, slot: int = 0) -> Seen:
        """Take in the counts of a window."""
        self.seen += 1
        if not self.known(slot):
            before = self.references[slot].counts if slot in self.references else 0
            self.references[slot] = self.reference(before + window)
            self.windows[slot] = self.windows.get(slot, 0) + 1
            return Seen(0.0, 0.0, "quiet")
        if self.detector.level <= HALF * self.limits.level:
            self.counts, self.passed = np.zeros_like(self.counts), {}
            self.begun = self.seen - 1
        level = self.detector.add(self.references[slot].evidence(window))
        self.detector.sums = np.minimum(self.detector.sums, self.limits.level + SPARE)
        self.counts = self.counts + window
        self.passed[slot] = self.passed.get(slot, 0) + int(window.sum())
        far = drift.effect(self.counts, self.usual)
        if level < self.limits.level:
            self.settle()
            return Seen(level, far, "quiet")
        if far < self.limits.effect:
            self.settle()
            return Seen(level, far, "small")
        self.alarmed = (self.seen, self.seen - self.begun)
        self.detector = Detector.fresh(self.detector.weights)
        return Seen(level, far, "drift")

    def settle(self) -> None:
        """An alarm is over once the detector would have found it again, and did not."""
        if self.alarmed and self.seen - self.alarmed[0] > QUIET * (1 + self.alarmed[1]):
            self.alarmed = None

    def state(self) -> Json:
        """What is to be kept between runs."""
        gathered = {
            str(slot): {"counts": one.counts.tolist(), "windows": self.windows[slot]}
            for slot, one in self.references.items()
            if self.gather
        }
        return {
            "sums": [v if np.isfinite(v) else None for v in self.detector.sums.tolist()],
            "counts": self.counts.tolist(), "begun": self.begun, "seen": self.seen,
            "passed": {str(slot): rows for slot, rows in self.passed.items()},
            "alarmed": list(self.alarmed) if self.alarmed else None, "gathered": gathered,
        }  # fmt: skip

    def restore(self, state: Json) -> None:
        """Go on from what was kept; one of another form is left alone."""
        sums = np.array([-np.inf if v is None else v for v in state["sums"]], dtype=np.float64)
        if len(state["counts"]) != len(self.counts) or len(sums) != len(self.detector.sums):
            return
        if self.gather:
            for slot, kept in state["gathered"].items():
                self.references[int(slot)] = self.reference(np.asarray(kept["counts"]))
                self.windows[int(slot)] = kept["windows"]
        self.detector.sums = sums
        self.counts = np.asarray(state["counts"], dtype=np.int64)
        self.passed = {int(slot): rows for slot, rows in state["passed"].items()}
        self.begun, self.seen = state["begun"], state["seen"]
        self.alarmed = (state["alarmed"][0], state["alarmed"][1]) if state["alarmed"] else None


@dataclass(frozen=True)
class Fault:
    """What is broken about a column in a window.

    Attributes:
        what: ``missing``, ``unseen``, ``outside``, ``alike`` or ``unread``.
        share: of the rows of the window.
        usual: share of the reference rows.
    """

    what: str
    share: float
    usual: float


def faults(window: Array, about: Json, chance: float) -> list[Fault]:
    """What is broken about a measure in a window: far more of a sort than there ever was.

    Args:
        window: its counts.
        about: its bins and reference counts.
        chance: with which a window without a fault may be called broken, by sort.
    """
    reference = np.asarray(about["counts"])
    rows, known = int(window.sum()), int(reference.sum())
    new = [1] if about["form"] == "word" else [1, len(reference) - 1]
    sorts = {"missing": [0], "unseen" if about["form"] == "word" else "outside": new}
    found = []
    for what, bins in sorts.items():
        share, usual = window[bins].sum() / max(rows, 1), reference[bins].sum() / max(known, 1)
        most = drift.share_at_most(int(reference[bins].sum()), known)
        sure = drift.far(int(window[bins].sum()), rows, most) <= chance
        if sure and share - usual >= BREAK:
            found.append(Fault(what, float(share), float(usual)))
    return found or alike(window[1:], reference[1:], chance)


def alike(window: Array, reference: Array, chance: float) -> list[Fault]:
    """Whether all values of a window are in one bin where they never would be."""
    rows, fullest = int(window.sum()), int(window.argmax())
    known = int(reference.sum())
    usual = drift.share_at_most(int(reference[fullest]), known)
    if not rows or window[fullest] < rows or drift.far(rows, rows, usual) > chance:
        return []
    return [Fault("alike", 1.0, float(reference[fullest] / max(known, 1)))]


def chance(windows: float, streams: int) -> float:
    """The chance with which a window may be taken for broken so that few are in a month."""
    return BROKEN / max(windows * streams * SORTS, 1.0)


def shifts(window: Array, reference: Array, about: Json, most: int = 3) -> list[Json]:
    """The bins whose share changed most, with both shares."""
    now, usual = window / max(window.sum(), 1), reference / max(reference.sum(), 1)
    names = profile.bins(about)
    order = np.argsort(-np.abs(now - usual), kind="stable")[:most]
    return [
        {"bin": names[place], "share": float(now[place]), "usual": float(usual[place])}
        for place in order
        if now[place] != usual[place]
    ]

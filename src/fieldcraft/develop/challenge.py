"""A challenger against the champion: gates, each with its figures and its reason.

The rows are the challenger's judge rows that the champion was neither trained nor tuned on: the
champion's own judge rows (frozen) and new ones (recent). Where a table is small each row is judged
by the member of its fold, of both models alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldcraft.bundle.runtime import Bundle
from fieldcraft.contracts import Array, Json
from fieldcraft.core.words import figure, joined, listed
from fieldcraft.develop.contest import finite
from fieldcraft.develop.fresh import Known
from fieldcraft.develop.rows import AGED, Development, columns_of, weights_of
from fieldcraft.evidence.bootstrap import Comparison, Draw, compare, resample
from fieldcraft.evidence.groups import FEWEST, MOST, groups_of
from fieldcraft.evidence.metrics import Metric, Said
from fieldcraft.project.settings import Settings

CALIBRATION = "calibration_error"
GAP = 0.01  # by which calibration, or 0.02 by which coverage, may be worse
COVERAGE_GAP = 0.02
CALLS = 60  # of one row each, in turns
SLACK = 5.0  # milliseconds that are no matter
ROOM = 1.0  # megabytes that are none
MATCHED = 2  # half-folds of a fold


@dataclass(frozen=True)
class Gate:
    """Something in which a challenger must hold its own.

    Attributes:
        name: of the gate.
        passed: whether it does.
        text: what was found, in a sentence.
        figures: behind it.
    """

    name: str
    passed: bool
    text: str
    figures: Json

    def as_json(self) -> Json:
        """The gate as a JSON value."""
        return {"gate": self.name, "passed": self.passed, "text": self.text, **self.figures}


@dataclass(frozen=True)
class Pair:
    """Champion and challenger, loaded, with their folders."""

    champion: Bundle
    challenger: Bundle
    folders: tuple[Path, Path]


@dataclass(frozen=True)
class Match:
    """What both models say about the rows on which they are compared.

    Attributes:
        rows: of the challenger.
        places: of the rows among them.
        frozen: whether each is a judge row of the champion, else it is new.
        champion: what the champion says.
        challenger: what the challenger says.
        y: what is true.
    """

    rows: Development
    places: Array
    frozen: Array
    champion: Said
    challenger: Said
    y: Array


def matched(rows: Development, digests: Sequence[bytes], known: Known, pair: Pair) -> Match | None:
    """Let both models judge the rows that neither was trained or tuned on; None without such.

    Args:
        rows: those of the challenger.
        digests: of each.
        known: the rows of the champion.
        pair: champion and challenger.
    """
    before = {
        digest: (part, fold // MATCHED if part == "cross" else 0)
        for digest, part, fold in known.parts.select("digest", "part", "fold").iter_rows()
    }
    several = {fold for part, fold in before.values()} != {0}
    places, folds, theirs = list[int](), list[int](), list[int]()
    for number, fold in enumerate(rows.folds):
        for place in fold.judge.tolist():
            part, old = before.get(digests[place], ("", number if several else 0))
            if part not in ("train", "tune"):
                places.append(place)
                folds.append(number)
                theirs.append(old)
    if not places:
        return None
    chosen = np.array(places, dtype=np.int64)
    frame = rows.frame[places]
    frozen = np.array([digests[place] in before for place in places], dtype=bool)
    champion = pair.champion.judged(frame, np.array(theirs))
    challenger = pair.challenger.judged(frame, np.array(folds))
    return Match(rows, chosen, frozen, champion, challenger, rows.y[chosen])


def gates(match: Match, pair: Pair, metric: Metric, settings: Settings, seed: int) -> list[Gate]:
    """All gates; the challenger is promoted only if it passes each."""
    weights = weights_of(match.rows.frame.drop(AGED, strict=False), settings)
    draw = Draw(
        len(match.y), seed,
        None if match.rows.units is None else match.rows.units[match.places],
        None if weights is None else weights[match.places],
    )  # fmt: skip
    every = np.ones(len(match.y), dtype=bool)
    parts = {"all": every, "frozen": match.frozen, "recent": ~match.frozen}
    parts = {name: mask for name, mask in parts.items() if mask.sum() >= FEWEST}
    groups = masks_of(match, settings)
    found = compared(match, metric, {**parts, **groups}, draw)
    return [
        gate_better({name: found[name] for name in parts}, metric, parts),
        gate_groups({name: found[name] for name in groups}, metric, settings),
        gate_calibration(match, draw),
        gate_speed(match, pair, settings),
        gate_size(pair, settings),
    ]


def compared(
    match: Match, metric: Metric, parts: Mapping[str, Array], draw: Draw
) -> dict[str, tuple[Comparison, float, float]]:
    """How much better the challenger is on each part of the rows, its figure, the champion's."""

    def of(said: Said, mask: Array) -> Callable[[Array], Array]:
        mine, y = said.at(mask), match.y[mask]
        return lambda weights: metric.values(y, mine, weights[:, mask])

    statistics = {
        (name, side): of(said, mask)
        for name, mask in parts.items()
        for side, said in (("new", match.challenger), ("old", match.champion))
    }
    drawn = resample(statistics, draw)
    return {
        name: (
            compare(drawn[name, "new"], drawn[name, "old"], metric.greater_is_better),
            float(drawn[name, "new"][0]), float(drawn[name, "old"][0]),
        )
        for name in parts
    }  # fmt: skip


def as_json(found: tuple[Comparison, float, float]) -> Json:
    """A comparison for the record."""
    at, new, old = found
    return {
        "challenger": finite(new), "champion": finite(old), "difference": finite(at.difference),
        "low": finite(at.low), "high": finite(at.high), "verdict": at.verdict,
    }  # fmt: skip


def gate_better(
    found: Mapping[str, tuple[Comparison, float, float]], metric: Metric, parts: Mapping[str, Array]
) -> Gate:
    """It must be better on all or on recent rows, and worse on none of them."""
    verdicts = {name: at.verdict for name, (at, _, _) in found.items()}
    worse = [name for name, verdict in verdicts.items() if verdict == "worse"]
    better = [name for name in ("all", "recent") if verdicts.get(name) == "better"]
    said = "; ".join(
        f"{name} ({int(parts[name].sum()):,} rows): {figure(new)}, was {figure(old)} ({at.verdict})"
        for name, (at, new, old) in found.items()
    )
    text = f"{metric.title} on {said}" if found else "too few rows to compare on"
    figures = {name: as_json(one) for name, one in found.items()}
    return Gate("better", bool(better) and not worse, text, {"parts": figures})


def masks_of(match: Match, settings: Settings) -> dict[str, Array]:
    """The rows of each group that the project file names."""
    names = settings.problem.groups
    if not names:
        return {}
    values = columns_of(settings, names).apply(match.rows.frame[match.places.tolist()])
    found: dict[str, Array] = {}
    for name in names:
        codes, order = groups_of(values[name])
        masks = {f"{name}: {group}": (codes == group).to_numpy() for group in order}
        found |= dict(list({n: m for n, m in masks.items() if m.sum() >= FEWEST}.items())[:MOST])
    return found


def gate_groups(
    found: Mapping[str, tuple[Comparison, float, float]], metric: Metric, settings: Settings
) -> Gate:
    """It must be worse for no group. That there may be many is no excuse: nothing is corrected."""
    worse = {name: one for name, one in found.items() if one[0].verdict == "worse"}
    said = [f"{name} ({figure(new)}, was {figure(old)})" for name, (_, new, old) in worse.items()]
    text = f"{metric.title} is worse for {joined(said)}" if worse else (
        f"worse for none of {len(found)} groups" if found else
        "no group has enough rows" if settings.problem.groups else "no groups are declared"
    )  # fmt: skip
    return Gate(
        "groups", not worse, text, {"groups": {n: as_json(one) for n, one in found.items()}}
    )


def gate_calibration(match: Match, draw: Draw) -> Gate:
    """Its probabilities, or intervals, must be no less honest."""
    metrics = {metric.name: metric for metric in match.rows.task.metrics}
    every = {"all": np.ones(len(match.y), dtype=bool)}
    if CALIBRATION in metrics:
        found = compared(match, metrics[CALIBRATION], every, draw)["all"]
        at, new, old = found
        passed = not (at.verdict == "worse" and -at.difference > GAP)
        text = f"calibration error {figure(new)}, was {figure(old)}"
        return Gate("calibration", passed, text, as_json(found))
    at, new, old = compared(match, metrics["coverage"], every, draw)["all"]
    wanted = match.challenger.coverage
    passed = not (
        at.verdict == "worse" and max(wanted - new, 0) - max(wanted - old, 0) > COVERAGE_GAP
    )
    text = f"intervals hold {new:.1%} of the rows, held {old:.1%}, should hold {wanted:.0%}"
    return Gate("calibration", passed, text, as_json((at, new, old)))


def gate_speed(match: Match, pair: Pair, settings: Settings) -> Gate:
    """It must not take much longer for a row, nor longer than the project file allows."""
    taken = np.zeros((CALLS, 2))
    for call in range(CALLS):
        row = match.rows.frame[call % match.rows.frame.height]
        for side, bundle in enumerate((pair.champion, pair.challenger)):
            start = time.perf_counter()
            bundle.predict(row)
            taken[call, side] = 1e3 * (time.perf_counter() - start)
    old, new = np.median(taken, axis=0).tolist()
    limit = settings.deploy.latency
    allowed = min(max(settings.deploy.retrain.slower * old, old + SLACK), limit or np.inf)
    text = f"{figure(new)} ms a row, was {figure(old)}, may be {figure(allowed)}"
    figures = {"challenger": new, "champion": old, "allowed": allowed}
    return Gate("speed", new <= allowed, text, figures)


def gate_size(pair: Pair, settings: Settings) -> Gate:
    """It must not be much larger, nor larger than the project file allows."""
    old, new = (sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
                for folder in pair.folders)  # fmt: skip
    limit = settings.deploy.size
    allowed = min(max(settings.deploy.retrain.larger * old, old + ROOM), limit or np.inf)
    text = f"{figure(new)} MB, was {figure(old)}, may have {figure(allowed)}"
    return Gate(
        "size", new <= allowed, text, {"challenger": new, "champion": old, "allowed": allowed}
    )


def gate_schema(champion: Bundle, challenger: Bundle) -> Gate:
    """Whoever asks the champion must be able to ask the challenger, and understand its answers."""
    added = [name for name in challenger.columns if name not in champion.columns]
    classes = [list(one.about.get("classes") or one.about.get("labels") or [])
               for one in (champion, challenger)]  # fmt: skip
    odd = []
    if champion.manifest["task"] != challenger.manifest["task"]:
        odd.append(f"the task is {challenger.manifest['task']}, was {champion.manifest['task']}")
    if added:
        odd.append(f"it asks for more columns: {listed(added)}")
    if classes[0] != classes[1]:
        changed = sorted(set(map(str, classes[0])) ^ set(map(str, classes[1])))
        odd.append(f"the classes are others: {listed(changed) if changed else 'another order'}")
    text = joined(odd) if odd else "same columns, same answers"
    return Gate("schema", not odd, text, {"columns": list(challenger.columns)})

"""Labels that may be wrong: rows that contradict a champion which has not learned from them.

Rows are found by confident learning (Northcutt, Jiang & Chuang, *Confident Learning: Estimating
Uncertainty in Dataset Labels*, JAIR 2021) with cleanlab, the least likely label first.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fieldcraft.contracts import Array, Json, Sight, View
from fieldcraft.core.words import figure, joined, plural
from fieldcraft.evidence.label_noise import Noise, noise_of
from fieldcraft.evidence.records import Finding, sole

FEWEST = 200  # rows
MOST_CLASSES = 1_000
MOST_ROWS = 20
MOST_SHARES = 30  # classes whose share of wrong labels is kept, the largest first


@dataclass(frozen=True)
class Doubt:
    """A target with labels that may be wrong.

    Attributes:
        target: name of the column.
        classes: as people call them.
        noise: how many labels are wrong, and whether that is sure.
        rows: positions of the rows whose label is doubted, the least likely label first.
        y: labels as given.
        outputs: what the champion says.
    """

    target: str
    classes: tuple[str, ...]
    noise: Noise
    rows: Array
    y: Array
    outputs: Array

    def shares(self) -> list[Json]:
        """Of each class the share of its labels that contradicts the champion, largest first."""
        counts = np.bincount(self.y, minlength=len(self.classes))
        found = [
            {"target": self.target, "class": name, "rows": int(count), "share": float(share)}
            for name, count, share in zip(self.classes, counts, self.noise.by_class, strict=True)
            if count
        ]
        return sorted(found, key=lambda item: -float(item["share"]))

    def doubted(self, view: View) -> list[Json]:
        """The rows that are worth a second look, with the label that the champion suggests."""
        return [
            {
                "at": int(i),
                "line": int(view.rows[int(i)]),
                "target": self.target,
                "given": self.classes[self.y[i]],
                "suggested": self.classes[int(self.outputs[i].argmax())],
                "confidence": float(self.outputs[i, self.y[i]]),
            }
            for i in self.rows[:MOST_ROWS]
        ]


class LabelNoise:
    """Reports rows whose label contradicts what the champion is sure of, and how many there are."""

    code = "label_noise"
    looks_at: Sight = "model"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare the labels of judge rows with what the champion says about them."""
        if view.said is None or view.y is None or len(view.y) < FEWEST:
            return
        found = [doubt for doubt in doubts(view) if len(doubt.rows)]
        for sure in (True, False):
            alike = [doubt for doubt in found if doubt.noise.sure is sure]
            if alike:
                yield self._finding(alike, view, sure)
                return  # the sure ones are enough to begin with

    def _finding(self, found: list[Doubt], view: View, sure: bool) -> Finding:
        worst = max(found, key=lambda doubt: doubt.noise.share.value)
        names = joined([doubt.target for doubt in found][:5])
        rows = sorted(
            (row for doubt in found for row in doubt.doubted(view)), key=lambda r: r["confidence"]
        )[:MOST_ROWS]
        shares = [share for doubt in found for share in doubt.shares()]
        share = worst.noise.share
        about = f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"
        title = (
            f"about {about} of the labels of {names} look wrong: so many contradict the champion "
            "where it is surest, and hardly fewer than where it is less sure"
            if sure
            else f"some labels of {names} are worth a second look: {about} contradict the champion "
            "where it is surest; classes that overlap may explain that as well"
        )
        return Finding(
            self.code,
            "warn" if sure else "tip",
            title,
            sole(doubt.target for doubt in found),
            {
                "share": share.value,
                "low": share.low,
                "high": share.high,
                "rise": worst.noise.rise,
                "agreement": worst.noise.agreement,
                "judged": len(worst.y),
                "doubted": sum(len(doubt.rows) for doubt in found),
                "classes": sorted(shares, key=lambda s: -s["share"])[:MOST_SHARES],
                "rows": rows,
            },
            f"look at the {plural(len(rows), 'row')} that the report lists, the least likely "
            f"label first (the first at {figure(rows[0]['confidence'])}), with whoever gave the "
            "labels; right what is wrong, there and in test rows, and run again",
        )


def doubts(view: View) -> Iterator[Doubt]:
    """Every target of which some labels contradict the champion, with these rows."""
    for target, classes, y, outputs in asked(view):
        if len(classes) > MOST_CLASSES:
            continue
        noise = noise_of(outputs, y)
        if noise.possible:
            yield Doubt(target, classes, noise, confident_issues(y, outputs), y, outputs)


def asked(view: View) -> Iterator[tuple[str, tuple[str, ...], Array, Array]]:
    """The targets that are classes, with their classes, labels and probabilities."""
    if view.task is None or view.said is None or view.y is None or view.about is None:
        return
    outputs = view.said.outputs
    if view.task.output == "probabilities":
        yield view.targets[0], tuple(view.about["classes"]), view.y, outputs
    elif view.task.output == "labels":
        for k, name in enumerate(view.about["labels"]):
            both = np.stack([1 - outputs[:, k], outputs[:, k]], axis=1)
            yield name, (f"not {name}", name), view.y[:, k].astype(np.int64), both


def confident_issues(y: Array, outputs: Array) -> Array:
    """Positions of the rows that confident learning doubts, the least likely label first."""
    from cleanlab.filter import find_label_issues

    outputs = outputs.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes without a row
        return np.asarray(
            find_label_issues(
                y,
                outputs / outputs.sum(axis=1, keepdims=True),
                filter_by="low_normalized_margin",
                return_indices_ranked_by="self_confidence",
                n_jobs=1,
            ),
            dtype=np.int64,
        )


CHECK = LabelNoise()

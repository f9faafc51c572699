"""Checks of photos class by class: few distinct shots, one source; and of what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import joined
from fieldcraft.data.weights import has_linear_layers
from fieldcraft.evidence.association import levels_of, power_of
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.image.audit import FEWEST, TELLS, Seen, examples, facts_of, photos_of
from fieldcraft.kinds.image.near import NOTHING, SIDE, near_groups
from fieldcraft.kinds.image.options import LORA
from fieldcraft.kinds.image.scratch import SCRATCH
from fieldcraft.kinds.image.store import store_for

FEW = 10  # photos of a class, below which few shots are no surprise
ALIKE_SHARE = 1 / 3  # distinct shots of a class's photos, from which on they are too few
APART = 0.6  # share of whether a photo is of a class, that a fact of its file tells by itself
MOST_CLASSES = 100
MOST_TOLD = 20  # classes that are listed as evidence


class ClassShots:
    """Classes whose photos are shots of few things, so that a model learns these by heart."""

    code = "class_shots"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Count the distinct shots of each class among training photos."""
        classes = dict(classes_of(view))
        for name, seen in photos_of(view) if classes else ():
            there = np.flatnonzero(seen.readable)
            if len(there) < FEW:
                continue
            squares = store_for(SIDE).pixels([seen.addresses[i] for i in there], NOTHING)
            groups, _ = near_groups(squares)
            few = {
                label: shots
                for label, rows in classes.items()
                if (shots := shots_of(rows[seen.rows[there]], groups))
            }
            if few:
                groups_of_rows = [there[group] for group in groups]
                yield self._finding(name, few, seen, groups_of_rows, view)

    def _finding(
        self, name: str, few: Mapping[str, tuple[int, int]], seen: Seen,
        groups: Sequence[Array], view: View,
    ) -> Finding:  # fmt: skip
        told = [f"{label} ({photos:,} photos, {shots:,} shots)"
                for label, (photos, shots) in few.items()]  # fmt: skip
        return Finding(
            self.code,
            "warn",
            f"some classes have few distinct shots in {name}: {joined(told[:5])}; such as "
            f"{examples(seen, groups[0].tolist(), view)}",
            name,
            {"classes": {label: {"photos": photos, "shots": shots}
                         for label, (photos, shots) in list(few.items())[:MOST_TOLD]}},
            "a model learns these shots rather than the class: take photos of more things, on "
            "other days and grounds; frames of one film count as one shot",
        )  # fmt: skip


class OneSource:
    """A class that is told from all others by its camera, its background, or its files."""

    code = "one_source"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Measure how much each fact of training photos tells of each class against the rest."""
        classes = dict(classes_of(view))
        if len(classes) < 3:
            return  # of two classes the check of shortcuts says the same
        for name, seen in photos_of(view):
            there = np.flatnonzero([address is not None for address in seen.addresses])
            if len(there) < FEWEST or view.y is None:
                continue
            facts = {
                what: levels_of(pl.Series(what, values))
                for what, values in facts_of([str(seen.addresses[i]) for i in there]).items()
            }
            asked = {label: rows[seen.rows[there]] for label, rows in classes.items()}
            if view.y.ndim == 1:  # what tells all classes alike is a shortcut, told by itself
                y = view.y[seen.rows[there]]
                facts = {what: f for what, f in facts.items() if power_of(f, y, False) < TELLS}
            told = dict(told_apart(facts, asked))
            if told:
                yield self._finding(name, told)

    def _finding(self, name: str, told: Mapping[str, Mapping[str, float]]) -> Finding:
        parts = [f"{label} by {joined(list(facts))}" for label, facts in told.items()]
        return Finding(
            self.code,
            "warn",
            f"a class is told from all others by how its photos in {name} were taken, whatever "
            f"they show: {'; '.join(parts[:5])}",
            name,
            {"power": {label: dict(facts) for label, facts in list(told.items())[:MOST_TOLD]}},
            "photos of one camera, place or background alone make a model learn that: add some of "
            "other sources to these classes, or of this source to the others",
        )


class UnfitTuning:
    """LoRA that is asked of a network without a layer that it could train."""

    code = "unfit_tuning"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Look into the files of the network that is asked for."""
        for column in view.schema.columns:
            name = str(column.options.get("encoder", ""))
            if column.kind != "image" or column.options.get("tune") != LORA or name in SCRATCH:
                continue
            folder = Path(name).expanduser()
            if folder.is_dir() and not has_linear_layers(folder):
                yield Finding(
                    self.code,
                    "stop",
                    f"the network for the photos in {column.name} has nothing that LoRA could "
                    "train: it has convolutions only, no linear layers",
                    column.name,
                    {"encoder": name, "tune": LORA},
                    "train it as a whole, take it as it is (leave tune out), or take a network "
                    "with attention, or a ConvNeXt",
                    (Edit(("data", "columns", column.name, "tune"), True),),
                )


def classes_of(view: View) -> Iterator[tuple[str, Array]]:
    """The classes or labels of the training rows, each with the rows that have it."""
    if view.y is None or view.about is None or view.task is None or view.task.output == "value":
        return
    if view.y.ndim == 2:
        yield from ((name, label == 1) for name, label in zip(view.targets, view.y.T, strict=True))
        return
    labels = view.about.get("classes", [])
    if len(labels) <= MOST_CLASSES:
        yield from ((str(label), view.y == k) for k, label in enumerate(labels))


def shots_of(of_class: Array, groups: Sequence[Array]) -> tuple[int, int] | None:
    """Photos and distinct shots of a class; None where these are many enough.

    Args:
        of_class: whether each photo is of the class.
        groups: numbers of the photos that look nearly the same.
    """
    photos = int(of_class.sum())
    alike = [int(of_class[group].sum()) for group in groups]
    shots = photos - sum(count - 1 for count in alike if count)
    return (photos, shots) if photos >= FEW and shots <= ALIKE_SHARE * photos else None


def told_apart(
    facts: Mapping[str, Array], asked: Mapping[str, Array]
) -> Iterator[tuple[str, dict[str, float]]]:
    """The classes that facts tell from the rest, with how much of that each fact tells."""
    for label, rows in asked.items():
        if rows.sum() < FEW:
            continue
        power = {what: power_of(f, rows.astype(np.int64), False) for what, f in facts.items()}
        told = {what: found for what, found in power.items() if found >= APART}
        if told:
            yield label, told


CHECKS = (ClassShots(), OneSource(), UnfitTuning())

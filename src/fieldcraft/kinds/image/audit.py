"""Checks of photos: unreadable, nearly the same, poor, and told apart by the wrong things."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.errors import DataError
from fieldcraft.core.words import listed, plural
from fieldcraft.data import media
from fieldcraft.evidence.association import each_target, levels_of, power_of
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.image.decode import Glance, decode
from fieldcraft.kinds.image.near import NOTHING, SIDE, near_groups
from fieldcraft.kinds.image.store import look_at, store_for

MOST = 20_000  # photos that are looked at, but for copies, which are sought among all
MOST_LISTED = 100  # photos of one fault
FAULTS = {
    "empty": "empty", "not a photo": "no photo", "truncated": "cut short",
    "pixels are more": "too large", "decompression bomb": "too large",
}  # fmt: skip
SHOWN = 5
MANY = 0.01  # share of the photos that look like another; fewer do little harm
BLANK, DARK, BRIGHT = 2.0, 18.0, 245.0  # spread and means of pixels, of 255
ODD = 16.0  # times more or fewer pixels than the middle photo
TELLS = 0.5  # share of the target that a photo's file tells by itself
FRAME = 2  # pixels of the square's edge: a sixteenth of the side
HUES = 3  # steps of red, green and blue of the edge's colour
PAPER = (8, 247)  # what is darker or brighter is a frame or a page
CUT = 4  # rows at the foot of a square that are of one colour where a photo was cut short
FEWEST = 50


@dataclass(frozen=True)
class Seen:
    """The photos of a column, or an even sample of them.

    Attributes:
        rows: positions of their rows in the view.
        addresses: where they are; None where even the head cannot be read.
        cells: as the table has them.
        there: how many photos the column has.
    """

    rows: Array
    addresses: list[str | None]
    cells: list[str]
    there: int

    @property
    def sampled(self) -> str:
        """What a title says where not all photos were looked at."""
        looked = len(self.cells)
        return "" if looked == self.there else f" (of {looked:,} looked at, of {self.there:,})"

    @property
    def readable(self) -> Array:
        """Which photos can be decoded."""
        there = [address for address in self.addresses if address]
        broken = dict(zip(there, store_for(SIDE).broken(there), strict=True))
        return np.array([bool(a and not broken[a]) for a in self.addresses], dtype=bool)


def photos_of(view: View, most: int | None = MOST) -> Iterator[tuple[str, Seen]]:
    """The photo columns of a view, with their photos, or so many of them; all if most is None."""
    for column in view.schema.columns:
        if column.kind != "image":
            continue
        cells = view.looks[column.name].column.cast(pl.String)
        rows = np.flatnonzero(cells.is_not_null().to_numpy())
        there = len(rows)
        rows = rows[np.linspace(0, there - 1, min(most or there, there), dtype=int)]
        where = rows.tolist()
        addresses = view.values[column.name][where].to_list()
        yield column.name, Seen(rows, addresses, cells[where].to_list(), there)


def examples(seen: Seen, which: Sequence[int], view: View) -> str:
    """A few photos by row and name."""
    told = [
        f"row {view.rows[int(seen.rows[i])]} ({os.path.basename(seen.cells[i])[:40]})"
        for i in which
    ]
    return listed(told, SHOWN)


class Unreadable:
    """Photos that are not there, damaged, cut short, or no photos at all."""

    code = "unreadable_photo"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Decode every photo."""
        for name, seen in photos_of(view):
            broken = np.flatnonzero(~seen.readable).tolist()
            if not broken:
                continue
            why = Counter(fault_at(seen.addresses[i], seen.cells[i]) for i in broken[:MOST_LISTED])
            told = ", ".join(f"{count:,} {fault}" for fault, count in why.most_common())
            more = len(broken) - why.total()
            yield Finding(
                self.code,
                "warn",
                f"{plural(len(broken), 'photo')} of {name}{seen.sampled} cannot be read and "
                f"{'counts' if len(broken) == 1 else 'count'} as missing ({told}"
                f"{f', and {more:,} more' if more else ''}): {examples(seen, broken, view)}",
                name,
                {"photos": len(broken), "of": len(seen.cells), "faults": dict(why),
                 "cells": [seen.cells[i] for i in broken[:MOST_LISTED]]},
                "put whole files in their place, or leave the rows out: "
                f"clean.columns.{name}.missing: drop",
            )  # fmt: skip


def fault_at(address: str | None, cell: str) -> str:
    """What is wrong with a photo that cannot be decoded, in a word or two."""
    try:
        data = media.content(address or cell)
    except DataError:
        return "not there"
    try:
        decode(data, SIDE)
    except DataError as error:
        return next((word for sign, word in FAULTS.items() if sign in error.seen), "damaged")
    return "not read at first"


class NearPhotos:
    """Photos that are nearly the same: shots of one thing, or copies in another size or form."""

    code = "near_photos"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare every photo with every other."""
        for name, seen in photos_of(view, None):
            there = np.flatnonzero(seen.readable)
            if len(there) < 2:
                continue
            squares = store_for(SIDE).pixels([seen.addresses[i] for i in there], NOTHING)
            groups, whole = near_groups(squares)
            if not groups:
                continue
            count = sum(map(len, groups))
            shown = [[seen.cells[there[i]] for i in group[:SHOWN]] for group in groups[:20]]
            few = count < MANY * len(there) or view.entity is not None
            yield Finding(
                self.code,
                "tip" if few else "warn",
                f"{'' if whole else 'at least '}{plural(count, 'photo')} of {name}{seen.sampled} "
                f"look nearly like another ({plural(len(groups), 'group')}, the largest of "
                f"{len(groups[0])}): {examples(seen, there[groups[0]].tolist(), view)}",
                name,
                {"photos": count, "groups": len(groups), "examples": shown},
                "the split keeps them on one side unless a group is very large (split.near: "
                "together); a column that tells which photos show the same thing does it better: "
                "name it in data.entity and set split.rule: entity; copies can go",
            )  # fmt: skip


class PoorPhotos:
    """Photos that show nothing, or are of a far other size than the rest."""

    code = "poor_photos"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Measure light and size of every photo."""
        for name, seen in photos_of(view):
            there = np.flatnonzero(seen.readable)
            if not len(there):
                continue
            addresses = [str(seen.addresses[i]) for i in there]
            found = {
                what: there[mask].tolist()
                for what, mask in faults_of(addresses).items()
                if mask.any()
            }
            if found:
                yield self._finding(name, seen, found, view)

    def _finding(
        self, name: str, seen: Seen, found: Mapping[str, list[int]], view: View
    ) -> Finding:
        told = "; ".join(
            f"{len(which):,} {what}: {examples(seen, which[:2], view)}"
            for what, which in found.items()
        )
        return Finding(
            self.code,
            "tip",
            f"some photos of {name}{seen.sampled} look poor: {told}",
            name,
            {what: [seen.cells[i] for i in which[:100]] for what, which in found.items()},
            "look at them; take out what nobody could tell either",
        )


def faults_of(addresses: Sequence[str]) -> dict[str, Array]:
    """Which photos are blank, dark, bright, or of an odd size."""
    squares = store_for(SIDE).pixels(addresses, NOTHING)
    mean, spread = squares.mean(axis=(1, 2, 3)), squares.std(axis=(1, 2, 3))
    looks = look_at(addresses)
    area = np.array([look.width * look.height if look else 1 for look in looks], dtype=float)
    times = area / np.median(area)
    blank = spread < BLANK
    return {
        "of one colour": blank,
        "very dark": (mean < DARK) & ~blank,
        "very bright": (mean > BRIGHT) & ~blank,
        "of one colour at the foot, as if cut short": cut_short(looks, squares) & ~blank,
        "far larger than the rest": times > ODD,
        "far smaller than the rest": times < 1 / ODD,
    }


def cut_short(looks: Sequence[Glance | None], squares: Array) -> Array:
    """Which photos are JPEGs that end early: of what is not there, a decoder makes one colour."""
    foot = squares[:, -CUT:].reshape(len(squares), -1, 3).astype(np.int64)
    even = (np.ptp(foot, axis=1) == 0).all(axis=1)
    within = ((foot[:, 0] > PAPER[0]) & (foot[:, 0] < PAPER[1])).any(axis=1)  # no page, no frame
    jpeg = np.array([look is not None and look.form == "JPEG" for look in looks], dtype=bool)
    return np.asarray(even & within & jpeg)


class Shortcuts:
    """What a photo shows is not needed to tell the target: its file or its edge gives it away."""

    code = "shortcut"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Measure how much of the target the size, form and edge of training photos tell."""
        if view.y is None or view.task is None or len(view.y) < FEWEST:
            return
        value = view.task.output == "value"
        for name, seen in photos_of(view):
            there = np.flatnonzero([address is not None for address in seen.addresses])
            if len(there) < FEWEST:
                continue
            facts = facts_of([str(seen.addresses[i]) for i in there])
            for target, y in each_target(view.y, view.targets):
                asked = y[seen.rows[there]]
                power = {
                    what: power_of(levels_of(pl.Series(what, f)), asked, value)
                    for what, f in facts.items()
                }
                told = {what: found for what, found in power.items() if found >= TELLS}
                if told:
                    yield self._finding(name, target, told, len(there))

    def _finding(self, name: str, target: str, told: Mapping[str, float], photos: int) -> Finding:
        parts = [f"{what} {power:.0%}" for what, power in told.items()]
        return Finding(
            self.code,
            "warn",
            f"what the photos of {name} show is hardly needed to tell {target}: "
            f"{listed(parts)} of it are told by that alone",
            name,
            {"power": dict(told), "photos": photos},
            "ask how the photos were taken: one camera, program or place for each class? A model "
            "will learn that instead; bring all photos to one size and form, or take new ones",
        )


def facts_of(addresses: Sequence[str]) -> dict[str, Array]:
    """What is known of photos without looking at what they show."""
    looks = look_at(addresses)
    shape = np.array([(look.width, look.height) if look else (0, 0) for look in looks], dtype=float)
    forms = [f"{look.form} {look.mode}" if look else "" for look in looks]
    cameras = [look.camera if look else "" for look in looks]
    squares = store_for(SIDE).pixels(addresses, NOTHING)
    edge = np.ones((SIDE, SIDE), dtype=bool)
    edge[FRAME:-FRAME, FRAME:-FRAME] = False
    edges = squares[:, edge].astype(np.float32)  # (photos, pixels of the edge, 3)
    hues = (edges.mean(axis=1) // (256 / HUES)).astype(np.int64) @ HUES ** np.arange(3)
    return {
        "the camera": np.unique(cameras, return_inverse=True)[1],
        "the size of the file": np.array([len(media.content(address)) for address in addresses]),
        "the number of pixels": shape.prod(axis=1),
        "the proportions": shape[:, 0] / np.maximum(shape[:, 1], 1),
        "the form of the file": np.unique(forms, return_inverse=True)[1],
        "the brightness of the edge": edges.mean(axis=(1, 2)),
        "the colour of the edge": np.unique(hues, return_inverse=True)[1],
        "the evenness of the edge": edges.std(axis=1).mean(axis=1),
    }


CHECKS = (Unreadable(), NearPhotos(), PoorPhotos(), Shortcuts())

"""Encode photos: squares of pixels for networks, colours and edges for trees and linear models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.encoders import Views
from fieldcraft.contracts import Array, Matrix, State
from fieldcraft.core.errors import DataError
from fieldcraft.data.table import Column
from fieldcraft.kinds.image.features import NAMES, describe
from fieldcraft.kinds.image.mirror import may_mirror
from fieldcraft.kinds.image.store import look_at, store_for

SIDES = (32, 64, 96, 128)  # of the squares, in pixels
LEAST, MOST = 16, 1_024  # pixels a side that may be asked for
PIXELS, TRUTH = f"a number of pixels from {LEAST} to {MOST:,}", "true or false"
SAMPLE = 1_000  # training photos that tell size and colours
NO_SPREAD = 1e-2  # of a channel, as a share of its range: photos of one colour


@dataclass(frozen=True)
class Photos:
    """The addresses of the photos of each column; pixels are read when their size is known."""

    columns: tuple[tuple[str | None, ...], ...]
    rows: int

    @cached_property
    def flat(self) -> list[str | None]:
        """The addresses row by row."""
        return [address for row in zip(*self.columns, strict=True) for address in row]


class ImageEncoder:
    """Encodes all photo columns of a table.

    A photo becomes a square whose side fits the middle training photo, in RGB; the mean and the
    spread of its colours, and whether left and right may be swapped, are learned from training
    photos. Where there is no photo, the square has the mean colour.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        """An encoder of some columns that knows nothing of their photos yet."""
        self.names = [column.name for column in columns]
        sizes = [asked(c, "size", is_side, PIXELS) for c in columns if "size" in c.options]
        mirrors = [asked(c, "mirror", is_truth, TRUTH) for c in columns if "mirror" in c.options]
        self.asked_side = max(sizes, default=None)
        self.asked_mirror = all(mirrors) if mirrors else None  # one net reads all columns
        self.side = self.asked_side or SIDES[0]
        self.mean = np.zeros(3)
        self.spread = np.ones(3)
        self.mirror = bool(self.asked_mirror)

    def read(self, rows: pl.DataFrame) -> Photos:
        """The addresses of the photos of each column."""
        return Photos(tuple(tuple(rows[name].to_list()) for name in self.names), rows.height)

    def fit_transform(self, photos: Photos, target: Array) -> Views:
        """Learn size, colours and whether to mirror from training photos; return them encoded."""
        places = [place for place, address in enumerate(photos.flat) if address is not None]
        chosen = np.linspace(0, len(places) - 1, min(SAMPLE, len(places)), dtype=int)
        places = [places[i] for i in chosen]
        sample = [photos.flat[place] for place in places]
        self.side = self.asked_side or side_for(sample)
        if sample:
            pixels = store_for(self.side).pixels(sample, self.fill)
            self.mean = pixels.mean(axis=(0, 1, 2)) / 255
            self.spread = np.maximum(pixels.std(axis=(0, 1, 2)) / 255, NO_SPREAD)
            if self.asked_mirror is None:
                self.mirror = may_mirror(pixels, target[np.array(places) // len(self.names)])
        return self.transform(photos)

    @property
    def fill(self) -> Array:
        """The colour of the square that stands for a photo that is not there."""
        return np.rint(self.mean * 255).astype(np.uint8)

    def transform(self, photos: Photos) -> Views:
        """Encode rows: shape (rows, columns, side, side, 3), unsigned 8-bit integers."""
        flat = store_for(self.side).pixels(photos.flat, self.fill)
        shape = (photos.rows, len(self.names), self.side, self.side, 3)
        missing = np.array([address is None for address in photos.flat], dtype=bool)

        def matrix() -> Matrix:
            values = describe(flat)
            values[missing] = np.nan
            names = tuple(f"{column} ({name})" for column in self.names for name in NAMES)
            return Matrix(values.reshape(photos.rows, len(names)), names, (0,) * len(names))

        return Views(lambda: {"image": flat.reshape(shape)}, matrix)

    def state(self) -> State:
        """What was learned, as JSON values and arrays."""
        return State(
            {"side": self.side, "mirror": self.mirror}, {"mean": self.mean, "spread": self.spread}
        )

    def restore(self, state: State) -> None:
        """Become the encoder that `state` described."""
        self.side, self.mirror = state.values["side"], state.values["mirror"]
        self.mean, self.spread = (
            np.asarray(state.arrays[name], dtype=np.float64) for name in ("mean", "spread")
        )


def asked(column: Column, option: str, fits: Callable[[Any], bool], wanted: str) -> Any:
    """What the project file asks of a column of photos.

    Raises:
        DataError: that does not fit.
    """
    value = column.options[option]
    if fits(value):
        return value
    raise DataError(
        f"the option {option} of the photos in {column.name!r} does not fit",
        seen=f"{option}: {value}",
        way_out=f"set data.columns.{column.name}.{option} to {wanted}, or leave it out",
    )


def is_side(value: Any) -> bool:
    """Whether a network can take squares of this side."""
    return type(value) is int and LEAST <= value <= MOST


def is_truth(value: Any) -> bool:
    """Whether this is true or false."""
    return isinstance(value, bool)


def side_for(addresses: Sequence[str | None]) -> int:
    """The side of the squares: the largest that is hardly larger than the middle photo."""
    found = [look for look in look_at([a for a in addresses if a]) if look]
    if not found:
        return SIDES[0]
    middle = float(np.median([(look.width * look.height) ** 0.5 for look in found]))
    fitting = [side for side in SIDES if side <= 1.15 * middle]
    return max(fitting, default=SIDES[0])

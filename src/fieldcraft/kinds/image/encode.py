"""Encode photos: squares of pixels for networks, colours and edges for trees and linear models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.bundle.backbone import load_backbone
from fieldcraft.bundle.encoders import Views
from fieldcraft.bundle.meaning import Meaning, learn_meaning
from fieldcraft.contracts import Array, Json, Matrix, State
from fieldcraft.core.optional import needs
from fieldcraft.data.table import Column
from fieldcraft.data.weights import has_linear_layers
from fieldcraft.kinds.image.features import NAMES, describe
from fieldcraft.kinds.image.inherit import bundle_at, inherited_weights
from fieldcraft.kinds.image.mirror import may_mirror
from fieldcraft.kinds.image.options import LORA, asked_of, unfit
from fieldcraft.kinds.image.pretrained import Pretrained, open_pretrained
from fieldcraft.kinds.image.scratch import OWN, config_for
from fieldcraft.kinds.image.store import look_at, store_for
from fieldcraft.kinds.image.wanted import Wanted

SIDES = (32, 64, 96, 128)  # of the squares, in pixels
SAMPLE = 1_000  # training photos that tell size and colours
SOME = 256  # of them, that tell what inherited weights make of photos
NO_SPREAD = 1e-2  # of a channel, as a share of its range: photos of one colour


@dataclass(frozen=True)
class Photos:
    """The addresses of the photos of each column; pixels are read when their size is known.

    Attributes:
        columns: the addresses; None where there is no photo.
        rows: how many.
        pretrained: the network that gives their vectors, if one is asked for.
    """

    columns: tuple[tuple[str | None, ...], ...]
    rows: int
    pretrained: Pretrained | None = None

    @cached_property
    def flat(self) -> list[str | None]:
        """The addresses row by row."""
        return [address for row in zip(*self.columns, strict=True) for address in row]

    @cached_property
    def vectors(self) -> list[Array]:
        """What the pretrained network makes of the photos of each column; NaN where none is."""
        if self.pretrained is None:
            return []
        return [self.pretrained.vectors(column) for column in self.columns]


class ImageEncoder:
    """Encodes all photo columns of a table.

    A photo becomes a square whose side fits the middle training photo, in RGB; the mean and the
    spread of its colours, and whether left and right may be swapped, are learned from training
    photos. Where there is no photo, the square has the mean colour.

    Where the project file names a pretrained network, networks get its vector of the photo in
    place of the square, and trees and linear models get it beside colours and edges. If it is
    tuned, networks get the square, of the size and on the scale that it wants.
    """

    most_rows = None

    def __init__(self, columns: Sequence[Column]) -> None:
        """An encoder of some columns that knows nothing of their photos yet."""
        self.names = [column.name for column in columns]
        self.asked = asked_of(columns)
        self.side = self.asked.side or SIDES[0]
        self.mean = np.zeros(3)
        self.spread = np.ones(3)
        self.mirror = bool(self.asked.mirror)
        self.config: Json = {}  # of the network that is trained, unless it is our own
        self.pretrained: Pretrained | None = None
        self.meanings: list[Meaning] = []  # of the vectors of each column
        self.inherited: dict[str, Array] | None = None  # {}: those of a bundle, long since learned
        self.some = np.zeros((0, 1, 1, 3), dtype=np.uint8)

    @property
    def network(self) -> str:
        """The name of the network that is trained, whatever it begins with."""
        return OWN if self.asked.learned else self.asked.name

    @property
    def frozen(self) -> bool:
        """Whether photos are vectors, to networks as well."""
        return self.pretrained is not None and not self.asked.tune

    @property
    def width(self) -> int:
        """Numbers of the vectors of a row."""
        return sum(len(meaning.centre) for meaning in self.meanings)

    def read(self, rows: pl.DataFrame) -> Photos:
        """The addresses of the photos of each column."""
        if self.asked.learned and self.pretrained is None and self.inherited is None:
            self._open()
        columns = tuple(tuple(rows[name].to_list()) for name in self.names)
        return Photos(columns, rows.height, self.pretrained)

    def _open(self) -> None:
        """Open what the network begins with: the weights of a bundle, or a pretrained network."""
        bundle = bundle_at(self.asked.name)
        if bundle is None:
            folder = Path(self.asked.name).expanduser()
            if self.asked.tune == LORA and folder.is_dir() and not has_linear_layers(folder):
                wanted = "true, for the network has convolutions only, which LoRA does not train"
                raise unfit(self.asked.column, "tune", LORA, wanted)
            self.pretrained = open_pretrained(self.asked.name, self.asked.side)
        elif self.asked.tune == LORA:
            wanted = "true: the network of a bundle is trained as a whole"
            raise unfit(self.asked.column, "tune", LORA, wanted)
        else:
            self.inherited = inherited_weights(bundle)

    def fit_transform(self, photos: Photos, target: Array) -> Views:
        """Learn size, colours and whether to mirror from training photos; return them encoded."""
        places = [place for place, address in enumerate(photos.flat) if address is not None]
        chosen = np.linspace(0, len(places) - 1, min(SAMPLE, len(places)), dtype=int)
        places = [places[i] for i in chosen]
        sample = [photos.flat[place] for place in places]
        self.side = self.asked.side or side_for(sample)
        if self.pretrained is not None and not self.frozen:
            self._take_over(self.pretrained)
        elif self.network != OWN:
            needs("text")  # it brings the library of networks
            self.config = config_for(self.network, self.side)
        if sample:
            self._learn_light(sample, target[np.array(places) // len(self.names)])
        self.meanings = [learn_meaning(vectors) for vectors in photos.vectors]
        return self.transform(photos)

    def _take_over(self, pretrained: Pretrained) -> None:
        """Give a network that is tuned its photos as it wants them."""
        self.config, wanted = pretrained.config, pretrained.wanted
        self.side, self.mean, self.spread = (
            wanted.side, np.array(wanted.mean), np.array(wanted.spread)
        )  # fmt: skip

    def _learn_light(self, sample: list[str | None], target: Array) -> None:
        """Learn colours and whether to mirror from training photos."""
        pixels = store_for(self.side).pixels(sample, self.fill)
        if self.pretrained is None or self.frozen:
            self.mean = pixels.mean(axis=(0, 1, 2)) / 255
            self.spread = np.maximum(pixels.std(axis=(0, 1, 2)) / 255, NO_SPREAD)
        if self.asked.mirror is None and not self.frozen:
            self.mirror = may_mirror(pixels, target)
        if self.inherited:
            chosen = np.linspace(0, len(pixels) - 1, min(SOME, len(pixels)), dtype=int)
            self.some = pixels[chosen]

    @property
    def fill(self) -> Array:
        """The colour of the square that stands for a photo that is not there."""
        return np.rint(np.clip(self.mean, 0, 1) * 255).astype(np.uint8)

    def transform(self, photos: Photos) -> Views:
        """Encode rows: shape (rows, columns, side, side, 3), unsigned 8-bit integers.

        Of a pretrained network that is not tuned: its vectors, shape (rows, width), standardised.
        """

        @cache
        def pixels() -> Array:
            return store_for(self.side).pixels(photos.flat, self.fill)

        @cache
        def meant() -> list[Array]:  # a network that is tuned does without
            pairs = zip(self.meanings, photos.vectors, strict=True)
            return [meaning.encode(found) for meaning, found in pairs]

        def tensors() -> dict[str, Array]:
            if self.frozen:
                return {"image": np.hstack(meant()).astype(np.float32)}
            return {"image": pixels().reshape(photos.rows, len(self.names), *pixels().shape[1:])}

        return Views(tensors, lambda: self._matrix(photos, pixels(), meant()))

    def _matrix(self, photos: Photos, pixels: Array, meant: list[Array]) -> Matrix:
        """Colours and edges of each photo, then the vectors; NaN where there is no photo."""
        values = describe(pixels)
        values[[address is None for address in photos.flat]] = np.nan
        names = [f"{column} ({name})" for column in self.names for name in NAMES]
        parts = [values.reshape(photos.rows, len(names))]
        for column, addresses, vectors in zip(self.names, photos.columns, meant, strict=False):
            there = np.array([address is not None for address in addresses], dtype=bool)
            parts.append(np.where(there[:, None], vectors, np.nan))
            names += [f"{column} (vector {i + 1})" for i in range(vectors.shape[1])]
        table = np.hstack(parts).astype(np.float32)
        return Matrix(table, tuple(names), (0,) * len(names))

    def state(self) -> State:
        """What was learned, as JSON values and arrays; the pretrained network as a file."""
        values: Json = {"side": self.side, "mirror": self.mirror, "config": self.config}
        arrays = {"mean": self.mean, "spread": self.spread}
        if self.pretrained is None:
            return State(values, arrays)
        for i, meaning in enumerate(self.meanings):
            arrays[f"meaning.{i}"] = np.stack([meaning.centre, meaning.spread])
        values["wanted"] = asdict(self.pretrained.wanted)
        return State(values, arrays, {"backbone": self.pretrained.backbone.path})

    def restore(self, state: State) -> None:
        """Become the encoder that `state` described; no folder is needed any more."""
        self.side, self.mirror = state.values["side"], state.values["mirror"]
        self.mean, self.spread = (
            np.asarray(state.arrays[name], dtype=np.float64) for name in ("mean", "spread")
        )
        self.config = state.values.get("config", {})
        if "backbone" not in state.files:
            self.inherited = {}
            return
        wanted = Wanted(**state.values["wanted"])
        self.pretrained = Pretrained(wanted, load_backbone(state.files["backbone"]))
        arrays = (state.arrays[f"meaning.{i}"] for i in range(len(self.names)))
        self.meanings = [Meaning(*array) for array in arrays]


def side_for(addresses: Sequence[str | None]) -> int:
    """The side of the squares: the largest that is hardly larger than the middle photo."""
    found = [look for look in look_at([a for a in addresses if a]) if look]
    if not found:
        return SIDES[0]
    middle = float(np.median([(look.width * look.height) ** 0.5 for look in found]))
    fitting = [side for side in SIDES if side <= 1.15 * middle]
    return max(fitting, default=SIDES[0])

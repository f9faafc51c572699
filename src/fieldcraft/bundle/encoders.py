"""All encoders of a table as one: the single path from values to numbers, in training and after."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save

from fieldcraft.contracts import Array, Encoded, Encoder, Form, Matrix, State
from fieldcraft.core import catalogue, digest, files
from fieldcraft.data.table import Schema

FEW_ROWS, MOST_ROWS = 64, 16_384  # encoded in one go
BYTES_AT_ONCE = 1 << 26
FOR_MATRICES = "matrix/"  # how names of files begin that networks do without
SHARED = "shared"  # folder of large files beside the members of a model
T = TypeVar("T")


@dataclass(frozen=True)
class Views:
    """Encoded rows whose forms are computed when they are asked for."""

    as_tensors: Callable[[], dict[str, Array]]
    as_matrix: Callable[[], Matrix]

    def tensors(self) -> dict[str, Array]:
        """Arrays by input name, for networks."""
        return self.as_tensors()

    def matrix(self) -> Matrix:
        """One float32 table, for trees and linear models."""
        return self.as_matrix()


@dataclass(frozen=True)
class Read:
    """Rows as each kind's encoders begin with them, whatever they learned."""

    parts: Mapping[str, Any]
    rows: int


@dataclass(frozen=True)
class Joined:
    """The encoded rows of several kinds side by side."""

    parts: Sequence[Encoded]
    rows: int

    @cached_property
    def _tensors(self) -> dict[str, Array]:
        return {name: array for part in self.parts for name, array in part.tensors().items()}

    @cached_property
    def _matrix(self) -> Matrix:
        matrices = [part.matrix() for part in self.parts]
        values = [m.values for m in matrices] or [np.zeros((self.rows, 0), dtype=np.float32)]
        return Matrix(
            np.ascontiguousarray(np.hstack(values), dtype=np.float32),
            tuple(name for m in matrices for name in m.names),
            tuple(levels for m in matrices for levels in m.levels),
        )

    def tensors(self) -> dict[str, Array]:
        """Arrays by input name, of all kinds."""
        return self._tensors

    def matrix(self) -> Matrix:
        """One float32 table with the columns of all kinds."""
        return self._matrix


class EncoderSet:
    """One encoder for each kind of column in a schema."""

    def __init__(self, schema: Schema) -> None:
        """Set up unfitted encoders for the used kinds of a schema."""
        self.schema = schema
        self.row_bytes: int | None = None  # of what networks read; known once rows were encoded
        names = sorted({column.kind for column in schema.columns})
        kinds = {name: catalogue.load("kinds", name) for name in names}
        self.encoders: dict[str, Encoder] = {
            name: kind.encoder(schema.of_kind(name)) for name, kind in kinds.items() if kind.used
        }

    def fit_transform(self, read: Read, target: Array) -> Joined:
        """Fit every encoder on training rows and return those rows encoded.

        Args:
            read: training rows, from `read`.
            target: what encoders may learn of, shape (rows, columns), from `Task.columns`.
        """
        parts = [e.fit_transform(read.parts[name], target) for name, e in self.encoders.items()]
        return Joined(parts, read.rows)

    def read(self, values: pl.DataFrame) -> Read:
        """Parsed rows ready to be encoded, by these encoders or others of the same schema."""
        parts = {name: encoder.read(values) for name, encoder in self.encoders.items()}
        return Read(parts, values.height)

    def transform(self, read: Read) -> Joined:
        """Encode rows with what was fitted."""
        parts = [e.transform(read.parts[name]) for name, e in self.encoders.items()]
        return Joined(parts, read.rows)

    def pieces(self, values: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Parsed rows in pieces of which what networks read fits in memory; at least one piece.

        A row of numbers takes a few hundred bytes, one with a photo a few hundred thousand. An
        encoder whose rows a network blows up, as attention does with texts, says so itself.
        """
        if values.height <= FEW_ROWS or not self.encoders:
            return iter((values,))
        if self.row_bytes is None:
            tensors = self.transform(self.read(values[:1])).tensors().values()
            self.row_bytes = max(1, sum(array.nbytes for array in tensors))
        most = min(encoder.most_rows or MOST_ROWS for encoder in self.encoders.values())
        return values.iter_slices(max(FEW_ROWS, min(most, BYTES_AT_ONCE // self.row_bytes)))

    def nets(self, plain: bool = False) -> dict[str, Any]:
        """A fresh encoder net for each kind, for networks; plain ones do not embed numbers."""
        return {
            name: catalogue.load("kinds", name).net(encoder, plain)
            for name, encoder in self.encoders.items()
        }

    def save(self, folder: Path, view: Form | None = None) -> None:
        """Write the fitted state as ``encoders.json`` and ``encoders.safetensors``.

        Large files lie in the folder ``shared`` beside it, once for all members of a model.

        Args:
            folder: of the member.
            view: the only form in which it reads rows; files for another are left out.
        """
        states = {name: encoder.state() for name, encoder in self.encoders.items()}
        values = {name: state.values for name, state in states.items()}
        large = {
            f"{kind}/{name}": share(path, folder.parent / SHARED)
            for kind, state in states.items()
            for name, path in state.files.items()
            if view != "tensors" or not name.startswith(FOR_MATRICES)
        }
        save_state(
            folder,
            "encoders",
            State(
                {"schema": self.schema.as_json(), "encoders": values, "files": large},
                {
                    f"{kind}/{name}": array
                    for kind, state in states.items()
                    for name, array in state.arrays.items()
                },
            ),
        )

    @classmethod
    def load(cls, folder: Path) -> EncoderSet:
        """The encoders that `save` wrote."""
        state = load_state(folder, "encoders")
        found = cls(Schema.from_json(state.values["schema"]))
        large = {
            key: folder.parent / SHARED / Path(name).name
            for key, name in state.values["files"].items()
        }
        for kind, encoder in found.encoders.items():
            arrays, paths = of_kind(state.arrays, kind), of_kind(large, kind)
            encoder.restore(State(state.values["encoders"][kind], arrays, paths))
        return found


def of_kind(entries: Mapping[str, T], kind: str) -> dict[str, T]:
    """The entries of one kind of column, without its name before theirs."""
    pairs = ((key.partition("/"), entry) for key, entry in entries.items())
    return {name: entry for (owner, _, name), entry in pairs if owner == kind}


def share(path: Path, folder: Path) -> str:
    """Put a file into a folder under the digest of its content; its name there.

    It takes no further space where the file system can give a file a second name.
    """
    place = folder / f"{digest.of_file(path)}{path.suffix}"
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            files.write_bytes(place, path.read_bytes())
    return place.name


def save_state(folder: Path, name: str, state: State) -> None:
    """Write a state as ``<name>.json`` and ``<name>.safetensors``."""
    files.write_json(folder / f"{name}.json", state.values)
    arrays = {key: np.ascontiguousarray(array) for key, array in state.arrays.items()}
    files.write_bytes(folder / f"{name}.safetensors", save(arrays))


def load_state(folder: Path, name: str) -> State:
    """The state that `save_state` wrote."""
    arrays = load_file(folder / f"{name}.safetensors")  # in an order of chance
    return State(files.read_json(folder / f"{name}.json"), dict(sorted(arrays.items())))

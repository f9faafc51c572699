"""All encoders of a table as one: the same code encodes rows in training and in production."""

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

from fieldcraft.contracts import Encoded, Encoder, InputFormat, Matrix, State
from fieldcraft.core import catalog, digest, files
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Schema

MIN_BATCH_ROWS, MAX_BATCH_ROWS = 64, 16_384  # rows encoded at once
MAX_BATCH_BYTES = 1 << 26  # of encoded rows held in memory
MATRIX_ONLY_PREFIX = "matrix/"  # of names of files that only matrix models read
SHARED_FOLDER = "shared"  # large files of all members of a model, beside their folders
T = TypeVar("T")


@dataclass(frozen=True)
class LazyEncodedRows:
    """Encoded rows whose tensors and matrix are computed on demand."""

    make_tensors: Callable[[], dict[str, Array]]
    make_matrix: Callable[[], Matrix]

    def tensors(self) -> dict[str, Array]:
        """Arrays by input name, for networks."""
        return self.make_tensors()

    def matrix(self) -> Matrix:
        """One float32 table, for trees and linear models."""
        return self.make_matrix()


@dataclass(frozen=True)
class PrecomputedRows:
    """The part of encoding that depends on no fitted state, by kind of column."""

    parts_by_kind: Mapping[str, Any]
    n_rows: int


@dataclass(frozen=True)
class ConcatenatedRows:
    """The encoded rows of several kinds side by side."""

    parts: Sequence[Encoded]
    n_rows: int

    @cached_property
    def _tensors(self) -> dict[str, Array]:
        return {name: array for part in self.parts for name, array in part.tensors().items()}

    @cached_property
    def _matrix(self) -> Matrix:
        matrices = [part.matrix() for part in self.parts]
        values = [matrix.values for matrix in matrices] or [
            np.zeros((self.n_rows, 0), dtype=np.float32)
        ]
        return Matrix(
            np.ascontiguousarray(np.hstack(values), dtype=np.float32),
            tuple(name for matrix in matrices for name in matrix.names),
            tuple(levels for matrix in matrices for levels in matrix.levels),
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
        """Create unfitted encoders for the feature kinds of a schema."""
        self.schema = schema
        self.bytes_per_row: int | None = None  # of tensors; measured on the first row encoded
        names = sorted({column.kind for column in schema.columns})
        kinds = {name: catalog.load_plugin("kinds", name) for name in names}
        self.by_kind: dict[str, Encoder] = {
            name: kind.encoder(schema.columns_of_kind(name))
            for name, kind in kinds.items()
            if kind.is_feature
        }

    def fit_transform(self, precomputed: PrecomputedRows, target: Array) -> ConcatenatedRows:
        """Fit every encoder on training rows and return those rows encoded.

        Args:
            precomputed: training rows, from `precompute`.
            target: shape (rows, columns), from `Task.target_indicator_matrix`.
        """
        parts = [
            encoder.fit_transform(precomputed.parts_by_kind[name], target)
            for name, encoder in self.by_kind.items()
        ]
        return ConcatenatedRows(parts, precomputed.n_rows)

    def precompute(self, values: pl.DataFrame) -> PrecomputedRows:
        """Parsed rows, prepared for these encoders or others of the same schema."""
        parts = {name: encoder.precompute(values) for name, encoder in self.by_kind.items()}
        return PrecomputedRows(parts, values.height)

    def transform(self, precomputed: PrecomputedRows) -> ConcatenatedRows:
        """Encode rows with the fitted state."""
        parts = [
            encoder.transform(precomputed.parts_by_kind[name])
            for name, encoder in self.by_kind.items()
        ]
        return ConcatenatedRows(parts, precomputed.n_rows)

    def iter_batches(self, values: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Parsed rows in batches whose tensors fit in memory; at least one batch.

        A row of numbers takes a few hundred bytes, one with an image a few hundred thousand. An
        encoder whose rows grow inside the network, as attention over texts does, states its own
        ``max_batch_rows``.
        """
        # Few rows fit whatever they hold, and measuring one would double the latency of a request.
        if values.height <= MIN_BATCH_ROWS or not self.by_kind:
            return iter((values,))
        if self.bytes_per_row is None:
            tensors = self.transform(self.precompute(values[:1])).tensors().values()
            self.bytes_per_row = max(1, sum(array.nbytes for array in tensors))
        max_rows = min(
            encoder.max_batch_rows or MAX_BATCH_ROWS for encoder in self.by_kind.values()
        )
        return values.iter_slices(
            max(MIN_BATCH_ROWS, min(max_rows, MAX_BATCH_BYTES // self.bytes_per_row))
        )

    def build_nets(self, without_embeddings: bool = False) -> dict[str, Any]:
        """A new encoder net for each kind, optionally without embeddings of numbers."""
        return {
            name: catalog.load_plugin("kinds", name).net(encoder, without_embeddings)
            for name, encoder in self.by_kind.items()
        }

    def save(self, folder: Path, input_format: InputFormat | None = None) -> None:
        """Write the fitted state as ``encoders.json`` and ``encoders.safetensors``.

        Large files are in the folder ``shared`` beside it, once for all members of a model.

        Args:
            folder: of the member.
            input_format: the only format that the member reads; files for the other are left out.
        """
        states = {name: encoder.state() for name, encoder in self.by_kind.items()}
        values = {name: state.values for name, state in states.items()}
        shared_files = {
            f"{kind}/{name}": add_shared_file(path, folder.parent / SHARED_FOLDER)
            for kind, state in states.items()
            for name, path in state.files.items()
            if input_format != "tensors" or not name.startswith(MATRIX_ONLY_PREFIX)
        }
        save_state(
            folder,
            "encoders",
            State(
                {"schema": self.schema.as_json(), "encoders": values, "files": shared_files},
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
        encoder_set = cls(Schema.from_json(state.values["schema"]))
        shared_files = {
            key: folder.parent / SHARED_FOLDER / Path(name).name
            for key, name in state.values["files"].items()
        }
        for kind, encoder in encoder_set.by_kind.items():
            arrays, paths = select_kind(state.arrays, kind), select_kind(shared_files, kind)
            encoder.restore(State(state.values["encoders"][kind], arrays, paths))
        return encoder_set


def select_kind(entries: Mapping[str, T], kind: str) -> dict[str, T]:
    """The entries of one kind of column, without the kind in their names."""
    pairs = ((key.partition("/"), entry) for key, entry in entries.items())
    return {name: entry for (entry_kind, _, name), entry in pairs if entry_kind == kind}


def add_shared_file(path: Path, folder: Path) -> str:
    """Add a file to a folder under the digest of its content, and return its name there.

    A hard link takes no further space, where the file system has them.
    """
    shared_path = folder / f"{digest.of_file(path)}{path.suffix}"
    # Linking and `atomic_write_bytes` both create the name in one step: a crash leaves the whole
    # file or none, so a file that exists under its digest is complete.
    if not shared_path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, shared_path)
        except OSError:  # another file system, or one without hard links
            files.atomic_write_bytes(shared_path, path.read_bytes())
    return shared_path.name


def save_state(folder: Path, stem: str, state: State) -> None:
    """Write a state as ``<stem>.json`` and ``<stem>.safetensors``."""
    files.atomic_write_json(folder / f"{stem}.json", state.values)
    arrays = {key: np.ascontiguousarray(array) for key, array in state.arrays.items()}
    files.atomic_write_bytes(folder / f"{stem}.safetensors", save(arrays))


def load_state(folder: Path, stem: str) -> State:
    """The state that `save_state` wrote."""
    # safetensors returns arrays in no fixed order; encoders read some of them by position.
    arrays = load_file(folder / f"{stem}.safetensors")
    return State(files.read_json(folder / f"{stem}.json"), dict(sorted(arrays.items())))

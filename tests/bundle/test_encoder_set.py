"""All kinds of columns are encoded together, and saved without code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.encoder_set import EncoderSet, load_state, save_state
from fieldcraft.contracts import State
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column, Schema
from tests.encoding import encode, fit_and_encode

SCHEMA = Schema(
    (
        Column("age", "number"),
        Column("city", "category"),
        Column("member", "boolean"),
        Column("seen", "datetime", {"format": "%Y-%m-%d"}),
    )
)


@pytest.fixture
def values(table: pl.DataFrame) -> pl.DataFrame:
    return SCHEMA.apply(table)


def test_saved_encoders_encode_the_same(values: pl.DataFrame, tmp_path: Path) -> None:
    encoders = EncoderSet(SCHEMA)
    fit_and_encode(encoders, values.head(150), np.zeros((150, 0)))
    encoders.save(tmp_path)
    again = EncoderSet.load(tmp_path)
    before, after = (encode(e, values.tail(90)) for e in (encoders, again))
    for name, array in before.tensors().items():
        np.testing.assert_array_equal(array, after.tensors()[name])
    np.testing.assert_array_equal(before.matrix().values, after.matrix().values)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_the_matrix_names_a_column_for_each_number(values: pl.DataFrame) -> None:
    encoded = fit_and_encode(EncoderSet(SCHEMA), values, np.zeros((values.height, 0)))
    matrix = encoded.matrix()
    assert matrix.values.dtype == np.float32
    assert matrix.values.shape == (values.height, len(matrix.names))
    assert len(matrix.levels) == len(matrix.names)
    assert {"age", "city", "member", "seen (days)"} <= set(matrix.names)
    assert np.isnan(matrix.values[:, matrix.names.index("age")]).sum() == values["age"].null_count()


def test_tensor_names_of_kinds_do_not_collide(values: pl.DataFrame) -> None:
    encoders = EncoderSet(SCHEMA)
    encoded = fit_and_encode(encoders, values, np.zeros((values.height, 0)))
    expected = {name for net in encoders.build_nets().values() for name in net.inputs}
    assert set(encoded.tensors()) == expected


def test_arrays_of_a_state_are_sorted_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """safetensors lists them in no fixed order."""
    arrays = {name: np.arange(3.0) + i for i, name in enumerate("cab")}
    save_state(tmp_path, "state", State({"a": 1}, arrays))
    for order in ("cab", "bca"):
        listed = {name: arrays[name] for name in order}
        monkeypatch.setattr(
            "fieldcraft.bundle.encoder_set.load_file", lambda path, listed=listed: listed
        )
        assert list(load_state(tmp_path, "state").arrays) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("rows", "row_bytes", "max_rows", "sizes"),
    [
        (64, 1 << 26, None, [64]),  # few rows are one batch, however wide
        (200, 1 << 26, None, [64, 64, 64, 8]),
        (300, 1 << 19, None, [128, 128, 44]),  # as many as fit in 64 MB
        (40_000, 1, None, [16_384, 16_384, 7_232]),
        (300, 1, 100, [100, 100, 100]),  # as many as a network may read
    ],
)
def test_batches_fit_in_memory(
    rows: int, row_bytes: int, max_rows: int | None, sizes: list[int]
) -> None:
    encoders = EncoderSet(Schema(()))
    encoders.bytes_per_row = row_bytes
    encoders.by_kind = {"a": FileEncoder({}, max_rows), "b": FileEncoder({})}
    values = pl.DataFrame({"a": range(rows)})
    batches = list(encoders.iter_batches(values))
    assert [piece.height for piece in batches] == sizes
    assert pl.concat(batches).equals(values)


def test_bytes_per_row_are_those_of_its_tensors(values: pl.DataFrame) -> None:
    encoders = EncoderSet(SCHEMA)
    fit_and_encode(encoders, values, np.zeros((values.height, 0)))
    assert sum(piece.height for piece in encoders.iter_batches(values)) == values.height
    tensors = encode(encoders, values).tensors().values()
    assert encoders.bytes_per_row == sum(array.nbytes for array in tensors) / values.height


def test_without_encoders_a_matrix_has_no_columns() -> None:
    encoded = encode(EncoderSet(Schema(())), pl.DataFrame({"a": [1, 2, 3]}))
    assert encoded.matrix().values.shape == (3, 0)
    assert encoded.tensors() == {}


class FileEncoder:
    """An encoder whose state is only files."""

    def __init__(self, files: dict[str, Path], max_rows: int | None = None) -> None:
        self.files, self.max_batch_rows = files, max_rows

    def precompute(self, rows: pl.DataFrame) -> None: ...
    def fit_transform(self, precomputed: Any, target: Array) -> Any: ...
    def transform(self, precomputed: Any) -> Any: ...

    def state(self) -> State:
        return State({}, {}, self.files)

    def restore(self, state: State) -> None:
        self.files = dict(state.files)


def test_large_files_are_shared_by_members_and_only_saved_if_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("a.onnx", "first"), ("b.onnx", "second"), ("c.bin", "third")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    encoders = EncoderSet(Schema(()))
    encoders.by_kind = {
        "text": FileEncoder({"net": tmp_path / "a.onnx", "matrix/net": tmp_path / "b.onnx"}),
        "texts": FileEncoder({"net": tmp_path / "c.bin"}),
    }
    encoders.save(tmp_path / "model" / "0", "tensors")
    shared = tmp_path / "model" / "shared"
    assert sorted(p.read_text(encoding="utf-8") for p in shared.iterdir()) == ["first", "third"]
    assert all(path.stat().st_nlink == 2 for path in shared.iterdir())  # they take no space
    monkeypatch.setattr(os, "link", refuse_links)
    encoders.save(tmp_path / "model" / "1", "matrix")
    assert len(list(shared.iterdir())) == 3

    def bare(self: EncoderSet, schema: Schema) -> None:
        self.by_kind = {"text": FileEncoder({}), "texts": FileEncoder({})}

    monkeypatch.setattr(EncoderSet, "__init__", bare)
    for folder, expected in (
        ("0", {"net": "first"}),
        ("1", {"net": "first", "matrix/net": "second"}),
    ):
        loaded = EncoderSet.load(tmp_path / "model" / folder)
        texts, others = (loaded.by_kind[kind].state().files for kind in ("text", "texts"))
        assert {k: p.read_text(encoding="utf-8") for k, p in texts.items()} == expected
        assert [p.read_text(encoding="utf-8") for p in others.values()] == ["third"]
        assert {p.parent for p in texts.values()} == {shared}


def refuse_links(*paths: Path) -> None:
    raise OSError("no links here")

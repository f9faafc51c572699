"""Every kind that is plugged in keeps the promises of a kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from fieldcraft.contracts import Array, Encoded, Encoder, Kind, State
from fieldcraft.core import catalogue
from fieldcraft.data.look import Look
from fieldcraft.data.table import Column, Schema
from fieldcraft.evidence import profile
from tests.drawing import draw_photo
from tests.encoding import encode, fit_encode

KINDS = catalogue.names("kinds")
USED = [name for name in KINDS if catalogue.load("kinds", name).used]
Columns = dict[str, pl.Series]

# What the project file may ask of any kind that has the option.
ASKED: list[tuple[str, Any]] = [
    *(("impute", value) for value in ("mean", "median", "mode", "model", 0.5)),
    *(("scale", value) for value in ("quantile", "standard", "robust", "minmax", "none")),
    *(("clip", value) for value in ("auto", [-1.0, 2.5])),
]
CLEANED = [
    pytest.param(name, {option: value}, id=f"{name}-{option}-{value}")
    for name in USED
    for option, value in ASKED
    if option in catalogue.load("kinds", name).options
]
ABSURD = [
    "1e308",
    "-1e308",
    "1e-320",
    "never seen",
    "",
    "9999-12-31",
    "0001-01-01",
    "\0",
    "💥",
    "a b " * 9_999,
]


@pytest.fixture(scope="module")
def columns(columns: Columns, tmp_path_factory: pytest.TempPathFactory) -> Columns:
    """The columns that every plug is tried on, free text, and photos."""
    rows = len(next(iter(columns.values())))
    folder = tmp_path_factory.mktemp("photos")
    drawn = [draw_photo(folder / f"{i}.png", seed=i) for i in range(9)]
    photos = [None if i % 8 == 0 else drawn[i % 9] for i in range(rows)]
    notes = [None if i % 7 == 0 else f"a note on item {i % 9}, {'good' * (i % 2)}!" * (i % 4 + 1)
             for i in range(rows)]  # fmt: skip
    more = {"notes": notes, "photos": photos}
    return {**columns, **{name: pl.Series(name, cells) for name, cells in more.items()}}


def schema_of(kind: Kind, columns: Columns, asked: dict[str, Any] | None = None) -> Schema:
    """All columns as columns of this kind, with the options that the kind itself suggests."""
    guesses = {name: kind.recognise(Look(cells)) for name, cells in columns.items()}
    options = {name: guess.options if guess else {} for name, guess in guesses.items()}
    return Schema(
        tuple(Column(name, kind.name, {**own, **(asked or {})}) for name, own in options.items())
    )


def fit(
    kind: Kind, columns: Columns, asked: dict[str, Any] | None = None
) -> tuple[Encoder, Encoded, pl.DataFrame]:
    """An encoder of the kind fitted on all columns, what it gave, and the parsed rows."""
    schema = schema_of(kind, columns, asked)
    values = schema.apply(pl.DataFrame(list(columns.values())))
    target = np.random.default_rng(0).integers(0, 2, (values.height, 1)).astype(float)
    encoder = kind.encoder(schema.columns)
    return encoder, fit_encode(encoder, values, target), values


def absurd(schema: Schema) -> pl.DataFrame:
    """Rows such as nobody expects, parsed."""
    cells = {column.name: [*ABSURD, None] for column in schema.columns}
    return schema.apply(pl.DataFrame(cells, schema=dict.fromkeys(cells, pl.String)))


def assert_same(one: Encoded, other: Encoded) -> None:
    left, right = one.tensors(), other.tensors()
    assert list(left) == list(right)
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name], err_msg=name, strict=True)
    np.testing.assert_array_equal(one.matrix().values, other.matrix().values, strict=True)
    assert (one.matrix().names, one.matrix().levels) == (
        other.matrix().names,
        other.matrix().levels,
    )


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_has_the_name_it_is_found_by(name: str) -> None:
    assert catalogue.load("kinds", name).name == name


@pytest.mark.parametrize("name", KINDS)
def test_looking_at_odd_or_empty_columns_never_fails(name: str, columns: Columns) -> None:
    kind: Kind = catalogue.load("kinds", name)
    for cells in columns.values():
        for part in (cells, cells.head(1), cells.clear()):
            guess = kind.recognise(Look(part))
            if guess is not None:
                assert guess.name == name
                assert 0 < guess.confidence <= 1
                assert guess.reason
                assert set(guess.options) <= set(kind.options)


def test_some_kind_recognises_every_column(columns: Columns) -> None:
    for cells in columns.values():
        look = Look(cells)
        assert any(kind.recognise(look) for kind in catalogue.load_all("kinds")), cells.name


@pytest.mark.parametrize("name", KINDS)
def test_a_recognised_column_keeps_its_values(name: str, columns: Columns) -> None:
    kind: Kind = catalogue.load("kinds", name)
    for cells in columns.values():
        look = Look(cells)
        guess = kind.recognise(look)
        if guess is not None:
            kept = kind.parse(look.column, guess.options).drop_nulls()
            assert len(kept) >= 0.95 * len(look.values), cells.name


@pytest.mark.parametrize("name", KINDS)
def test_parsing_reads_each_row_by_itself(name: str, columns: Columns) -> None:
    kind: Kind = catalogue.load("kinds", name)
    schema = schema_of(kind, columns)
    for column in schema.columns:
        cells = columns[column.name]
        whole = schema.parse(cells, column)
        alone = pl.concat([schema.parse(cells.slice(i, 1), column) for i in range(12)])
        assert whole.head(12).equals(alone, null_equal=True), column.name


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=30, deadline=None, database=None, derandomize=True)
@given(
    cells=st.lists(
        st.none() | st.text(max_size=6) | st.floats(allow_subnormal=False).map(str), max_size=5
    )
)
def test_parsing_any_text_never_fails_and_is_stable(name: str, cells: list[str | None]) -> None:
    kind: Kind = catalogue.load("kinds", name)
    column = Column("x", name)
    read = Schema((column,)).parse(pl.Series("x", cells, dtype=pl.String), column)
    assert len(read) == len(cells)
    assert kind.parse(read, column.options).equals(read, null_equal=True)


@pytest.mark.parametrize("name", KINDS)
def test_an_explanation_has_a_form_that_the_report_shows(name: str, columns: Columns) -> None:
    """It asks about values of the column only; odd and missing ones do not break it."""
    kind: Kind = catalogue.load("kinds", name)
    schema = schema_of(kind, columns)
    odd = absurd(schema)
    for column in schema.columns:
        values = schema.parse(columns[column.name], column)
        for value in [*values.head(2), *values.tail(1), *odd[column.name]]:

            def said(cells: Sequence[Any], dtype: pl.DataType = values.dtype) -> Array:
                asked = pl.Series("x", cells, dtype=dtype)
                return np.random.default_rng(0).random(len(asked))

            found = kind.explain(value, said)
            assert found is None or (kind.used and value is not None)
            if found is None:
                continue
            json.dumps(found, allow_nan=False)
            assert found["most"] > 0
            assert "spans" in found or found["picture"].startswith("data:image/")
            weights = [weight for _, weight in found.get("spans", [])]
            assert all(-1 <= weight <= 1 for weight in weights)


@pytest.mark.parametrize("name", KINDS)
def test_each_row_has_measures_and_their_profile_is_json(name: str, columns: Columns) -> None:
    kind: Kind = catalogue.load("kinds", name)
    schema = schema_of(kind, columns)
    for column in schema.columns:
        values = schema.parse(columns[column.name], column)
        for part in (values, values.clear()):
            for measure in kind.measures(part).values():
                assert measure.dtype in (pl.Float64, pl.String, pl.Datetime)
                assert len(measure) == len(part)
                about = profile.learned(measure, measure)
                assert json.loads(json.dumps(about, allow_nan=False)) == about, column.name
                assert sum(about["counts"]) == len(part)


def restored(kind: Kind, encoder: Encoder, schema: Schema) -> Encoder:
    """A fresh encoder with what another has learned, as it comes back from disk."""
    state = encoder.state()
    found = kind.encoder(schema.columns)
    found.restore(
        State(
            json.loads(json.dumps(state.values, allow_nan=False)),
            load(save({key: np.ascontiguousarray(array) for key, array in state.arrays.items()})),
        )
    )
    return found


def assert_rows_stand_alone(encoder: Encoder, values: pl.DataFrame) -> None:
    """Encoding rows one by one gives what encoding them together gives."""
    batch = encode(encoder, values)
    rows = [encode(encoder, values[i : i + 1]) for i in range(values.height)]
    for key, array in batch.tensors().items():
        alone = np.concatenate([row.tensors()[key] for row in rows])
        np.testing.assert_array_equal(array, alone, err_msg=key, strict=True)
    matrix = np.concatenate([row.matrix().values for row in rows])
    np.testing.assert_array_equal(batch.matrix().values, matrix, strict=True)


@pytest.mark.parametrize("name", USED)
def test_encoders_come_back_from_disk_as_they_were(name: str, columns: Columns) -> None:
    kind: Kind = catalogue.load("kinds", name)
    encoder, _, values = fit(kind, columns)
    again = restored(kind, encoder, schema_of(kind, columns))
    assert_same(encode(encoder, values), encode(again, values))


@pytest.mark.parametrize("name", USED)
def test_encoding_a_row_depends_on_that_row_alone(name: str, columns: Columns) -> None:
    encoder, _, values = fit(catalogue.load("kinds", name), columns)
    assert_rows_stand_alone(encoder, values.head(14))


@pytest.mark.parametrize(("name", "asked"), CLEANED)
def test_columns_may_be_cleaned_as_the_project_file_asks(
    name: str, asked: dict[str, Any], columns: Columns
) -> None:
    kind: Kind = catalogue.load("kinds", name)
    encoder, encoded, values = fit(kind, columns, asked)
    again = restored(kind, encoder, schema_of(kind, columns, asked))
    assert_same(encode(encoder, values), encode(again, values))
    assert_rows_stand_alone(encoder, values.head(7))
    for found in (encoded, encode(encoder, absurd(schema_of(kind, columns, asked)))):
        assert all(np.isfinite(array).all() for array in found.tensors().values())
        assert not np.isinf(found.matrix().values).any()
    net = kind.net(encoder, False)
    tensors = {key: torch.as_tensor(array) for key, array in encoded.tensors().items()}
    assert bool(net(tensors).isfinite().all())


@pytest.mark.parametrize("name", USED)
def test_no_rows_give_no_rows_of_the_same_form(name: str, columns: Columns) -> None:
    encoder, encoded, values = fit(catalogue.load("kinds", name), columns)
    none = encode(encoder, values.clear())
    assert none.matrix().names == encoded.matrix().names
    assert none.matrix().values.shape == (0, len(none.matrix().names))
    for key, array in encoded.tensors().items():
        assert none.tensors()[key].shape == (0, *array.shape[1:]), key
        assert none.tensors()[key].dtype == array.dtype, key


@pytest.mark.parametrize("name", USED)
def test_encoding_other_rows_changes_nothing_that_was_learned(name: str, columns: Columns) -> None:
    encoder, _, values = fit(catalogue.load("kinds", name), columns)
    before = encoder.state()
    encode(encoder, values.reverse().head(7)).tensors()
    after = encoder.state()
    assert before.values == after.values
    for key, array in before.arrays.items():
        np.testing.assert_array_equal(array, after.arrays[key], err_msg=key)


@pytest.mark.parametrize("name", USED)
def test_absurd_unseen_and_missing_values_give_finite_numbers(name: str, columns: Columns) -> None:
    kind: Kind = catalogue.load("kinds", name)
    encoder, _, _ = fit(kind, columns)
    rows = absurd(schema_of(kind, columns))
    encoded = encode(encoder, rows)
    for key, array in encoded.tensors().items():
        assert len(array) == rows.height
        assert np.isfinite(array).all(), key
    assert not np.isinf(encoded.matrix().values).any()


@pytest.mark.parametrize("name", USED)
@pytest.mark.parametrize("cells", [[None] * 30, ["1e308", "-1e308"] * 15, ["7"] * 30, ["7"]])
def test_training_rows_that_say_little_give_finite_numbers(
    name: str, cells: list[str | None]
) -> None:
    encoder, encoded, values = fit(
        catalogue.load("kinds", name), {"x": pl.Series("x", cells, dtype=pl.String)}
    )
    json.dumps(encoder.state().values, allow_nan=False)
    for found in (encoded, encode(encoder, values)):
        assert all(np.isfinite(array).all() for array in found.tensors().values())
        assert not np.isinf(found.matrix().values).any()


@pytest.mark.parametrize("name", USED)
def test_the_matrix_names_its_columns_and_counts_their_levels(name: str, columns: Columns) -> None:
    _, encoded, values = fit(catalogue.load("kinds", name), columns)
    matrix = encoded.matrix()
    assert matrix.values.dtype == np.float32
    assert matrix.values.shape == (values.height, len(matrix.names))
    assert len(matrix.levels) == len(matrix.names) == len(set(matrix.names))
    for column, levels in zip(matrix.values.T, matrix.levels, strict=True):
        if levels:
            assert set(column.tolist()) <= set(range(levels + 1))


@pytest.mark.parametrize("name", USED)
@pytest.mark.parametrize("plain", [False, True])
def test_the_net_reads_the_tensors_and_keeps_its_widths(
    name: str, plain: bool, columns: Columns
) -> None:
    kind: Kind = catalogue.load("kinds", name)
    encoder, encoded, values = fit(kind, columns)
    tensors: dict[str, Any] = {
        key: torch.as_tensor(array) for key, array in encoded.tensors().items()
    }
    net = kind.net(encoder, plain)
    assert set(net.inputs) == set(tensors)
    found = net(tensors)
    assert found.shape == (values.height, sum(net.chunks))
    assert bool(found.isfinite().all())


@pytest.mark.parametrize("name", [name for name in KINDS if name not in USED])
def test_a_kind_that_is_set_aside_has_no_encoder(name: str) -> None:
    kind: Kind = catalogue.load("kinds", name)
    assert kind.encoder(()) is None
    assert kind.net(None, False) is None  # type: ignore[arg-type]

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

from fieldcraft.contracts import Encoded, Encoder, Kind, State
from fieldcraft.core import catalog
from fieldcraft.core.types import Array
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.schema import Column, Schema
from fieldcraft.statistics import reference_profile
from tests.encoding import encode, fit_and_encode
from tests.images import save_image

KINDS = catalog.list_plugins("kinds")
FEATURE_KINDS = [name for name in KINDS if catalog.load_plugin("kinds", name).is_feature]
Columns = dict[str, pl.Series]

# What the project file may ask of any kind that has the option.
CLEANING_OPTIONS: list[tuple[str, Any]] = [
    *(("impute", value) for value in ("mean", "median", "mode", "model", 0.5)),
    *(("scale", value) for value in ("quantile", "standard", "robust", "minmax", "none")),
    *(("clip", value) for value in ("auto", [-1.0, 2.5])),
]
OPTION_CASES = [
    pytest.param(name, {option: value}, id=f"{name}-{option}-{value}")
    for name in FEATURE_KINDS
    for option, value in CLEANING_OPTIONS
    if option in catalog.load_plugin("kinds", name).options
]
ABSURD_CELLS = [
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
def columns(text_columns: Columns, tmp_path_factory: pytest.TempPathFactory) -> Columns:
    """The columns that every plug is tried on, free text, and photos."""
    rows = len(next(iter(text_columns.values())))
    folder = tmp_path_factory.mktemp("photos")
    photo_paths = [save_image(folder / f"{i}.png", seed=i) for i in range(9)]
    photos = [None if i % 8 == 0 else photo_paths[i % 9] for i in range(rows)]
    notes = [None if i % 7 == 0 else f"a note on item {i % 9}, {'good' * (i % 2)}!" * (i % 4 + 1)
             for i in range(rows)]  # fmt: skip
    extra_columns = {"notes": notes, "photos": photos}
    return {
        **text_columns,
        **{name: pl.Series(name, cells) for name, cells in extra_columns.items()},
    }


def make_schema(
    kind: Kind, columns: Columns, extra_options: dict[str, Any] | None = None
) -> Schema:
    """All columns as columns of this kind, with the options that the kind itself suggests."""
    inferences = {name: kind.infer(ColumnProfile(cells)) for name, cells in columns.items()}
    options = {
        name: inference.options if inference else {} for name, inference in inferences.items()
    }
    return Schema(
        tuple(
            Column(name, kind.name, {**kind_options, **(extra_options or {})})
            for name, kind_options in options.items()
        )
    )


def fit_kind(
    kind: Kind, columns: Columns, extra_options: dict[str, Any] | None = None
) -> tuple[Encoder, Encoded, pl.DataFrame]:
    """An encoder of the kind fitted on all columns, what it gave, and the parsed rows."""
    schema = make_schema(kind, columns, extra_options)
    values = schema.apply(pl.DataFrame(list(columns.values())))
    target = np.random.default_rng(0).integers(0, 2, (values.height, 1)).astype(float)
    encoder = kind.encoder(schema.columns)
    return encoder, fit_and_encode(encoder, values, target), values


def parse_absurd_cells(schema: Schema) -> pl.DataFrame:
    """Rows such as nobody expects, parsed."""
    cells = {column.name: [*ABSURD_CELLS, None] for column in schema.columns}
    return schema.apply(pl.DataFrame(cells, schema=dict.fromkeys(cells, pl.String)))


def assert_same_encoding(first: Encoded, second: Encoded) -> None:
    actual_tensors, expected_tensors = first.tensors(), second.tensors()
    assert list(actual_tensors) == list(expected_tensors)
    for name, array in actual_tensors.items():
        np.testing.assert_array_equal(array, expected_tensors[name], err_msg=name, strict=True)
    np.testing.assert_array_equal(first.matrix().values, second.matrix().values, strict=True)
    assert (first.matrix().names, first.matrix().levels) == (
        second.matrix().names,
        second.matrix().levels,
    )


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_has_the_name_it_is_found_by(name: str) -> None:
    assert catalog.load_plugin("kinds", name).name == name


@pytest.mark.parametrize("name", KINDS)
def test_looking_at_odd_or_empty_columns_never_fails(name: str, text_columns: Columns) -> None:
    kind: Kind = catalog.load_plugin("kinds", name)
    for cells in text_columns.values():
        for part in (cells, cells.head(1), cells.clear()):
            inference = kind.infer(ColumnProfile(part))
            if inference is not None:
                assert inference.name == name
                assert 0 < inference.confidence <= 1
                assert inference.reason
                assert set(inference.options) <= set(kind.options)


def test_some_kind_recognizes_every_column(text_columns: Columns) -> None:
    for cells in text_columns.values():
        look = ColumnProfile(cells)
        assert any(kind.infer(look) for kind in catalog.load_plugins("kinds")), cells.name


@pytest.mark.parametrize("name", KINDS)
def test_a_recognized_column_keeps_its_values(name: str, text_columns: Columns) -> None:
    kind: Kind = catalog.load_plugin("kinds", name)
    for cells in text_columns.values():
        look = ColumnProfile(cells)
        inference = kind.infer(look)
        if inference is not None:
            values = kind.parse(look.column, inference.options).drop_nulls()
            assert len(values) >= 0.95 * len(look.present_values), cells.name


@pytest.mark.parametrize("name", KINDS)
def test_parsing_reads_each_row_by_itself(name: str, text_columns: Columns) -> None:
    kind: Kind = catalog.load_plugin("kinds", name)
    schema = make_schema(kind, text_columns)
    for column in schema.columns:
        cells = text_columns[column.name]
        parsed = schema.parse(cells, column)
        alone = pl.concat([schema.parse(cells.slice(i, 1), column) for i in range(12)])
        assert parsed.head(12).equals(alone, null_equal=True), column.name


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=30, deadline=None, database=None, derandomize=True)
@given(
    cells=st.lists(
        st.none() | st.text(max_size=6) | st.floats(allow_subnormal=False).map(str), max_size=5
    )
)
def test_parsing_any_text_never_fails_and_is_stable(name: str, cells: list[str | None]) -> None:
    kind: Kind = catalog.load_plugin("kinds", name)
    column = Column("x", name)
    read = Schema((column,)).parse(pl.Series("x", cells, dtype=pl.String), column)
    assert len(read) == len(cells)
    assert kind.parse(read, column.options).equals(read, null_equal=True)


@pytest.mark.parametrize("name", KINDS)
def test_an_explanation_has_a_form_that_the_report_shows(name: str, text_columns: Columns) -> None:
    """It asks about values of the column only; odd and missing ones do not break it."""
    kind: Kind = catalog.load_plugin("kinds", name)
    schema = make_schema(kind, text_columns)
    odd = parse_absurd_cells(schema)
    for column in schema.columns:
        values = schema.parse(text_columns[column.name], column)
        for value in [*values.head(2), *values.tail(1), *odd[column.name]]:

            def score(cells: Sequence[Any], dtype: pl.DataType = values.dtype) -> Array:
                cells_as_series = pl.Series("x", cells, dtype=dtype)
                return np.random.default_rng(0).random(len(cells_as_series))

            explanation = kind.explain(value, score)
            assert explanation is None or (kind.is_feature and value is not None)
            if explanation is None:
                continue
            json.dumps(explanation, allow_nan=False)
            assert explanation["max_effect"] > 0
            assert "spans" in explanation or explanation["heatmap"].startswith("data:image/")
            weights = [weight for _, weight in explanation.get("spans", [])]
            assert all(-1 <= weight <= 1 for weight in weights)


@pytest.mark.parametrize("name", KINDS)
def test_each_row_has_measures_and_their_profile_is_json(name: str, text_columns: Columns) -> None:
    kind: Kind = catalog.load_plugin("kinds", name)
    schema = make_schema(kind, text_columns)
    for column in schema.columns:
        values = schema.parse(text_columns[column.name], column)
        for part in (values, values.clear()):
            for measure in kind.drift_statistics(part).values():
                assert measure.dtype in (pl.Float64, pl.String, pl.Datetime)
                assert len(measure) == len(part)
                profile = reference_profile.fit_reference_profile(measure, measure)
                assert json.loads(json.dumps(profile, allow_nan=False)) == profile, column.name
                assert sum(profile["bin_counts"]) == len(part)


def save_and_restore(kind: Kind, encoder: Encoder, schema: Schema) -> Encoder:
    """A fresh encoder with what another has learned, as it comes back from disk."""
    state = encoder.state()
    encoder_copy = kind.encoder(schema.columns)
    encoder_copy.restore(
        State(
            json.loads(json.dumps(state.values, allow_nan=False)),
            load(save({key: np.ascontiguousarray(array) for key, array in state.arrays.items()})),
        )
    )
    return encoder_copy


def assert_rows_are_independent(encoder: Encoder, values: pl.DataFrame) -> None:
    """Encoding rows one by one gives what encoding them together gives."""
    together = encode(encoder, values)
    rows = [encode(encoder, values[i : i + 1]) for i in range(values.height)]
    for key, array in together.tensors().items():
        alone = np.concatenate([row.tensors()[key] for row in rows])
        np.testing.assert_array_equal(array, alone, err_msg=key, strict=True)
    matrix = np.concatenate([row.matrix().values for row in rows])
    np.testing.assert_array_equal(together.matrix().values, matrix, strict=True)


@pytest.mark.parametrize("name", FEATURE_KINDS)
def test_encoders_come_back_from_disk_as_they_were(name: str, text_columns: Columns) -> None:
    kind: Kind = catalog.load_plugin("kinds", name)
    encoder, _, values = fit_kind(kind, text_columns)
    again = save_and_restore(kind, encoder, make_schema(kind, text_columns))
    assert_same_encoding(encode(encoder, values), encode(again, values))


@pytest.mark.parametrize("name", FEATURE_KINDS)
def test_encoding_a_row_depends_on_that_row_alone(name: str, text_columns: Columns) -> None:
    encoder, _, values = fit_kind(catalog.load_plugin("kinds", name), text_columns)
    assert_rows_are_independent(encoder, values.head(14))


@pytest.mark.parametrize(("name", "options"), OPTION_CASES)
def test_columns_may_be_cleaned_as_the_project_file_asks(
    name: str, options: dict[str, Any], text_columns: Columns
) -> None:
    kind: Kind = catalog.load_plugin("kinds", name)
    encoder, encoded, values = fit_kind(kind, text_columns, options)
    again = save_and_restore(kind, encoder, make_schema(kind, text_columns, options))
    assert_same_encoding(encode(encoder, values), encode(again, values))
    assert_rows_are_independent(encoder, values.head(7))
    for rows_encoded in (
        encoded,
        encode(encoder, parse_absurd_cells(make_schema(kind, text_columns, options))),
    ):
        assert all(np.isfinite(array).all() for array in rows_encoded.tensors().values())
        assert not np.isinf(rows_encoded.matrix().values).any()
    net = kind.net(encoder, False)
    tensors = {key: torch.as_tensor(array) for key, array in encoded.tensors().items()}
    assert bool(net(tensors).isfinite().all())


@pytest.mark.parametrize("name", FEATURE_KINDS)
def test_no_rows_give_no_rows_of_the_same_form(name: str, text_columns: Columns) -> None:
    encoder, encoded, values = fit_kind(catalog.load_plugin("kinds", name), text_columns)
    none = encode(encoder, values.clear())
    assert none.matrix().names == encoded.matrix().names
    assert none.matrix().values.shape == (0, len(none.matrix().names))
    for key, array in encoded.tensors().items():
        assert none.tensors()[key].shape == (0, *array.shape[1:]), key
        assert none.tensors()[key].dtype == array.dtype, key


@pytest.mark.parametrize("name", FEATURE_KINDS)
def test_encoding_other_rows_changes_nothing_that_was_learned(
    name: str, text_columns: Columns
) -> None:
    encoder, _, values = fit_kind(catalog.load_plugin("kinds", name), text_columns)
    before = encoder.state()
    encode(encoder, values.reverse().head(7)).tensors()
    after = encoder.state()
    assert before.values == after.values
    for key, array in before.arrays.items():
        np.testing.assert_array_equal(array, after.arrays[key], err_msg=key)


@pytest.mark.parametrize("name", FEATURE_KINDS)
def test_absurd_unseen_and_missing_values_give_finite_numbers(
    name: str, text_columns: Columns
) -> None:
    kind: Kind = catalog.load_plugin("kinds", name)
    encoder, _, _ = fit_kind(kind, text_columns)
    rows = parse_absurd_cells(make_schema(kind, text_columns))
    encoded = encode(encoder, rows)
    for key, array in encoded.tensors().items():
        assert len(array) == rows.height
        assert np.isfinite(array).all(), key
    assert not np.isinf(encoded.matrix().values).any()


@pytest.mark.parametrize("name", FEATURE_KINDS)
@pytest.mark.parametrize("cells", [[None] * 30, ["1e308", "-1e308"] * 15, ["7"] * 30, ["7"]])
def test_training_rows_that_say_little_give_finite_numbers(
    name: str, cells: list[str | None]
) -> None:
    encoder, encoded, values = fit_kind(
        catalog.load_plugin("kinds", name), {"x": pl.Series("x", cells, dtype=pl.String)}
    )
    json.dumps(encoder.state().values, allow_nan=False)
    for rows_encoded in (encoded, encode(encoder, values)):
        assert all(np.isfinite(array).all() for array in rows_encoded.tensors().values())
        assert not np.isinf(rows_encoded.matrix().values).any()


@pytest.mark.parametrize("name", FEATURE_KINDS)
def test_the_matrix_names_its_columns_and_counts_their_levels(
    name: str, text_columns: Columns
) -> None:
    _, encoded, values = fit_kind(catalog.load_plugin("kinds", name), text_columns)
    matrix = encoded.matrix()
    assert matrix.values.dtype == np.float32
    assert matrix.values.shape == (values.height, len(matrix.names))
    assert len(matrix.levels) == len(matrix.names) == len(set(matrix.names))
    for column, levels in zip(matrix.values.T, matrix.levels, strict=True):
        if levels:
            assert set(column.tolist()) <= set(range(levels + 1))


@pytest.mark.parametrize("name", FEATURE_KINDS)
@pytest.mark.parametrize("plain", [False, True])
def test_the_net_reads_the_tensors_and_keeps_its_widths(
    name: str, plain: bool, text_columns: Columns
) -> None:
    kind: Kind = catalog.load_plugin("kinds", name)
    encoder, encoded, values = fit_kind(kind, text_columns)
    tensors: dict[str, Any] = {
        key: torch.as_tensor(array) for key, array in encoded.tensors().items()
    }
    net = kind.net(encoder, plain)
    assert set(net.inputs) == set(tensors)
    output = net(tensors)
    assert output.shape == (values.height, sum(net.feature_widths))
    assert bool(output.isfinite().all())


@pytest.mark.parametrize("name", [name for name in KINDS if name not in FEATURE_KINDS])
def test_a_kind_that_is_set_aside_has_no_encoder(name: str) -> None:
    kind: Kind = catalog.load_plugin("kinds", name)
    assert kind.encoder(()) is None
    assert kind.net(None, False) is None  # type: ignore[arg-type]

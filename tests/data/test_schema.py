"""A schema parses cells row by row; the digest of a row does not depend on other rows."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.core.errors import DataError
from fieldcraft.data.schema import MAX_ROWS_PARSED_TOGETHER, Column, Schema, row_digests

fixed = settings(derandomize=True, deadline=None, max_examples=60)
CELLS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=12)

SCHEMA = Schema(
    (
        Column("price", "number", {"decimal": ","}),
        Column("seen", "datetime", {"format": "%d.%m.%Y"}),
        Column("member", "boolean"),
        Column("city", "category"),
    ),
    missing_markers=("?",),
)
RAW = pl.DataFrame(
    {
        "city": [" Rome", "?", "Oslo"],
        "price": ["1.234,5", "?", "cheap"],
        "extra": ["x", "y", "z"],
        "seen": ["31.01.2024", "", "soon"],
        "member": ["yes", "No", "?"],
    }
)


def text_frame(rows: list[tuple[str | None, ...]]) -> pl.DataFrame:
    """Return rows of text as a frame."""
    return pl.DataFrame(rows, schema=dict.fromkeys("abc", pl.String), orient="row")


def trimmed_row(row: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """Return the cells of a row without blanks around them."""
    trimmed = pl.Series(row, dtype=pl.String).str.strip_chars()
    return tuple(cell or None for cell in trimmed)


PARSED_TOGETHER = pl.DataFrame(
    {
        "a": ["1,5", "?", " 2", None] * 100,
        "b": ["1,000", "x", "", "-3"] * 100,
        "c": [1, 99, None, 4] * 100,
        "d": [0.5, 99.0, float("nan"), None] * 100,
        "e": ["yes", " No", "?", "maybe"] * 100,
        "f": ["on", None, "off", "1"] * 100,
        "g": pl.Series(["x", "?", None, "y "] * 100, dtype=pl.Categorical),
        "h": pl.Series(["y", "x", None, "x"] * 100, dtype=pl.Enum(["x", "y"])),
        "i": ["y", " x", None, "?"] * 100,
    }
)


def test_columns_parsed_in_one_call_get_the_same_values() -> None:
    kinds = ["number"] * 4 + ["boolean"] * 2 + ["category"] * 3
    columns = tuple(map(Column, PARSED_TOGETHER.columns, kinds))
    large = Schema(columns, ("?", "99")).apply(PARSED_TOGETHER)  # parsed one by one
    single_columns = [
        Schema((column,), ("?", "99")).apply(PARSED_TOGETHER.head(8)) for column in columns
    ]
    small = Schema(columns, ("?", "99")).apply(PARSED_TOGETHER.head(8))
    assert PARSED_TOGETHER.height > MAX_ROWS_PARSED_TOGETHER > 8
    assert small.equals(large.head(8))
    assert small.equals(pl.concat(single_columns, how="horizontal"))
    assert small.schema == large.schema
    assert small["c"].to_list() == [1.0, None, None, 4.0] * 2
    assert Schema(columns).apply(PARSED_TOGETHER.head(0)).schema == small.schema


def test_columns_with_different_options_are_parsed_separately() -> None:
    schema = Schema((Column("a", "number", {"decimal": ","}), Column("b", "number")))
    result = schema.apply(pl.DataFrame({"a": ["1,234"], "b": ["1,234"]}))
    assert result.row(0) == (1.234, 1234.0)


def test_cells_become_values_in_the_order_of_the_schema() -> None:
    result = SCHEMA.apply(RAW)
    assert result.columns == ["price", "seen", "member", "city"]
    assert result.rows() == [
        (1234.5, datetime(2024, 1, 31), True, "Rome"),
        (None, None, False, None),
        (None, None, None, "Oslo"),
    ]


@pytest.mark.parametrize("row", range(RAW.height))
def test_a_single_row_is_parsed_as_among_others(row: int) -> None:
    assert SCHEMA.apply(RAW[row : row + 1]).rows() == SCHEMA.apply(RAW).rows()[row : row + 1]


def test_missing_columns_are_named_with_suggestions() -> None:
    with pytest.raises(DataError, match="2 columns of the model are missing") as caught:
        SCHEMA.apply(RAW.rename({"price": "Price", "member": "nothing"}))
    assert caught.value.detail == "price, member"
    assert "'price': did you mean 'Price'?" in caught.value.hint


DERIVED = Schema(
    (
        Column("city", "category"),
        Column("rate", "number", {"clip": [0, 1_000]}),
        Column("dear", "boolean"),
        Column("price", "number", {"decimal": ","}),
    ),
    missing_markers=("?",),
    derivations={"rate": "price / people", "half": "rate / 2", "dear": "half > 200"},
    derivation_inputs=(Column("people", "number"),),
)
PEOPLE = RAW.with_columns(people=pl.Series(["4", "2", "?"]), rate=pl.lit("not read"))


def test_derived_columns_have_values_of_their_kind() -> None:
    result = DERIVED.apply(PEOPLE.with_columns(price=pl.Series(["1.000", "3000", "?"])))
    assert result.columns == ["city", "rate", "dear", "price"]  # no input, nothing in between
    assert result.rows() == [
        ("Rome", 250.0, False, 1000.0),
        (None, 1000.0, True, 3000.0),  # clipped, by the options of the column
        ("Oslo", None, None, None),
    ]


@pytest.mark.parametrize("row", range(RAW.height))
def test_a_single_row_is_derived_as_among_others(row: int) -> None:
    single_row, table = DERIVED.apply(PEOPLE[row : row + 1]), DERIVED.apply(PEOPLE)
    assert single_row.schema == table.schema
    assert single_row.rows() == table.rows()[row : row + 1]
    assert DERIVED.apply(PEOPLE.clear()).schema == table.schema


def test_inputs_of_expressions_are_required_and_results_are_not() -> None:
    assert [column.name for column in DERIVED.input_columns] == ["city", "price", "people"]
    assert [column.name for column in SCHEMA.input_columns] == ["price", "seen", "member", "city"]
    with pytest.raises(DataError, match="1 column of the model is missing") as caught:
        DERIVED.apply(RAW.with_columns(poeple=pl.lit("1")))
    assert caught.value.detail == "people"
    assert "did you mean 'poeple'?" in caught.value.hint


def test_an_error_in_an_expression_has_its_name() -> None:
    schema = Schema(
        (Column("city", "category"), Column("x", "number")), derivations={"x": "city + price"},
        derivation_inputs=(Column("price", "number"),),
    )  # fmt: skip
    with pytest.raises(DataError, match=r"data\.derived_columns\.x cannot be computed"):
        schema.apply(RAW)


def test_columns_are_found_by_kind() -> None:
    assert [column.name for column in SCHEMA.columns_of_kind("number")] == ["price"]
    assert SCHEMA.columns_of_kind("constant") == ()


@pytest.mark.parametrize("schema", [SCHEMA, DERIVED, Schema(())], ids=["plain", "derived", "none"])
def test_a_schema_survives_being_written_as_json(schema: Schema) -> None:
    assert Schema.from_json(json.loads(json.dumps(schema.as_json()))) == schema


@fixed
@given(ROWS)
def test_rows_have_the_same_digest_exactly_if_they_hold_the_same_cells(
    rows: list[tuple[str | None, ...]],
) -> None:
    digests = row_digests(text_frame(rows))
    assert {len(digest) for digest in digests} == {16}
    groups = {digest: trimmed_row(row) for digest, row in zip(digests, rows, strict=True)}
    assert [groups[digest] for digest in digests] == [trimmed_row(row) for row in rows]
    assert len(groups) == len({trimmed_row(row) for row in rows})


@fixed
@given(ROWS, st.randoms(use_true_random=False))
def test_the_digest_of_a_row_does_not_depend_on_other_rows(
    rows: list[tuple[str | None, ...]], random: st.DrawFn
) -> None:
    digests = row_digests(text_frame(rows))
    separate_digests = [row_digests(text_frame([row]))[0] for row in rows]
    assert separate_digests == digests
    assert row_digests(text_frame(rows[::-1])) == digests[::-1]


@pytest.mark.parametrize(
    ("first_row", "second_row"),
    [
        (("a\x1fb", "c", ""), ("a", "b\x1fc", "")),
        (("ab", "c", ""), ("a", "bc", "")),
        ((None, "a", ""), ("a", None, "")),
        (("\0", "a", ""), (None, "a", "")),
        (("-", "a", ""), (None, "a", "")),
        (("1:a", "", ""), ("1", "a", "")),
    ],
)
def test_rows_whose_cells_join_to_the_same_text_have_different_digests(
    first_row: tuple[str | None, ...], second_row: tuple[str | None, ...]
) -> None:
    first, second = row_digests(text_frame([first_row, second_row]))
    assert first != second


def test_only_the_chosen_columns_count_and_their_order_matters() -> None:
    frame = text_frame([("1", "2", "3"), ("1", "2", "4")])
    first, second = row_digests(frame, ["a", "b"])
    assert first == second
    assert row_digests(frame, ["b", "a"])[0] != first
    assert row_digests(frame, []) == [b"", b""]


def test_the_digest_of_a_row_stays_the_same_from_release_to_release() -> None:
    frame = pl.DataFrame({"a": ["x"], "b": [None], "c": [7], "d": [0.5], "e": [True]})
    text = b"1:x-1:73:0.54:true"  # each cell after its length, a dash for null
    assert row_digests(frame) == [hashlib.blake2b(text, digest_size=16).digest()]

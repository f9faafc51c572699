"""The fast way to cut a text gives what the careful way gives, or nothing."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fieldcraft.core.errors import DataError
from fieldcraft.data import csv_fast_path
from fieldcraft.data.csv_fast_path import parse_csv_fast
from fieldcraft.data.csv_parser import ParsedTable, parse_csv_strict
from fieldcraft.data.csv_sniffer import CsvDialect

# What CSV files are made of, stray marks and all that other programs might trim.
CELLS = (
    "", "a", "1", " ", " a", "a ", '"', '""', '"a"', '"a,b"', '"a\nb"', '"a""b"', '" a"', '"a"b',
    '""""', '"\n"', "é", "\ufeff", "\x1c", "\x0b", "\u2028", "\0", "#", "'", "\\", "NA", "null",
    '"1,2\n3,4"', "a\tb", "|",
)  # fmt: skip


@st.composite
def csv_texts(draw: st.DrawFn) -> str:
    """Mostly even rows of cells, with some that are not."""
    width = draw(st.integers(1, 4))
    usual = st.lists(st.sampled_from(CELLS), min_size=width, max_size=width)
    odd = st.lists(st.sampled_from(CELLS), max_size=5)
    plain = st.lists(st.sampled_from("ab1"), min_size=width, max_size=width)
    rows = draw(st.lists(st.one_of(plain, plain, plain, usual, odd), max_size=8))
    ends = draw(st.sampled_from(["", "\n", "\n\n", ",\n"]))
    return "\n".join(",".join(row) for row in rows) + ends


def parsed_content(found: ParsedTable | None) -> object:
    """What two ways of cutting must agree in."""
    assert found is not None
    frame = found.frame
    return frame.schema, frame.rows(), found.malformed, found.n_unnamed


def parse_or_error(way: Callable[..., ParsedTable | None], *given: object) -> object:
    """What a way of cutting gives: a cut, None, or the text of an error."""
    try:
        found = way(*given)
    except DataError as error:
        return str(error)
    return parsed_content(found) if found else None


@settings(derandomize=True, deadline=None, max_examples=600)
@example("\ufeff,x\n", False, ())
@example(' a, b\n"c",d\n', False, ())
@example('a,b\n"1\n2",x\n\n"",""\n', True, ())
@given(csv_texts(), st.booleans(), st.sampled_from([(), ("x", "y"), ("x", "y", "z")]))
def test_both_ways_agree_in_every_cell(text: str, header: bool, names: tuple[str, ...]) -> None:
    quick = parse_or_error(parse_csv_fast, text, CsvDialect(has_header=header), names)
    if quick is not None:
        assert quick == parse_or_error(parse_csv_strict, text, CsvDialect(has_header=header), names)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3,4\n",
        "a, b\n1, x\n",
        'a,b\n"1","x, ""y"""\n"z\nz",\n',
        "a,b\n\n1,2\n \n3\n4,5,6\n",
        'a,b,c\n1,2,3\n4,"5,6\n7,8,9\n1,2",3\n',
        "é,b\nZoë,\u2028\n",
        "a,b\n",
        "a,b,\n1,2,\n",
    ],
)
def test_ordinary_texts_go_the_fast_way(text: str) -> None:
    assert parsed_content(parse_csv_fast(text, CsvDialect())) == parsed_content(
        parse_csv_strict(text, CsvDialect())
    )


@pytest.mark.parametrize(
    "text",
    [
        'a,b\n1,5" nail\n',  # a mark within a cell that is not quoted
        'a,b\n1,"5" nail\n',
        'a,b\n1, "x"\n',
        'a,b\n1,"x\n',
        "a\n1\n2\n",
        "a,b\n1,2,\n",
        "a,b\n1,\0\n",
    ],
)
def test_what_could_be_understood_in_two_ways_goes_the_careful_way(text: str) -> None:
    assert parse_csv_fast(text, CsvDialect()) is None


def test_a_delimiter_that_is_no_byte_goes_the_careful_way() -> None:
    assert parse_csv_fast("a¦b\n1¦2\n", CsvDialect("¦")) is None
    assert parse_csv_fast("a b\n1 2\n", CsvDialect(" ")) is None


@pytest.mark.parametrize(("rows", "quick"), [(3, True), (4, False)])
def test_many_rows_of_a_cell_too_many_go_the_careful_way(
    rows: int, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_fast_path, "MAX_LONG_ROWS_CHECKED", 3)
    cut = parse_csv_fast("a,b\n1,2\n" + "1,2,3\n" * rows, CsvDialect())
    assert (cut is not None) is quick
    if cut is not None:
        assert [odd.last_line for odd in cut.malformed] == [3, 4, 5]


def test_rows_are_joined_again_around_those_left_out() -> None:
    rows = [f"{i},x" if i % 50 else f"{i}" for i in range(5_000)]
    cut = parse_csv_fast("a,b\n" + "\n".join(rows), CsvDialect())
    assert cut is not None
    kept = [str(i) for i in range(5_000) if i % 50]
    assert_frame_equal(cut.frame, pl.DataFrame({"a": kept, "b": ["x"] * len(kept)}))
    assert [odd.last_line for odd in cut.malformed][:3] == [2, 52, 102]

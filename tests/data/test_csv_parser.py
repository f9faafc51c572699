"""Text is parsed into rows and cells; malformed rows are reported, none is lost."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.core.errors import DataError
from fieldcraft.data.csv_parser import (
    Header,
    MalformedRow,
    make_unique_names,
    parse_csv_strict,
    read_csv_rows,
)
from fieldcraft.data.csv_sniffer import DELIMITERS, CsvDialect

WITH_HEADER, WITHOUT_HEADER = CsvDialect(), CsvDialect(has_header=False)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            *[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"))] * 3
        ),
        min_size=1,
    ),
    st.sampled_from(DELIMITERS),
)
def test_cells_read_back_as_the_csv_module_wrote_them(
    rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
        [("first", "second", "third"), *rows]
    )
    result = read_csv_rows(stream.getvalue().split("\n"), delimiter).rows
    assert result == [["first", "second", "third"], *map(list, rows)]


def test_line_numbers_are_those_of_an_editor() -> None:
    text = 'a,b\n\n1,"x\ny"\n \n2,z\n'
    result = read_csv_rows(text.split("\n"), ",")
    assert (result.first_lines, result.last_lines) == ([1, 3, 6], [1, 4, 6])


def test_names_that_are_all_blank_are_numbered() -> None:
    parsed = parse_csv_strict(",\n,\n", WITH_HEADER)
    assert parsed.frame.to_dict(as_series=False) == {"column_1": [""], "column_2": [""]}
    assert parsed.n_unnamed == 2


def test_a_single_column_may_have_multiline_cells() -> None:
    assert parse_csv_strict('a\n"x\ny"\nz\n', WITH_HEADER).frame["a"].to_list() == ["x\ny", "z"]


def test_empty_rows_above_the_header_are_skipped() -> None:
    parsed = parse_csv_strict(",,\n , \n\na,b,c\n1,2,3\n", CsvDialect())
    assert parsed.frame.columns == ["a", "b", "c"]
    assert parsed.frame.rows() == [("1", "2", "3")]


def test_a_row_without_a_cell_is_a_row() -> None:
    assert parse_csv_strict("a,b\n1,2\n,\n", WITH_HEADER).frame.rows() == [("1", "2"), ("", "")]


@pytest.mark.parametrize(
    ("text", "names"), [("a,b\n1,2,\n3,4, \n", ()), ("1,2,\n3,4,\n", ("a", "b"))]
)
def test_a_trailing_delimiter_does_not_make_a_cell(text: str, names: tuple[str, ...]) -> None:
    parsed = parse_csv_strict(text, WITH_HEADER if not names else WITHOUT_HEADER, names)
    assert parsed.frame.to_dict(as_series=False) == {"a": ["1", "3"], "b": ["2", "4"]}
    assert parsed.malformed == ()


def test_a_long_row_does_not_hide_trailing_delimiters() -> None:
    parsed = parse_csv_strict("1,2,\n3,4,\n5,6,7,8\n", WITHOUT_HEADER, ("a", "b"))
    assert parsed.frame.rows() == [("1", "2"), ("3", "4")]
    assert parsed.malformed == (MalformedRow(3, 1, 4, "width"),)


def test_columns_without_names_are_numbered_and_no_row_is_lost() -> None:
    parsed = parse_csv_strict("1,2\n3,4\n", WITHOUT_HEADER)
    assert parsed.frame.to_dict(as_series=False) == {"column_1": ["1", "3"], "column_2": ["2", "4"]}
    assert (parsed.malformed, parsed.n_unnamed, parsed.n_rows) == ((), 0, 2)
    assert parse_csv_strict("a,,b,, \n1,2,3,4,5\n", WITH_HEADER).n_unnamed == 2


def test_a_first_row_that_repeats_the_given_names_is_skipped() -> None:
    text = "Age, City \n1,Rome\n"
    assert parse_csv_strict(text, WITH_HEADER, ("age", "city")).frame.rows() == [("1", "Rome")]
    assert parse_csv_strict(text, WITH_HEADER, ("age", "town")).frame.height == 2
    assert parse_csv_strict("a,b,\n1,2,\n", WITH_HEADER, ("a", "b")).frame.rows() == [("1", "2")]


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c"), ("a", "a")])
def test_given_names_that_do_not_fit_are_an_error(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="do not fit the file") as caught:
        parse_csv_strict("1,2\n3,4\n", WITHOUT_HEADER, names)
    assert caught.value.detail == f"{len(set(names))} different names for 2 columns"


@pytest.mark.parametrize(
    ("text", "before", "line"),
    [
        ('a,b\n1,"x\ny"\n2,"z\n3,4\n', 0, 4),
        ('a,b\n1,"x\ny"\n2,"z\n3,4\n', 100, 104),
        ('a,"b\n1,2\n', 0, 1),
    ],
)
def test_an_unclosed_quote_is_an_error_with_its_line(text: str, before: int, line: int) -> None:
    with pytest.raises(DataError, match="none closes it before the file ends") as caught:
        parse_csv_strict(text, WITH_HEADER, lines_before=before)
    assert caught.value.detail.startswith(f"the row that starts on line {line} ")


def test_line_numbers_continue_from_earlier_blocks() -> None:
    parsed = parse_csv_strict(
        '1\n"x\ny",2,3\n', WITHOUT_HEADER, header=Header(["a", "b"]), lines_before=1_000
    )
    assert parsed.malformed == (
        MalformedRow(1_001, 1, 1, "width"),
        MalformedRow(1_003, 1, 3, "width"),
    )
    with pytest.raises(DataError) as caught:
        parse_csv_strict('a,"b\n1,2\n3,4"\n5,6\n', WITH_HEADER, lines_before=7)
    assert caught.value.detail.startswith("lines 8 to 10 ")


@pytest.mark.parametrize("start", ['"', ' "'])
def test_a_cell_that_goes_on_after_its_closing_quote_is_malformed(start: str) -> None:
    parsed = parse_csv_strict(f'id,note\n1,{start}first\nsecond" third\n2,x\n', WITH_HEADER)
    assert parsed.frame.rows() == [("2", "x")]
    assert parsed.malformed == (MalformedRow(3, 2, 2, "stray_quote"),)


@pytest.mark.parametrize(("like", "torn"), [(9, True), (8, False)])
def test_a_multiline_cell_is_malformed_if_90_percent_look_like_rows(like: int, torn: bool) -> None:
    lines = ["1,2"] * (like - 2) + ["no row"] * (10 - like)
    parsed = parse_csv_strict(
        "a,b\n" + '0,"x\n' + "\n".join([*lines, "", ' \n3,4"']) + "\n", WITH_HEADER
    )
    assert [row.fault for row in parsed.malformed] == ["stray_quote"] * torn


def test_prose_in_a_cell_does_not_look_like_rows() -> None:
    parsed = parse_csv_strict('a,b\n1,"one, two\nthree, four\nfive, six"\n', WITH_HEADER)
    assert parsed.frame["b"].to_list() == ["one, two\nthree, four\nfive, six"]


def test_given_names_may_include_the_empty_last_column() -> None:
    assert parse_csv_strict("1,2,\n3,4,\n", WITHOUT_HEADER, ("a", "b", "c")).frame.width == 3


@pytest.mark.parametrize(
    "torn",
    [
        '4,"5,6\n7,8,9\n1,2",3',  # as wide as any row
        '4,5,"6\n7,8,9\n1,2,3"',
        '4,5,"6\n7,8,9\n1,2,"3"',  # closed before the end of a cell
    ],
)
def test_a_stray_quote_that_joins_rows_is_detected(torn: str) -> None:
    parsed = parse_csv_strict(f"a,b,c\n1,2,3\n{torn}\n3,2,1\n", WITH_HEADER)
    assert parsed.frame.rows() == [("1", "2", "3"), ("3", "2", "1")]
    (row,) = parsed.malformed
    assert (row.last_line, row.n_lines, row.fault) == (5, 3, "stray_quote")
    assert str(row) == "3 to 5"


def test_one_odd_line_does_not_hide_joined_rows() -> None:
    swallowed = "7,8,9\n" * 20
    parsed = parse_csv_strict(f'a,b,c\n1,2,3\n4,"5,6\n{swallowed}1,2,3",0\n', WITH_HEADER)
    assert [(row.n_lines, row.fault) for row in parsed.malformed] == [(22, "stray_quote")]


@pytest.mark.parametrize(
    "cell", ["first\nsecond", "Dear Sir,\nthanks, bye\nyours, Bob", "a,b,c,d\ne,f", "\n\n"]
)
def test_a_multiline_cell_is_not_malformed(cell: str) -> None:
    parsed = parse_csv_strict(f'id,note\n1,"{cell}"\n2,x\n', WITH_HEADER)
    assert parsed.frame["note"].to_list() == [cell, "x"]


def test_a_stray_quote_among_the_names_is_refused() -> None:
    with pytest.raises(DataError, match="among the column names swallows rows") as caught:
        parse_csv_strict('a,"b\n1,2\n3,4\n5,6"\n7,8\n', WITH_HEADER)
    assert caught.value.detail.startswith("lines 1 to 4 ")


def test_column_names_may_have_several_lines() -> None:
    assert (
        parse_csv_strict('id,"age\nin years"\n1,2\n', WITH_HEADER).frame.columns[1]
        == "age\nin years"
    )


def test_rows_with_nul_are_rejected() -> None:
    parsed = parse_csv_strict("a,b\n1,2\n3,\0\n\0\0\0", WITH_HEADER)
    assert parsed.frame.rows() == [("1", "2")]
    assert parsed.malformed == (MalformedRow(3, 1, 2, "nul"), MalformedRow(4, 1, 1, "nul"))


def test_rows_of_another_width_are_rejected() -> None:
    parsed = parse_csv_strict('a,b\n1\n1,2\n1,"2\nx",3,4\n', WITH_HEADER)
    assert parsed.malformed == (MalformedRow(2, 1, 1, "width"), MalformedRow(5, 1, 4, "width"))
    assert parsed.n_rows == 3


def test_lines_are_cells_where_there_is_no_delimiter() -> None:
    parsed = parse_csv_strict('text\n "a", b\n\nc, "d\n', CsvDialect(""))
    assert parsed.frame.rows() == [(' "a", b',), ('c, "d',)]


def test_many_equal_names_become_unique_fast() -> None:
    names = make_unique_names(["x", "", "x.1"] * 3_000)
    assert len(set(names)) == 9_000
    assert names[:6] == ["x", "column_2", "x.1", "x.2", "column_5", "x.1.1"]

"""Delimited text is read with its dialect; malformed rows are rejected or an error."""

from __future__ import annotations

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.csv_reader import read_delimited_text
from fieldcraft.data.csv_sniffer import CsvDialect

GOOD = "1,2\n" * 150


def test_a_declared_delimiter_is_not_a_row_and_keeps_line_numbers() -> None:
    result = read_delimited_text(("sep=;\na;b\n1\n" + "1;2\n" * 150).encode(), "t.csv")
    assert result.dialect == CsvDialect(";")
    assert result.frame.columns == ["a", "b"]
    assert result.malformed_lines == (3,)


def test_empty_unnamed_columns_are_dropped_at_the_end_only() -> None:
    result = read_delimited_text(b"a,,b,,\n1,,2,,\n3,,4, ,\n", "t.csv")
    assert result.frame.columns == ["a", "column_2", "b"]
    assert result.notes == ("2 empty columns without a name ignored",)
    assert read_delimited_text(b"a,,,\n1,,,\n3,,,\n", "t.csv").frame.columns == ["a"]
    assert read_delimited_text(b"a,b,\n1,2,\n3,4,x\n", "t.csv").frame.columns == [
        "a",
        "b",
        "column_3",
    ]
    assert read_delimited_text(b"a,b,column_3\n1,2,\n3,4,\n", "t.csv").frame.width == 3
    assert (
        read_delimited_text(b"1,2,\n3,4,\n", "t.csv").frame.width == 3
    )  # as wide as names may come


def test_lines_joined_by_a_stray_quote_are_rejected() -> None:
    torn = '3,"4\n5,6\n7,8"\n'
    result = read_delimited_text(f"a,b\n{GOOD * 2}{torn}{GOOD}".encode(), "t.csv")
    assert result.frame.rows() == [("1", "2")] * 450
    assert result.malformed_lines == (304,)
    assert result.notes[0].endswith("lines 302 to 304")


def test_a_stray_quote_that_joins_many_lines_is_an_error() -> None:
    torn = '3,"4\n' + "5,6\n" * 20 + '7,8"\n'
    with pytest.raises(DataError, match=r"1 of 151 rows of t\.csv span several lines") as caught:
        read_delimited_text(f"a,b\n{GOOD}{torn}".encode(), "t.csv")
    assert caught.value.detail == "first such lines: 152 to 173"
    assert "doubled" in caught.value.hint


def test_a_title_above_the_header_has_its_own_error() -> None:
    with pytest.raises(DataError, match=r"first row of t\.csv has 1 cell, the others 3") as caught:
        read_delimited_text(b"Report of May\n\na,b,c\n1,2,3\n4,5,6\n7,8,9\n", "t.csv")
    assert "above the column names" in caught.value.hint


def test_a_few_rows_with_nul_are_rejected() -> None:
    assert read_delimited_text(f"a,b\n{GOOD}3,\0\n".encode(), "t.csv").malformed_lines == (152,)
    with pytest.raises(DataError, match=r"3 of 153 rows of t\.csv hold NUL"):
        read_delimited_text(("a,b\n" + GOOD + "3,\0\n" * 3).encode(), "t.csv")


@pytest.mark.parametrize(
    ("rows", "n_malformed", "fits"), [(9, 1, True), (98, 2, False), (198, 2, True)]
)
def test_one_row_or_one_percent_may_be_malformed(rows: int, n_malformed: int, fits: bool) -> None:
    data = ("a,b\n" + "1,2\n" * rows + "1\n" * n_malformed).encode()
    if fits:
        result = read_delimited_text(data, "t.csv")
        assert result.frame.height == rows
        assert result.malformed_lines == tuple(range(rows + 2, rows + 2 + n_malformed))
        assert result.notes == ()
    else:
        with pytest.raises(DataError, match=r"2 of 100 rows of t\.csv do not have 2 cells"):
            read_delimited_text(data, "t.csv")


def test_the_error_names_the_most_frequent_fault() -> None:
    data = f"a,b\n{GOOD}3,\0\n" + "1\n" * 6
    with pytest.raises(DataError, match=r"7 of 157 rows of t\.csv do not have 2 cells") as caught:
        read_delimited_text(data.encode(), "t.csv")
    assert caught.value.detail == "first such lines: 152, 153, 154, 155, 156, ..."
    torn = "".join(f'{i},"x\n1,2\n3,4"\n' for i in range(4))
    result = read_delimited_text(f"a,b\n{GOOD * 9}{torn}".encode(), "t.csv")
    where = "1352 to 1354, 1355 to 1357, 1358 to 1360, ..."
    assert result.notes[-1].endswith(f"to join them: lines {where}")


def test_a_parse_error_has_the_name_of_the_file() -> None:
    with pytest.raises(DataError, match=r"^t\.csv: a quotation mark opens a cell"):
        read_delimited_text(b'a,b\n1,"2\n', "t.csv")


def test_notes_on_encoding_and_single_columns() -> None:
    text = "name\n" + "Zoë, or not\n" * 30
    result = read_delimited_text(text.encode() + b"caf\xe9, and, more\n", "t.txt")
    assert result.frame.shape == (31, 1)
    assert [note.split()[0] for note in result.notes] == ["not", "each"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_newlines_of_all_systems_give_the_same_rows(end: str) -> None:
    text = end.join(["a,b", "1,x", "2,y", ""])
    assert read_delimited_text(text.encode(), "t.csv").frame.rows() == [("1", "x"), ("2", "y")]


def test_five_thousand_columns_in_one_row() -> None:
    names = [f"c{i}" for i in range(5_000)]
    result = read_delimited_text(f"{','.join(names)}\n{','.join(['1'] * 5_000)}".encode(), "t.csv")
    assert result.frame.columns == names
    assert result.frame.height == 1

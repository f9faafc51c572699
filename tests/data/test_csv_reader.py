"""Delimited texts with all that people and programs do to them."""

from __future__ import annotations

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.csv_reader import read_delimited_text
from fieldcraft.data.csv_sniffer import CsvDialect

GOOD = "1,2\n" * 150


def test_a_declared_delimiter_is_no_row_and_lines_keep_their_numbers() -> None:
    reading = read_delimited_text(("sep=;\na;b\n1\n" + "1;2\n" * 150).encode(), "t.csv")
    assert reading.dialect == CsvDialect(";")
    assert reading.frame.columns == ["a", "b"]
    assert reading.malformed_lines == (3,)


def test_empty_columns_without_a_name_are_left_out_at_the_end_alone() -> None:
    reading = read_delimited_text(b"a,,b,,\n1,,2,,\n3,,4, ,\n", "t.csv")
    assert reading.frame.columns == ["a", "column_2", "b"]
    assert reading.notes == ("2 empty columns without a name left out",)
    assert read_delimited_text(b"a,b,\n1,2,\n3,4,x\n", "t.csv").frame.columns == [
        "a",
        "b",
        "column_3",
    ]
    assert read_delimited_text(b"a,b,column_3\n1,2,\n3,4,\n", "t.csv").frame.width == 3
    assert (
        read_delimited_text(b"1,2,\n3,4,\n", "t.csv").frame.width == 3
    )  # as wide as names may come


def test_lines_that_a_stray_quote_joins_are_set_aside_and_told() -> None:
    torn = '3,"4\n5,6\n7,8"\n'
    reading = read_delimited_text(f"a,b\n{GOOD * 2}{torn}{GOOD}".encode(), "t.csv")
    assert reading.frame.rows() == [("1", "2")] * 450
    assert reading.malformed_lines == (304,)
    assert reading.notes[0].endswith("lines 302 to 304")


def test_a_stray_quote_that_swallows_more_is_an_error_that_names_the_lines() -> None:
    torn = '3,"4\n' + "5,6\n" * 20 + '7,8"\n'
    with pytest.raises(DataError, match=r"1 of 151 rows of t\.csv take several lines") as caught:
        read_delimited_text(f"a,b\n{GOOD}{torn}".encode(), "t.csv")
    assert caught.value.detail == "first such lines: 152 to 173"
    assert "doubled" in caught.value.hint


def test_a_title_above_the_names_is_told_apart_from_ragged_rows() -> None:
    with pytest.raises(
        DataError, match=r"first row of t\.csv holds 1 cell, .* below it 3"
    ) as caught:
        read_delimited_text(b"Report of May\n\na,b,c\n1,2,3\n4,5,6\n7,8,9\n", "t.csv")
    assert "above the column names" in caught.value.hint


def test_rows_with_nul_are_set_aside_up_to_a_share() -> None:
    assert read_delimited_text(f"a,b\n{GOOD}3,\0\n".encode(), "t.csv").malformed_lines == (152,)
    with pytest.raises(DataError, match=r"3 of 153 rows of t\.csv hold NUL"):
        read_delimited_text(("a,b\n" + GOOD + "3,\0\n" * 3).encode(), "t.csv")


@pytest.mark.parametrize(("rows", "odd", "fits"), [(9, 1, True), (98, 2, False), (198, 2, True)])
def test_one_row_or_one_in_a_hundred_may_not_fit(rows: int, odd: int, fits: bool) -> None:
    data = ("a,b\n" + "1,2\n" * rows + "1\n" * odd).encode()
    if fits:
        reading = read_delimited_text(data, "t.csv")
        assert reading.frame.height == rows
        assert reading.malformed_lines == tuple(range(rows + 2, rows + 2 + odd))
        assert reading.notes == ()
    else:
        with pytest.raises(DataError, match=r"2 of 100 rows of t\.csv do not have 2 cells"):
            read_delimited_text(data, "t.csv")


def test_what_most_odd_rows_lack_is_told_with_the_first_of_them() -> None:
    data = f"a,b\n{GOOD}3,\0\n" + "1\n" * 6
    with pytest.raises(DataError, match=r"7 of 157 rows of t\.csv do not have 2 cells") as caught:
        read_delimited_text(data.encode(), "t.csv")
    assert caught.value.detail == "first such lines: 152, 153, 154, 155, 156, ..."
    torn = "".join(f'{i},"x\n1,2\n3,4"\n' for i in range(4))
    reading = read_delimited_text(f"a,b\n{GOOD * 9}{torn}".encode(), "t.csv")
    where = "1352 to 1354, 1355 to 1357, 1358 to 1360, ..."
    assert reading.notes[-1].endswith(f"to join them: lines {where}")


def test_an_error_of_cutting_names_the_file() -> None:
    with pytest.raises(DataError, match=r"^t\.csv: a quotation mark opens a cell"):
        read_delimited_text(b'a,b\n1,"2\n', "t.csv")


def test_notes_tell_of_another_encoding_and_of_uncut_lines() -> None:
    text = "name\n" + "Zoë, or not\n" * 30
    reading = read_delimited_text(text.encode() + b"caf\xe9, and, more\n", "t.txt")
    assert reading.frame.shape == (31, 1)
    assert [note.split()[0] for note in reading.notes] == ["not", "lines"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_line_ends_of_all_systems_give_the_same_rows(end: str) -> None:
    text = end.join(["a,b", "1,x", "2,y", ""])
    assert read_delimited_text(text.encode(), "t.csv").frame.rows() == [("1", "x"), ("2", "y")]


def test_five_thousand_columns_in_one_row() -> None:
    names = [f"c{i}" for i in range(5_000)]
    reading = read_delimited_text(f"{','.join(names)}\n{','.join(['1'] * 5_000)}".encode(), "t.csv")
    assert reading.frame.columns == names
    assert reading.frame.height == 1

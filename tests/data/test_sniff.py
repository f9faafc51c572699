"""How a text file is written is found from its content."""

from __future__ import annotations

import csv

import pytest

from fieldcraft.data.sniff import (
    DELIMITERS,
    SAMPLE_CHARS,
    Dialect,
    find_delimiter,
    find_header,
    looks_numeric,
    rows_of,
    sniff,
)


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_the_delimiter_is_the_one_that_cuts_evenly(delimiter: str) -> None:
    others = "".join(set(DELIMITERS) - {delimiter})
    rows = [["name", "note", "size"], ["a", f'"x{others}y"', "1"], ["b", f'"{others}"', "2"]]
    assert find_delimiter("\n".join(delimiter.join(row) for row in rows)) == delimiter


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";"),  # decimal commas
        ("name|note\nx|one, two, three\ny|four\n", "|"),
        ("name\nx\ny\n", ","),  # one column: nothing to cut
        ("", ","),
    ],
)
def test_marks_inside_cells_do_not_mislead(text: str, delimiter: str) -> None:
    assert find_delimiter(text) == delimiter


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("age,city\n1,Rome\n2,Oslo\n", True),
        ("1,Rome\n2,Oslo\n3,Bern\n", False),
        ("a,b\nc,d\n", True),
        ("gas,two\ngas,four\ndiesel,two\n", False),
        (",age,city\n0,31,Rome\n1,32,Oslo\n", True),  # a nameless index column
        ("only,names\n", True),
        ("age,city\n?,Rome\n?,Oslo\n3,Bern\n", True),
        ("1,5;x\n2,5;y\n3,5;z\n", False),
    ],
)
def test_a_first_row_of_names_is_told_from_a_row_of_data(text: str, header: bool) -> None:
    assert sniff(text).header is header


def test_rows_with_gaps_at_their_end_can_be_looked_at() -> None:
    assert find_header([["name", "size", "note"], ["x", "1"], ["y"]])


def test_rows_are_cut_with_quotes_honoured_and_blank_lines_left_out() -> None:
    text = 'a,"b\nc", "d,e"\n\n , \nf,"g ""h""",i\n'
    assert rows_of(text, ",") == [["a", "b\nc", "d,e"], ["f", 'g "h"', "i"]]
    assert len(rows_of("x,y\n" * 500, ",", most=7)) == 7


@pytest.mark.parametrize("cell", ["1", "-1.5", "+2,5", ".5", "1e-3", " 7 ", "3."])
def test_numbers_in_any_spelling_look_numeric(cell: str) -> None:
    assert looks_numeric(cell)


@pytest.mark.parametrize("cell", ["", "x1", "1.2.3", "12/5", "1 000", "-", "e5"])
def test_other_cells_do_not_look_numeric(cell: str) -> None:
    assert not looks_numeric(cell)


def test_a_sample_of_a_long_file_ends_with_a_whole_row() -> None:
    line = "a;b;c\n"
    text = line * (SAMPLE_CHARS // len(line) + 2)
    assert sniff(text) == Dialect(";", header=False)


def test_a_sample_of_a_wide_table_holds_several_rows_however_long() -> None:
    header = ";".join(f"measurement number {i}" for i in range(20_000))
    row = ";".join(["1,5"] * 20_000)
    assert len(header) > SAMPLE_CHARS
    assert sniff(f"{header}\n{row}\n{row}\n") == Dialect(";")


def test_a_cell_longer_than_the_csv_module_allows_does_not_end_the_sample() -> None:
    text = "id;text\n1;" + "a,b " * 50_000 + "\n2;x\n3;y\n"
    limit = csv.field_size_limit()
    assert [len(row) for row in rows_of(text, ";")] == [2, 2, 2, 2]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    "text",
    [
        "name\nSmith, John\nDoe, Jane\nRoe, Jim\n",  # evenly cut, but for the name
        "genres\nAction,Drama\nComedy\nAction,Drama,Thriller\nHorror\n",
        "price\n1,50\n2,25\n3\n",
        "This is a line, with a comma\nNone here\nHere, there, and there\nOne; more\n",
        'it\'s good , " really " good .\n"hm , no .\nso , so , so .\nfine .\n',
    ],
)
def test_a_single_column_may_hold_any_mark(text: str) -> None:
    assert sniff(text).delimiter == ""


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ('text\n"a, b"\n"c, d"\nplain\n', ","),  # quoted as CSV wants it
        ("Report of May\n\na,b,c\n1,2,3\n4,5,6\n7,8,9\n", ","),  # a title above the table
        ("a, b, c, d\n1, 2, 3, 4\n1, 2\n5, 6, 7, 8\n", ","),  # blanks, ragged, no prose
        ('"a,b\n1,2\n3,4\n', ","),  # a torn quote, to be named later
        ("a,b\n1\n1,2,3\n1,2,3,4\n", ","),  # ragged all over
    ],
)
def test_a_broken_table_is_not_taken_for_a_single_column(text: str, delimiter: str) -> None:
    assert sniff(text).delimiter == delimiter


@pytest.mark.parametrize(
    ("first", "header"), [("review", True), ("a film, at last", False), ("a b c d e f", False)]
)
def test_a_first_line_that_is_no_name_is_data(first: str, header: bool) -> None:
    text = f"{first}\nslow, but good\nfine\ngood, slow, long\nnot, at, all, fine\n"
    assert sniff(text) == Dialect("", header)


def test_a_delimiter_may_be_declared_on_the_first_line() -> None:
    assert sniff("sep=|\na,b|c\n1,5|x\n") == Dialect("|")

"""The dialect of a text file is detected from its content."""

from __future__ import annotations

import csv
from contextlib import ExitStack

import pytest

from fieldcraft.data.csv_sniffer import (
    DELIMITERS,
    MAX_CELL_CHARS,
    SAMPLE_CHARS,
    SAMPLE_LINES,
    SAMPLE_ROWS,
    CsvDialect,
    delimiter_score,
    detect_delimiter,
    detect_dialect,
    has_header,
    looks_numeric,
    modal_width_fraction,
    read_sample_rows,
    take_sample,
    unlimited_cell_length,
)


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_the_delimiter_splits_lines_evenly(delimiter: str) -> None:
    others = "".join(set(DELIMITERS) - {delimiter})
    rows = [["name", "note", "size"], ["a", f'"x{others}y"', "1"], ["b", f'"{others}"', "2"]]
    assert detect_delimiter("\n".join(delimiter.join(row) for row in rows)) == delimiter


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";"),  # decimal commas
        ("name|note\nx|one, two, three\ny|four\n", "|"),
        ("name\nx\ny\n", ","),  # one column: nothing to cut
        ("", ","),
        ('x;y,"z\n1;2\n3;4\n5;6\n', ";"),  # a torn quote after another mark
        ("a;b\n" + "1,2;3,4\n" * 4, ";"),  # as even, but not as wide
        ('"a;b;c",d\n"x;y;z",1\n"u;v;w",2\n', ","),  # as even in lines, but in quotes
        ("a,b\n" * SAMPLE_ROWS + "c;d;e\n" * 900, ","),  # the first rows tell
    ],
)
def test_other_delimiters_inside_cells_do_not_count(text: str, delimiter: str) -> None:
    assert detect_delimiter(text) == delimiter


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
def test_a_header_is_distinguished_from_data(text: str, header: bool) -> None:
    assert detect_dialect(text).has_header is header


@pytest.mark.parametrize(
    ("widths", "value"),
    [
        ([], 0),
        ([1, 1, 1], 0),
        ([2, 2], 3**0.5),
        ([3, 3, 3, 1], 9 / 16 * 2),  # a quarter of the rows is odd
        ([1, 8, 8, 8, 8, 1, 1, 1, 1, 1], 0),  # most rows have one cell
    ],
)
def test_the_score_of_a_delimiter(widths: list[int], value: float) -> None:
    assert delimiter_score(widths) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("widths", "fraction"),
    [([1, 1], 0), ([], 0), ([1, 1, 3, 3, 2], 2 / 3), ([3, 1, 1, 2], 1 / 4), ([2, 2], 1)],
)
def test_titles_above_the_table_do_not_count(widths: list[int], fraction: float) -> None:
    assert modal_width_fraction(widths) == pytest.approx(fraction, rel=1e-12)


@pytest.mark.parametrize(
    ("first", "column", "header"),
    [
        (["x", "1"], [["1", "2"], ["3", "4"]], True),  # a name and a value: as many of each
        (["", "5"], [["1", "2"], ["3", "4"]], False),  # a blank is no name
        (["7"], [[cell] for cell in "123ab"], True),  # three numbers of five are not a column
        (["7"], [[cell] for cell in "1234a"], False),
        (["7"], [["1"], ["2"], [" "], [""], [""]], False),  # blanks do not count
        (["a", "b"], [["a", "c"], ["d", "e"]], True),  # half of the cells stand again
        (["a", "b", "c"], [["a", "b"], ["d", "e"]], False),
        (["a", "b", "c"], [["a", "x"], ["d", "e"]], True),
        (["a"], [[" a "]], False),
    ],
)
def test_the_columns_vote_on_the_first_row(
    first: list[str], column: list[list[str]], header: bool
) -> None:
    assert has_header([first, *column]) is header


def test_a_single_row_names_the_columns() -> None:
    assert has_header([["1", "2"]])
    assert has_header([])


def test_rows_may_be_shorter_than_the_header() -> None:
    assert has_header([["name", "size", "note"], ["x", "1"], ["y"]])


def test_sample_rows_respect_quotes_and_skip_blank_lines() -> None:
    text = 'a,"b\nc", "d,e"\n\n , \nf,"g ""h""",i\n'
    assert read_sample_rows(text, ",") == [["a", "b\nc", "d,e"], ["f", 'g "h"', "i"]]
    assert len(read_sample_rows("x,y\n" * 500, ",", max_rows=7)) == 7


@pytest.mark.parametrize("cell", ["1", "-1.5", "+2,5", ".5", ",5", "1e-3", " 7 ", "3.", "3,"])
def test_numbers_in_any_format_look_numeric(cell: str) -> None:
    assert looks_numeric(cell)


@pytest.mark.parametrize("cell", ["", "x1", "1.2.3", "12/5", "1 000", "-", "e5"])
def test_other_cells_do_not_look_numeric(cell: str) -> None:
    assert not looks_numeric(cell)


def test_a_sample_is_a_short_text_or_ends_with_a_line() -> None:
    lines = "a;b\n" * (SAMPLE_CHARS // 4)
    assert len(lines) == SAMPLE_CHARS
    assert take_sample(lines) == lines
    assert take_sample(lines + "c") == lines[:-1]
    assert take_sample(lines[:-2] + "xyz;w") == lines[:-5]


@pytest.mark.parametrize(("short", "more"), [(SAMPLE_LINES, False), (SAMPLE_LINES - 1, True)])
def test_a_sample_with_too_few_lines_is_extended(short: int, more: bool) -> None:
    long = "x" * SAMPLE_CHARS
    text = "a;b\n" * short + f"{long}\n" * 3 + "c\n" * 50
    sample = take_sample(text)
    assert text.startswith(sample + "\n")
    assert sample.count(long) == (3 if more else 0)
    assert sample.count("\n") + 1 >= SAMPLE_LINES
    assert sample.count("c") <= SAMPLE_LINES


def test_an_extended_sample_counts_each_line_once() -> None:
    text = ("x" * (SAMPLE_CHARS // 10) + "\n") * 100
    assert SAMPLE_LINES <= take_sample(text).count("\n") + 1 <= 10 + SAMPLE_LINES


def test_a_sample_of_a_long_file_ends_with_a_whole_row() -> None:
    line = "a;b;c\n"
    text = line * (SAMPLE_CHARS // len(line) + 2)
    assert detect_dialect(text) == CsvDialect(";", has_header=False)


def test_a_sample_of_a_wide_table_holds_several_rows_however_long() -> None:
    header = ";".join(f"measurement number {i}" for i in range(20_000))
    row = ";".join(["1,5"] * 20_000)
    assert len(header) > SAMPLE_CHARS
    assert detect_dialect(f"{header}\n{row}\n{row}\n") == CsvDialect(";")


def test_a_cell_longer_than_the_csv_module_allows_does_not_end_the_sample() -> None:
    text = "id;text\n1;" + "a,b " * 50_000 + "\n2;x\n3;y\n"
    limit = csv.field_size_limit()
    assert [len(row) for row in read_sample_rows(text, ";")] == [2, 2, 2, 2]
    assert csv.field_size_limit() == limit


def test_the_cell_length_limit_is_restored_by_the_last_reader() -> None:
    limit = csv.field_size_limit()
    assert limit < MAX_CELL_CHARS
    first, second = ExitStack(), ExitStack()
    first.enter_context(unlimited_cell_length())
    second.enter_context(unlimited_cell_length())
    first.close()
    assert csv.field_size_limit() == MAX_CELL_CHARS
    second.close()
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    "text",
    [
        "name\nSmith, John\nDoe, Jane\nRoe, Jim\n",  # evenly cut, but for the name
        "genres\nAction,Drama\nComedy\nAction,Drama,Thriller\nHorror\n",
        "price\n1,50\n2,25\n3\n",
        "price\n1,50\n2,25\n3,75\n",  # evenly cut, but each line is a number
        "note\n" + "so, it\n" * 9 + "so,it\n",  # nine marks of ten end a word
        "one, two, six\nnine, ten, two\nten, six\nfour, five, six\n",  # ragged and narrow
        "a, b, c, d\na, b, c, d\na, b\na, b, c\na, b, c, d, e\n",  # ragged and wide
        "This is a line, with a comma\nNone here\nHere, there, and there\nOne; more\n",
        'it\'s good , " really " good .\n"hm , no .\nso , so , so .\nfine .\n',
    ],
)
def test_a_single_column_may_contain_any_delimiter(text: str) -> None:
    assert detect_dialect(text).delimiter == ""


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ('text\n"a, b"\n"c, d"\nplain\n', ","),  # quoted as CSV wants it
        ("Report of May\n\na,b,c\n1,2,3\n4,5,6\n7,8,9\n", ","),  # a title above the table
        ("a, b, c, d\n1, 2, 3, 4\n1, 2\n5, 6, 7, 8\n", ","),  # blanks, ragged, no prose
        ('"a,b\n1,2\n3,4\n', ","),  # a torn quote, to be named later
        ("a,b\n1\n1,2,3\n1,2,3,4\n", ","),  # ragged all over
        ("counts\n1,50\nx,25\n3,75\n", ","),  # not all lines are numbers
        ("note\n" + "so, it\n" * 8 + "so,it\n" * 2, ","),  # eight marks of ten end a word
        ("a, b, c\n" * 9 + "a, b\n", ","),  # nine rows of ten are even
        ("a, b, c, d\n" * 2 + "a, b\na, b, c\n", ","),  # half of the rows are even
        ("a, b, c\n" * 6 + 'd, "e, f\n' + "a, b, c\n" * 3, ","),  # even but for a torn quote
        ('a, b\n"x, y, z", 1\n"p, q", 2\n"r, s, t, u", 3\n', ","),  # even but for quotes
    ],
)
def test_a_broken_table_is_not_taken_for_a_single_column(text: str, delimiter: str) -> None:
    assert detect_dialect(text).delimiter == delimiter


@pytest.mark.parametrize(
    ("first", "header"),
    [
        ("review", True), ("a film, at last", False), ("a b c d e", False),
        ("what they said here", True), ("fine", False),
    ],
)  # fmt: skip
def test_a_first_line_that_is_not_a_name_is_data(first: str, header: bool) -> None:
    text = f"{first}\nslow, but good\nfine\ngood, slow, long\nnot, at, all, fine\n"
    assert detect_dialect(text) == CsvDialect("", header)


def test_a_delimiter_may_be_declared_on_the_first_line() -> None:
    assert detect_dialect("sep=|\na,b|c\n1,5|x\n") == CsvDialect("|")
    assert detect_dialect('"sep=;"\n1;2,5\n3;4,5\n') == CsvDialect(";", has_header=False)

"""How a text file is written is found from its content."""

from __future__ import annotations

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.sniff import (
    DELIMITERS,
    SAMPLE_BYTES,
    Dialect,
    decode,
    find_delimiter,
    find_header,
    looks_numeric,
    rows_of,
    sniff,
)


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-32", "utf-32"),
        ("cp1252", "cp1252"),
    ],
)
def test_the_encoding_is_found_and_its_mark_left_out(encoding: str, found: str) -> None:
    text = "name;price\nZoë;5 €\n"
    assert decode(text.encode(encoding), "t.csv") == (text, found)


def test_big_endian_marks_are_understood() -> None:
    assert decode(b"\xfe\xff" + "aé".encode("utf-16-be"), "t.csv")[0] == "aé"
    assert decode(b"\x00\x00\xfe\xff" + "aé".encode("utf-32-be"), "t.csv")[0] == "aé"


def test_a_byte_that_cp1252_lacks_is_read_as_latin_1() -> None:
    assert decode(b"a\x81\xe9", "t.csv") == ("a\x81é", "latin-1")


def test_nul_bytes_are_refused_with_the_name_of_the_file() -> None:
    with pytest.raises(DataError, match=r"t\.csv is not a text file"):
        decode(b"PK\x03\x04\x00\x00", "t.csv")


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
    text = line * (SAMPLE_BYTES // len(line) + 2)
    assert sniff(text) == Dialect(";", header=False)

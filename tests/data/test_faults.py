"""Faults of delimited files (FAULTS.md, row 34): repaired or reported by `read_table`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.read import read_table

Write = Callable[[str, str | bytes], Path]
ROWS = [(f"Ann {i}", f"{i},5", f"Zoë{i}") for i in range(200)]


def make_csv(mark: str, *, decimal: str = ",") -> str:
    """A table of three columns; numbers with a comma are quoted where necessary."""
    rows = ["who,size,town".replace(",", mark)]
    for who, size, town in ROWS:
        number = size.replace(",", decimal)
        rows.append(mark.join([who, f'"{number}"' if mark in number else number, town]))
    return "\n".join(rows) + "\n"


def parsed_sizes(frame: pl.DataFrame) -> list[float | None]:
    return ColumnProfile(frame["size"]).numbers.to_list()


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("decimal", [",", "."])
@pytest.mark.parametrize("coded", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_delimiters_decimal_marks_and_encodings_are_detected(
    write_file: Write, mark: str, decimal: str, coded: str
) -> None:
    result = read_table(write_file("t.csv", make_csv(mark, decimal=decimal).encode(coded)))
    assert result.frame.columns == ["who", "size", "town"]
    assert result.frame["town"].to_list() == [town for *_, town in ROWS]
    assert parsed_sizes(result.frame) == [i + 0.5 for i in range(200)]
    assert result.malformed_lines == ()


def test_new_lines_and_doubled_quotes_in_cells_are_kept(write_file: Write) -> None:
    result = read_table(
        write_file("t.csv", 'a,b\n1,"one\ntwo\r\nthree"\n2,"she said ""no"", twice"\n')
    )
    assert result.frame["b"].to_list() == ["one\ntwo\nthree", 'she said "no", twice']


def test_a_few_ragged_rows_are_rejected_with_their_lines(write_file: Write) -> None:
    lines = make_csv(";").splitlines()
    lines[7] += ";too;many"
    lines[90] = "too few"
    result = read_table(write_file("t.csv", "\n".join(lines)))
    assert result.malformed_lines == (8, 91)
    assert result.frame.height == 198
    assert result.frame["who"].to_list() == [
        w for i, (w, *_) in enumerate(ROWS) if i not in (6, 89)
    ]


def test_many_ragged_rows_are_an_error(write_file: Write) -> None:
    lines = [
        line + ";more;and;more" if i % 5 == 4 else line
        for i, line in enumerate(make_csv(";").splitlines())
    ]
    with pytest.raises(DataError) as caught:
        read_table(write_file("t.csv", "\n".join(lines)))
    assert "5" in caught.value.detail
    assert caught.value.hint


def test_lines_in_two_encodings_are_decoded_separately(write_file: Write) -> None:
    body = b"who,town\n" + b"".join(
        f"Ann {i},Zo\xeb{i}\n".encode("cp1252" if i % 10 == 3 else "utf-8") for i in range(200)
    )
    assert read_table(write_file("t.csv", body)).frame["town"].to_list() == [t for *_, t in ROWS]


@pytest.mark.parametrize("stray", [b"\x9d", b"\xff", b"\xc3"])
def test_a_stray_byte_affects_one_cell_at_most(write_file: Write, stray: bytes) -> None:
    body = make_csv(";").encode().replace(b"Ann 50;", b"Ann" + stray + b" 50;")
    result = read_table(write_file("t.csv", body)).frame
    assert result.height == 200
    assert result["town"].to_list() == [town for *_, town in ROWS]
    assert [i for i, who in enumerate(result["who"]) if who != ROWS[i][0]] == [50]

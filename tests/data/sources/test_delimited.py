"""Endings of delimited text are claimed; a gzip file is known by its bytes."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.sources.delimited import SOURCE

Write = Callable[[str, str | bytes], Path]


@pytest.mark.parametrize("name", ["a.csv", "a.TSV", "a.txt.gz", "a.b.data", "A.CSV.GZ"])
def test_endings_are_claimed_in_any_case(name: str) -> None:
    assert SOURCE.can_read(SourceLocation(name))


@pytest.mark.parametrize("name", ["a", "a.gz", "a.csv.zip", "csv", "a.csvx", "*.csv"])
def test_other_endings_and_patterns_are_not(name: str) -> None:
    assert not SOURCE.can_read(SourceLocation(name))


def test_a_file_is_unpacked_if_it_is_packed_whatever_its_name(write_file: Write) -> None:
    packed = write_file("t.csv", gzip.compress(b"a,b\n1,2\n"))
    plain = write_file("t.csv.gz", b"a,b\n1,2\n")
    for path in (packed, plain):
        assert SOURCE.read(SourceLocation(str(path)), ()).frame.rows() == [("1", "2")]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04\x14\x00[Content_Types].xml", "Excel"),
        (b"PAR1", "Parquet"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "JPEG"),
    ],
)
def test_a_file_of_another_form_is_said_to_be_what_it_is(
    data: bytes, said: str, write_file: Write
) -> None:
    path = write_file("t.csv.gz", gzip.compress(data))
    with pytest.raises(DataError, match="is not a text file") as caught:
        SOURCE.read(SourceLocation(str(path)), ())
    assert said in caught.value.detail

"""Delimited text is recognized by its extension, gzip files by their content."""

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
def test_extensions_match_in_any_case(name: str) -> None:
    assert SOURCE.can_read(SourceLocation(name))


@pytest.mark.parametrize("name", ["a", "a.gz", "a.csv.zip", "csv", "a.csvx", "*.csv"])
def test_other_extensions_and_patterns_do_not_match(name: str) -> None:
    assert not SOURCE.can_read(SourceLocation(name))


def test_a_gzipped_file_is_decompressed_whatever_its_name(write_file: Write) -> None:
    packed = write_file("t.csv", gzip.compress(b"a,b\n1,2\n"))
    plain = write_file("t.csv.gz", b"a,b\n1,2\n")
    for path in (packed, plain):
        assert SOURCE.read(SourceLocation(str(path)), ()).frame.rows() == [("1", "2")]


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (b"PK\x03\x04\x14\x00[Content_Types].xml", "Excel"),
        (b"PAR1", "Parquet"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "JPEG"),
    ],
)
def test_the_error_for_another_format_names_it(
    data: bytes, description: str, write_file: Write
) -> None:
    path = write_file("t.csv.gz", gzip.compress(data))
    with pytest.raises(DataError, match="is not a text file") as caught:
        SOURCE.read(SourceLocation(str(path)), ())
    assert description in caught.value.detail

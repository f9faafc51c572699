"""The source of a location is found; if there is none, the error has a hint."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult, find_source, read_location


def test_rejected_lines_are_described_with_their_files() -> None:
    frame = pl.DataFrame({"a": [1]})
    assert ReadResult(frame, malformed_lines=(3, 5)).describe_malformed() == "3, 5"
    several = ReadResult(
        frame, malformed_lines=(3, 5, 2), malformed_files=("a.csv", "a.csv", "b.csv")
    )
    assert several.describe_malformed(2) == "a.csv line 3, a.csv line 5, ..."


@pytest.mark.parametrize(
    ("head", "description", "hint"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Excel workbook", "save the sheet as CSV"),
        (b"PAR1....", "a Parquet file", "end in .parquet"),
        (b"a,b\n1,2\n", "'.unknown'", ".jsonl"),
    ],
)
def test_an_unknown_extension_gets_the_detected_format(
    head: bytes, description: str, hint: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.unknown"
    path.write_bytes(head)
    with pytest.raises(DataError, match="cannot determine the format") as caught:
        read_location(SourceLocation(str(path)))
    assert description in caught.value.detail
    assert hint in caught.value.hint


def test_an_unknown_scheme_gets_a_suggestion() -> None:
    with pytest.raises(DataError, match="from sqlit:// addresses") as caught:
        find_source(SourceLocation("sqlit:///x.db?table=t"))
    assert "sqlite:///" in caught.value.hint


def test_a_missing_file_is_missing_whatever_its_extension(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        find_source(SourceLocation(str(tmp_path / "x.unknown")))

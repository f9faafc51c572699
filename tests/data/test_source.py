"""The source of a place is found; where there is none, the error says what would do."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult, find_source, read_location


def test_lines_set_aside_are_told_with_their_files() -> None:
    frame = pl.DataFrame({"a": [1]})
    assert ReadResult(frame, malformed_lines=(3, 5)).describe_malformed() == "3, 5"
    several = ReadResult(
        frame, malformed_lines=(3, 5, 2), malformed_files=("a.csv", "a.csv", "b.csv")
    )
    assert several.describe_malformed(2) == "a.csv line 3, a.csv line 5, ..."


@pytest.mark.parametrize(
    ("head", "said", "way_out"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Excel workbook", "save the sheet as CSV"),
        (b"PAR1....", "a Parquet file", "end in .parquet"),
        (b"a,b\n1,2\n", "'.unknown'", ".jsonl"),
    ],
)
def test_an_unknown_ending_is_answered_with_what_the_file_is(
    head: bytes, said: str, way_out: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.unknown"
    path.write_bytes(head)
    with pytest.raises(DataError, match="cannot tell what kind of table") as caught:
        read_location(SourceLocation(str(path)))
    assert said in caught.value.detail
    assert way_out in caught.value.hint


def test_an_unknown_scheme_is_answered_with_the_near_one() -> None:
    with pytest.raises(DataError, match="from sqlit:// addresses") as caught:
        find_source(SourceLocation("sqlit:///x.db?table=t"))
    assert "sqlite:///" in caught.value.hint


def test_a_missing_file_is_missing_whatever_its_ending(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        find_source(SourceLocation(str(tmp_path / "x.unknown")))

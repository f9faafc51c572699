"""The source of a place is found; where there is none, the error says what would do."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.place import Place
from fieldcraft.data.reading import Reading, read_place, source_of


def test_lines_set_aside_are_told_with_their_files() -> None:
    frame = pl.DataFrame({"a": [1]})
    assert Reading(frame, odd_lines=(3, 5)).odd() == "3, 5"
    several = Reading(frame, odd_lines=(3, 5, 2), odd_files=("a.csv", "a.csv", "b.csv"))
    assert several.odd(2) == "a.csv line 3, a.csv line 5, ..."


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
        read_place(Place(str(path)))
    assert said in caught.value.seen
    assert way_out in caught.value.way_out


def test_an_unknown_scheme_is_answered_with_the_near_one() -> None:
    with pytest.raises(DataError, match="from sqlit:// addresses") as caught:
        source_of(Place("sqlit:///x.db?table=t"))
    assert "sqlite:///" in caught.value.way_out


def test_a_missing_file_is_missing_whatever_its_ending(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        source_of(Place(str(tmp_path / "x.unknown")))

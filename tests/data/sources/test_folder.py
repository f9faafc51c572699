"""Folders and patterns give the files of one table, in natural order."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.location import SourceLocation, resolve_address
from fieldcraft.data.sources.folder import SOURCE


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    for name, cell in (("p2.csv", 2), ("p10.csv", 10), ("p1.csv", 1), ("deep/p3.csv", 3)):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"a,b\n{cell},x\n")
    for name in (".hidden.csv", "_SUCCESS", "notes.pdf"):
        (tmp_path / "data" / name).write_text("?")
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("address", "cells"),
    [
        ("", ["1", "2", "10"]),
        ("p*.csv", ["1", "2", "10"]),
        ("p?.csv", ["1", "2"]),
        ("**/p*.csv", ["3", "1", "2", "10"]),
    ],
)
def test_files_are_in_natural_order(address: str, cells: list[str], parts: Path) -> None:
    result = SOURCE.read(SourceLocation(str(parts / address)), ())
    assert result.frame["a"].to_list() == cells


def test_other_files_are_ignored_with_a_note(parts: Path) -> None:
    notes = SOURCE.read(SourceLocation(str(parts)), ()).notes
    assert notes[-1] == "ignored, not a table: notes.pdf"


def test_a_folder_may_be_named_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "data.csv").mkdir()
    (tmp_path / "data.csv" / "part-0000.csv").write_text("a,b\n1,2\n")
    location = SourceLocation(str(tmp_path / "data.csv"))
    assert SOURCE.can_read(location)
    assert SOURCE.read(location, ()).frame.rows() == [("1", "2")]


def test_the_error_for_a_folder_without_a_table_lists_its_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    with pytest.raises(DataError, match="no table in") as caught:
        SOURCE.read(SourceLocation(str(tmp_path)), ())
    assert "holds: deep" in caught.value.detail
    assert "**" in caught.value.hint


def test_the_error_for_a_pattern_without_matches_lists_the_files(parts: Path) -> None:
    with pytest.raises(DataError, match="no table in") as caught:
        SOURCE.read(SourceLocation(str(parts / "q*.csv")), ())
    assert "p1.csv" in caught.value.detail


def test_the_digest_depends_on_names_and_contents_of_tables_only(parts: Path) -> None:
    location = SourceLocation(str(parts))
    first = SOURCE.digest(location)
    assert SOURCE.digest(SourceLocation(str(parts / "p*.csv"))) == first
    (parts / "notes.pdf").write_text("other")
    assert SOURCE.digest(location) == first
    (parts / "p2.csv").rename(parts / "p3.csv")
    assert SOURCE.digest(location) != first


def test_a_pattern_works_below_a_folder_with_special_characters(tmp_path: Path) -> None:
    base = tmp_path / "a[b]"
    (base / "data").mkdir(parents=True)
    (base / "data" / "x.csv").write_text("a,b\n1,2\n")
    location = SourceLocation(str(resolve_address("data/*.csv", base)))
    assert SOURCE.read(location, ()).frame.rows() == [("1", "2")]
    assert SOURCE.digest(location) == SOURCE.digest(SourceLocation(str(base / "data")))

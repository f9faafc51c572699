"""Addresses are classified and resolved; a missing file gets suggestions."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.location import (
    SourceLocation,
    relative_address,
    require_path,
    resolve_address,
    root_folder,
)


def test_files_patterns_and_urls_are_distinguished(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    (tmp_path / "b[1].csv").write_text("a\n1\n")
    table = {
        "a.csv": ("", False, False),
        "b[1].csv": ("", False, True),  # there is a file of that very name
        "b[12].csv": ("", True, False),
        "gone.csv": ("", False, True),
    }
    for name, expected in table.items():
        location = SourceLocation(str(tmp_path / name))
        assert (location.scheme, location.is_pattern, location.is_file) == expected
    url = SourceLocation("sqlite:///x*.db?query=SELECT * FROM t")
    assert (url.scheme, url.is_pattern, url.is_file) == ("sqlite", False, False)
    member = SourceLocation("a*/b.CSV.gz", b"", "x.zip")
    assert (member.is_pattern, member.is_file, member.suffix) == (False, True, ".csv")
    assert member.name == "b.CSV.gz in x.zip"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x.csv", "/p/x.csv"),
        ("../d/x.csv", "/d/x.csv"),
        ("/abs/x.csv", "/abs/x.csv"),
        ("data/*.csv", "/p/data/*.csv"),
        ("/abs/*.csv", "/abs/*.csv"),
        ("sqlite:///x.db?table=t", "sqlite:////p/x.db?table=t"),
        ("sqlite:///../x.db", "sqlite:////x.db"),
        ("duckdb:////abs/x.db?query=a/../b\nc", "duckdb:////abs/x.db?query=a/../b\nc"),
        ("https://host/x.csv", "https://host/x.csv"),
    ],
)
def test_addresses_are_relative_to_the_project(source: str, expected: str) -> None:
    assert str(resolve_address(source, Path("/p"))) == expected


def test_a_folder_whose_name_looks_like_a_pattern_is_not_one(tmp_path: Path) -> None:
    base = tmp_path / "a[b]*"
    base.mkdir()
    (base / "x1.csv").write_text("a\n1\n")
    assert resolve_address("x1.csv", base) == base / "x1.csv"
    assert SourceLocation(str(resolve_address("x?.csv", base))).is_pattern
    assert str(resolve_address("x?.csv", base)).endswith("/a[[]b][*]/x?.csv")


def test_an_address_becomes_relative_to_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p").mkdir()
    monkeypatch.chdir(tmp_path)
    addresses = {
        "x.csv": "../x.csv",
        "d/*.csv": "../d/*.csv",
        str(tmp_path / "p" / "x.csv"): "x.csv",
        "sqlite:///x.db?table=t": "sqlite:///../x.db?table=t",
        f"duckdb:///{tmp_path}/p/x.db": "duckdb:///x.db",
        "https://host/x.csv": "https://host/x.csv",
        str(tmp_path / "p" / "y*.csv"): "y*.csv",
        "p/[z].csv": "[z].csv",  # a file of that very name
    }
    (tmp_path / "p" / "[z].csv").write_text("")
    assert {source: relative_address(source, Path("p")) for source in addresses} == addresses


def test_special_characters_of_the_working_folder_are_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working_folder, base = tmp_path / "a[b]", tmp_path / "p"
    for folder in (working_folder, base):
        folder.mkdir()
    monkeypatch.chdir(working_folder)
    address = relative_address("x*.csv", base)
    assert address == "../a[[]b]/x*.csv"
    location = SourceLocation(str(resolve_address(address, base)))
    assert location.is_pattern
    assert root_folder(location).resolve() == working_folder


@pytest.mark.parametrize(
    ("address", "root"),
    [
        ("/d/a/x.csv", "/d/a/x.csv"),
        ("/d/a/*.csv", "/d/a"),
        ("/d/a*/x/**/*.csv", "/d"),
        ("a/b/x?.csv", "a/b"),
        ("/d/a[[]1]/x*.csv", "/d/a[1]"),  # a folder whose name looks like a pattern
        ("*.csv", "."),
    ],
)
def test_the_root_of_a_pattern_is_its_fixed_part(address: str, root: str) -> None:
    assert root_folder(SourceLocation(address)) == Path(root)


def test_the_suffix_ignores_gz(tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    for name, ends in (("t.csv", True), ("T.CSV.GZ", True), ("t.gz", False), ("d.csv", False)):
        assert SourceLocation(str(tmp_path / name)).has_suffix(".tsv", ".csv") is ends
    assert not SourceLocation("sqlite:///t.csv").has_suffix(".csv")
    assert SourceLocation("a/b.csv", b"").has_suffix(".csv")
    assert not SourceLocation("t.csv").has_suffix(".tsv")


def test_bytes_are_decompressed_and_the_digest_is_of_the_stored_file(
    tmp_path: Path,
) -> None:
    plain, packed = b"a,b\n1,2\n", gzip.compress(b"a,b\n1,2\n")
    for name, stored in (("t.csv", plain), ("t.csv.gz", packed), ("packed.csv", packed)):
        (tmp_path / name).write_bytes(stored)
        location = SourceLocation(str(tmp_path / name))
        assert location.read_bytes() == SourceLocation(name, stored, "t.zip").read_bytes() == plain
        assert location.raw_bytes() == SourceLocation(name, stored, "t.zip").raw_bytes() == stored
        assert location.digest() == hashlib.sha256(stored).hexdigest()


def test_up_to_five_similar_names_are_listed_the_most_similar_first(tmp_path: Path) -> None:
    for name in [f"orders_{i}.csv" for i in range(7)] + ["ORDINARY.txt", "zzz"]:
        (tmp_path / name).write_text("")
    with pytest.raises(DataError) as caught:
        require_path(tmp_path / "orders_3.csvv")
    similar_names = caught.value.detail.removeprefix("in the same folder: ").split(", ")
    assert similar_names[0] == "orders_3.csv"
    assert len(similar_names) == 5
    assert caught.value.hint.endswith("did you mean 'orders_3.csv'?")
    with pytest.raises(DataError) as caught:
        require_path(tmp_path / "ordxxxxxxxxxxxxxxxxxxxxxxxxx")
    assert caught.value.detail.startswith("in the same folder: ORDINARY.txt, orders_0.csv, ")
    assert caught.value.hint == "make sure that the path is right"
    with pytest.raises(DataError) as caught:
        require_path(tmp_path / "qqq")
    assert caught.value.detail == f"folder: {tmp_path}"


def test_a_missing_file_gets_a_suggestion(tmp_path: Path) -> None:
    for name in ("people_2024.csv", "Peoples.csv", "other.txt"):
        (tmp_path / name).write_text("")
    with pytest.raises(DataError, match="there is no file") as caught:
        require_path(tmp_path / "poeples.csv")
    assert caught.value.detail.startswith("in the same folder: Peoples.csv")
    assert caught.value.hint.endswith("did you mean 'Peoples.csv'?")


def test_a_missing_folder_is_named_with_the_nearest_existing_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file") as caught:
        require_path(tmp_path / "data" / "raw" / "x.csv")
    assert caught.value.detail.endswith(f"the nearest existing one is {tmp_path}")


@pytest.mark.parametrize("name", ["x" * 5_000, "a\0b"])
def test_an_impossible_file_name_is_a_missing_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        require_path(tmp_path / name)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    location = SourceLocation(str(tmp_path))
    for act in (location.read_bytes, location.digest):
        with pytest.raises(DataError, match="cannot be opened") as caught:
            act()
        assert "directory" in caught.value.detail

"""Every source of tables that is plugged in keeps the promises of a source."""

from __future__ import annotations

import gzip
import io
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.core.errors import DataError
from fieldcraft.data.location import SourceLocation, relative_address, resolve_address
from fieldcraft.data.read import read_table, table_digest
from fieldcraft.data.source import TableSource

SOURCES = catalog.list_plugins("data.sources")
ROWS = [("Zoë", 31), ("Ann", 45), ("Bo", 7)]
WriteSample = Callable[[Path, list[tuple[str, int]]], str]


def csv_text(rows: list[tuple[str, int]]) -> bytes:
    return "\n".join(["name,age", *(f"{name},{age}" for name, age in rows)]).encode()


def csv_file(folder: Path, rows: list[tuple[str, int]]) -> str:
    (folder / "people.csv").write_bytes(csv_text(rows))
    return "people.csv"


def csv_gz_file(folder: Path, rows: list[tuple[str, int]]) -> str:
    (folder / "people.csv.gz").write_bytes(gzip.compress(csv_text(rows), mtime=0))
    return "people.csv.gz"


def parquet_file(folder: Path, rows: list[tuple[str, int]]) -> str:
    pl.DataFrame(rows, schema=["name", "age"], orient="row").write_parquet(
        folder / "people.parquet"
    )
    return "people.parquet"


def jsonl_file(folder: Path, rows: list[tuple[str, int]]) -> str:
    pl.DataFrame(rows, schema=["name", "age"], orient="row").write_ndjson(folder / "people.jsonl")
    return "people.jsonl"


def zip_file(folder: Path, rows: list[tuple[str, int]]) -> str:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("in/people.csv"), csv_text(rows))
    (folder / "people.zip").write_bytes(stream.getvalue())
    return "people.zip"


def folder_of_files(folder: Path, rows: list[tuple[str, int]]) -> str:
    (folder / "people").mkdir(exist_ok=True)
    for number, row in enumerate(rows, 9):
        (folder / "people" / f"part{number}.csv").write_bytes(csv_text([row]))
    return "people"


def glob_pattern(folder: Path, rows: list[tuple[str, int]]) -> str:
    return folder_of_files(folder, rows) + "/part*.csv"


def sqlite_file(folder: Path, rows: list[tuple[str, int]]) -> str:
    with sqlite3.connect(folder / "people.db") as db:
        db.execute("CREATE TABLE people (name TEXT, age INTEGER)")
        db.executemany("INSERT INTO people VALUES (?, ?)", rows)
    db.close()
    return "sqlite:///people.db?table=people"


def duckdb_file(folder: Path, rows: list[tuple[str, int]]) -> str:
    with duckdb.connect(folder / "people.duckdb") as db:
        db.execute("CREATE TABLE people (name TEXT, age INTEGER)")
        for row in rows:
            db.execute("INSERT INTO people VALUES (?, ?)", row)
    return "duckdb:///people.duckdb?query=SELECT * FROM people"


SAMPLES: list[WriteSample] = [
    csv_file, csv_gz_file, parquet_file, jsonl_file, zip_file, folder_of_files, glob_pattern,
    sqlite_file, duckdb_file,
]  # fmt: skip


@pytest.fixture(params=SAMPLES, ids=lambda sample: sample.__name__)
def write_sample(request: pytest.FixtureRequest) -> WriteSample:
    writer: WriteSample = request.param
    return writer


def read_contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_has_the_name_it_is_found_by_and_says_what_it_reads(name: str) -> None:
    source: TableSource = catalog.load_plugin("data.sources", name)
    assert source.name == name
    assert all(source.address_forms)


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_has_a_sample_here(name: str, tmp_path: Path) -> None:
    source: TableSource = catalog.load_plugin("data.sources", name)
    places = [
        SourceLocation(str(resolve_address(write_sample(tmp_path, ROWS), tmp_path)))
        for write_sample in SAMPLES
    ]
    assert any(source.can_read(place) for place in places), f"add a sample that {name} claims"


def test_one_source_claims_a_place_and_no_other(write_sample: WriteSample, tmp_path: Path) -> None:
    place = SourceLocation(str(resolve_address(write_sample(tmp_path, ROWS), tmp_path)))
    sources: list[TableSource] = catalog.load_plugins("data.sources")
    assert len([source for source in sources if source.can_read(place)]) == 1


def test_rows_come_in_order_and_the_source_is_left_as_it_was(
    write_sample: WriteSample, tmp_path: Path
) -> None:
    source = resolve_address(write_sample(tmp_path, ROWS), tmp_path)
    before = read_contents(tmp_path)
    frame = read_table(source).frame
    assert frame.columns == ["name", "age"]
    assert frame.cast(pl.String).rows() == [(name, str(age)) for name, age in ROWS]
    assert read_contents(tmp_path) == before


def test_given_names_are_those_of_the_columns(write_sample: WriteSample, tmp_path: Path) -> None:
    source = resolve_address(write_sample(tmp_path, ROWS), tmp_path)
    assert read_table(source, ("who", "years")).frame.columns == ["who", "years"]
    with pytest.raises(DataError, match="names given do not fit"):
        read_table(source, ("who",))


def test_the_digest_is_of_the_content_wherever_it_lies(
    write_sample: WriteSample, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    address = write_sample(tmp_path / "one", ROWS)
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    (tmp_path / "changed").mkdir()
    write_sample(tmp_path / "changed", [*ROWS[:-1], ("Bo", 8)])
    first, moved, changed = (
        table_digest(resolve_address(address, tmp_path / name))
        for name in ("one", "other", "changed")
    )
    assert first == moved != changed


def test_an_address_leads_to_the_same_table_from_any_folder(
    write_sample: WriteSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, project = tmp_path / "data [x]", tmp_path / "project"
    for folder in (data, project):
        folder.mkdir()
    address = write_sample(data, ROWS)
    monkeypatch.chdir(data)
    expected = read_table(address).frame
    address_from_project = relative_address(address, project)
    monkeypatch.chdir(tmp_path)
    assert read_table(resolve_address(address_from_project, project)).frame.equals(expected)
    assert str(tmp_path) not in address_from_project


def test_what_is_not_there_is_said_not_to_be(write_sample: WriteSample, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    source = resolve_address(write_sample(tmp_path, ROWS), tmp_path / "gone")
    for act in (read_table, table_digest):
        with pytest.raises(DataError, match=r"there is no file|no table in"):
            act(source)


@pytest.mark.parametrize("keep", [0, 2, 30, 0.5, 0.95])
def test_a_file_cut_short_is_named_or_read_in_part(
    keep: float, write_sample: WriteSample, tmp_path: Path
) -> None:
    source = resolve_address(write_sample(tmp_path, ROWS), tmp_path)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            path.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    try:
        rows = read_table(source).frame.height
    except DataError:
        return
    assert 0 < rows <= len(ROWS)


def test_a_table_without_rows_is_an_error(write_sample: WriteSample, tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "part1.csv").write_text("name,age\n")
    with pytest.raises(DataError, match="holds no rows"):
        read_table(resolve_address(write_sample(tmp_path, []), tmp_path))

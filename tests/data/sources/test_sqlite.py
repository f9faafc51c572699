"""SQLite tables and queries are read, and nothing is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult
from fieldcraft.data.sources.sqlite import SOURCE

Make = Callable[[str], str]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Run a script in a new database and return its address."""

    def do(script: str) -> str:
        with sqlite3.connect(tmp_path / "a#b%20.db") as db:
            db.executescript(script)
        db.close()
        return f"sqlite:///{tmp_path / 'a#b%20.db'}"

    return do


def read(address: str, names: tuple[str, ...] = ()) -> ReadResult:
    return SOURCE.read(SourceLocation(address), names)


def test_numbers_stay_numbers_and_mixed_columns_become_text(make: Make) -> None:
    address = make(
        "CREATE TABLE t (i INTEGER, r REAL, s TEXT, m INTEGER);"
        "INSERT INTO t VALUES (1, 2.5, 'x', 7), (NULL, 3, 'ë', 'n/a'), (3, NULL, NULL, 1.5);"
    )
    frame = read(address).frame
    assert frame.schema == {"i": pl.Int64, "r": pl.Float64, "s": pl.String, "m": pl.String}
    assert frame.rows() == [(1, 2.5, "x", "7"), (None, 3.0, "ë", "n/a"), (3, None, None, "1.5")]


def test_a_query_may_repeat_column_names(make: Make) -> None:
    address = make("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (2, 'y');")
    frame = read(f"{address}?query=SELECT a, b, a + 1, a FROM t WHERE b LIKE 'y%';").frame
    assert frame.columns == ["a", "b", "a + 1", "a.1"]
    assert frame.rows() == [(2, "y", 3, 2)]


def test_tables_of_any_name_and_views_are_found(make: Make) -> None:
    address = make(
        'CREATE TABLE "my ""best"" table" (a); INSERT INTO "my ""best"" table" VALUES (1);'
        "CREATE VIEW v AS SELECT 2 AS b;"
    )
    assert read(f'{address}?table=MY "best" table').frame.rows() == [(1,)]
    assert read(f"{address}?table=v").frame.rows() == [(2,)]
    with pytest.raises(DataError, match="2 tables; select one"):
        read(address)


@pytest.mark.parametrize(
    "query",
    ["DELETE FROM t", "DROP TABLE t", "SELECT 1; DELETE FROM t", "SELEC", "SELECT z FROM t"],
)
def test_a_query_that_writes_or_fails_is_refused(query: str, make: Make) -> None:
    address = make("CREATE TABLE t (a); INSERT INTO t VALUES (1);")
    with pytest.raises(DataError, match="cannot be read as an SQLite database") as caught:
        read(f"{address}?query={query} ")
    assert query in caught.value.detail
    assert read(address).frame.rows() == [(1,)]


def test_bytes_are_refused_with_the_name_of_their_column(make: Make) -> None:
    with pytest.raises(DataError, match="'photo' does not hold single values"):
        read(make("CREATE TABLE t (photo); INSERT INTO t VALUES (x'00ff');"))


def test_text_that_is_not_utf_8_is_read(make: Make) -> None:
    address = make("CREATE TABLE t (a); INSERT INTO t VALUES (CAST(x'636166e9' AS TEXT));")
    assert read(address).frame.rows() == [("café",)]


def test_uncheckpointed_writes_are_read_and_change_the_digest(make: Make) -> None:
    address = make("PRAGMA journal_mode=WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1);")
    before = SOURCE.digest(SourceLocation(address))
    with sqlite3.connect(address.removeprefix("sqlite:///")) as writer:
        writer.execute("INSERT INTO t VALUES (2)")
        writer.commit()
        assert read(address).frame.rows() == [(1,), (2,)]
        assert SOURCE.digest(SourceLocation(address)) != before
    writer.close()


def test_a_file_that_is_not_a_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.db").write_text("a,b\n1,2\n" * 500)
    with pytest.raises(DataError, match=r"t\.db cannot be read as an SQLite database"):
        read(f"sqlite:///{tmp_path}/t.db")

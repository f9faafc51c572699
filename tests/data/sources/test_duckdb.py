"""DuckDB tables and queries are read with their types; a query sees only its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from fieldcraft.core import extras
from fieldcraft.core.errors import DataError, MissingExtraError
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult
from fieldcraft.data.sources.duckdb import SOURCE

Make = Callable[[str], str]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Run a script in a new database and return its address."""

    def do(script: str) -> str:
        with duckdb.connect(tmp_path / "t.duckdb") as db:
            db.execute(script)
        return f"duckdb:///{tmp_path / 't.duckdb'}"

    return do


def read(address: str) -> ReadResult:
    return SOURCE.read(SourceLocation(address), ())


def test_columns_keep_types_that_kinds_know(make: Make) -> None:
    address = make(
        "CREATE TABLE t AS SELECT 1 AS i, 2.50::DECIMAL(5,2) AS d, 10::HUGEINT AS h, 'x' AS s,"
        " DATE '2024-01-31' AS day, TIME '01:00' AS at, true AS b"
    )
    frame = read(address).frame
    assert frame.row(0)[:4] == (1, 2.5, 10.0, "x")
    assert frame["day"].dtype == pl.Date
    assert frame.row(0)[5:] == (3600, True)


def test_tables_of_other_schemas_have_qualified_names(make: Make) -> None:
    address = make("CREATE TABLE t AS SELECT 1 a; CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 2 a")
    assert read(f"{address}?table=t").frame.rows() == [(1,)]
    assert read(f"{address}?table=s.t").frame.rows() == [(2,)]
    with pytest.raises(DataError, match="select one") as caught:
        read(address)
    assert caught.value.detail == "tables: s.t, t"


def test_a_query_may_repeat_column_names(make: Make) -> None:
    frame = read(f"{make('CREATE TABLE t AS SELECT 1 a')}?query=SELECT a, a, a+1 b FROM t").frame
    assert frame.to_dict(as_series=False) == {"a": [1], "a.1": [1], "b": [2]}


def test_a_query_has_no_access_outside_its_database(make: Make, tmp_path: Path) -> None:
    address = make("CREATE TABLE t AS SELECT 1 a")
    (tmp_path / "other.csv").write_text("a\n1\n")
    beside = pl.DataFrame({"a": [1]})
    assert beside.height
    for query in (
        f"SELECT * FROM read_csv('{tmp_path}/other.csv')",
        f"COPY t TO '{tmp_path}/out.csv'",
        "SELECT * FROM beside",
        "DROP TABLE t",
        "SELECT * FROM nowhere",
    ):
        with pytest.raises(DataError, match="cannot be read as a DuckDB database"):
            read(f"{address}?query={query}")
    assert not (tmp_path / "out.csv").exists()


def test_columns_of_lists_and_intervals_are_refused(make: Make) -> None:
    address = make("CREATE TABLE t AS SELECT [1, 2] l, INTERVAL 1 MONTH i")
    with pytest.raises(DataError, match="do not hold single values"):
        read(f"{address}?query=SELECT l FROM t")
    with pytest.raises(DataError, match="interval"):
        read(f"{address}?query=SELECT i FROM t")


def test_a_file_that_is_not_a_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.duckdb").write_text("a,b\n1,2\n" * 900)
    with pytest.raises(DataError, match=r"t\.duckdb cannot be read as a DuckDB database"):
        read(f"duckdb:///{tmp_path}/t.duckdb")


def test_without_the_extra_the_error_says_how_to_install_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = make("CREATE TABLE t AS SELECT 1 a")
    monkeypatch.setitem(extras.MODULES_BY_EXTRA, "duckdb", ("nowhere_to_be_found",))
    with pytest.raises(MissingExtraError, match="extra 'duckdb'") as caught:
        read(address)
    assert 'pip install "fieldcraft[duckdb]"' in caught.value.hint
    assert len(SOURCE.digest(SourceLocation(address))) == 64

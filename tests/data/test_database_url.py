"""Database URLs are parsed; an invalid one gets the right form."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.database_url import (
    DatabaseRequest,
    build_query,
    database_digest,
    parse_database_url,
    quote_identifier,
)
from fieldcraft.data.location import SourceLocation

TABLES = {"orders": quote_identifier("orders"), "my items": quote_identifier("my items")}


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "shop 1.db"
    path.write_bytes(b"content")
    return path


@pytest.mark.parametrize(
    ("parameter", "table", "query"),
    [
        ("", None, None),
        ("?table=my items", "my items", None),
        ("?table=my%20items", "my items", None),
        ("?query=SELECT a+1 FROM t WHERE b LIKE 'x%20' AND c = '?&='", None,
         "SELECT a+1 FROM t WHERE b LIKE 'x%20' AND c = '?&='"),
        ("?query=SELECT%20*%20FROM%20t", None, "SELECT * FROM t"),
    ],
)  # fmt: skip
def test_the_value_of_a_parameter_is_used_as_written(
    parameter: str, table: str | None, query: str | None, db: Path
) -> None:
    assert parse_database_url(SourceLocation(f"sqlite:///{db}{parameter}")) == DatabaseRequest(
        db, table, query
    )


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("sqlite:///{db}?tabel=x", "did you mean 'table'"),
        ("sqlite:///{db}?table=", "invalid database URL"),
        ("sqlite:///{db}?orders", "choose one of: query, table"),
        ("sqlite://{db}", "invalid database URL"),
        ("sqlite:///", "invalid database URL"),
    ],
)
def test_an_invalid_url_gets_the_right_form(address: str, hint: str, db: Path) -> None:
    with pytest.raises(DataError, match="invalid database URL") as caught:
        parse_database_url(
            SourceLocation(address.format(db=str(db).lstrip("/") if "?" not in address else db))
        )
    assert hint in caught.value.what
    assert "sqlite:///FILE?table=NAME" in caught.value.hint


def test_an_absolute_path_with_three_slashes_gets_a_hint(db: Path) -> None:
    with pytest.raises(DataError, match="there is no file") as caught:
        parse_database_url(SourceLocation(f"sqlite://{db}"))
    assert caught.value.hint.endswith(f"four slashes: sqlite:///{db}")


def test_the_only_table_needs_no_name() -> None:
    assert build_query(DatabaseRequest(Path("x")), {"t": '"t"'}) == 'SELECT * FROM "t"'
    with pytest.raises(DataError, match="2 tables; select one") as caught:
        build_query(DatabaseRequest(Path("x")), TABLES)
    assert caught.value.detail == "tables: my items, orders"
    with pytest.raises(DataError, match="0 tables"):
        build_query(DatabaseRequest(Path("x")), {})


def test_table_names_ignore_case_and_may_have_any_characters() -> None:
    assert build_query(DatabaseRequest(Path("x"), "My Items"), TABLES) == 'SELECT * FROM "my items"'
    with pytest.raises(DataError, match="no table 'order'") as caught:
        build_query(DatabaseRequest(Path("x"), "order"), TABLES)
    assert caught.value.hint.endswith("did you mean 'orders'?")


def test_the_digest_covers_file_log_and_request(db: Path) -> None:
    def of(parameter: str) -> str:
        return database_digest(SourceLocation(f"sqlite:///{db}{parameter}"))

    result = {of(""), of("?table=a"), of("?table=b"), of("?query=a")}
    db.with_name(f"{db.name}-wal").write_bytes(b"")
    assert of("?table=a") in result
    db.with_name(f"{db.name}-wal").write_bytes(b"not taken in yet")
    result.add(of("?table=a"))
    db.write_bytes(b"changed")
    result.add(of("?table=a"))
    assert len(result) == 6

"""SQLite databases: a table or the result of a query."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import quote

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data.csv_parser import make_unique_names
from fieldcraft.data.database_url import (
    build_query,
    database_digest,
    parse_database_url,
    quote_identifier,
)
from fieldcraft.data.dataframes import build_column, rename_columns
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult
from fieldcraft.data.text_encoding import decode_cp1252_or_latin1

TABLES_QUERY = (
    "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
)


class SqliteSource:
    """Tables of database files, opened read-only."""

    name = "sqlite"
    address_forms = ("sqlite:///FILE?table=NAME",)

    def can_read(self, location: SourceLocation) -> bool:
        """Return whether this is the URL of an SQLite database."""
        return location.scheme == "sqlite"

    def read(self, location: SourceLocation, names: Sequence[str]) -> ReadResult:
        """Read the rows; numbers stay numbers, and a column of mixed types becomes text.

        Raises:
            DataError: the file or table is missing, the query fails, or values are bytes.
        """
        request = parse_database_url(location)
        try:
            # A URI, since only it takes mode=ro: otherwise a mistyped path would create an empty
            # database, and a query could write.
            with closing(
                sqlite3.connect(f"file:{quote(str(request.path))}?mode=ro", uri=True)
            ) as db:
                # SQLite does not check that text is UTF-8, and Python would raise an error.
                db.text_factory = decode_cell
                tables = {name: quote_identifier(name) for (name,) in db.execute(TABLES_QUERY)}
                cursor = db.execute(build_query(request, tables))
                rows = cursor.fetchall()
                fields = make_unique_names([column[0] for column in cursor.description or ()])
        except sqlite3.Error as error:
            raise DataError(
                f"{request.path.name} cannot be read as an SQLite database",
                detail=f"{error}; query: {request.query}" if request.query else str(error),
                hint="check that it is one, that the query is a valid SELECT statement, "
                "and that no other program is writing to it",
            ) from error
        columns = zip(*rows, strict=True) if rows else [()] * len(fields)
        frame = pl.DataFrame([build_column(*pair) for pair in zip(fields, columns, strict=True)])
        return ReadResult(rename_columns(frame, names))

    def digest(self, location: SourceLocation) -> str:
        """Return the digest of the database file and the query."""
        return database_digest(location)


def decode_cell(data: bytes) -> str:
    """Decode a cell: UTF-8 as SQLite expects, or else Windows-1252 or Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return decode_cp1252_or_latin1(data)[0]


SOURCE = SqliteSource()

"""SQLite databases: a table or the rows of a query."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import quote

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data.cut import unique_names
from fieldcraft.data.database import asked, digest_of_rows, spelt, statement
from fieldcraft.data.decode import old_text
from fieldcraft.data.frames import column_of, renamed
from fieldcraft.data.place import Place
from fieldcraft.data.reading import Reading

TABLES = (
    "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
)


class Sqlite:
    """Tables of database files, opened for reading only."""

    name = "sqlite"
    forms = ("sqlite:///FILE?table=NAME",)

    def claims(self, place: Place) -> bool:
        """Whether this is a URL of an SQLite database."""
        return place.scheme == "sqlite"

    def read(self, place: Place, names: Sequence[str]) -> Reading:
        """Read the rows; numbers stay numbers, and a column that mixes types becomes text.

        Raises:
            DataError: the file or table is not there, the query fails, or values are bytes.
        """
        wanted = asked(place)
        try:
            with closing(
                sqlite3.connect(f"file:{quote(str(wanted.path))}?mode=ro", uri=True)
            ) as db:
                db.text_factory = readable
                tables = {name: spelt(name) for (name,) in db.execute(TABLES)}
                cursor = db.execute(statement(wanted, tables))
                rows = cursor.fetchall()
                fields = unique_names([column[0] for column in cursor.description or ()])
        except sqlite3.Error as error:
            raise DataError(
                f"{wanted.path.name} cannot be read as an SQLite database",
                seen=f"{error}; query: {wanted.query}" if wanted.query else str(error),
                way_out="make sure that it is one, that the query is a SELECT that runs in it, "
                "and that no other program is writing",
            ) from error
        columns = zip(*rows, strict=True) if rows else [()] * len(fields)
        frame = pl.DataFrame([column_of(*pair) for pair in zip(fields, columns, strict=True)])
        return Reading(renamed(frame, names))

    def digest(self, place: Place) -> str:
        """Digest of the database file and of what is asked of it."""
        return digest_of_rows(place)


def readable(data: bytes) -> str:
    """The text of a cell, also where it is not UTF-8 as it should be."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return old_text(data)[0]


SOURCE = Sqlite()

"""DuckDB databases: a table or the rows of a query."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import polars as pl

from fieldcraft.core import optional
from fieldcraft.core.errors import DataError
from fieldcraft.data.cut import unique_names
from fieldcraft.data.database import asked, digest_of_rows, spelt, statement
from fieldcraft.data.frames import plain_columns, renamed
from fieldcraft.data.place import Place
from fieldcraft.data.reading import Reading

# Rows come in one order whatever the machine, and a query sees this file alone.
SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "enable_external_access": False,
    "python_enable_replacements": False,
}
TABLES = """
    SELECT table_schema, table_name FROM information_schema.tables
    WHERE table_schema NOT IN ('information_schema', 'pg_catalog')
"""


class DuckDb:
    """Tables of database files, opened for reading only; needs the extra ``duckdb``."""

    name = "duckdb"
    forms = ("duckdb:///FILE?table=NAME",)

    def claims(self, place: Place) -> bool:
        """Whether this is a URL of a DuckDB database."""
        return place.scheme == "duckdb"

    def read(self, place: Place, names: Sequence[str]) -> Reading:
        """Read the rows with the types of their columns.

        Raises:
            DataError: the file or table is not there, the query fails, or columns hold lists.
            MissingExtraError: the extra is not installed.
        """
        wanted = asked(place)
        optional.needs("duckdb")
        import duckdb

        try:
            with closing(duckdb.connect(wanted.path, read_only=True, config=SETTINGS)) as db:
                tables = {
                    (table if schema == "main" else f"{schema}.{table}"): spelt(schema, table)
                    for schema, table in db.execute(TABLES).fetchall()
                }
                rows = db.sql(statement(wanted, tables))
                found = rows.to_arrow_table() if rows is not None else pl.DataFrame().to_arrow()
            frame = pl.DataFrame(found.rename_columns(unique_names(found.column_names)))
        except (duckdb.Error, pl.exceptions.PolarsError) as error:
            raise DataError(
                f"{wanted.path.name} cannot be read as a DuckDB database",
                seen=str(error).splitlines()[0],
                way_out="make sure that it is one, that the query is a SELECT that runs in it, "
                "and that no other program has it open",
            ) from error
        return Reading(plain_columns(renamed(frame, names)))

    def digest(self, place: Place) -> str:
        """Digest of the database file and of what is asked of it."""
        return digest_of_rows(place)


SOURCE = DuckDb()

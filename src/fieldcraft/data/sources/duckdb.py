"""DuckDB databases: a table or the result of a query."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import polars as pl

from fieldcraft.core import extras
from fieldcraft.core.errors import DataError
from fieldcraft.data.csv_parser import make_unique_names
from fieldcraft.data.database_url import (
    build_query,
    database_digest,
    parse_database_url,
    quote_identifier,
)
from fieldcraft.data.dataframes import normalize_dtypes, rename_columns
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult

# One thread, so that the order of rows does not depend on the machine. No access to other files,
# URLs or Python variables, since the query may come from someone else's project file.
CONNECTION_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "enable_external_access": False,
    "python_enable_replacements": False,
}
TABLES_QUERY = """
    SELECT table_schema, table_name FROM information_schema.tables
    WHERE table_schema NOT IN ('information_schema', 'pg_catalog')
"""


class DuckDbSource:
    """Tables of database files, opened read-only; needs the extra ``duckdb``."""

    name = "duckdb"
    address_forms = ("duckdb:///FILE?table=NAME",)

    def can_read(self, location: SourceLocation) -> bool:
        """Return whether this is the URL of a DuckDB database."""
        return location.scheme == "duckdb"

    def read(self, location: SourceLocation, names: Sequence[str]) -> ReadResult:
        """Read the rows with the types of their columns.

        Raises:
            DataError: the file or table is missing, the query fails, or columns hold lists.
            MissingExtraError: the extra is not installed.
        """
        request = parse_database_url(location)
        extras.require_extra("duckdb")
        import duckdb  # of an extra, so it is imported only when a DuckDB table is read

        try:
            with closing(
                duckdb.connect(request.path, read_only=True, config=CONNECTION_SETTINGS)
            ) as db:
                tables = {
                    (table if schema == "main" else f"{schema}.{table}"): quote_identifier(
                        schema, table
                    )
                    for schema, table in db.execute(TABLES_QUERY).fetchall()
                }
                rows = db.sql(build_query(request, tables))
                arrow_table = (
                    rows.to_arrow_table() if rows is not None else pl.DataFrame().to_arrow()
                )
            frame = pl.DataFrame(
                arrow_table.rename_columns(make_unique_names(arrow_table.column_names))
            )
        except (duckdb.Error, pl.exceptions.PolarsError) as error:
            raise DataError(
                f"{request.path.name} cannot be read as a DuckDB database",
                detail=str(error).splitlines()[0],
                hint="check that it is one, that the query is a valid SELECT statement, "
                "and that no other program has it open",
            ) from error
        return ReadResult(normalize_dtypes(rename_columns(frame, names)))

    def digest(self, location: SourceLocation) -> str:
        """Return the digest of the database file and the query."""
        return database_digest(location)


SOURCE = DuckDbSource()

"""URLs of tables in database files, such as ``sqlite:///shop.db?table=orders``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from fieldcraft.core import digest
from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.data.location import SourceLocation, require_path

URL_PARAMETERS = ("table", "query")


@dataclass(frozen=True)
class DatabaseRequest:
    """A parsed URL: one table, the result of a query, or the only table of a database."""

    path: Path
    table: str | None = None
    query: str | None = None


def parse_database_url(location: SourceLocation) -> DatabaseRequest:
    """Parse the URL of a database, and check that the file exists.

    ``table=`` or ``query=`` follows the ``?``; everything after it is the value. A value without
    blanks is percent-decoded.

    Raises:
        DataError: the URL is malformed, or there is no such file.
    """
    address, _, parameter = location.address.partition("?")
    file = address.removeprefix(f"{location.scheme}:///")
    name, _, value = parameter.partition("=")
    # A query with blanks is not percent-encoded, so a % in it may be that of LIKE 'a%20'.
    value = value if " " in value else unquote(value)
    is_known = not parameter or name in URL_PARAMETERS
    # `file` equals the address if the prefix with its three slashes is missing.
    if file == address or not file or not is_known or (parameter and not value.strip()):
        suggestion = "" if is_known else f"; {did_you_mean(name, URL_PARAMETERS)}"
        raise DataError(
            f"invalid database URL{suggestion}",
            detail=location.address,
            hint=f"use {location.scheme}:///FILE?table=NAME or {location.scheme}:///FILE?query=SELECT"
            " ...; three slashes start a relative path, four an absolute one",
        )
    path = Path(file)
    if not path.exists() and Path("/", file).exists():
        raise DataError(
            f"there is no file {path}",
            detail=f"there is /{file}",
            hint=f"write an absolute path with four slashes: {location.scheme}:////{file}",
        )
    require_path(path)
    return DatabaseRequest(path, **{name: value} if parameter else {})


def build_query(request: DatabaseRequest, tables: Mapping[str, str]) -> str:
    """Build the query of a request.

    Args:
        request: the parsed URL.
        tables: quoted identifiers of the tables of the database, by name.

    Raises:
        DataError: there is no such table, or none is given and there is more than one.
    """
    if request.query is not None:
        return request.query
    shown_tables = truncated_list(sorted(tables)) or "none"
    if request.table is None and len(tables) != 1:
        raise DataError(
            f"{request.path.name} holds {pluralize(len(tables), 'table')}; select one",
            detail=f"tables: {shown_tables}",
            hint="append the name of one to the URL: ?table=NAME",
        )
    # The identifier comes from the list of tables, never from the URL, which could hold any SQL.
    identifier_by_lower_name = {name.lower(): identifier for name, identifier in tables.items()}
    name = (request.table or next(iter(tables))).lower()
    if name not in identifier_by_lower_name:
        raise DataError(
            f"{request.path.name} has no table {request.table!r}",
            detail=f"tables: {shown_tables}",
            hint=f"use an existing table; {did_you_mean(name, tables)}",
        )
    return f"SELECT * FROM {identifier_by_lower_name[name]}"


def quote_identifier(*parts: str) -> str:
    """Quote a name for use in a query, whatever characters it has.

    >>> quote_identifier("main", 'my "own" table')
    '"main"."my ""own"" table"'
    """
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def database_digest(location: SourceLocation) -> str:
    """Return the digest of a database file, its write-ahead log, and the table or query.

    Raises:
        DataError: the URL is malformed, or there is no such file.
    """
    request = parse_database_url(location)
    # Committed rows may still be in the log only: SQLite names it FILE-wal, DuckDB FILE.wal.
    logs = [request.path.with_name(request.path.name + suffix) for suffix in ("-wal", ".wal")]
    files = [request.path, *(log for log in logs if log.is_file() and log.stat().st_size)]
    digests = [digest.of_file(path) for path in files]
    return digest.of_json([digests, request.table, request.query])

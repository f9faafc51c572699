"""Tables in database files, by URLs such as ``sqlite:///shop.db?table=orders``."""

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
    """What a URL asks of a database: one table, the rows of a query, or the only table."""

    path: Path
    table: str | None = None
    query: str | None = None


def parse_database_url(location: SourceLocation) -> DatabaseRequest:
    """What the URL of a place asks for; the file is there.

    After ``?`` stands ``table=`` or ``query=``; all that follows belongs to it. Where it holds
    no blank, ``%20`` and the like are understood.

    Raises:
        DataError: the URL is not of that form, or there is no such file.
    """
    address, _, parameter = location.address.partition("?")
    file = address.removeprefix(f"{location.scheme}:///")
    name, _, value = parameter.partition("=")
    value = value if " " in value else unquote(value)
    is_known = not parameter or name in URL_PARAMETERS
    if file == address or not file or not is_known or (parameter and not value.strip()):
        hint = "" if is_known else f"; {did_you_mean(name, URL_PARAMETERS)}"
        raise DataError(
            f"this address of a database cannot be understood{hint}",
            detail=location.address,
            hint=f"use {location.scheme}:///FILE?table=NAME or {location.scheme}:///FILE?query=SELECT"
            " ...; three slashes lead to a relative path, four to an absolute one",
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
    """The query that gives the rows asked for.

    Args:
        request: what is asked for.
        tables: the tables of the database by name, as they are spelt in a query.

    Raises:
        DataError: there is no such table, or none is named and there is more than one.
    """
    if request.query is not None:
        return request.query
    shown_tables = truncated_list(sorted(tables)) or "none"
    if request.table is None and len(tables) != 1:
        raise DataError(
            f"{request.path.name} holds {pluralize(len(tables), 'table')}; one must be named",
            detail=f"tables: {shown_tables}",
            hint="put the name of one at the end of the address: ?table=NAME",
        )
    identifier_by_lower_name = {name.lower(): identifier for name, identifier in tables.items()}
    name = (request.table or next(iter(tables))).lower()
    if name not in identifier_by_lower_name:
        raise DataError(
            f"{request.path.name} has no table {request.table!r}",
            detail=f"tables: {shown_tables}",
            hint=f"name one that is there; {did_you_mean(name, tables)}",
        )
    return f"SELECT * FROM {identifier_by_lower_name[name]}"


def quote_identifier(*parts: str) -> str:
    """A name as queries spell it, whatever characters it has.

    >>> spelt("main", 'my "own" table')
    '"main"."my ""own"" table"'
    """
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def database_digest(location: SourceLocation) -> str:
    """Digest of a database file, of what it has not yet taken in, and of what is asked of it.

    Raises:
        DataError: the URL cannot be understood, or there is no such file.
    """
    request = parse_database_url(location)
    logs = [request.path.with_name(request.path.name + suffix) for suffix in ("-wal", ".wal")]
    files = [request.path, *(log for log in logs if log.is_file() and log.stat().st_size)]
    digests = [digest.of_file(path) for path in files]
    return digest.of_json([digests, request.table, request.query])

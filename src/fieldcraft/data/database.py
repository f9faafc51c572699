"""Tables in database files, by URLs such as ``sqlite:///shop.db?table=orders``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from fieldcraft.core import digest
from fieldcraft.core.errors import DataError, near
from fieldcraft.core.words import listed, plural
from fieldcraft.data.place import Place, present

PARAMETERS = ("table", "query")


@dataclass(frozen=True)
class Asked:
    """What a URL asks of a database: one table, the rows of a query, or the only table."""

    path: Path
    table: str | None = None
    query: str | None = None


def asked(place: Place) -> Asked:
    """What the URL of a place asks for; the file is there.

    After ``?`` stands ``table=`` or ``query=``; all that follows belongs to it. Where it holds
    no blank, ``%20`` and the like are understood.

    Raises:
        DataError: the URL is not of that form, or there is no such file.
    """
    address, _, parameter = place.address.partition("?")
    file = address.removeprefix(f"{place.scheme}:///")
    name, _, value = parameter.partition("=")
    value = value if " " in value else unquote(value)
    known = not parameter or name in PARAMETERS
    if file == address or not file or not known or (parameter and not value.strip()):
        hint = "" if known else f"; {near(name, PARAMETERS)}"
        raise DataError(
            f"this address of a database cannot be understood{hint}",
            seen=place.address,
            way_out=f"use {place.scheme}:///FILE?table=NAME or {place.scheme}:///FILE?query=SELECT"
            " ...; three slashes lead to a relative path, four to an absolute one",
        )
    path = Path(file)
    if not path.exists() and Path("/", file).exists():
        raise DataError(
            f"there is no file {path}",
            seen=f"there is /{file}",
            way_out=f"write an absolute path with four slashes: {place.scheme}:////{file}",
        )
    present(path)
    return Asked(path, **{name: value} if parameter else {})


def statement(wanted: Asked, tables: Mapping[str, str]) -> str:
    """The query that gives the rows asked for.

    Args:
        wanted: what is asked for.
        tables: the tables of the database by name, as they are spelt in a query.

    Raises:
        DataError: there is no such table, or none is named and there is more than one.
    """
    if wanted.query is not None:
        return wanted.query
    shown = listed(sorted(tables)) or "none"
    if wanted.table is None and len(tables) != 1:
        raise DataError(
            f"{wanted.path.name} holds {plural(len(tables), 'table')}; one must be named",
            seen=f"tables: {shown}",
            way_out="put the name of one at the end of the address: ?table=NAME",
        )
    lowered = {name.lower(): spelt for name, spelt in tables.items()}
    name = (wanted.table or next(iter(tables))).lower()
    if name not in lowered:
        raise DataError(
            f"{wanted.path.name} has no table {wanted.table!r}",
            seen=f"tables: {shown}",
            way_out=f"name one that is there; {near(name, tables)}",
        )
    return f"SELECT * FROM {lowered[name]}"


def spelt(*parts: str) -> str:
    """A name as queries spell it, whatever characters it has.

    >>> spelt("main", 'my "own" table')
    '"main"."my ""own"" table"'
    """
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def digest_of_rows(place: Place) -> str:
    """Digest of a database file, of what it has not yet taken in, and of what is asked of it.

    Raises:
        DataError: the URL cannot be understood, or there is no such file.
    """
    wanted = asked(place)
    logs = [wanted.path.with_name(wanted.path.name + ending) for ending in ("-wal", ".wal")]
    files = [wanted.path, *(log for log in logs if log.is_file() and log.stat().st_size)]
    sums = [digest.of_file(path) for path in files]
    return digest.of_json([sums, wanted.table, wanted.query])

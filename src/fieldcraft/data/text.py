"""Read a delimited text: its encoding, delimiter and header found, what does not fit set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.words import listed, plural
from fieldcraft.data.cut import Cut, Why, cut_carefully
from fieldcraft.data.decode import decode
from fieldcraft.data.reading import Reading
from fieldcraft.data.scan import cut_quickly
from fieldcraft.data.sniff import DECLARED, Dialect, sniff

CLOSE = "make sure that quotes on those lines are closed"
FAULTS: dict[Why, tuple[str, str]] = {
    "width": (
        "do not have {width} cells",
        f"{CLOSE}; pass --names for a file without a header",
    ),
    "torn": (
        "take several lines, as a stray quotation mark would make them",
        f"{CLOSE}, and that marks within a cell are doubled",
    ),
    "nul": ("hold NUL characters", "write the file again, or take these lines out"),
}
ODD_ALLOWED = 0.01  # share of rows that may be set aside because they do not fit


def read_text(data: bytes, name: str, names: Sequence[str] = ()) -> Reading:
    """Read a delimited text as a frame of text cells; one without rows gives an empty frame.

    Args:
        data: the bytes of the file, unpacked.
        name: what it is called in messages.
        names: column names, for a file without a header.

    Raises:
        DataError: it is not text, or too many of its rows do not fit.
    """
    decoded = decode(data, name)
    text = decoded.text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text or text.isspace():
        return Reading(pl.DataFrame())
    dialect = replace(sniff(text), encoding=decoded.encoding)
    if declared := DECLARED.match(text):
        text = "\n" + text[declared.end() :]  # lines keep their numbers
    try:
        cut = cut_quickly(text, dialect, names) or cut_carefully(text, dialect, names)
    except DataError as error:
        what = f"{name}: {error.what}"
        raise DataError(what, seen=error.seen, way_out=error.way_out) from error
    refuse_ragged(cut, name)
    frame = without_empty_end(cut)
    return Reading(
        frame,
        replace(dialect, header=dialect.header and not names),
        tuple(row.line for row in cut.odd),
        notes=tuple(filter(None, [decoded.note, *notes_of(cut, dialect, frame.width)])),
    )


def notes_of(cut: Cut, dialect: Dialect, width: int) -> list[str]:
    """What a person should know of how a text was cut."""
    found = []
    if not dialect.delimiter:
        found.append("lines are read whole: no mark cuts them evenly")
    if dropped := cut.frame.width - width:
        found.append(f"{plural(dropped, 'empty column')} without a name left out")
    if torn := [str(row) for row in cut.odd if row.why == "torn"]:
        where = listed(torn, 3)
        found.append(f"set aside, for a stray quotation mark seems to join them: lines {where}")
    return found


def refuse_ragged(cut: Cut, name: str) -> None:
    """Make sure that only few rows had to be left out.

    Raises:
        DataError: more than 1 % of the rows do not fit, counted by the lines lost with them.
    """
    lost = sum(row.lines for row in cut.odd)
    if lost <= max(1, ODD_ALLOWED * cut.rows):
        return
    width = cut.frame.width
    shown = f"first such lines: {listed([str(row) for row in cut.odd], 5)}"
    other, times = Counter(row.width for row in cut.odd).most_common(1)[0]
    if other != width and times > 0.9 * cut.rows > 2:
        raise DataError(
            f"the first row of {name} holds {plural(width, 'cell')}, the rows below it {other}",
            seen=shown,
            way_out="delete what stands above the column names, or give every column a name; "
            "pass --names for a file without a header",
        )
    fault, way_out = FAULTS[Counter(row.why for row in cut.odd).most_common(1)[0][0]]
    raise DataError(
        f"{len(cut.odd):,} of {cut.rows:,} rows of {name} {fault.format(width=width)}",
        seen=shown,
        way_out=way_out,
    )


def without_empty_end(cut: Cut) -> pl.DataFrame:
    """The frame without columns at its end that have neither a name nor a cell."""
    last = cut.frame.width
    first = max(last - cut.nameless, 1)
    while last > first and not cut.frame[:, last - 1].str.contains(r"\S").any():
        last -= 1
    return cut.frame[:, :last]

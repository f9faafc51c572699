"""Read delimited text: detect encoding, delimiter and header, and reject malformed rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.data.csv_fast_path import parse_csv_fast
from fieldcraft.data.csv_parser import ParsedTable, RowFault, parse_csv_strict
from fieldcraft.data.csv_sniffer import SEP_DECLARATION_PATTERN, CsvDialect, detect_dialect
from fieldcraft.data.source import ReadResult
from fieldcraft.data.text_encoding import decode_text

CLOSE_QUOTES_HINT = "make sure that quotation marks on those lines are closed"
FAULT_MESSAGES: dict[RowFault, tuple[str, str]] = {
    "width": (
        "do not have {width} cells",
        f"{CLOSE_QUOTES_HINT}; pass --names for a file without a header",
    ),
    "stray_quote": (
        "span several lines, probably because of a stray quotation mark",
        f"{CLOSE_QUOTES_HINT}, and that marks within a cell are doubled",
    ),
    "nul": ("hold NUL characters", "export the file again, or remove these lines"),
}
MAX_MALFORMED_FRACTION = 0.01  # of the rows, that may be rejected


def read_delimited_text(content: bytes, name: str, names: Sequence[str] = ()) -> ReadResult:
    """Read delimited text into a frame of text cells, which is empty if there are no rows.

    Args:
        content: the bytes of the file, decompressed.
        name: the name of the file in messages.
        names: column names, for a file without a header.

    Raises:
        DataError: it is not text, or too many of its rows are malformed.
    """
    decoded = decode_text(content, name)
    text = decoded.text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text or text.isspace():
        return ReadResult(pl.DataFrame())
    dialect = replace(detect_dialect(text), encoding=decoded.encoding)
    if declaration := SEP_DECLARATION_PATTERN.match(text):
        # A blank line replaces it, so that line numbers stay right.
        text = "\n" + text[declaration.end() :]
    # The fast parser returns None where it could differ from the strict one.
    try:
        parsed = parse_csv_fast(text, dialect, names) or parse_csv_strict(text, dialect, names)
    except DataError as error:
        what = f"{name}: {error.what}"
        raise DataError(what, detail=error.detail, hint=error.hint) from error
    reject_malformed(parsed, name)
    frame = drop_empty_trailing_columns(parsed)
    return ReadResult(
        frame,
        replace(dialect, has_header=dialect.has_header and not names),
        tuple(row.last_line for row in parsed.malformed),
        notes=tuple(filter(None, [decoded.note, *reading_notes(parsed, dialect, frame.width)])),
    )


def reading_notes(parsed: ParsedTable, dialect: CsvDialect, width: int) -> list[str]:
    """Return what users should know about how the text was parsed."""
    notes = []
    if not dialect.delimiter:
        notes.append("each line is one cell: no delimiter splits the lines evenly")
    if n_dropped := parsed.frame.width - width:
        notes.append(f"{pluralize(n_dropped, 'empty column')} without a name ignored")
    if joined_rows := [str(row) for row in parsed.malformed if row.fault == "stray_quote"]:
        line_ranges = truncated_list(joined_rows, 3)
        notes.append(f"rejected, as a stray quotation mark seems to join them: lines {line_ranges}")
    return notes


def reject_malformed(parsed: ParsedTable, name: str) -> None:
    """Check that at most 1 % of the rows, or one row, are malformed.

    Raises:
        DataError: there are more; each counts with all lines that are lost with it.
    """
    n_lost_lines = sum(row.n_lines for row in parsed.malformed)
    if n_lost_lines <= max(1, MAX_MALFORMED_FRACTION * parsed.n_rows):
        return
    width = parsed.frame.width
    shown_lines = f"first such lines: {truncated_list([str(row) for row in parsed.malformed], 5)}"
    modal_width, count = Counter(row.n_cells for row in parsed.malformed).most_common(1)[0]
    # If nearly all rows have the same other width, the header is wrong, not the rows. That takes
    # at least three rows.
    if modal_width != width and count > 0.9 * parsed.n_rows > 2:
        raise DataError(
            f"the first row of {name} has {pluralize(width, 'cell')}, the others {modal_width}",
            detail=shown_lines,
            hint="delete the lines above the column names, or give every column a name; "
            "pass --names for a file without a header",
        )
    message, hint = FAULT_MESSAGES[
        Counter(row.fault for row in parsed.malformed).most_common(1)[0][0]
    ]
    raise DataError(
        f"{len(parsed.malformed):,} of {parsed.n_rows:,} rows of {name} "
        + message.format(width=width),
        detail=shown_lines,
        hint=hint,
    )


def drop_empty_trailing_columns(parsed: ParsedTable) -> pl.DataFrame:
    """Drop columns at the end that have neither a name nor a value."""
    n_columns = parsed.frame.width
    min_columns = max(n_columns - parsed.n_unnamed, 1)
    while n_columns > min_columns and not parsed.frame[:, n_columns - 1].str.contains(r"\S").any():
        n_columns -= 1
    return parsed.frame[:, :n_columns]

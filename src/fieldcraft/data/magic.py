"""Tell by its first bytes what a file really is that was given as a table of text."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD = 1024  # first bytes of a file that are looked at
SAVE_SHEET = "open it in a spreadsheet program and save the sheet as CSV"
EXPORT = "open it with the program that wrote it and save the table as CSV or Parquet"
UNPACK = "unpack it, and name the table within"


@dataclass(frozen=True)
class Known:
    """What a file is, and what to do about it."""

    what: str
    way_out: str


# Position and first bytes; the first that fits tells.
MARKS: tuple[tuple[int, bytes, Known], ...] = (
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Known("an old Excel workbook (.xls)", SAVE_SHEET)),
    (0, b"PK\x03\x04", Known("a ZIP archive", "let its name end in .zip, or unpack it")),
    (0, b"PK\x05\x06", Known("an empty ZIP archive", "use the archive that holds the table")),
    (0, b"SQLite format 3\0", Known("an SQLite database", "name a table: sqlite:///PATH?table=T")),
    (8, b"DUCK", Known("a DuckDB database", "name a table of it: duckdb:///PATH?table=TABLE")),
    (0, b"PAR1", Known("a Parquet file", "let its name end in .parquet")),
    (0, b"ARROW1", Known("a Feather or Arrow file", EXPORT)),
    (0, b"\x89HDF\r\n", Known("an HDF5 file", EXPORT)),
    (0, b"\x93NUMPY", Known("a NumPy array", "write it as Parquet: polars.from_numpy(array)")),
    (0, b"\x80\x04\x95", Known("a Python pickle, which may hold code", EXPORT)),
    (0, b"\x80\x05\x95", Known("a Python pickle, which may hold code", EXPORT)),
    (0, b"\x1f\x8b", Known("a gzip file", "let its name end as the table's does, and .gz")),
    (0, b"BZh", Known("a bzip2 file", UNPACK)),
    (0, b"\xfd7zXZ\0", Known("an XZ file", UNPACK)),
    (0, b"\x28\xb5\x2f\xfd", Known("a Zstandard file", UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", Known("a 7z archive", UNPACK)),
    (0, b"Rar!\x1a\x07", Known("a RAR archive", UNPACK)),
    (257, b"ustar", Known("a tar archive", UNPACK)),
    (0, b"%PDF-", Known("a PDF document", "ask for the table itself as CSV")),
    (0, b"\x89PNG\r\n", Known("a PNG image", "name a table; it may hold the paths of images")),
    (0, b"\xff\xd8\xff", Known("a JPEG image", "name a table; it may hold the paths of images")),
    (0, b"GIF8", Known("a GIF image", "name a table; it may hold the paths of images")),
    (0, b"{\\rtf", Known("a text document (.rtf)", EXPORT)),
)
OFFICE = Known("an Excel workbook (.xlsx) or another Office document", SAVE_SHEET)
SHEET = Known("an OpenDocument sheet (.ods)", SAVE_SHEET)
PAGE = Known(
    "a web page; a download that needs a login often ends so",
    "open the address in a browser, and download the table itself",
)


def what_is(head: bytes) -> Known | None:
    """What a file is by its first bytes; None for text and for what is not known.

    >>> what_is(b"%PDF-1.7").what
    'a PDF document'
    """
    if head.startswith(b"PK\x03\x04"):
        if any(name in head for name in (b"xl/", b"[Content_Types].xml", b"docProps/")):
            return OFFICE
        if b"opendocument.spreadsheet" in head:
            return SHEET
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html)", head, re.IGNORECASE):
        return PAGE
    for position, mark, known in MARKS:
        if head[position:].startswith(mark):
            return known
    return None

"""Detect the real format of a file that was passed as a text table, by its first bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES = 1024  # enough for the tar signature and the first names in an Office archive
SAVE_SHEET_HINT = "open it in a spreadsheet program and save the sheet as CSV"
EXPORT_HINT = "open it with the program that wrote it and save the table as CSV or Parquet"
UNPACK_HINT = "unpack it, and use the table inside"
IMAGE_HINT = "use a table instead; its cells may be paths of images"


@dataclass(frozen=True)
class FileFormat:
    """The format of a file, and what to do about it."""

    description: str
    hint: str


# Offset and bytes; the first match decides.
SIGNATURES: tuple[tuple[int, bytes, FileFormat], ...] = (
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        FileFormat("an old Excel workbook (.xls)", SAVE_SHEET_HINT),
    ),
    (0, b"PK\x03\x04", FileFormat("a ZIP archive", "rename it to end in .zip, or unpack it")),
    (0, b"PK\x05\x06", FileFormat("an empty ZIP archive", "use the archive that holds the table")),
    (
        0,
        b"SQLite format 3\0",
        FileFormat("an SQLite database", "select a table of it: sqlite:///PATH?table=NAME"),
    ),
    (
        8,
        b"DUCK",
        FileFormat("a DuckDB database", "select a table of it: duckdb:///PATH?table=NAME"),
    ),
    (0, b"PAR1", FileFormat("a Parquet file", "rename it to end in .parquet")),
    (0, b"ARROW1", FileFormat("a Feather or Arrow file", EXPORT_HINT)),
    (0, b"\x89HDF\r\n", FileFormat("an HDF5 file", EXPORT_HINT)),
    (0, b"\x93NUMPY", FileFormat("a NumPy array", "write it as Parquet: polars.from_numpy(array)")),
    (0, b"\x80\x04\x95", FileFormat("a Python pickle, which may hold code", EXPORT_HINT)),
    (0, b"\x80\x05\x95", FileFormat("a Python pickle, which may hold code", EXPORT_HINT)),
    (0, b"\x1f\x8b", FileFormat("a gzip file", "name it like the table plus .gz: table.csv.gz")),
    (0, b"BZh", FileFormat("a bzip2 file", UNPACK_HINT)),
    (0, b"\xfd7zXZ\0", FileFormat("an XZ file", UNPACK_HINT)),
    (0, b"\x28\xb5\x2f\xfd", FileFormat("a Zstandard file", UNPACK_HINT)),
    (0, b"7z\xbc\xaf\x27\x1c", FileFormat("a 7z archive", UNPACK_HINT)),
    (0, b"Rar!\x1a\x07", FileFormat("a RAR archive", UNPACK_HINT)),
    (257, b"ustar", FileFormat("a tar archive", UNPACK_HINT)),
    (0, b"%PDF-", FileFormat("a PDF document", "ask for the table itself as CSV")),
    (0, b"\x89PNG\r\n", FileFormat("a PNG image", IMAGE_HINT)),
    (0, b"\xff\xd8\xff", FileFormat("a JPEG image", IMAGE_HINT)),
    (0, b"GIF8", FileFormat("a GIF image", IMAGE_HINT)),
    (0, b"{\\rtf", FileFormat("a text document (.rtf)", EXPORT_HINT)),
)
OFFICE_FORMAT = FileFormat("an Excel workbook (.xlsx) or another Office document", SAVE_SHEET_HINT)
ODS_FORMAT = FileFormat("an OpenDocument sheet (.ods)", SAVE_SHEET_HINT)
HTML_FORMAT = FileFormat(
    "a web page, often the login page of a download",
    "open the address in a browser, and download the table itself",
)


def detect_format(head: bytes) -> FileFormat | None:
    """Return the format of a file by its first bytes; None for text and unknown formats.

    >>> detect_format(b"%PDF-1.7").description
    'a PDF document'
    """
    # Office documents are ZIP archives too, so they are checked before the signatures.
    if head.startswith(b"PK\x03\x04"):
        if any(name in head for name in (b"xl/", b"[Content_Types].xml", b"docProps/")):
            return OFFICE_FORMAT
        if b"opendocument.spreadsheet" in head:
            return ODS_FORMAT
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html)", head, re.IGNORECASE):
        return HTML_FORMAT
    for position, signature, file_format in SIGNATURES:
        if head[position:].startswith(signature):
            return file_format
    return None

"""Turn the bytes of a text file into text: its encoding, and what is not text at all."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from fieldcraft.core.errors import DataError
from fieldcraft.core.words import listed
from fieldcraft.data import magic

SAMPLE_BYTES = 256 * 1024
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16, so it is asked first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What no text holds: control characters but for tab, line ends, form feed and the old end mark.
CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1a")
MOST_CONTROLS = 0.02  # share of them that a text with stray bytes may hold
PATCH = "fieldcraft-cp1252"  # name of the handler of bytes that are not UTF-8
MIXED = 0.05  # share of UTF-8 among lines beyond ASCII from which a file counts as mixed


@dataclass(frozen=True)
class Decoded:
    """The text of a file, its encoding, and what a person should know of that."""

    text: str
    encoding: str
    note: str = ""


def decode(data: bytes, name: str) -> Decoded:
    """The text of a file: UTF-8, -16 or -32, else Windows-1252; or two of these, line by line.

    Args:
        data: the bytes of the file.
        name: what it is called in messages.

    Raises:
        DataError: the bytes are not text.
    """
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return Decoded(data.decode(encoding, errors="replace"), encoding)
    refuse_known(data, name)
    if wide := wide_encoding(data[:SAMPLE_BYTES]):
        return Decoded(data.decode(wide, errors="replace"), wide)
    refuse_noise(data[:SAMPLE_BYTES].rstrip(b"\0"), name)
    encoding = "utf-8"
    if data.startswith(codecs.BOM_UTF8):
        data, encoding = data[len(codecs.BOM_UTF8) :], "utf-8-sig"
    try:
        return Decoded(data.decode("utf-8"), encoding)
    except UnicodeDecodeError:
        return decode_old(data, encoding)


def refuse_known(data: bytes, name: str) -> None:
    """Refuse a file of a known form that is not text.

    Raises:
        DataError: its first bytes are those of an image, a workbook, an archive or the like.
    """
    known = magic.what_is(data[: magic.HEAD])
    if known is not None:
        raise DataError(
            f"{name} is not a text file", seen=f"it is {known.what}", way_out=known.way_out
        )


def refuse_noise(sample: bytes, name: str) -> None:
    """Refuse bytes that no text file holds.

    Raises:
        DataError: too many of them are control characters.
    """
    controls = len(sample) - len(sample.translate(None, CONTROLS))
    if controls > MOST_CONTROLS * len(sample):
        raise DataError(
            f"{name} is not a text file",
            seen=f"{controls:,} control characters, such as NUL, "
            f"among its first {len(sample):,} bytes",
            way_out="use a CSV, TSV or Parquet file; compressed files end in .gz or .zip",
        )


def wide_encoding(sample: bytes) -> str | None:
    """UTF-16 without a mark, if every second byte of nearly all pairs is zero."""
    pairs = len(sample) // 2
    even, odd = sample[0 : 2 * pairs : 2].count(0), sample[1 : 2 * pairs : 2].count(0)
    if pairs >= 8 and max(even, odd) > 0.8 * pairs and min(even, odd) < 0.02 * pairs:
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def decode_old(data: bytes, encoding: str) -> Decoded:
    """The text of bytes that are not all UTF-8: Windows-1252, or a mixture of both."""
    beyond = [(n, line) for n, line in enumerate(data.split(b"\n"), 1) if not line.isascii()]
    bad = [number for number, line in beyond if not is_utf8(line)]
    if encoding == "utf-8" and len(beyond) - len(bad) < MIXED * len(beyond):
        return Decoded(*old_text(data))
    where = f"line{'s' * (len(bad) > 1)} {listed([str(number) for number in bad], 5)}"
    return Decoded(
        patched(data),
        "utf-8 and cp1252" if encoding == "utf-8" else encoding,
        f"not all is UTF-8; read as Windows-1252: {where}",
    )


def is_utf8(line: bytes) -> bool:
    """Whether bytes are UTF-8."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def old_text(data: bytes) -> tuple[str, str]:
    """Text and encoding of bytes that are not UTF-8."""
    # Every byte means something in Latin-1; five of them do not in cp1252.
    try:
        return data.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


def patched(data: bytes) -> str:
    """UTF-8 text in which bytes that are not UTF-8 are read as Windows-1252.

    >>> patched(b"Zo\\xc3\\xab, Zo\\xeb")
    'Zoë, Zoë'
    """
    codecs.register_error(PATCH, patch)
    return data.decode("utf-8", errors=PATCH)


def patch(error: UnicodeError) -> tuple[str, int]:
    """The text of the bytes that an error is about, and where to go on."""
    assert isinstance(error, UnicodeDecodeError)
    return old_text(error.object[error.start : error.end])[0], error.end

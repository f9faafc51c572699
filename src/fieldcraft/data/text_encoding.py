"""Decode text files: detect the encoding, and reject what is not text."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from fieldcraft.core.errors import DataError
from fieldcraft.core.formatting import truncated_list
from fieldcraft.data import file_signature

SAMPLE_BYTES = 256 * 1024
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # first, since it starts with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Control characters that text does not contain: all but tab, line ends, form feed and the
# end-of-file mark of DOS.
CONTROL_CHARACTERS = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1a")
MAX_CONTROL_FRACTION = 0.02  # of the bytes; a text may have stray ones
CP1252_FALLBACK_HANDLER = "fieldcraft-cp1252"  # codec error handler for bytes that are not UTF-8
# A file counts as a mixture of encodings if at least this fraction of its non-ASCII lines is valid
# UTF-8. A line in Windows-1252 is valid UTF-8 only rarely, by chance.
MIN_UTF8_LINE_FRACTION = 0.05


@dataclass(frozen=True)
class DecodedText:
    """The text of a file, its encoding, and a note for users."""

    text: str
    encoding: str
    note: str = ""


def decode_text(data: bytes, name: str) -> DecodedText:
    """Decode a file: UTF-8, UTF-16 or UTF-32, else Windows-1252, or a mixture line by line.

    Args:
        data: the bytes of the file.
        name: the name of the file in messages.

    Raises:
        DataError: the bytes are not text.
    """
    for bom, encoding in BOMS:
        if data.startswith(bom):
            return DecodedText(data.decode(encoding, errors="replace"), encoding)
    reject_known_format(data, name)
    if wide_encoding := detect_utf16(data[:SAMPLE_BYTES]):
        return DecodedText(data.decode(wide_encoding, errors="replace"), wide_encoding)
    reject_binary(data[:SAMPLE_BYTES].rstrip(b"\0"), name)
    encoding = "utf-8"
    if data.startswith(codecs.BOM_UTF8):
        data, encoding = data[len(codecs.BOM_UTF8) :], "utf-8-sig"
    try:
        return DecodedText(data.decode("utf-8"), encoding)
    except UnicodeDecodeError:
        return decode_legacy(data, encoding)


def reject_known_format(data: bytes, name: str) -> None:
    """Check that a file is not in a known binary format.

    Raises:
        DataError: its first bytes are those of an image, a workbook, an archive or the like.
    """
    signature = file_signature.detect_format(data[: file_signature.HEAD_BYTES])
    if signature is not None:
        raise DataError(
            f"{name} is not a text file",
            detail=f"it is {signature.description}",
            hint=signature.hint,
        )


def reject_binary(sample: bytes, name: str) -> None:
    """Check that bytes can be text.

    Raises:
        DataError: too many of them are control characters.
    """
    n_controls = len(sample) - len(sample.translate(None, CONTROL_CHARACTERS))
    if n_controls > MAX_CONTROL_FRACTION * len(sample):
        raise DataError(
            f"{name} is not a text file",
            detail=f"{n_controls:,} control characters, such as NUL, "
            f"among its first {len(sample):,} bytes",
            hint="use a CSV, TSV or Parquet file; compressed files end in .gz or .zip",
        )


def detect_utf16(sample: bytes) -> str | None:
    """Detect UTF-16 without a byte order mark: one byte of nearly all pairs is zero."""
    # Latin letters have a zero byte in UTF-16 and never in UTF-8. At least eight pairs, since a few
    # bytes may have zeros by chance.
    n_pairs = len(sample) // 2
    even_zeros, odd_zeros = (
        sample[0 : 2 * n_pairs : 2].count(0),
        sample[1 : 2 * n_pairs : 2].count(0),
    )
    if (
        n_pairs >= 8
        and max(even_zeros, odd_zeros) > 0.8 * n_pairs
        and min(even_zeros, odd_zeros) < 0.02 * n_pairs
    ):
        return "utf-16-le" if odd_zeros > even_zeros else "utf-16-be"
    return None


def decode_legacy(data: bytes, encoding: str) -> DecodedText:
    """Decode bytes that are not all UTF-8: Windows-1252, or a mixture of both."""
    non_ascii_lines = [
        (number, line) for number, line in enumerate(data.split(b"\n"), 1) if not line.isascii()
    ]
    invalid_line_numbers = [number for number, line in non_ascii_lines if not is_utf8(line)]
    n_utf8_lines = len(non_ascii_lines) - len(invalid_line_numbers)
    # With a byte order mark the file is meant to be UTF-8, however many lines are not.
    if encoding == "utf-8" and n_utf8_lines < MIN_UTF8_LINE_FRACTION * len(non_ascii_lines):
        return DecodedText(*decode_cp1252_or_latin1(data))
    shown_numbers = truncated_list([str(number) for number in invalid_line_numbers], 5)
    line_numbers = f"line{'s' * (len(invalid_line_numbers) > 1)} {shown_numbers}"
    return DecodedText(
        decode_utf8_with_fallback(data),
        "utf-8 and cp1252" if encoding == "utf-8" else encoding,
        f"not valid UTF-8, read as Windows-1252: {line_numbers}",
    )


def is_utf8(line: bytes) -> bool:
    """Return whether bytes are valid UTF-8."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def decode_cp1252_or_latin1(data: bytes) -> tuple[str, str]:
    """Decode bytes that are not UTF-8; returns the text and the encoding."""
    # cp1252 first, since Windows writes it: it has quotes and dashes where Latin-1 has control
    # characters. Five bytes are undefined in cp1252; Latin-1 defines all bytes.
    try:
        return data.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


def decode_utf8_with_fallback(data: bytes) -> str:
    """Decode UTF-8, with invalid bytes as Windows-1252.

    >>> decode_utf8_with_fallback(b"Zo\\xc3\\xab, Zo\\xeb")
    'Zoë, Zoë'
    """
    codecs.register_error(CP1252_FALLBACK_HANDLER, replace_invalid_bytes)
    return data.decode("utf-8", errors=CP1252_FALLBACK_HANDLER)


def replace_invalid_bytes(error: UnicodeError) -> tuple[str, int]:
    """Return the text for invalid bytes and the position to go on from (codec error handler)."""
    assert isinstance(error, UnicodeDecodeError)
    return decode_cp1252_or_latin1(error.object[error.start : error.end])[0], error.end

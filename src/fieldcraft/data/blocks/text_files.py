"""Make text files seekable: decompress them, and convert UTF-16 and UTF-32 to UTF-8."""

from __future__ import annotations

import codecs
import gzip
import os
from collections.abc import Iterator
from pathlib import Path

from fieldcraft.core import files
from fieldcraft.data import file_signature
from fieldcraft.data.decompression import (
    MAX_COMPRESSION_RATIO,
    MIN_BOMB_BYTES,
    READ_BLOCK_BYTES,
    gzip_errors,
    is_gzip,
    reject_decompression_bomb,
)
from fieldcraft.data.location import SourceLocation, require_path, unopenable_error
from fieldcraft.data.text_encoding import (
    BOMS,
    MIN_UTF8_LINE_FRACTION,
    SAMPLE_BYTES,
    decode_cp1252_or_latin1,
    decode_utf8_with_fallback,
    detect_utf16,
    is_utf8,
    reject_binary,
    reject_known_format,
)

MAX_COPY_NAME_BYTES = 200
CP1252, LATIN1, UTF8, UTF8_SIG = "cp1252", "latin-1", "utf-8", "utf-8-sig"


def decompressed_copy(location: SourceLocation, scratch_folder: Path) -> Path:
    """Return the path of a file, or of a decompressed copy if it is gzipped.

    Args:
        location: a file.
        scratch_folder: folder for copies; an existing copy is used as it is.

    Raises:
        DataError: there is no such file, it cannot be opened, or it is damaged or a
            decompression bomb.
    """
    require_path(location.path)
    try:
        with location.path.open("rb") as stream:
            is_compressed = is_gzip(stream.read(2))
    except OSError as error:
        raise unopenable_error(location.path, error) from error
    if not is_compressed:
        return location.path
    return write_once(
        scratch_folder / f"{copy_name(location)}.unpacked", iter_decompressed(location)
    )


def copy_name(location: SourceLocation) -> str:
    """Return the name of a copy: the end of the escaped path, since names have a maximum length."""
    escaped_path = os.path.abspath(location.address).replace("%", "%%").replace("/", "%s")
    # The limit of file systems, 255, counts bytes; the rest is for the suffixes of copies.
    return os.fsencode(escaped_path)[-MAX_COPY_NAME_BYTES:].decode(errors="ignore")


def write_once(path: Path, blocks: Iterator[bytes]) -> Path:
    """Write a file atomically unless it exists."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name for all attempts: copies are large, so what a killed process left is overwritten.
    temporary_path = path.with_name(f"{path.name}.tmp")
    with temporary_path.open("wb") as stream:
        stream.writelines(blocks)
    # Synced, since the next run trusts an existing copy and resumes from its blocks.
    files.publish_file(temporary_path, path)
    return path


def iter_decompressed(location: SourceLocation) -> Iterator[bytes]:
    """Yield the decompressed bytes of a gzip file, block by block.

    Raises:
        DataError: it is damaged, truncated or a decompression bomb.
    """
    compressed_bytes, size = location.path.stat().st_size, 0
    with gzip_errors(location.name), gzip.open(location.path) as stream:
        while block := stream.read(READ_BLOCK_BYTES):
            size += len(block)
            # The copy is on disk, so only the limit of the ratio applies, not that of memory.
            if size > MIN_BOMB_BYTES and size > MAX_COMPRESSION_RATIO * compressed_bytes:
                reject_decompression_bomb(size, compressed_bytes, location.name)
            yield block


def utf8_copy(path: Path, location: SourceLocation, scratch_folder: Path) -> Path:
    """Return the path of a text file, or of a UTF-8 copy if it is UTF-16 or UTF-32.

    Raises:
        DataError: it is not text.
    """
    with path.open("rb") as stream:
        sample = stream.read(max(SAMPLE_BYTES, file_signature.HEAD_BYTES))
    wide_encoding = next((encoding for bom, encoding in BOMS if sample.startswith(bom)), None)
    if wide_encoding is None:
        reject_known_format(sample, location.name)
        wide_encoding = detect_utf16(sample[:SAMPLE_BYTES])
    if wide_encoding is None:
        reject_binary(sample[:SAMPLE_BYTES].rstrip(b"\0"), location.name)
        return path
    return write_once(
        scratch_folder / f"{copy_name(location)}.utf8", iter_as_utf8(path, wide_encoding)
    )


def iter_as_utf8(path: Path, encoding: str) -> Iterator[bytes]:
    """Yield the text of a file in UTF-8, block by block."""
    # A byte order mark comes first; otherwise one in the text could be mistaken for it.
    yield codecs.BOM_UTF8
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    with path.open("rb") as stream:
        while block := stream.read(READ_BLOCK_BYTES):
            yield decoder.decode(block).encode("utf-8", errors="replace")
    yield decoder.decode(b"", final=True).encode("utf-8", errors="replace")


def iter_line_blocks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file in blocks of whole lines."""
    rest = b""
    with path.open("rb") as stream:
        while block := stream.read(READ_BLOCK_BYTES):
            end = block.rfind(b"\n") + 1
            if end:
                yield rest + block[:end]
                rest = block[end:]
            else:
                rest += block
    if rest:
        yield rest


def detect_file_encoding(path: Path) -> str:
    """Detect the encoding that `decode_lines` needs, as `decode_text` does, from the whole file."""
    with path.open("rb") as stream:
        has_bom = stream.read(3) == codecs.BOM_UTF8
    if has_bom:
        return UTF8_SIG
    blocks = iter_line_blocks(path)
    return (
        UTF8
        if all(block.isascii() or is_utf8(block) for block in blocks)
        else detect_legacy_encoding(path)
    )


def detect_legacy_encoding(path: Path) -> str:
    """Detect the encoding of a file that is not all UTF-8, as `decode_legacy` does."""
    n_non_ascii = n_invalid = 0
    is_cp1252 = True  # whether cp1252 defines all bytes
    for block in iter_line_blocks(path):
        lines = [line for line in block.split(b"\n") if not line.isascii()]
        n_non_ascii += len(lines)
        n_invalid += sum(not is_utf8(line) for line in lines)
        is_cp1252 = is_cp1252 and (not lines or decode_cp1252_or_latin1(block)[1] == CP1252)
    if n_non_ascii - n_invalid >= MIN_UTF8_LINE_FRACTION * n_non_ascii:
        return UTF8
    return CP1252 if is_cp1252 else LATIN1


def decode_lines(data: bytes, encoding: str, is_file_start: bool) -> str:
    """Decode whole lines of a file.

    Args:
        data: bytes of whole lines.
        encoding: from `detect_file_encoding`; invalid UTF-8 is read as Windows-1252.
        is_file_start: whether these are the first lines of the file.
    """
    if is_file_start and encoding == UTF8_SIG:
        data = data[len(codecs.BOM_UTF8) :]
    return (
        data.decode(encoding) if encoding in (CP1252, LATIN1) else decode_utf8_with_fallback(data)
    )


def normalize_newlines(text: str) -> str:
    """Convert all newlines to ``\\n``, as `csv_reader` does."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text

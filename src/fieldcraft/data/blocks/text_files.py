"""Text files as one may jump about in them: unpacked, and in an encoding that extends ASCII."""

from __future__ import annotations

import codecs
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from fieldcraft.core import files
from fieldcraft.core.errors import DataError
from fieldcraft.data import file_signature
from fieldcraft.data.decompression import (
    MAX_COMPRESSION_RATIO,
    MIN_BOMB_BYTES,
    READ_BLOCK_BYTES,
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

CP1252, LATIN1, UTF8, UTF8_SIG = "cp1252", "latin-1", "utf-8", "utf-8-sig"


def decompressed_copy(location: SourceLocation, scratch_folder: Path) -> Path:
    """The file of a place, or an unpacked copy of a gzipped one.

    Args:
        location: a file.
        scratch_folder: folder for copies; one that is there is taken for whole.

    Raises:
        DataError: there is no such file, it cannot be opened, or is damaged or a bomb.
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
    """What copies of a place are called."""
    return os.path.abspath(location.address).replace("%", "%%").replace("/", "%s")[-200:]


def write_once(path: Path, blocks: Iterator[bytes]) -> Path:
    """A file that holds some bytes, written unless it is there; it is whole or not there."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary_path = path.with_name(f"{path.name}.tmp")
    with temporary_path.open("wb") as stream:
        stream.writelines(blocks)
        stream.flush()
        os.fsync(stream.fileno())
    temporary_path.replace(path)
    files.fsync_path(path.parent)
    return path


def iter_decompressed(location: SourceLocation) -> Iterator[bytes]:
    """The unpacked bytes of a gzip file, block by block.

    Raises:
        DataError: it is damaged, cut short or a bomb.
    """
    compressed_bytes, size = location.path.stat().st_size, 0
    try:
        with gzip.open(location.path) as stream:
            while block := stream.read(READ_BLOCK_BYTES):
                size += len(block)
                if (
                    size > MIN_BOMB_BYTES and size > MAX_COMPRESSION_RATIO * compressed_bytes
                ):  # on disk memory is no limit
                    reject_decompression_bomb(size, compressed_bytes, location.name)
                yield block
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{location.name} cannot be unpacked",
            detail=str(error),
            hint="use a gzip file that is whole; copy or download it again",
        ) from error


def utf8_copy(path: Path, location: SourceLocation, scratch_folder: Path) -> Path:
    """The file, or a copy of it in UTF-8 where it is UTF-16 or UTF-32.

    Raises:
        DataError: it is not text.
    """
    with path.open("rb") as stream:
        sample = stream.read(max(SAMPLE_BYTES, file_signature.HEAD_BYTES))
    wide_encoding_name = next((encoding for bom, encoding in BOMS if sample.startswith(bom)), None)
    if wide_encoding_name is None:
        reject_known_format(sample, location.name)
        wide_encoding_name = detect_utf16(sample[:SAMPLE_BYTES])
    if wide_encoding_name is None:
        reject_binary(sample[:SAMPLE_BYTES].rstrip(b"\0"), location.name)
        return path
    return write_once(
        scratch_folder / f"{copy_name(location)}.utf8", iter_as_utf8(path, wide_encoding_name)
    )


def iter_as_utf8(path: Path, encoding: str) -> Iterator[bytes]:
    """The text of a file in UTF-8, block by block, after a mark, so that none of its own is one."""
    yield codecs.BOM_UTF8
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    with path.open("rb") as stream:
        while block := stream.read(READ_BLOCK_BYTES):
            yield decoder.decode(block).encode("utf-8", errors="replace")
    yield decoder.decode(b"", final=True).encode("utf-8", errors="replace")


def iter_line_blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in blocks of whole lines."""
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
    """How `decoded` is to read a file, by all of it, as `data.decode` tells it."""
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
    """The same of a file that is not all UTF-8: see `data.decode.decode_old`."""
    n_non_ascii = n_invalid = 0
    is_cp1252 = True  # whether every byte means something in cp1252
    for block in iter_line_blocks(path):
        lines = [line for line in block.split(b"\n") if not line.isascii()]
        n_non_ascii += len(lines)
        n_invalid += sum(not is_utf8(line) for line in lines)
        is_cp1252 = is_cp1252 and (not lines or decode_cp1252_or_latin1(block)[1] == CP1252)
    if n_non_ascii - n_invalid >= MIN_UTF8_LINE_FRACTION * n_non_ascii:
        return UTF8
    return CP1252 if is_cp1252 else LATIN1


def decode_lines(data: bytes, encoding: str, is_file_start: bool) -> str:
    """The text of whole lines of a file.

    Args:
        data: bytes of whole lines.
        encoding: from `coding_of`; bytes that are not UTF-8 are read as Windows-1252.
        is_file_start: whether the file begins with them.
    """
    if is_file_start and encoding == UTF8_SIG:
        data = data[len(codecs.BOM_UTF8) :]
    return (
        data.decode(encoding) if encoding in (CP1252, LATIN1) else decode_utf8_with_fallback(data)
    )


def normalize_newlines(text: str) -> str:
    """A text whose lines end in ``\\n``, as they do in `data.text`."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text

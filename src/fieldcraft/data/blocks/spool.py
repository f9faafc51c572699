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
from fieldcraft.data import magic
from fieldcraft.data.decode import (
    BOMS,
    MIXED,
    SAMPLE_BYTES,
    is_utf8,
    old_text,
    patched,
    refuse_known,
    refuse_noise,
    wide_encoding,
)
from fieldcraft.data.place import Place, present, unopened
from fieldcraft.data.unpack import BLOCK, FREE, MOST_TIMES, is_gzip, refuse_bomb

CP1252, LATIN, UTF8, UTF8_MARKED = "cp1252", "latin-1", "utf-8", "utf-8-sig"


def plain_file(place: Place, scratch: Path) -> Path:
    """The file of a place, or an unpacked copy of a gzipped one.

    Args:
        place: a file.
        scratch: folder for copies; one that is there is taken for whole.

    Raises:
        DataError: there is no such file, it cannot be opened, or is damaged or a bomb.
    """
    present(place.path)
    try:
        with place.path.open("rb") as stream:
            packed = is_gzip(stream.read(2))
    except OSError as error:
        raise unopened(place.path, error) from error
    if not packed:
        return place.path
    return copied(scratch / f"{name_of(place)}.unpacked", unzipped(place))


def name_of(place: Place) -> str:
    """What copies of a place are called."""
    return os.path.abspath(place.address).replace("%", "%%").replace("/", "%s")[-200:]


def copied(path: Path, blocks: Iterator[bytes]) -> Path:
    """A file that holds some bytes, written unless it is there; it is whole or not there."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.tmp")
    with aside.open("wb") as stream:
        stream.writelines(blocks)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(path)
    files.sync(path.parent)
    return path


def unzipped(place: Place) -> Iterator[bytes]:
    """The unpacked bytes of a gzip file, block by block.

    Raises:
        DataError: it is damaged, cut short or a bomb.
    """
    packed, size = place.path.stat().st_size, 0
    try:
        with gzip.open(place.path) as stream:
            while block := stream.read(BLOCK):
                size += len(block)
                if size > FREE and size > MOST_TIMES * packed:  # on disk memory is no limit
                    refuse_bomb(size, packed, place.name)
                yield block
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{place.name} cannot be unpacked",
            seen=str(error),
            way_out="use a gzip file that is whole; copy or download it again",
        ) from error


def narrow_file(path: Path, place: Place, scratch: Path) -> Path:
    """The file, or a copy of it in UTF-8 where it is UTF-16 or UTF-32.

    Raises:
        DataError: it is not text.
    """
    with path.open("rb") as stream:
        sample = stream.read(max(SAMPLE_BYTES, magic.HEAD))
    wide = next((encoding for mark, encoding in BOMS if sample.startswith(mark)), None)
    if wide is None:
        refuse_known(sample, place.name)
        wide = wide_encoding(sample[:SAMPLE_BYTES])
    if wide is None:
        refuse_noise(sample[:SAMPLE_BYTES].rstrip(b"\0"), place.name)
        return path
    return copied(scratch / f"{name_of(place)}.utf8", recoded(path, wide))


def recoded(path: Path, encoding: str) -> Iterator[bytes]:
    """The text of a file in UTF-8, block by block, after a mark, so that none of its own is one."""
    yield codecs.BOM_UTF8
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            yield decoder.decode(block).encode("utf-8", errors="replace")
    yield decoder.decode(b"", final=True).encode("utf-8", errors="replace")


def line_blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in blocks of whole lines."""
    rest = b""
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            end = block.rfind(b"\n") + 1
            if end:
                yield rest + block[:end]
                rest = block[end:]
            else:
                rest += block
    if rest:
        yield rest


def coding_of(path: Path) -> str:
    """How `decoded` is to read a file, by all of it, as `data.decode` tells it."""
    with path.open("rb") as stream:
        marked = stream.read(3) == codecs.BOM_UTF8
    if marked:
        return UTF8_MARKED
    blocks = line_blocks(path)
    return UTF8 if all(b.isascii() or is_utf8(b) for b in blocks) else old_coding(path)


def old_coding(path: Path) -> str:
    """The same of a file that is not all UTF-8: see `data.decode.decode_old`."""
    beyond = bad = 0
    whole = True  # whether every byte means something in cp1252
    for block in line_blocks(path):
        lines = [line for line in block.split(b"\n") if not line.isascii()]
        beyond += len(lines)
        bad += sum(not is_utf8(line) for line in lines)
        whole = whole and (not lines or old_text(block)[1] == CP1252)
    if beyond - bad >= MIXED * beyond:
        return UTF8
    return CP1252 if whole else LATIN


def decoded(data: bytes, coding: str, first: bool) -> str:
    """The text of whole lines of a file.

    Args:
        data: bytes of whole lines.
        coding: from `coding_of`; bytes that are not UTF-8 are read as Windows-1252.
        first: whether the file begins with them.
    """
    if first and coding == UTF8_MARKED:
        data = data[len(codecs.BOM_UTF8) :]
    return data.decode(coding) if coding in (CP1252, LATIN) else patched(data)


def with_plain_ends(text: str) -> str:
    """A text whose lines end in ``\\n``, as they do in `data.text`."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text

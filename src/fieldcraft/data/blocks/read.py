"""Read a table in blocks, wherever it is: the cells are those that `read_table` gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from fieldcraft.data.blocks.lines import in_lines
from fieldcraft.data.blocks.parquet import Columnar, in_rows
from fieldcraft.data.blocks.records import Records, in_records
from fieldcraft.data.blocks.shape import Blocks, Piece, Wish
from fieldcraft.data.blocks.spool import narrow_file, plain_file
from fieldcraft.data.blocks.whole import in_memory
from fieldcraft.data.place import Place, present, root_of
from fieldcraft.data.reading import read_place, source_of
from fieldcraft.data.sources.folder import files_of, parts_of, photos_of
from fieldcraft.data.together import refuse_twins, same_columns

Cutter = Callable[[Path, str, Wish], Blocks]
CUTTERS: Mapping[str, Cutter] = {"delimited": in_lines, "jsonl": in_records, "parquet": in_rows}
TEXTS = frozenset({"delimited", "jsonl"})


@dataclass(frozen=True)
class Several:
    """Files of one table in blocks, one after the other.

    Attributes:
        names: of the files.
        parts: the blocks of each.
        columns: the names of all columns, in the order of the first file.
    """

    names: tuple[str, ...]
    parts: tuple[Blocks, ...]
    columns: tuple[str, ...]

    @property
    def weights(self) -> tuple[int, ...]:
        """How large each block is."""
        return tuple(weight for part in self.parts for weight in part.weights)

    def read(self, number: int) -> Piece:
        """The rows of a block, columns in the order of the first file."""
        for name, part in zip(self.names, self.parts, strict=True):
            if number < len(part.weights):
                piece = part.read(number)
                order = [column for column in self.columns if column in piece.frame.columns]
                rejects = tuple(replace(reject, file=name) for reject in piece.rejects)
                return Piece(piece.frame.select(order), rejects)
            number -= len(part.weights)
        raise IndexError(number)


def read_blocks(source: str | Path, wish: Wish, scratch: Path) -> Blocks:
    """A table in blocks that take little memory, where its form allows that.

    CSV, JSON lines and Parquet files, also gzipped, and folders and patterns of these are read in
    blocks. Archives, databases, photos in folders, and files whose columns are of different types
    are read at once.

    Args:
        source: what `read_table` takes.
        wish: how it is to be read.
        scratch: folder for unpacked copies of gzipped files and of text in UTF-16.

    Raises:
        DataError: the table is missing, damaged, or not of a known form.
    """
    place = Place(str(source))
    name = source_of(place).name
    if name in CUTTERS:
        return of_file(place, name, wish, scratch)
    if name == "folder" and not photos_of(place):
        found = of_files(parts_of(place)[0], wish, scratch, place.address)
        if found is not None:
            return found
    return in_memory(read_place(place, wish.names), wish)


def of_file(place: Place, source: str, wish: Wish, scratch: Path) -> Blocks:
    """One file in blocks."""
    path = plain_file(place, scratch)
    if source in TEXTS:
        path = narrow_file(path, place, scratch)
    return CUTTERS[source](path, place.name, wish)


def of_files(places: Sequence[Place], wish: Wish, scratch: Path, whole: str) -> Blocks | None:
    """Several files of one table in blocks; None where they are of different types.

    Raises:
        DataError: one cannot be read, or has other columns than the rest.
    """
    refuse_twins(places, whole)
    source = source_of(places[0]).name
    if source not in CUTTERS:
        return None
    parts = [of_file(place, source, wish, scratch) for place in places]
    if len(parts) == 1:
        return parts[0]
    filled = [(p.name, part) for p, part in zip(places, parts, strict=True) if part.columns]
    if not filled or len({types_of(part) for _, part in filled}) > 1:
        return None
    frames = [(name, pl.DataFrame(schema=list(part.columns))) for name, part in filled]
    columns = tuple(same_columns(frames)[0].columns)
    names, kept = zip(*filled, strict=True)
    return Several(names, kept, columns)


def types_of(part: Blocks) -> frozenset[tuple[str, str]]:
    """The types of the columns of a file that are wanted; of text all are the same."""
    if isinstance(part, Records):
        return frozenset(zip(part.columns, map(str, part.types.values()), strict=True))
    if isinstance(part, Columnar):
        return frozenset((name, str(kind)) for name, kind in part.read(0).frame.schema.items())
    return frozenset()


def stamps_of(source: str | Path) -> list[list[str | int]]:
    """What changes when a table does: path, size and time of each file, or a digest of the content.

    Raises:
        DataError: the table is missing or not of a known form.
    """
    place = Place(str(source))
    if place.scheme:
        return [[place.address, source_of(place).digest(place)]]
    found = [place] if place.is_file else files_of(place)
    if photos := [] if place.is_file else photos_of(place):
        found = [Place(str(root_of(place) / name)) for name in photos]
    for file in found:
        present(file.path)
    stats = [(file.path.absolute(), file.path.stat()) for file in found]
    return [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]

"""Read a table in blocks, wherever it is: the cells are those that `read_table` gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from fieldcraft.data.blocks.base import Block, ReadOptions, TableBlocks
from fieldcraft.data.blocks.csv_blocks import open_csv_blocks
from fieldcraft.data.blocks.jsonl_blocks import JsonlBlocks, open_jsonl_blocks
from fieldcraft.data.blocks.memory_blocks import split_into_blocks
from fieldcraft.data.blocks.parquet_blocks import ParquetBlocks, open_parquet_blocks
from fieldcraft.data.blocks.text_files import decompressed_copy, utf8_copy
from fieldcraft.data.concat import align_columns, reject_duplicate_tables
from fieldcraft.data.location import SourceLocation, require_path, root_folder
from fieldcraft.data.source import find_source, read_location
from fieldcraft.data.sources.folder import find_table_files, list_files, list_images

BlockOpener = Callable[[Path, str, ReadOptions], TableBlocks]
BLOCK_OPENERS: Mapping[str, BlockOpener] = {
    "delimited": open_csv_blocks,
    "jsonl": open_jsonl_blocks,
    "parquet": open_parquet_blocks,
}
TEXT_SOURCES = frozenset({"delimited", "jsonl"})


@dataclass(frozen=True)
class ConcatenatedBlocks:
    """Files of one table in blocks, one after the other.

    Attributes:
        file_names: of the files.
        files: the blocks of each.
        columns: the names of all columns, in the order of the first file.
    """

    file_names: tuple[str, ...]
    files: tuple[TableBlocks, ...]
    columns: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How large each block is."""
        return tuple(size for blocks in self.files for size in blocks.sizes)

    def read_block(self, number: int) -> Block:
        """The rows of a block, columns in the order of the first file."""
        for name, blocks in zip(self.file_names, self.files, strict=True):
            if number < len(blocks.sizes):
                block = blocks.read_block(number)
                order = [column for column in self.columns if column in block.frame.columns]
                rejects = tuple(replace(reject, file=name) for reject in block.rejects)
                return Block(block.frame.select(order), rejects)
            number -= len(blocks.sizes)
        raise IndexError(number)


def open_blocks(source: str | Path, options: ReadOptions, scratch_folder: Path) -> TableBlocks:
    """A table in blocks that take little memory, where its form allows that.

    CSV, JSON lines and Parquet files, also gzipped, and folders and patterns of these are read in
    blocks. Archives, databases, photos in folders, and files whose columns are of different types
    are read at once.

    Args:
        source: what `read_table` takes.
        options: how it is to be read.
        scratch_folder: folder for unpacked copies of gzipped files and of text in UTF-16.

    Raises:
        DataError: the table is missing, damaged, or not of a known form.
    """
    location = SourceLocation(str(source))
    source_name = find_source(location).name
    if source_name in BLOCK_OPENERS:
        return open_file_blocks(location, source_name, options, scratch_folder)
    if source_name == "folder" and not list_images(location):
        blocks = open_concatenated_blocks(
            find_table_files(location)[0], options, scratch_folder, location.address
        )
        if blocks is not None:
            return blocks
    return split_into_blocks(read_location(location, options.column_names), options)


def open_file_blocks(
    location: SourceLocation, source_name: str, options: ReadOptions, scratch_folder: Path
) -> TableBlocks:
    """One file in blocks."""
    path = decompressed_copy(location, scratch_folder)
    if source_name in TEXT_SOURCES:
        path = utf8_copy(path, location, scratch_folder)
    return BLOCK_OPENERS[source_name](path, location.name, options)


def open_concatenated_blocks(
    locations: Sequence[SourceLocation], options: ReadOptions, scratch_folder: Path, address: str
) -> TableBlocks | None:
    """Several files of one table in blocks; None where they are of different types.

    Raises:
        DataError: one cannot be read, or has other columns than the rest.
    """
    reject_duplicate_tables(locations, address)
    source_name = find_source(locations[0]).name
    if source_name not in BLOCK_OPENERS:
        return None
    files = [
        open_file_blocks(location, source_name, options, scratch_folder) for location in locations
    ]
    if len(files) == 1:
        return files[0]
    nonempty_files = [
        (p.name, blocks) for p, blocks in zip(locations, files, strict=True) if blocks.columns
    ]
    if not nonempty_files or len({column_types(blocks) for _, blocks in nonempty_files}) > 1:
        return None
    frames = [(name, pl.DataFrame(schema=list(blocks.columns))) for name, blocks in nonempty_files]
    columns = tuple(align_columns(frames)[0].columns)
    names, nonempty_blocks = zip(*nonempty_files, strict=True)
    return ConcatenatedBlocks(names, nonempty_blocks, columns)


def column_types(blocks: TableBlocks) -> frozenset[tuple[str, str]]:
    """The types of the columns of a file that are wanted; of text all are the same."""
    if isinstance(blocks, JsonlBlocks):
        return frozenset(zip(blocks.columns, map(str, blocks.dtypes.values()), strict=True))
    if isinstance(blocks, ParquetBlocks):
        return frozenset(
            (name, str(dtype)) for name, dtype in blocks.read_block(0).frame.schema.items()
        )
    return frozenset()


def file_stamps(source: str | Path) -> list[list[str | int]]:
    """What changes when a table does: path, size and time of each file, or a digest of the content.

    Raises:
        DataError: the table is missing or not of a known form.
    """
    location = SourceLocation(str(source))
    if location.scheme:
        return [[location.address, find_source(location).digest(location)]]
    locations = [location] if location.is_file else list_files(location)
    if image_names := [] if location.is_file else list_images(location):
        locations = [SourceLocation(str(root_folder(location) / name)) for name in image_names]
    for file in locations:
        require_path(file.path)
    stats = [(file.path.absolute(), file.path.stat()) for file in locations]
    return [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]

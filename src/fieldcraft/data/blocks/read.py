"""Read a table from any source in blocks, with the same cells as `read_table`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from fieldcraft.core import files
from fieldcraft.data.blocks.base import Block, ReadOptions, TableBlocks, split_into_blocks
from fieldcraft.data.blocks.csv_blocks import open_csv_blocks
from fieldcraft.data.blocks.jsonl_blocks import JsonlBlocks, open_jsonl_blocks
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
    """The concatenated blocks of several files.

    Attributes:
        file_names: names of the files.
        files: the blocks of each file.
        columns: names of all columns, in the order of the first file.
    """

    file_names: tuple[str, ...]
    files: tuple[TableBlocks, ...]
    columns: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Size of each block."""
        return tuple(size for blocks in self.files for size in blocks.sizes)

    def read_block(self, number: int) -> Block:
        """Return the rows of a block, columns in the order of the first file."""
        for name, blocks in zip(self.file_names, self.files, strict=True):
            if number < len(blocks.sizes):
                block = blocks.read_block(number)
                order = [column for column in self.columns if column in block.frame.columns]
                rejects = tuple(replace(reject, file=name) for reject in block.rejects)
                return Block(block.frame.select(order), rejects)
            number -= len(blocks.sizes)
        raise IndexError(number)


def open_blocks(source: str | Path, options: ReadOptions, scratch_folder: Path) -> TableBlocks:
    """Open a table in blocks that need little memory, if its format allows that.

    CSV, JSON Lines and Parquet files, also gzipped, and folders and patterns of these are read in
    blocks. Archives, databases, folders of photos, and files whose column types differ are read
    at once.

    Args:
        source: as for `read_table`.
        options: columns and size of blocks.
        scratch_folder: folder for decompressed copies, and for UTF-8 copies of UTF-16 text.

    Raises:
        DataError: the table is missing, damaged, or of an unknown format.
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
    """Open one file in blocks."""
    # Several threads read blocks by their offsets, so the text must be a seekable file.
    path = decompressed_copy(location, scratch_folder)
    if source_name in TEXT_SOURCES:
        path = utf8_copy(path, location, scratch_folder)
    return BLOCK_OPENERS[source_name](path, location.name, options)


def open_concatenated_blocks(
    locations: Sequence[SourceLocation], options: ReadOptions, scratch_folder: Path, address: str
) -> TableBlocks | None:
    """Open several files of one table in blocks; None if their column types differ.

    Raises:
        DataError: one cannot be read, or its columns differ from those of the others.
    """
    reject_duplicate_tables(locations, address)
    source_name = find_source(locations[0]).name
    if source_name not in BLOCK_OPENERS:
        return None
    files = [
        open_file_blocks(location, source_name, options, scratch_folder) for location in locations
    ]
    if len(files) == 1:
        return files[0]  # its rejected lines need no file name
    nonempty_files = [
        (location.name, blocks)
        for location, blocks in zip(locations, files, strict=True)
        if blocks.columns
    ]
    # All blocks must have the same types; for mixed ones, `concat_column` needs all files at once.
    if not nonempty_files or len({column_types(blocks) for _, blocks in nonempty_files}) > 1:
        return None
    frames = [(name, pl.DataFrame(schema=list(blocks.columns))) for name, blocks in nonempty_files]
    columns = tuple(align_columns(frames)[0].columns)
    names, nonempty_blocks = zip(*nonempty_files, strict=True)
    return ConcatenatedBlocks(names, nonempty_blocks, columns)


def column_types(blocks: TableBlocks) -> frozenset[tuple[str, str]]:
    """Return names and types of the selected columns; text files have no types to differ."""
    if isinstance(blocks, JsonlBlocks):
        return frozenset(zip(blocks.columns, map(str, blocks.dtypes.values()), strict=True))
    if isinstance(blocks, ParquetBlocks):
        return frozenset(
            (name, str(dtype)) for name, dtype in blocks.read_block(0).frame.schema.items()
        )
    return frozenset()


def file_stamps(source: str | Path) -> list[list[str | int]]:
    """Return values that change with a table: path, size and time of each file, or a digest.

    Raises:
        DataError: the table is missing or of an unknown format.
    """
    location = SourceLocation(str(source))
    # New rows of a database may be in the log beside it only, so its file does not change.
    if location.scheme:
        return [[location.address, find_source(location).digest(location)]]
    locations = [location] if location.is_file else list_files(location)
    if image_names := [] if location.is_file else list_images(location):
        locations = [SourceLocation(str(root_folder(location) / name)) for name in image_names]
    for file in locations:
        require_path(file.path)
    return [[str(file.path.absolute()), *files.file_stamp(file.path)] for file in locations]

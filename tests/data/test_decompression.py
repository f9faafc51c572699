"""Compressed data is decompressed completely and within limits."""

from __future__ import annotations

import gzip
import io

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data import decompression
from fieldcraft.data.decompression import (
    decompress_gzip,
    is_gzip,
    read_decompressed,
    reject_decompression_bomb,
)


def test_gzip_of_several_members_is_decompressed() -> None:
    data = gzip.compress(b"a,b\n") + gzip.compress(b"1,2\n")
    assert is_gzip(data)
    assert not is_gzip(b"a,b\n")
    assert decompress_gzip(data, "t.csv.gz") == b"a,b\n1,2\n"


@pytest.mark.parametrize("keep", [2, 12, -9, -1])
def test_a_gzip_file_cut_short_is_named(keep: int) -> None:
    data = gzip.compress(bytes(range(256)) * 8)
    with pytest.raises(DataError, match=r"t\.csv\.gz cannot be unpacked"):
        decompress_gzip(data[:keep], "t.csv.gz")


def test_a_decompression_bomb_is_refused_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompression, "MIN_BOMB_BYTES", 1 << 20)
    bomb = gzip.compress(b"\0" * (64 << 20))
    stream = gzip.GzipFile(fileobj=io.BytesIO(bomb))
    with pytest.raises(DataError, match=r"bomb\.gz decompresses to far too much"):
        read_decompressed(stream, len(bomb), "bomb.gz")
    assert (
        stream.tell()
        <= decompression.MAX_COMPRESSION_RATIO * len(bomb) + 2 * decompression.READ_BLOCK_BYTES
    )


def test_more_than_the_memory_is_refused_at_any_ratio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decompression, "MIN_BOMB_BYTES", 1 << 10)
    monkeypatch.setattr(decompression, "MAX_MEMORY_FRACTION", 1e-9)
    with pytest.raises(DataError, match="far too much") as caught:
        decompress_gzip(gzip.compress(bytes(range(256)) * 64), "t.gz")
    assert "use the unpacked file" in caught.value.hint


def test_a_repetitive_table_is_not_a_bomb() -> None:
    table = b"0,0,0,0,0,0\n" * 200_000
    assert decompress_gzip(gzip.compress(table), "t.csv.gz") == table


@pytest.mark.parametrize(
    ("size", "packed", "is_bomb"),
    [
        (1_000, 1, False),  # allowed for any archive
        (1_001, 1, True),
        (5_000, 10, False),  # a ratio of 500
        (5_001, 10, True),
        (8_000, 8_000, False),  # half of the memory
        (8_001, 8_001, True),
    ],
)
def test_limits_of_size_ratio_and_memory(
    size: int, packed: int, is_bomb: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decompression, "MIN_BOMB_BYTES", 1_000)
    memory = {"SC_PAGE_SIZE": 16, "SC_PHYS_PAGES": 1_000}
    monkeypatch.setattr("os.sysconf", memory.__getitem__)
    if is_bomb:
        with pytest.raises(DataError, match="far too much") as caught:
            reject_decompression_bomb(size, packed, "t.gz")
        assert caught.value.detail == (
            f"{packed:,} bytes become more than {size:,}; memory: 16,000"
        )
    else:
        reject_decompression_bomb(size, packed, "t.gz")


def test_a_stream_may_have_exactly_the_minimum_size_of_a_bomb(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decompression, "MIN_BOMB_BYTES", 1_000)
    assert read_decompressed(io.BytesIO(b"x" * 1_000), 1, "t.gz") == b"x" * 1_000
    with pytest.raises(DataError, match="more than 1,001; memory"):
        read_decompressed(io.BytesIO(b"x" * 1_001), 1, "t.gz")

"""Bodies are decompressed up to the limit; damaged and slow ones are rejected."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest

from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.queue import ServerLimits
from fieldcraft.serving.request_body import ClientDisconnect, read_request_body

LIMITS = ServerLimits(max_body_bytes=100_000, read_timeout_seconds=0.01)


def body(
    *pieces: bytes | None, encoding: str | None = None, limits: ServerLimits = LIMITS
) -> bytes:
    """Read the body of a request from its chunks; None stands for a disconnect."""
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        piece = left.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    headers = {} if encoding is None else {b"content-encoding": encoding.encode()}
    return asyncio.run(read_request_body(headers, receive, limits))


def raw_deflate(data: bytes) -> bytes:
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(data) + machine.flush()


@pytest.mark.parametrize("encoding", [None, "identity", " GZIP ", "deflate"])
@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_the_limit_holds_to_the_byte_after_decompression(encoding: str | None, excess: int) -> None:
    plain = b"ab" * 50_000 + b"x" * excess if excess >= 0 else b"a" * 99_999
    name = (encoding or "").strip().lower()
    packed = {"gzip": gzip.compress(plain, mtime=0), "deflate": zlib.compress(plain)}.get(
        name, plain
    )
    if excess > 0:
        with pytest.raises(RequestError, match="may have 100,000 bytes") as caught:
            body(packed, encoding=encoding)
        assert caught.value.code == "payload_too_large"
    else:
        assert body(packed[:10], packed[10:], encoding=encoding) == plain


def test_a_decompression_bomb_is_stopped_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    made = zlib.decompressobj
    lengths: list[int] = []

    class Counted:
        def __init__(self, bits: int) -> None:
            self.machine = made(bits)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.machine, name)

        def decompress(self, data: bytes, max_length: int) -> bytes:
            lengths.append(len(piece := self.machine.decompress(data, max_length)))
            return piece

    monkeypatch.setattr(zlib, "decompressobj", Counted)
    with pytest.raises(RequestError, match="may have"):
        body(gzip.compress(b" " * (50 << 20)), encoding="gzip")
    assert 100_000 < sum(lengths) < 300_000


@pytest.mark.parametrize(
    ("packed", "encoding", "code", "message"),
    [
        (b"{}", "br", "unsupported_media_type", "gzip or deflate"),
        (b"{}", "gzip, deflate", "unsupported_media_type", "gzip or deflate"),
        (b"{}", "gzip", "bad_request", "cannot be decompressed"),
        (b"", "gzip", "bad_request", "truncated"),
        (gzip.compress(b"{}" * 99, mtime=0)[:-4], "gzip", "bad_request", "truncated"),
        (
            gzip.compress(b"{}" * 99, mtime=0)[:-4] + b"oops",
            "gzip",
            "bad_request",
            "cannot be decompressed",
        ),
        (raw_deflate(b"{}"), "deflate", "bad_request", "cannot be decompressed"),
        (zlib.compress(b"{}"), "gzip", "bad_request", "cannot be decompressed"),
    ],
)
def test_damaged_and_unknown_encodings_are_rejected(
    packed: bytes, encoding: str, code: str, message: str
) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        body(packed, encoding=encoding)
    assert caught.value.code == code


def test_a_compressed_body_over_the_limit_is_not_decompressed() -> None:
    with pytest.raises(RequestError, match="may have"):
        body(b"x" * 100_001, encoding="gzip")


def test_chunks_are_joined_in_order() -> None:
    assert body(b"a", b"", b"b", b"c") == b"abc"
    assert body(b"") == b""


def test_a_body_that_never_begins_times_out() -> None:
    async def read() -> None:
        never = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await never.wait()
            return {}

        async with asyncio.timeout(5):
            await read_request_body({b"content-length": b"2"}, receive, LIMITS)

    with pytest.raises(RequestError, match="did not arrive in time") as caught:
        asyncio.run(read())
    assert caught.value.code == "request_timeout"


@pytest.mark.parametrize("pieces", [(None,), (b"a", None), (b"a", b"b", None)])
def test_a_client_that_leaves_half_way_is_a_disconnect(pieces: tuple[bytes | None, ...]) -> None:
    with pytest.raises(ClientDisconnect):
        body(*pieces)

"""The body of a request, within its bounds of size and time."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.limits import ServerLimits

ReceiveFunction = Callable[[], Awaitable[MutableMapping[str, Any]]]
RequestHeaders = Mapping[bytes, bytes]
ZLIB_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}  # window bits of zlib
DECOMPRESS_CHUNK_BYTES = 1 << 16


class ClientDisconnect(Exception):
    """The caller has hung up."""


async def read_request_body(
    headers: RequestHeaders, receive: ReceiveFunction, limits: ServerLimits
) -> bytes:
    """The body of a request, unpacked.

    Raises:
        Trouble: it is too large, too slow, or packed in an unknown way.
        Gone: the caller hung up before it was all there.
    """
    content_length = headers.get(b"content-length", b"")
    if content_length.isdigit() and int(content_length) > limits.max_body_bytes:
        raise body_too_large_error(limits)
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding != b"identity" and encoding not in ZLIB_WINDOW_BITS:
        raise RequestError(
            "wrong_type", "the body may be packed with gzip or deflate, or not at all"
        )
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await read_body_chunks(body, receive, limits)
    if len(body) > limits.max_body_bytes:
        raise body_too_large_error(limits)
    return (
        body
        if encoding == b"identity"
        else decompress_body(body, ZLIB_WINDOW_BITS[encoding], limits)
    )


async def read_body_chunks(
    first_chunk: bytes, receive: ReceiveFunction, limits: ServerLimits
) -> bytes:
    """A body that comes in pieces.

    Raises:
        Trouble: it is too large or too slow.
        Gone: the caller hung up.
    """
    body = bytearray(first_chunk)
    try:
        async with asyncio.timeout(limits.read_timeout_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                if len(body) > limits.max_body_bytes:
                    raise body_too_large_error(limits)
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise RequestError("too_slow", "the body did not arrive in time") from None


def decompress_body(body: bytes, window_bits: int, limits: ServerLimits) -> bytes:
    """A packed body unpacked, no further than the limit.

    Raises:
        Trouble: it is damaged, or too large.
    """
    decompressor = zlib.decompressobj(window_bits)
    decompressed = bytearray()
    try:
        while body and not decompressor.eof:
            decompressed += decompressor.decompress(body, DECOMPRESS_CHUNK_BYTES)
            body = decompressor.unconsumed_tail
            if len(decompressed) > limits.max_body_bytes:
                raise body_too_large_error(limits)
    except zlib.error as error:
        raise RequestError("bad_request", "the body cannot be unpacked") from error
    if not decompressor.eof:
        raise RequestError("bad_request", "the packed body is cut short")
    return bytes(decompressed)


def body_too_large_error(limits: ServerLimits) -> RequestError:
    """The refusal of a body over the limit."""
    return RequestError("too_large", f"a request may have {limits.max_body_bytes:,} bytes")

"""Read the body of a request within the limits of size and time."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.queue import ServerLimits

ReceiveFunction = Callable[[], Awaitable[MutableMapping[str, Any]]]
RequestHeaders = Mapping[bytes, bytes]
# The argument `wbits` of zlib: 15 for its own format (HTTP's "deflate"), 16 more for gzip's.
ZLIB_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}
DECOMPRESS_CHUNK_BYTES = 1 << 16


class ClientDisconnect(Exception):
    """The client closed the connection."""


async def read_request_body(
    headers: RequestHeaders, receive: ReceiveFunction, limits: ServerLimits
) -> bytes:
    """Read and decompress the body of a request.

    Raises:
        RequestError: the body is too large or too slow, or has an unknown encoding.
        ClientDisconnect: the client left before the body was complete.
    """
    content_length = headers.get(b"content-length", b"")
    # A body that is too large by its header is not read at all; the real size is checked below.
    if content_length.isdigit() and int(content_length) > limits.max_body_bytes:
        raise body_too_large_error(limits)
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding != b"identity" and encoding not in ZLIB_WINDOW_BITS:
        raise RequestError(
            "unsupported_media_type", "send the body compressed with gzip or deflate, or as it is"
        )
    try:
        async with asyncio.timeout(limits.read_timeout_seconds):
            body = await read_body_chunks(receive, limits)
    except TimeoutError:
        raise RequestError("request_timeout", "the body did not arrive in time") from None
    if encoding == b"identity":
        return body
    return decompress_body(body, ZLIB_WINDOW_BITS[encoding], limits)


async def read_body_chunks(receive: ReceiveFunction, limits: ServerLimits) -> bytes:
    """Read the chunks of a body.

    Raises:
        RequestError: the body is too large.
        ClientDisconnect: the client left.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limits.max_body_bytes:
            raise body_too_large_error(limits)
        if not message.get("more_body"):
            return bytes(body)


def decompress_body(body: bytes, window_bits: int, limits: ServerLimits) -> bytes:
    """Decompress a body, but no further than the limit.

    Raises:
        RequestError: the body is damaged or too large.
    """
    decompressor = zlib.decompressobj(window_bits)
    decompressed = bytearray()
    try:
        # In chunks: a few kilobytes of gzip can decompress to gigabytes.
        while body and not decompressor.eof:
            decompressed += decompressor.decompress(body, DECOMPRESS_CHUNK_BYTES)
            body = decompressor.unconsumed_tail
            if len(decompressed) > limits.max_body_bytes:
                raise body_too_large_error(limits)
    except zlib.error as error:
        raise RequestError("bad_request", "the body cannot be decompressed") from error
    if not decompressor.eof:
        raise RequestError("bad_request", "the compressed body is truncated")
    return bytes(decompressed)


def body_too_large_error(limits: ServerLimits) -> RequestError:
    """Return the error for a body over the limit."""
    return RequestError("payload_too_large", f"a request may have {limits.max_body_bytes:,} bytes")

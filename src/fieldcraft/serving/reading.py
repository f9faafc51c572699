"""The body of a request, within its bounds of size and time."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from fieldcraft.serving.limits import Limits
from fieldcraft.serving.trouble import Trouble

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Headers = Mapping[bytes, bytes]
ENCODINGS = {b"gzip": 31, b"deflate": 15}  # window bits of zlib
PIECE = 1 << 16


class Gone(Exception):
    """The caller has hung up."""


async def body_of(headers: Headers, receive: Receive, limits: Limits) -> bytes:
    """The body of a request, unpacked.

    Raises:
        Trouble: it is too large, too slow, or packed in an unknown way.
        Gone: the caller hung up before it was all there.
    """
    stated = headers.get(b"content-length", b"")
    if stated.isdigit() and int(stated) > limits.body:
        raise too_large(limits)
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding != b"identity" and encoding not in ENCODINGS:
        raise Trouble("wrong_type", "the body may be packed with gzip or deflate, or not at all")
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await the_rest(body, receive, limits)
    if len(body) > limits.body:
        raise too_large(limits)
    return body if encoding == b"identity" else unpacked(body, ENCODINGS[encoding], limits)


async def the_rest(first: bytes, receive: Receive, limits: Limits) -> bytes:
    """A body that comes in pieces.

    Raises:
        Trouble: it is too large or too slow.
        Gone: the caller hung up.
    """
    found = bytearray(first)
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                found += message.get("body", b"")
                if len(found) > limits.body:
                    raise too_large(limits)
                if not message.get("more_body"):
                    return bytes(found)
    except TimeoutError:
        raise Trouble("too_slow", "the body did not arrive in time") from None


def unpacked(body: bytes, bits: int, limits: Limits) -> bytes:
    """A packed body unpacked, no further than the limit.

    Raises:
        Trouble: it is damaged, or too large.
    """
    machine = zlib.decompressobj(bits)
    found = bytearray()
    try:
        while body and not machine.eof:
            found += machine.decompress(body, PIECE)
            body = machine.unconsumed_tail
            if len(found) > limits.body:
                raise too_large(limits)
    except zlib.error as error:
        raise Trouble("bad_request", "the body cannot be unpacked") from error
    if not machine.eof:
        raise Trouble("bad_request", "the packed body is cut short")
    return bytes(found)


def too_large(limits: Limits) -> Trouble:
    """The refusal of a body over the limit."""
    return Trouble("too_large", f"a request may have {limits.body:,} bytes")

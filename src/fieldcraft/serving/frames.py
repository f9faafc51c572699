"""Messages between the server and the processes that run models: plain values, length first."""

from __future__ import annotations

import asyncio
import marshal
import socket
import struct
from typing import Any

HEAD = struct.Struct("!I")


def packed(message: Any) -> bytes:
    """A message of plain values, such as lists, numbers and bytes, ready to be sent."""
    body = marshal.dumps(message)
    return HEAD.pack(len(body)) + body


def receive(stream: socket.socket) -> Any:
    """The next message; None once the other side has closed."""
    head = exactly(stream, HEAD.size)
    if head is None:
        return None
    body = exactly(stream, HEAD.unpack(head)[0])
    return None if body is None else marshal.loads(body)  # from our own process


def exactly(stream: socket.socket, size: int) -> bytearray | None:
    """So many bytes; None where the stream ends before."""
    found = bytearray(size)
    view, there = memoryview(found), 0
    while there < size:
        came = stream.recv_into(view[there:])
        if not came:
            return None
        there += came
    return found


async def next_message(reader: asyncio.StreamReader) -> Any:
    """The next message.

    Raises:
        asyncio.IncompleteReadError: the other side has closed.
    """
    (size,) = HEAD.unpack(await reader.readexactly(HEAD.size))
    return marshal.loads(await reader.readexactly(size))

"""Messages between the server and the processes that run models: plain values, length first."""

from __future__ import annotations

import asyncio
import marshal
import socket
import struct
from typing import Any

LENGTH_HEADER = struct.Struct("!I")


def pack_message(message: Any) -> bytes:
    """A message of plain values, such as lists, numbers and bytes, ready to be sent."""
    body = marshal.dumps(message)
    return LENGTH_HEADER.pack(len(body)) + body


def receive_message(stream: socket.socket) -> Any:
    """The next message; None once the other side has closed."""
    header = receive_exactly(stream, LENGTH_HEADER.size)
    if header is None:
        return None
    body = receive_exactly(stream, LENGTH_HEADER.unpack(header)[0])
    return None if body is None else marshal.loads(body)  # from our own process


def receive_exactly(stream: socket.socket, n_bytes: int) -> bytearray | None:
    """So many bytes; None where the stream ends before."""
    buffer = bytearray(n_bytes)
    view, n_received = memoryview(buffer), 0
    while n_received < n_bytes:
        n_new = stream.recv_into(view[n_received:])
        if not n_new:
            return None
        n_received += n_new
    return buffer


async def read_message(reader: asyncio.StreamReader) -> Any:
    """The next message.

    Raises:
        asyncio.IncompleteReadError: the other side has closed.
    """
    (n_bytes,) = LENGTH_HEADER.unpack(await reader.readexactly(LENGTH_HEADER.size))
    return marshal.loads(await reader.readexactly(n_bytes))

"""Messages between processes come whole and in order, however the bytes are cut."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from fieldcraft.serving.frames import next_message, packed, receive

MESSAGES: list[Any] = [
    {"error": ""}, [("plain", "id", b"\x00" * 70_000)], ([("", b"{}")], {"rows": 1}), [], None,
]  # fmt: skip


def test_a_socket_gives_messages_and_then_none() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for message in MESSAGES[:-1]:
            ours.sendall(packed(message))
            assert receive(theirs) == message
        ours.sendall(packed("cut short")[:-1])
        ours.close()
        assert receive(theirs) is None
        assert receive(theirs) is None


def test_a_stream_gives_messages_byte_by_byte() -> None:
    async def read() -> list[Any]:
        reader = asyncio.StreamReader()
        for byte in b"".join(map(packed, MESSAGES)):
            reader.feed_data(bytes([byte]))
        reader.feed_data(b"\x00\x00")
        reader.feed_eof()
        found = [await next_message(reader) for _ in MESSAGES]
        with pytest.raises(asyncio.IncompleteReadError):
            await next_message(reader)
        return found

    assert asyncio.run(read()) == MESSAGES


def test_the_length_comes_first_in_network_order() -> None:
    message = packed(b"x" * 300)
    assert int.from_bytes(message[:4], "big") == len(message) - 4

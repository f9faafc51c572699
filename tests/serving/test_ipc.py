"""Messages between processes come whole and in order, however the bytes are cut."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from fieldcraft.serving.ipc import pack_message, read_message, receive_message

MESSAGES: list[Any] = [
    {"error": ""}, [("plain", "id", b"\x00" * 70_000)], ([("", b"{}")], {"rows": 1}), [], None,
]  # fmt: skip


def test_a_socket_gives_messages_and_then_none() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for message in MESSAGES[:-1]:
            ours.sendall(pack_message(message))
            assert receive_message(theirs) == message
        ours.sendall(pack_message("cut short")[:-1])
        ours.close()
        assert receive_message(theirs) is None
        assert receive_message(theirs) is None


def test_a_stream_gives_messages_byte_by_byte() -> None:
    async def read() -> list[Any]:
        reader = asyncio.StreamReader()
        for byte in b"".join(map(pack_message, MESSAGES)):
            reader.feed_data(bytes([byte]))
        reader.feed_data(b"\x00\x00")
        reader.feed_eof()
        found = [await read_message(reader) for _ in MESSAGES]
        with pytest.raises(asyncio.IncompleteReadError):
            await read_message(reader)
        return found

    assert asyncio.run(read()) == MESSAGES


def test_the_length_comes_first_in_network_order() -> None:
    message = pack_message(b"x" * 300)
    assert int.from_bytes(message[:4], "big") == len(message) - 4

"""Who sends the head of a request slowly, or not at all, is told so; others are not held up."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
import uvicorn

from fieldcraft.serving.patience import patient

WHOLE = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"


async def hello(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


async def asked(*pieces: bytes, seconds: float = 0.3) -> bytes:
    """What a server says until it closes, when it is sent pieces of bytes one after the other."""
    config = uvicorn.Config(
        hello, port=0, log_level="error", lifespan="off", http=patient(seconds),
        timeout_keep_alive=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = asyncio.create_task(server.serve([listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        said = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        server.should_exit = True
        await running
    return said


@pytest.mark.parametrize(
    "pieces", [(), (b"GET / HT",), (b"GET / HTTP/1.1\r\n", b"host: here\r\n", b"x-slow: ")]
)
def test_a_head_that_does_not_come_is_answered_408(pieces: tuple[bytes, ...]) -> None:
    said = asyncio.run(asked(*pieces))
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head
    assert json.loads(body)["error"]["code"] == "too_slow"


def test_a_second_head_that_stops_half_way_is_answered_408_after_the_first() -> None:
    said = asyncio.run(asked(WHOLE, b"GET /again"))
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in said


def test_whole_requests_are_answered_and_an_idle_connection_is_closed_without_a_word() -> None:
    said = asyncio.run(asked(WHOLE[:10], WHOLE[10:], WHOLE, seconds=20.0))
    assert said.count(b"HTTP/1.1 200 ") == 2
    assert b"408" not in said

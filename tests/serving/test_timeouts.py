"""Clients that send headers slowly or never are answered 408 and disconnected."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from fieldcraft.serving.timeouts import header_timeout_protocol

WHOLE = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"


async def hello_app(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


async def raw_response(*pieces: bytes, seconds: float = 0.3) -> bytes:
    """Send pieces of bytes one after the other; return all that the server sends back."""
    config = uvicorn.Config(
        hello_app, port=0, log_level="error", lifespan="off", http=header_timeout_protocol(seconds),
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
        response = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        server.should_exit = True
        await running
    return response


@pytest.mark.parametrize(
    "pieces", [(), (b"GET / HT",), (b"GET / HTTP/1.1\r\n", b"host: here\r\n", b"x-slow: ")]
)
def test_headers_that_do_not_arrive_are_answered_408(pieces: tuple[bytes, ...]) -> None:
    response = asyncio.run(raw_response(*pieces))
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head
    assert json.loads(body)["error"]["code"] == "request_timeout"


def test_headers_of_a_second_request_that_stop_half_way_are_answered_408() -> None:
    response = asyncio.run(raw_response(WHOLE, b"GET /again"))
    assert response.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in response


def test_complete_requests_are_answered_and_idle_connections_closed_silently() -> None:
    response = asyncio.run(raw_response(WHOLE[:10], WHOLE[10:], WHOLE, seconds=20.0))
    assert response.count(b"HTTP/1.1 200 ") == 2
    assert b"408" not in response


def test_the_header_timeout_starts_and_stops_with_the_headers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def timers() -> list[int]:
        loop = asyncio.get_running_loop()
        handles: list[asyncio.TimerHandle] = []
        later = loop.call_later

        def record_timer(delay: float, callback: Any, *arguments: Any) -> asyncio.TimerHandle:
            handle = later(delay, callback, *arguments)
            if getattr(callback, "__name__", "") == "send_timeout":
                assert delay == 7.0
                handles.append(handle)
            return handle

        monkeypatch.setattr(loop, "call_later", record_timer)
        config = uvicorn.Config(hello_app, log_level="error", lifespan="off")
        config.load()
        protocol = header_timeout_protocol(7.0)(config, server_state=ServerState(), app_state={})
        transport = Transport()
        protocol.connection_made(transport)
        n_running = [len([handle for handle in handles if not handle.cancelled()])]
        for piece in (WHOLE[:3], WHOLE[3:9], WHOLE[9:], WHOLE[:5], WHOLE[5:], WHOLE[:5]):
            protocol.data_received(piece)
            await asyncio.sleep(0.01)
            n_running.append(len([handle for handle in handles if not handle.cancelled()]))
        protocol.connection_lost(None)
        n_running.append(len([handle for handle in handles if not handle.cancelled()]))
        assert len(handles) == 3  # one for the headers of each request
        assert transport.written.count(b"hello") == 2
        return n_running

    assert asyncio.run(timers()) == [1, 1, 1, 0, 1, 0, 1, 0]


class Transport(asyncio.Transport):
    """A transport that records what is written."""

    written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

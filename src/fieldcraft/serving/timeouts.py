"""HTTP that does not wait for ever for the head of a request."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fieldcraft.serving.errors import STATUS_BY_CODE, RequestError

TIMEOUT_CODE = "too_slow"


class HeaderTimeoutProtocol(HttpToolsProtocol):
    """A connection whose caller must send the head of each request in time.

    uvicorn closes connections that idle between two requests, but waits for ever for the first line
    and for headers that come byte by byte.
    """

    timeout_seconds = 10.0
    timeout_handle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self.start_timeout()

    def on_message_begin(self) -> None:
        """Wait for the rest of a head."""
        super().on_message_begin()
        self.start_timeout()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self.cancel_timeout()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self.cancel_timeout()
        super().connection_lost(exc)

    def start_timeout(self) -> None:
        """Give the caller so much time from now on, unless that has begun before."""
        if self.timeout_handle is None:
            self.timeout_handle = self.loop.call_later(self.timeout_seconds, self.send_timeout)

    def cancel_timeout(self) -> None:
        """Stop the clock."""
        if self.timeout_handle is not None:
            self.timeout_handle.cancel()
            self.timeout_handle = None

    def send_timeout(self) -> None:
        """Tell the caller that it took too long, and close."""
        error = RequestError(
            TIMEOUT_CODE, f"the request did not arrive within {self.timeout_seconds:g} seconds"
        )
        body = json.dumps(error.to_json()).encode()
        header = (
            f"HTTP/1.1 {STATUS_BY_CODE[TIMEOUT_CODE]} Request Timeout\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(header.encode() + body)
        self.transport.close()


def header_timeout_protocol(timeout_seconds: float) -> type[HeaderTimeoutProtocol]:
    """A protocol that waits so long."""
    return type("Patient", (HeaderTimeoutProtocol,), {"seconds": timeout_seconds})

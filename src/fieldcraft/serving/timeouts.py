"""HTTP connections with a timeout for the headers of a request."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fieldcraft.serving.errors import STATUS_BY_CODE, RequestError

TIMEOUT_CODE = "request_timeout"


class HeaderTimeoutProtocol(HttpToolsProtocol):
    """A connection whose client must send the headers of each request in time.

    uvicorn closes connections that are idle between two requests, but waits without limit for the
    first request line and for headers that arrive byte by byte (the Slowloris attack).
    """

    timeout_seconds = 10.0
    timeout_handle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the timeout of the first request."""
        super().connection_made(transport)
        self.start_timeout()

    def on_message_begin(self) -> None:
        """Start the timeout of a further request."""
        super().on_message_begin()
        self.start_timeout()

    def on_headers_complete(self) -> None:
        """Cancel the timeout; reading the body has its own."""
        self.cancel_timeout()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout, since nothing more will arrive."""
        self.cancel_timeout()
        super().connection_lost(exc)

    def start_timeout(self) -> None:
        """Start the timeout, unless it is running."""
        # The first request starts it twice: when the connection opens, and with the first byte.
        if self.timeout_handle is None:
            self.timeout_handle = self.loop.call_later(self.timeout_seconds, self.send_timeout)

    def cancel_timeout(self) -> None:
        """Stop the timeout."""
        if self.timeout_handle is not None:
            self.timeout_handle.cancel()
            self.timeout_handle = None

    def send_timeout(self) -> None:
        """Answer with status 408 and close the connection."""
        error = RequestError(
            TIMEOUT_CODE, f"the request did not arrive within {self.timeout_seconds:g} seconds"
        )
        body = json.dumps(error.to_json()).encode()
        # Written by hand, because there is no request yet for the ASGI application to answer.
        header = (
            f"HTTP/1.1 {STATUS_BY_CODE[TIMEOUT_CODE]} Request Timeout\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(header.encode() + body)
        self.transport.close()


def header_timeout_protocol(timeout_seconds: float) -> type[HeaderTimeoutProtocol]:
    """Return a connection class with this timeout, since uvicorn takes a class, not an instance."""
    return type(
        "HeaderTimeoutProtocol", (HeaderTimeoutProtocol,), {"timeout_seconds": timeout_seconds}
    )

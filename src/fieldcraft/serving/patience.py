"""HTTP that does not wait for ever for the head of a request."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fieldcraft.serving.trouble import STATUS, Trouble

CODE = "too_slow"


class Patient(HttpToolsProtocol):
    """A connection whose caller must send the head of each request in time.

    uvicorn closes connections that idle between two requests, but waits for ever for the first line
    and for headers that come byte by byte.
    """

    seconds = 10.0
    late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self.expect()

    def on_message_begin(self) -> None:
        """Wait for the rest of a head."""
        super().on_message_begin()
        self.expect()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self.expect_no_more()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self.expect_no_more()
        super().connection_lost(exc)

    def expect(self) -> None:
        """Give the caller so much time from now on, unless that has begun before."""
        if self.late is None:
            self.late = self.loop.call_later(self.seconds, self.give_up)

    def expect_no_more(self) -> None:
        """Stop the clock."""
        if self.late is not None:
            self.late.cancel()
            self.late = None

    def give_up(self) -> None:
        """Tell the caller that it took too long, and close."""
        trouble = Trouble(CODE, f"the request did not arrive within {self.seconds:g} seconds")
        body = json.dumps(trouble.as_json()).encode()
        head = (
            f"HTTP/1.1 {STATUS[CODE]} Request Timeout\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def patient(seconds: float) -> type[Patient]:
    """A protocol that waits so long."""
    return type("Patient", (Patient,), {"seconds": seconds})

"""What one request may cost, and how many may wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of a server.

    Attributes:
        body: bytes of a request, also after it is unpacked.
        rows: of one request.
        batch: requests that are computed together.
        batch_bytes: of requests that are computed together; a larger one is computed alone.
        queue: requests that may wait; more are told to come back later.
        seconds: from the arrival of a request to its answer.
        body_seconds: in which headers and body must have arrived.
        grace: seconds in which accepted requests are answered once the server is told to stop.
    """

    body: int = 16 << 20
    rows: int = 10_000
    batch: int = 64
    batch_bytes: int = 256 << 10
    queue: int = 1_024
    seconds: float = 30.0
    body_seconds: float = 10.0
    grace: float = 20.0

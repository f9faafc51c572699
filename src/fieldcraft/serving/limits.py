"""What one request may cost, and how many may wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerLimits:
    """Bounds of a server.

    Attributes:
        max_body_bytes: bytes of a request, also after it is unpacked.
        max_rows: of one request.
        max_batch_requests: requests that are computed together.
        max_batch_bytes: of requests that are computed together; a larger one is computed alone.
        max_queued_requests: requests that may wait; more are told to come back later.
        request_timeout_seconds: from the arrival of a request to its answer.
        read_timeout_seconds: in which headers and body must have arrived.
        shutdown_timeout_seconds: seconds in which accepted requests are answered once the server is told to stop.
    """

    max_body_bytes: int = 16 << 20
    max_rows: int = 10_000
    max_batch_requests: int = 64
    max_batch_bytes: int = 256 << 10
    max_queued_requests: int = 1_024
    request_timeout_seconds: float = 30.0
    read_timeout_seconds: float = 10.0
    shutdown_timeout_seconds: float = 20.0

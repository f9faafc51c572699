"""A bounded queue of requests, from which workers take batches.

A batch is whatever is queued when a worker is free. Batches grow while the model is busy, and a
single request never waits for others, so batching adds no latency.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from fieldcraft.serving.errors import RequestError

Reply = tuple[str, bytes]


@dataclass(frozen=True)
class ServerLimits:
    """Limits of a server.

    Attributes:
        max_body_bytes: maximum size of a request body, before and after decompression.
        max_batch_requests: maximum number of requests in a batch.
        max_batch_bytes: maximum size of all bodies in a batch; a larger request is a batch by
            itself.
        max_queued_requests: maximum length of the queue; further requests get status 503.
        request_timeout_seconds: time from the arrival of a body to the answer.
        read_timeout_seconds: time in which the headers must arrive, and then the body.
        shutdown_timeout_seconds: time to answer accepted requests once the server is stopped.
    """

    max_body_bytes: int = 16 << 20
    max_batch_requests: int = 64
    max_batch_bytes: int = 256 << 10
    max_queued_requests: int = 1_024
    request_timeout_seconds: float = 30.0
    read_timeout_seconds: float = 10.0
    shutdown_timeout_seconds: float = 20.0


@dataclass(eq=False)
class PendingRequest:
    """A request that waits for its answer.

    Attributes:
        protocol: name of the protocol of its body.
        request_id: id of the request.
        body: raw body.
        reply: future result: error code, empty for success, and response body.
    """

    protocol: str
    request_id: str
    body: bytes
    reply: asyncio.Future[Reply] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def fail(self, error: RequestError) -> None:
        """Answer with an error, unless there is an answer already."""
        if not self.reply.done():
            self.reply.set_exception(error)


class RequestQueue:
    """A bounded queue of requests.

    Args:
        limits: limits of the server.
        on_drop: called for each request whose client left or that timed out in the queue.
    """

    def __init__(self, limits: ServerLimits, on_drop: Callable[[], None] = lambda: None) -> None:
        self.limits = limits
        self.on_drop = on_drop
        self.pending: deque[PendingRequest] = deque()
        self.has_requests = asyncio.Event()

    def enqueue(self, request: PendingRequest) -> None:
        """Add a request to the end.

        Raises:
            RequestError: the queue is full.
        """
        # Refused at once: a longer queue would only turn overload into timeouts.
        if len(self.pending) >= self.limits.max_queued_requests:
            raise RequestError("overloaded", "too many requests are waiting; try again later")
        self.pending.append(request)
        self.has_requests.set()

    async def next_batch(self) -> list[PendingRequest]:
        """Wait for requests and return the next batch, at least one request."""
        while True:
            while not self.pending:
                self.has_requests.clear()
                await self.has_requests.wait()
            if batch := self.pop_batch():
                return batch

    def pop_batch(self) -> list[PendingRequest]:
        """Remove a batch from the front; drop requests that were answered in the meantime."""
        batch: list[PendingRequest] = []
        batch_bytes = 0
        while self.pending and len(batch) < self.limits.max_batch_requests:
            if self.pending[0].reply.done():
                self.pending.popleft()
                self.on_drop()
                continue
            batch_bytes += len(self.pending[0].body)
            # The first request is taken whatever its size; otherwise it would block the queue.
            if batch and batch_bytes > self.limits.max_batch_bytes:
                break
            batch.append(self.pending.popleft())
        return batch

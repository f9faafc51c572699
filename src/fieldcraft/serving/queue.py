"""Requests waiting to be computed: batches grow while the model is busy, and wait for nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.limits import ServerLimits

Reply = tuple[str, bytes]


@dataclass(eq=False)
class PendingRequest:
    """A request on its way to a model.

    Attributes:
        protocol: how its body is to be read.
        request_id: its id.
        body: as it came.
        reply: to come: the code of what is wrong, empty if nothing is, and the body of the answer.
    """

    protocol: str
    request_id: str
    body: bytes
    reply: asyncio.Future[Reply] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def fail(self, error: RequestError) -> None:
        """Tell the caller what is wrong, unless there is an answer already."""
        if not self.reply.done():
            self.reply.set_exception(error)


class RequestQueue:
    """A queue of requests with an end."""

    def __init__(self, limits: ServerLimits) -> None:
        """An empty queue."""
        self.limits = limits
        self.pending: deque[PendingRequest] = deque()
        self.has_requests = asyncio.Event()
        self.n_dropped = 0  # requests whose caller had gone or whose time was up before their turn

    def enqueue(self, request: PendingRequest) -> None:
        """Add a request at the end.

        Raises:
            Trouble: too many are waiting.
        """
        if len(self.pending) >= self.limits.max_queued_requests:
            raise RequestError(
                "overloaded", "too many requests are waiting; try again a little later"
            )
        self.pending.append(request)
        self.has_requests.set()

    async def next_batch(self) -> list[PendingRequest]:
        """The requests that are computed next, at least one; all that wait if they are few."""
        while True:
            while not self.pending:
                self.has_requests.clear()
                await self.has_requests.wait()
            if batch := self.pop_batch():
                return batch

    def pop_batch(self) -> list[PendingRequest]:
        """Requests from the front up to the bounds of a batch; those answered already are left."""
        batch: list[PendingRequest] = []
        batch_bytes = 0
        while self.pending and len(batch) < self.limits.max_batch_requests:
            if self.pending[0].reply.done():
                self.pending.popleft()
                self.n_dropped += 1
                continue
            batch_bytes += len(self.pending[0].body)
            if batch and batch_bytes > self.limits.max_batch_bytes:
                break
            batch.append(self.pending.popleft())
        return batch

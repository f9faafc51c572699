"""Requests waiting to be computed: batches grow while the model is busy, and wait for nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from fieldcraft.serving.limits import Limits
from fieldcraft.serving.trouble import Trouble

Reply = tuple[str, bytes]


@dataclass(eq=False)
class Waiting:
    """A request on its way to a model.

    Attributes:
        protocol: how its body is to be read.
        request: its id.
        body: as it came.
        reply: to come: the code of what is wrong, empty if nothing is, and the body of the answer.
    """

    protocol: str
    request: str
    body: bytes
    reply: asyncio.Future[Reply] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def fail(self, trouble: Trouble) -> None:
        """Tell the caller what is wrong, unless there is an answer already."""
        if not self.reply.done():
            self.reply.set_exception(trouble)


class Line:
    """A queue of requests with an end."""

    def __init__(self, limits: Limits) -> None:
        """An empty queue."""
        self.limits = limits
        self.waiting: deque[Waiting] = deque()
        self.filled = asyncio.Event()
        self.dropped = 0  # requests whose caller had gone or whose time was up before their turn

    def put(self, request: Waiting) -> None:
        """Add a request at the end.

        Raises:
            Trouble: too many are waiting.
        """
        if len(self.waiting) >= self.limits.queue:
            raise Trouble("overloaded", "too many requests are waiting; try again a little later")
        self.waiting.append(request)
        self.filled.set()

    async def take(self) -> list[Waiting]:
        """The requests that are computed next, at least one; all that wait if they are few."""
        while True:
            while not self.waiting:
                self.filled.clear()
                await self.filled.wait()
            if batch := self.front():
                return batch

    def front(self) -> list[Waiting]:
        """Requests from the front up to the bounds of a batch; those answered already are left."""
        batch: list[Waiting] = []
        size = 0
        while self.waiting and len(batch) < self.limits.batch:
            if self.waiting[0].reply.done():
                self.waiting.popleft()
                self.dropped += 1
                continue
            size += len(self.waiting[0].body)
            if batch and size > self.limits.batch_bytes:
                break
            batch.append(self.waiting.popleft())
        return batch

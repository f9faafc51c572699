"""Requests wait in a bounded queue, from which batches are formed."""

from __future__ import annotations

import asyncio

import pytest

from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.queue import PendingRequest, RequestQueue, ServerLimits


def pending_request(body: bytes = b"{}") -> PendingRequest:
    return PendingRequest("json", "id", body)


def test_a_batch_takes_all_waiting_requests_up_to_the_limits() -> None:
    async def batch_sizes() -> list[int]:
        queue = RequestQueue(ServerLimits(max_batch_requests=3, max_batch_bytes=10))
        for size in (2, 2, 2, 2, 50, 2):
            queue.enqueue(pending_request(b"x" * size))
        return [len(await queue.next_batch()) for _ in range(4)]

    assert asyncio.run(batch_sizes()) == [3, 1, 1, 1]


def test_a_batch_may_be_as_large_as_its_limit() -> None:
    async def batch_sizes() -> list[int]:
        queue = RequestQueue(ServerLimits(max_batch_requests=9, max_batch_bytes=10))
        for size in (5, 5, 1):
            queue.enqueue(pending_request(b"x" * size))
        return [len(await queue.next_batch()) for _ in range(2)]

    assert asyncio.run(batch_sizes()) == [2, 1]


def test_a_batch_does_not_wait_for_more() -> None:
    async def first() -> int:
        queue = RequestQueue(ServerLimits())
        taking = asyncio.create_task(queue.next_batch())
        await asyncio.sleep(0)
        queue.enqueue(pending_request())
        return len(await taking)

    assert asyncio.run(first()) == 1


def test_a_full_queue_refuses_requests_at_once() -> None:
    async def fill() -> None:
        queue = RequestQueue(ServerLimits(max_queued_requests=2))
        for _ in range(3):
            queue.enqueue(pending_request())

    with pytest.raises(RequestError) as caught:
        asyncio.run(fill())
    assert (caught.value.status, caught.value.retry_after) == (503, 1)


def test_answered_requests_are_dropped_and_counted() -> None:
    async def batch_sizes() -> tuple[int, int]:
        drops: list[None] = []
        queue = RequestQueue(ServerLimits(), lambda: drops.append(None))
        gone, late, good = pending_request(), pending_request(), pending_request()
        for request in (gone, late, good):
            queue.enqueue(request)
        gone.reply.cancel()
        late.fail(RequestError("timeout", "too late"))
        late.reply.exception()
        return len(await queue.next_batch()), len(drops)

    assert asyncio.run(batch_sizes()) == (1, 2)

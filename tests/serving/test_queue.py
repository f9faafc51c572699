"""Requests wait in a queue with an end, from which batches are taken as they are."""

from __future__ import annotations

import asyncio

import pytest

from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.limits import ServerLimits
from fieldcraft.serving.queue import PendingRequest, RequestQueue


def waiting(body: bytes = b"{}") -> PendingRequest:
    return PendingRequest("plain", "id", body)


def test_all_that_waits_is_one_batch_up_to_the_bounds() -> None:
    async def taken() -> list[int]:
        line = RequestQueue(ServerLimits(max_batch_requests=3, max_batch_bytes=10))
        for size in (2, 2, 2, 2, 50, 2):
            line.enqueue(waiting(b"x" * size))
        return [len(await line.next_batch()) for _ in range(4)]

    assert asyncio.run(taken()) == [3, 1, 1, 1]


def test_a_batch_does_not_wait_for_more() -> None:
    async def first() -> int:
        line = RequestQueue(ServerLimits())
        taking = asyncio.create_task(line.next_batch())
        await asyncio.sleep(0)
        line.enqueue(waiting())
        return len(await taking)

    assert asyncio.run(first()) == 1


def test_what_is_too_much_is_turned_away_at_once() -> None:
    async def fill() -> None:
        line = RequestQueue(ServerLimits(max_queued_requests=2))
        for _ in range(3):
            line.enqueue(waiting())

    with pytest.raises(RequestError) as caught:
        asyncio.run(fill())
    assert (caught.value.status, caught.value.retry_after) == (503, 1)


def test_requests_that_are_over_are_not_computed() -> None:
    async def taken() -> tuple[int, int]:
        line = RequestQueue(ServerLimits())
        gone, late, good = waiting(), waiting(), waiting()
        for request in (gone, late, good):
            line.enqueue(request)
        gone.reply.cancel()
        late.fail(RequestError("deadline", "too late"))
        late.reply.exception()
        return len(await line.next_batch()), line.n_dropped

    assert asyncio.run(taken()) == (1, 2)

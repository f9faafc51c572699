"""Requests wait in a queue with an end, from which batches are taken as they are."""

from __future__ import annotations

import asyncio

import pytest

from fieldcraft.serving.limits import Limits
from fieldcraft.serving.line import Line, Waiting
from fieldcraft.serving.trouble import Trouble


def waiting(body: bytes = b"{}") -> Waiting:
    return Waiting("plain", "id", body)


def test_all_that_waits_is_one_batch_up_to_the_bounds() -> None:
    async def taken() -> list[int]:
        line = Line(Limits(batch=3, batch_bytes=10))
        for size in (2, 2, 2, 2, 50, 2):
            line.put(waiting(b"x" * size))
        return [len(await line.take()) for _ in range(4)]

    assert asyncio.run(taken()) == [3, 1, 1, 1]


def test_a_batch_does_not_wait_for_more() -> None:
    async def first() -> int:
        line = Line(Limits())
        taking = asyncio.create_task(line.take())
        await asyncio.sleep(0)
        line.put(waiting())
        return len(await taking)

    assert asyncio.run(first()) == 1


def test_what_is_too_much_is_turned_away_at_once() -> None:
    async def fill() -> None:
        line = Line(Limits(queue=2))
        for _ in range(3):
            line.put(waiting())

    with pytest.raises(Trouble) as caught:
        asyncio.run(fill())
    assert (caught.value.status, caught.value.retry_after) == (503, 1)


def test_requests_that_are_over_are_not_computed() -> None:
    async def taken() -> tuple[int, int]:
        line = Line(Limits())
        gone, late, good = waiting(), waiting(), waiting()
        for request in (gone, late, good):
            line.put(request)
        gone.reply.cancel()
        late.fail(Trouble("deadline", "too late"))
        late.reply.exception()
        return len(await line.take()), line.dropped

    assert asyncio.run(taken()) == (1, 2)

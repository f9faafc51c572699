"""Workers that crash, hang or fail to start are replaced, and no request waits forever."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fieldcraft.core.errors import BundleError
from fieldcraft.serving import pool
from fieldcraft.serving.model import RequestPolicy
from fieldcraft.serving.pool import WorkerConfig, WorkerPool
from fieldcraft.serving.prediction_log import PredictionLogConfig
from fieldcraft.serving.queue import ServerLimits
from tests.serving.in_process import Answer, StubModel, StubServer, use_threads, wait_until

ANSWER_TIME = 'fieldcraft_request_duration_seconds_bucket{le="30.0",model="shop"}'


def ready(stubbed: StubServer) -> Callable[[], bool]:
    return lambda: stubbed.server.models["shop"].is_ready


def pool_of(stubbed: StubServer) -> WorkerPool:
    worker_pool = stubbed.server.models["shop"].pool
    assert worker_pool is not None
    return worker_pool


def test_worker_arguments_hold_the_whole_configuration() -> None:
    policy = RequestPolicy("forbid", True, 7, True)
    log = PredictionLogConfig(Path("/logs/shop"), 0.25, ("name", "mail"))
    folder, name, *rest = WorkerConfig(
        Path("/shop"), "shop", policy, ServerLimits(), log
    ).to_arguments()
    assert (folder, name) == ("/shop", "shop")
    assert [json.loads(text) for text in rest] == [
        {"extra_columns": "forbid", "redact_errors": True, "max_rows": 7, "allow_file_paths": True},
        {"folder": "/logs/shop", "fraction": 0.25, "exclude": ["name", "mail"]},
    ]
    assert WorkerConfig(Path("/shop"), "shop", policy, ServerLimits()).to_arguments()[-1] == "null"


def test_waiting_requests_are_computed_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    async def compute() -> tuple[StubModel, list[Answer], float]:
        stubbed = await StubServer.start(monkeypatch, ServerLimits(max_batch_requests=5))
        first = [stubbed.ask("first"), stubbed.ask("second")]
        await wait_until(lambda: pool_of(stubbed).n_active_batches)
        more = [stubbed.ask(f"{n}") for n in range(8)]
        await asyncio.sleep(0.01)
        stubbed.model.gate.set()
        answers = await asyncio.gather(*first, *more)
        timed = stubbed.metric(ANSWER_TIME)
        await stubbed.stop()
        return stubbed.model, answers, timed

    model, answers, timed = asyncio.run(compute())
    bodies = ["first", "second", *map(str, range(8))]
    assert [answer.body.decode() for answer in answers] == bodies
    assert model.computed == bodies
    assert len(model.batches) <= 4
    assert max(model.batches) == 5
    assert timed == 10


def test_a_crashed_worker_fails_only_its_own_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def died() -> tuple[list[Answer], StubServer, float]:
        stubbed = await StubServer.start(
            monkeypatch, ServerLimits(max_batch_requests=1), model=StubModel(failures=1)
        )
        tasks = [stubbed.ask(f"{n}") for n in range(6)]
        await wait_until(lambda: len(stubbed.queue.pending) == 6 - pool.MAX_BATCHES_IN_FLIGHT)
        first = pool_of(stubbed).workers[0]
        stubbed.model.gate.set()
        answers = await asyncio.gather(*tasks)
        n_restarts = stubbed.metric('fieldcraft_worker_restarts_total{model="shop"}')
        await wait_until(ready(stubbed))
        assert first.writer.is_closing()  # else its socket stays open until it is collected
        await stubbed.stop()
        return answers, stubbed, n_restarts

    answers, stubbed, n_restarts = asyncio.run(died())
    assert [answer.status for answer in answers] == [503] * pool.MAX_BATCHES_IN_FLIGHT + [200] * (
        6 - pool.MAX_BATCHES_IN_FLIGHT
    )
    assert {answer.headers["retry-after"] for answer in answers[: pool.MAX_BATCHES_IN_FLIGHT]} == {
        "1"
    }
    errors = [json.loads(answer.body)["error"] for answer in answers[: pool.MAX_BATCHES_IN_FLIGHT]]
    assert {error["code"] for error in errors} == {"worker_crashed"}
    # At once, not only when the time for an answer is over.
    assert {error["message"] for error in errors} == {"the model's process ended; try again"}
    assert stubbed.model.computed == ["2", "3", "4", "5"]
    assert (n_restarts, len(stubbed.threads)) == (1, 2)


def test_a_hanging_worker_is_killed_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hung() -> tuple[list[Answer], int]:
        stubbed = await StubServer.start(
            monkeypatch, ServerLimits(request_timeout_seconds=0.05, max_batch_requests=1)
        )
        stubbed.app.limits = ServerLimits(
            request_timeout_seconds=20
        )  # so that the worker times out first
        lost = await stubbed.ask("hangs")
        stubbed.model.gate.set()
        await wait_until(ready(stubbed))
        answers = [lost, await stubbed.ask("next")]
        await stubbed.stop()
        return answers, len(stubbed.threads)

    answers, started = asyncio.run(hung())
    assert [answer.status for answer in answers] == [503, 200]
    assert started == 2


def test_a_worker_that_cannot_be_restarted_is_retried_with_backoff(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "RESTART_BACKOFF_SECONDS", (0.0, 0.0011, 0.0022))
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def record_pause(seconds: float) -> None:
        if seconds in pool.RESTART_BACKOFF_SECONDS[1:]:
            pauses.append(seconds)
        await sleep(0 if seconds in pool.RESTART_BACKOFF_SECONDS[1:] else seconds)

    async def broken() -> tuple[Answer, bool]:
        stubbed = await StubServer.start(monkeypatch, model=StubModel(failures=1))
        monkeypatch.setattr(asyncio, "sleep", record_pause)
        stubbed.model.error = "it cannot be read"
        stubbed.model.gate.set()
        await stubbed.ask("kills it")
        await wait_until(lambda: len(pauses) >= 4)
        down = ready(stubbed)()
        stubbed.model.error = ""
        await wait_until(ready(stubbed))
        answer = await stubbed.ask("again")
        await stubbed.stop()
        return answer, down

    answer, down = asyncio.run(broken())
    assert (answer.status, down) == (200, False)
    assert pauses[:4] == [0.0011, 0.0022, 0.0022, 0.0022]


def test_a_worker_whose_process_cannot_be_started_is_retried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "RESTART_BACKOFF_SECONDS", (0.0, 0.001))
    refusals: list[str] = []

    async def refused() -> Answer:
        stubbed = await StubServer.start(monkeypatch, model=StubModel(failures=1))
        spawn_process = pool.spawn_process

        async def spawn(config: WorkerConfig, stream: socket.socket) -> Any:
            if len(refusals) < 2:
                refusals.append(config.model_name)
                raise BlockingIOError("no more processes")
            return await spawn_process(config, stream)

        monkeypatch.setattr(pool, "spawn_process", spawn)
        stubbed.model.gate.set()
        await stubbed.ask("kills it")
        await wait_until(lambda: len(refusals) == 2)
        await wait_until(ready(stubbed))
        answer = await stubbed.ask("again")
        await stubbed.stop()
        return answer

    assert asyncio.run(refused()).status == 200
    assert refusals == ["shop", "shop"]


def test_a_process_that_cannot_be_started_is_an_error_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(config: WorkerConfig, stream: socket.socket) -> Any:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(pool, "spawn_process", refuse)
    config = WorkerConfig(Path("/shop"), "shop", RequestPolicy(), ServerLimits())
    with pytest.raises(BundleError, match="'shop' cannot be served") as caught:
        asyncio.run(pool.Worker.start(config))
    assert caught.value.detail == "its process cannot be started: no more processes"


def test_a_bundle_that_cannot_be_run_fails_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(**model: Any) -> None:
        await StubServer.start(monkeypatch, model=StubModel(**model))

    with pytest.raises(BundleError, match="'shop' cannot be served") as caught:
        asyncio.run(start(error="no such file\nand more"))
    assert caught.value.detail == "no such file"


def test_a_worker_that_never_becomes_ready_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(StubModel):
        def work(self, stream: Any, *words: str) -> None:
            stream.recv(1)

    monkeypatch.setattr(pool, "START_TIMEOUT_SECONDS", 0.02)

    async def start() -> None:
        await StubServer.start(monkeypatch, model=Silent())

    with pytest.raises(BundleError, match="cannot be served") as caught:
        asyncio.run(start())
    assert "before it was ready" in str(caught.value.detail)


def test_several_workers_share_one_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    async def shared() -> tuple[int, list[Answer], list[int | None]]:
        stubbed = await StubServer.start(monkeypatch, ServerLimits(max_batch_requests=1), workers=3)
        await wait_until(lambda: len(pool_of(stubbed).workers) == 3)
        tasks = [stubbed.ask(f"{n}") for n in range(9)]
        await wait_until(lambda: len(stubbed.queue.pending) == 9 - 3 * pool.MAX_BATCHES_IN_FLIGHT)
        busy = pool_of(stubbed).n_active_batches
        stubbed.model.gate.set()
        answers = await asyncio.gather(*tasks)
        await stubbed.stop()
        return busy, answers, [thread.returncode for thread in stubbed.threads]

    busy, answers, codes = asyncio.run(shared())
    assert busy == 3 * pool.MAX_BATCHES_IN_FLIGHT
    assert [answer.body for answer in answers] == [str(n).encode() for n in range(9)]
    assert codes == [0, 0, 0]


def test_a_stopping_pool_finishes_its_batches_and_takes_no_further_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def stopped() -> tuple[bool, list[Answer], int]:
        stubbed = await StubServer.start(monkeypatch, ServerLimits(max_batch_requests=1))
        tasks = [stubbed.ask(f"{n}") for n in range(5)]
        await wait_until(lambda: len(stubbed.queue.pending) == 5 - pool.MAX_BATCHES_IN_FLIGHT)
        stopping = asyncio.create_task(pool_of(stubbed).stop())
        await asyncio.sleep(0.03)
        early = stopping.done()
        stubbed.model.gate.set()
        await stopping
        answers = await asyncio.gather(*tasks[: pool.MAX_BATCHES_IN_FLIGHT])
        left = len(stubbed.queue.pending)
        for task in tasks[pool.MAX_BATCHES_IN_FLIGHT :]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stubbed.queue.pending.clear()
        await stubbed.stop()
        return early, answers, left

    early, answers, left = asyncio.run(stopped())
    assert not early
    assert [answer.status for answer in answers] == [200] * pool.MAX_BATCHES_IN_FLIGHT
    assert left == 5 - pool.MAX_BATCHES_IN_FLIGHT


def test_a_pool_can_be_stopped_while_a_worker_restarts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def restarting() -> list[int | None]:
        stubbed = await StubServer.start(monkeypatch, model=StubModel(failures=1))
        loading = threading.Event()

        def load(stream: socket.socket, *words: str) -> None:
            loading.set()
            stream.recv(1)  # until it is killed

        stubbed.model.gate.set()
        threads = use_threads(monkeypatch, load)
        await stubbed.ask("dies")
        await wait_until(loading.is_set)
        await stubbed.stop()
        await wait_until(lambda: threads[0].returncode == 0)  # it does not keep running
        return [thread.returncode for thread in [*stubbed.threads, *threads]]

    assert asyncio.run(restarting()) == [0, 0]


def test_a_stopping_pool_leaves_later_requests_to_the_next_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def stopped() -> tuple[list[str], list[bytes]]:
        stubbed = await StubServer.start(monkeypatch, ServerLimits(max_batch_requests=1))
        first = stubbed.ask("first")
        await wait_until(lambda: pool_of(stubbed).n_active_batches and pool_of(stubbed).idle_tasks)
        stopping = asyncio.create_task(pool_of(stubbed).stop())
        await wait_until(lambda: pool_of(stubbed).is_closing)
        later = stubbed.ask("later")
        await wait_until(lambda: stubbed.app.active_requests == 2)
        await asyncio.sleep(0.01)
        stubbed.model.gate.set()
        await stopping
        computed = list(stubbed.model.computed)
        served = stubbed.server.models["shop"]
        served.pool = await served.start_pool()  # as after the bundle was replaced
        answers = [(await first).body, (await later).body]
        await stubbed.stop()
        return computed, answers

    assert asyncio.run(stopped()) == (["first"], [b"first", b"later"])

"""Every request is answered once or refused with a reason; none is lost."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from fieldcraft.serving import app, pool
from fieldcraft.serving.queue import ServerLimits
from tests.serving.in_process import Answer, StubModel, StubServer, call, wait_until

ONE_BY_ONE = ServerLimits(max_batch_requests=1, max_queued_requests=4)


def code_of(answer: Answer) -> str:
    """Return the error code of a response; empty if it is a success."""
    assert answer.ended
    if answer.status == 200:
        return ""
    return str(json.loads(answer.body)["error"]["code"])


async def occupy_worker(stubbed: StubServer, waiting: int = 0) -> list[asyncio.Task[Answer]]:
    """Keep the worker busy with all the batches it accepts, and fill the queue."""
    tasks = [stubbed.ask(f"busy{n}") for n in range(pool.MAX_BATCHES_IN_FLIGHT)]
    workers = stubbed.server.models["shop"].pool
    assert workers is not None
    await wait_until(lambda: workers.n_active_batches == pool.MAX_BATCHES_IN_FLIGHT)
    tasks += [stubbed.ask(f"waits{n}") for n in range(waiting)]
    await wait_until(lambda: len(stubbed.queue.pending) == waiting)
    return tasks


def test_under_overload_every_request_is_answered_or_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def siege() -> tuple[list[Answer], list[Answer], StubModel, list[float]]:
        stubbed = await StubServer.start(monkeypatch, ONE_BY_ONE)
        accepted = await occupy_worker(stubbed, waiting=ONE_BY_ONE.max_queued_requests)
        refused = [stubbed.ask(f"late{n}") for n in range(20)]
        early = await asyncio.gather(*refused)  # at once, while the model is busy
        stubbed.model.gate.set()
        answers = await asyncio.gather(*accepted)
        counted = [
            stubbed.metric(
                f'fieldcraft_requests_total{{code="{code}",model="shop",status="{status}"}}'
            )
            for code, status in (("ok", 200), ("overloaded", 503))
        ]
        await stubbed.stop()
        return early, answers, stubbed.model, counted

    refused, answered, model, counted = asyncio.run(siege())
    bodies = [
        *(f"busy{n}" for n in range(pool.MAX_BATCHES_IN_FLIGHT)),
        *(f"waits{n}" for n in range(4)),
    ]
    assert [answer.body.decode() for answer in answered] == bodies
    assert {code_of(answer) for answer in answered} == {""}
    assert Counter(model.computed) == Counter(bodies)  # each once, and no refused one
    assert {(a.status, code_of(a), a.headers["retry-after"]) for a in refused} == {
        (503, "overloaded", "1")
    }
    assert counted == [len(bodies), 20]


def test_a_request_whose_client_has_left_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "DISCONNECT_POLL_SECONDS", 0.001)

    async def abandoned() -> tuple[list[Answer], StubModel, float, float]:
        stubbed = await StubServer.start(monkeypatch, ONE_BY_ONE)
        tasks = await occupy_worker(stubbed, waiting=1)
        leaving = asyncio.Event()
        gone = stubbed.ask("abandoned", hang_up=leaving)
        await wait_until(lambda: len(stubbed.queue.pending) == 2)
        last = stubbed.ask("last")
        leaving.set()
        answers = [await gone]  # though the model is still busy
        stubbed.model.gate.set()
        answers += await asyncio.gather(*tasks, last)
        dropped = stubbed.metric('fieldcraft_dropped_requests_total{model="shop"}')
        counted = stubbed.metric(
            'fieldcraft_requests_total{code="client_disconnected",model="shop",status="499"}'
        )
        await stubbed.stop()
        return answers, stubbed.model, dropped, counted

    (gone, *others), model, dropped, counted = asyncio.run(abandoned())
    assert (gone.status, gone.body) == (0, b"")
    assert {answer.status for answer in others} == {200}
    assert model.computed == ["busy0", "busy1", "waits0", "last"]
    assert (dropped, counted) == (1, 1)


def test_a_client_that_leaves_during_its_batch_does_not_affect_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "DISCONNECT_POLL_SECONDS", 0.001)

    async def left() -> tuple[Answer, list[Answer], int]:
        stubbed = await StubServer.start(monkeypatch)
        leaving = asyncio.Event()
        gone = stubbed.ask("gone", hang_up=leaving)
        others = [stubbed.ask(f"other{n}") for n in range(3)]
        await wait_until(lambda: not stubbed.queue.pending and stubbed.app.active_requests == 4)
        leaving.set()
        answer = await gone
        running = stubbed.app.active_requests
        stubbed.model.gate.set()
        answers = await asyncio.gather(*others)
        await stubbed.stop()
        return answer, answers, running

    gone, others, running = asyncio.run(left())
    assert gone.status == 0
    assert [answer.body for answer in others] == [b"other0", b"other1", b"other2"]
    assert running == 3


def test_a_request_that_waits_too_long_gets_504_and_is_not_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def late() -> tuple[Answer, StubModel]:
        stubbed = await StubServer.start(monkeypatch, ONE_BY_ONE)
        await occupy_worker(stubbed)
        stubbed.app.limits = ServerLimits(
            request_timeout_seconds=0.01
        )  # of requests, not of the batches under way
        async with asyncio.timeout(5):
            answer = await stubbed.ask("late")
        await stubbed.stop()
        return answer, stubbed.model

    answer, model = asyncio.run(late())
    assert (answer.status, code_of(answer)) == (504, "timeout")
    assert "late" not in model.computed


def test_a_stopping_server_answers_accepted_requests_and_refuses_new_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def drained() -> tuple[list[Answer], Answer, bool, StubModel, list[Any]]:
        stubbed = await StubServer.start(
            monkeypatch, ServerLimits(max_batch_requests=1, max_queued_requests=50)
        )
        accepted = await occupy_worker(stubbed, waiting=20)
        await stubbed.server.start_draining()
        refused = await stubbed.ask("late")
        ready = await call(stubbed.app, path="/health/ready", method="GET")
        assert ready.status == 503
        stopping = asyncio.create_task(stubbed.server.stop())
        await asyncio.sleep(0.03)
        early = stopping.done()
        stubbed.model.gate.set()
        await stopping
        done = [task.result() if task.done() else Answer() for task in accepted]
        return done, refused, early, stubbed.model, stubbed.threads

    answers, refused, early, model, threads = asyncio.run(drained())
    bodies = ["busy0", "busy1", *(f"waits{n}" for n in range(20))]
    assert not early
    assert [(a.status, a.body.decode()) for a in answers] == [(200, body) for body in bodies]
    assert model.computed == bodies
    assert (refused.status, code_of(refused)) == (503, "not_ready")
    assert refused.headers["retry-after"] == "2"
    assert [thread.returncode for thread in threads] == [0]  # workers have ended as well


def test_a_body_that_is_still_arriving_when_the_server_stops_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def coming() -> tuple[Answer, bool]:
        stubbed = await StubServer.start(monkeypatch)
        stubbed.model.gate.set()
        rest = asyncio.Event()
        task = asyncio.create_task(call(stubbed.app, iter([b"one", b"two"]), resume=rest))
        await wait_until(lambda: stubbed.app.active_requests)
        await asyncio.sleep(0.01)
        await stubbed.server.start_draining()
        stopping = asyncio.create_task(stubbed.server.stop())
        await asyncio.sleep(0.03)
        early = stopping.done()
        rest.set()
        await stopping
        return await task, early

    answer, early = asyncio.run(coming())
    assert (answer.status, answer.body, early) == (200, b"onetwo", False)


def test_a_request_that_cannot_be_answered_does_not_delay_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hanging() -> Answer:
        stubbed = await StubServer.start(
            monkeypatch, ServerLimits(request_timeout_seconds=0.1, shutdown_timeout_seconds=0.01)
        )
        task = stubbed.ask("hangs")
        await wait_until(lambda: stubbed.app.active_requests and not stubbed.queue.pending)
        async with asyncio.timeout(5):
            stopping = asyncio.create_task(stubbed.server.stop())
            answer = await task
            stubbed.model.gate.set()
            await stopping
        return answer

    answer = asyncio.run(hanging())
    assert answer.status in (503, 504)
    assert code_of(answer) in ("worker_crashed", "timeout")


def endless() -> Iterator[bytes]:
    while True:
        yield b"x" * 100


def answer_of_small_server(monkeypatch: pytest.MonkeyPatch, **how: Any) -> Answer:
    """Return the response of a server that accepts bodies of up to 1,000 bytes."""

    async def ask() -> Answer:
        limits = ServerLimits(max_body_bytes=1_000, read_timeout_seconds=0.02)
        stubbed = await StubServer.start(monkeypatch, limits, token=how.pop("token", None))
        stubbed.model.gate.set()
        async with asyncio.timeout(5):
            answer = await call(stubbed.app, **how)
        await stubbed.stop()
        assert stubbed.app.active_requests == 0
        return answer

    return asyncio.run(ask())


def test_a_body_without_a_length_is_read_no_further_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "MAX_DRAINED_BYTES", 500)
    answer = answer_of_small_server(monkeypatch, body=endless())
    assert (answer.status, code_of(answer)) == (413, "payload_too_large")
    assert answer.headers["connection"] == "close"
    assert (answer.before, answer.pieces) == (
        11,
        11 + 5,
    )  # one chunk too many; then the drained ones


def test_the_rest_of_a_refused_body_is_drained_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "DRAIN_BODY_SECONDS", 0.01)
    answer = answer_of_small_server(monkeypatch, body=iter([b"x" * 2_000]), stall=True)
    assert (answer.status, answer.ended, answer.pieces) == (413, True, 1)
    answer = answer_of_small_server(monkeypatch, body=iter([b"x" * 600, b"x" * 600]), stall=True)
    assert (answer.status, answer.ended, answer.pieces) == (413, True, 2)


@pytest.mark.parametrize("size", [999, 1_000, 1_001])
@pytest.mark.parametrize("whole", [True, False])
def test_the_limit_of_a_body_holds_to_the_byte(
    monkeypatch: pytest.MonkeyPatch, size: int, whole: bool
) -> None:
    body = b"x" * size
    answer = answer_of_small_server(
        monkeypatch, body=body if whole else iter([body[:400], body[400:]])
    )
    assert answer.status == (200 if size <= 1_000 else 413)
    assert answer.body == body if size <= 1_000 else code_of(answer) == "payload_too_large"


def test_a_content_length_over_the_limit_is_refused_before_the_body_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "DRAIN_BODY_SECONDS", 0.01)
    answer = answer_of_small_server(
        monkeypatch, body=b"{}", headers={"content-length": "1001"}, stall=True
    )
    assert (answer.status, answer.before) == (413, 0)


def test_a_body_that_stops_half_way_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "DRAIN_BODY_SECONDS", 0.01)
    answer = answer_of_small_server(monkeypatch, body=iter([b"{"]), stall=True)
    assert (answer.status, code_of(answer)) == (408, "request_timeout")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "unauthorized"),
        ({"authorization": "Bearer secre"}, "unauthorized"),
        ({"authorization": "secret"}, "unauthorized"),
        ({"authorization": "Bearer secret "}, "unauthorized"),
        ({"authorization": "Bearer secret"}, ""),
        (
            {"authorization": "Bearer secret", "content-type": "text/plain"},
            "unsupported_media_type",
        ),
        ({"authorization": "Bearer secret", "content-type": ""}, "unsupported_media_type"),
        ({"authorization": "Bearer secret", "content-type": "Application/JSON; charset=x"}, ""),
    ],
)
def test_the_token_and_the_content_type_are_checked(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], code: str
) -> None:
    answer = answer_of_small_server(monkeypatch, token="secret", headers=headers)
    assert code_of(answer) == code
    assert ("www-authenticate" in answer.headers) == (code == "unauthorized")


def test_other_methods_get_405_and_the_allowed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = answer_of_small_server(monkeypatch, method="PUT")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("sent_id", "is_kept"),
    [("client-7", True), ("x" * 128, True), ("x" * 129, False), ("", False), ("a\tb", False),
     ("é", False)],
)  # fmt: skip
def test_valid_request_ids_are_kept_and_others_replaced(
    monkeypatch: pytest.MonkeyPatch, sent_id: str, is_kept: bool
) -> None:
    answer = answer_of_small_server(monkeypatch, headers={"x-request-id": sent_id})
    request_id = answer.headers["x-request-id"]
    assert (request_id == sent_id) == is_kept
    assert is_kept or len(bytes.fromhex(request_id)) == 8
    assert answer.headers["content-length"] == str(len(answer.body))


def test_the_duration_of_a_request_is_recorded_and_its_timeout_canceled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = iter([10.0, 12.5])
    monkeypatch.setattr("fieldcraft.serving.app.time.perf_counter", lambda: next(moments))

    async def answered() -> tuple[float, list[asyncio.TimerHandle]]:
        loop = asyncio.get_running_loop()
        handles: list[asyncio.TimerHandle] = []
        later = loop.call_later

        def record_timer(delay: float, callback: Any, *arguments: Any) -> asyncio.TimerHandle:
            handle = later(delay, callback, *arguments)
            if callback is app.fail_with_timeout:
                assert delay == 7.0
                handles.append(handle)
            return handle

        stubbed = await StubServer.start(monkeypatch, ServerLimits(request_timeout_seconds=7.0))
        monkeypatch.setattr(loop, "call_later", record_timer)
        stubbed.model.gate.set()
        await stubbed.ask("{}")
        monkeypatch.setattr(loop, "call_later", later)
        seconds = stubbed.metric('fieldcraft_request_duration_seconds_sum{model="shop"}')
        await stubbed.stop()
        return seconds, handles

    seconds, handles = asyncio.run(answered())
    assert seconds == 2.5
    assert [handle.cancelled() for handle in handles] == [True]


def test_the_status_of_invalid_input_can_be_configured() -> None:
    prediction_app = app.PredictionApp({}, None, None, ServerLimits(), invalid_status=400)  # type: ignore[arg-type]
    assert (
        prediction_app.status_by_code["invalid_input"],
        prediction_app.status_by_code["overloaded"],
        prediction_app.status_by_code[""],
    ) == (400, 503, 200)

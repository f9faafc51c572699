"""Health, metadata and the description of a server are there, in the shape of its answers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.serving.in_process import Answer, StubModel, StubServer, call, wait_until


def get_pages(
    patch: pytest.MonkeyPatch, *paths: str, method: str = "GET", **plan: Any
) -> list[Answer]:
    """The answers of a server to requests for pages."""

    async def ask() -> list[Answer]:
        stubbed = await StubServer.start(patch, **plan)
        found = [await call(stubbed.door, path=path, method=method) for path in paths]
        await stubbed.stop()
        return found

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/health/live", {"status": "live"}),
        ("/health/ready", {"ready": True}),
        ("/ping", {"ready": True}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/shop/ready", {"name": "shop", "ready": True}),
        ("/v2/models/shop", {"inputs": [], "outputs": []}),
        (
            "/models",
            [{"name": "shop", "version": "first", "columns": {},
              "predict": ["/predict", "/mine", "/models/shop/predict"]}],
        ),
    ],
)  # fmt: skip
def test_a_page_says(monkeypatch: pytest.MonkeyPatch, path: str, body: Any) -> None:
    [answer] = get_pages(monkeypatch, path, route="/mine")
    assert (answer.status, json.loads(answer.body)) == (200, body)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v2/models/other", 404, "not_found"),
        ("GET", "/v2/models/other/ready", 404, "not_found"),
        ("POST", "/models", 405, "wrong_method"),
    ],
)
def test_what_is_not_there_is_told_like_any_error(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str, status: int, code: str
) -> None:
    [answer] = get_pages(monkeypatch, path, method=method)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (status, code)


def test_a_model_without_a_process_is_not_ready_and_the_server_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = ("/health/ready", "/v2/health/ready", "/ping", "/v2/models/shop/ready", "/health/live")

    async def down() -> list[int]:
        stubbed = await StubServer.start(monkeypatch, model=StubModel(failures=1))
        stubbed.model.error = "gone"
        stubbed.model.gate.set()
        await stubbed.ask("dies")
        await wait_until(lambda: not stubbed.server.models["shop"].is_ready)
        found = [(await call(stubbed.door, path=path, method="GET")).status for path in paths]
        await stubbed.stop()
        return found

    assert asyncio.run(down()) == [503, 503, 503, 503, 200]


def test_the_figures_show_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def waiting() -> str:
        stubbed = await StubServer.start(monkeypatch, workers=1)
        asked = [stubbed.ask("one")]
        await wait_until(lambda: stubbed.server.models["shop"].pool.n_active_batches)  # type: ignore[union-attr]
        asked += [stubbed.ask("two")]
        await wait_until(lambda: stubbed.server.models["shop"].pool.n_active_batches == 2)  # type: ignore[union-attr]
        asked += [stubbed.ask(f"{n}") for n in range(3)]
        await wait_until(lambda: len(stubbed.queue.pending) == 3)
        answer = await call(stubbed.door, path="/metrics", method="GET")
        stubbed.model.gate.set()
        await asyncio.gather(*asked)
        await stubbed.stop()
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return answer.body.decode()

    assert 'fieldcraft_queue{model="shop"} 3.0' in asyncio.run(waiting()).splitlines()

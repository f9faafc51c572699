"""Health, metadata and OpenAPI routes answer, and errors have the common format."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.serving.in_process import Answer, StubModel, StubServer, call, wait_until


def get_pages(
    patch: pytest.MonkeyPatch, *paths: str, method: str = "GET", **config: Any
) -> list[Answer]:
    """Return the responses of a server to requests for these paths."""

    async def ask() -> list[Answer]:
        stubbed = await StubServer.start(patch, **config)
        responses = [await call(stubbed.app, path=path, method=method) for path in paths]
        await stubbed.stop()
        return responses

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
              "predict_paths": ["/predict", "/extra", "/models/shop/predict"]}],
        ),
    ],
)  # fmt: skip
def test_management_routes_answer(monkeypatch: pytest.MonkeyPatch, path: str, body: Any) -> None:
    [answer] = get_pages(monkeypatch, path, extra_route="/extra")
    assert (answer.status, json.loads(answer.body)) == (200, body)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v2/models/other", 404, "not_found"),
        ("GET", "/v2/models/other/ready", 404, "not_found"),
        ("POST", "/models", 405, "method_not_allowed"),
    ],
)
def test_unknown_paths_and_methods_have_the_common_error_format(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str, status: int, code: str
) -> None:
    [answer] = get_pages(monkeypatch, path, method=method)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (status, code)


def test_a_model_without_workers_is_not_ready_but_the_server_is_live(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = ("/health/ready", "/v2/health/ready", "/ping", "/v2/models/shop/ready", "/health/live")

    async def down() -> list[int]:
        stubbed = await StubServer.start(monkeypatch, model=StubModel(failures=1))
        stubbed.model.error = "client_disconnected"
        stubbed.model.gate.set()
        await stubbed.ask("dies")
        await wait_until(lambda: not stubbed.server.models["shop"].is_ready)
        statuses = [(await call(stubbed.app, path=path, method="GET")).status for path in paths]
        await stubbed.stop()
        return statuses

    assert asyncio.run(down()) == [503, 503, 503, 503, 200]


def test_metrics_show_the_queue_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    async def waiting() -> str:
        stubbed = await StubServer.start(monkeypatch, workers=1)
        tasks = [stubbed.ask("one")]
        await wait_until(lambda: stubbed.server.models["shop"].pool.n_active_batches)  # type: ignore[union-attr]
        tasks += [stubbed.ask("two")]
        await wait_until(lambda: stubbed.server.models["shop"].pool.n_active_batches == 2)  # type: ignore[union-attr]
        tasks += [stubbed.ask(f"{n}") for n in range(3)]
        await wait_until(lambda: len(stubbed.queue.pending) == 3)
        answer = await call(stubbed.app, path="/metrics", method="GET")
        stubbed.model.gate.set()
        await asyncio.gather(*tasks)
        await stubbed.stop()
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return answer.body.decode()

    assert 'fieldcraft_queue_depth{model="shop"} 3.0' in asyncio.run(waiting()).splitlines()

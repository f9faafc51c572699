"""A replaced bundle is reloaded; if it is broken or missing, the old one keeps serving."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from fieldcraft.core.errors import BundleError
from fieldcraft.serving import deployed_model, pool
from fieldcraft.serving.deployed_model import file_signature, name_bundles
from fieldcraft.serving.queue import ServerLimits
from tests.serving.in_process import Answer, StubServer, call, wait_until

INFO = 'fieldcraft_model_info{{model="shop",version="{}"}}'
RELOADS = 'fieldcraft_model_reloads_total{{model="shop",outcome="{}"}}'


def write(folder: Path, text: str) -> None:
    """Replace the manifest as packaging does, by another file of the same name."""
    aside = folder / "aside"
    aside.write_text(text, encoding="utf-8")
    aside.replace(folder / "manifest.json")


def test_a_new_version_answers_and_the_old_workers_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployed_model, "BUNDLE_POLL_SECONDS", 0.001)
    write(tmp_path, "{}")

    async def changed() -> dict[str, Any]:
        stubbed = await StubServer.start(monkeypatch, folder=tmp_path)
        old = stubbed.ask("old")
        await wait_until(lambda: stubbed.server.models["shop"].pool.n_active_batches)  # type: ignore[union-attr]
        stubbed.model.version = "second"
        write(tmp_path, "{ }")
        await wait_until(lambda: stubbed.metric(RELOADS.format("success")))
        stubbed.model.gate.set()
        observed: dict[str, Any] = {
            "old": (await old).status,
            "new": (await stubbed.ask("new")).status,
        }
        await wait_until(lambda: stubbed.threads[0].returncode == 0)
        observed["info"] = [stubbed.metric(INFO.format(name)) for name in ("first", "second")]
        (tmp_path / "manifest.json").unlink()  # it is about to be replaced
        await asyncio.sleep(0.01)
        stubbed.model.error = "damaged"
        write(tmp_path, "{  }")
        await wait_until(lambda: stubbed.metric(RELOADS.format("failure")))
        await asyncio.sleep(0.01)
        observed["kept"] = stubbed.server.models["shop"].info["version"]
        observed["answers"] = (await stubbed.ask("still")).status
        observed["reloads"] = [
            stubbed.metric(RELOADS.format(how)) for how in ("success", "failure")
        ]
        observed["models"] = (await call(stubbed.app, path="/models", method="GET")).body
        await stubbed.stop()
        return observed

    observed = asyncio.run(changed())
    assert (observed["old"], observed["new"], observed["answers"]) == (200, 200, 200)
    assert observed["info"] == [0, 1]
    assert observed["kept"] == "second"
    assert observed["reloads"] == [1, 1]  # a broken bundle is tried once
    assert b'"version":"second"' in observed["models"]


def test_reloading_the_same_version_keeps_its_info_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployed_model, "BUNDLE_POLL_SECONDS", 0.001)
    write(tmp_path, "{}")

    async def again() -> float:
        stubbed = await StubServer.start(monkeypatch, folder=tmp_path)
        write(tmp_path, "{ }")
        await wait_until(lambda: stubbed.threads[0].returncode == 0)
        model_info = stubbed.metric(INFO.format("first"))
        await stubbed.stop()
        return model_info

    assert asyncio.run(again()) == 1


def test_the_file_signature_changes_with_time_or_inode(tmp_path: Path) -> None:
    assert file_signature(tmp_path) is None
    write(tmp_path, "{}")
    first = file_signature(tmp_path)
    os.utime(tmp_path / "manifest.json", ns=(1, 1))
    second = file_signature(tmp_path)
    write(tmp_path, "{}")
    os.utime(tmp_path / "manifest.json", ns=(1, 1))
    assert len({first, second, file_signature(tmp_path)}) == 3
    assert file_signature(tmp_path) == file_signature(tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("shop/bundle", "shop"), ("models/shop", "shop"), ("models/shop.v2", "shop"),
        ("other=models/shop", "other"), ("a=b=models/shop", "a=b"), ("=models/shop", "shop"),
    ],
)  # fmt: skip
def test_bundles_are_named_by_the_argument_or_their_folder(path: str, name: str) -> None:
    [(model_name, folder)] = name_bundles([path]).items()
    assert model_name == name
    assert str(folder) == path.rpartition("=")[2]


def test_two_bundles_of_one_name_are_refused() -> None:
    assert list(name_bundles(["a/shop", "second=b/shop"])) == ["shop", "second"]
    with pytest.raises(BundleError, match="two bundles have the name 'shop'") as caught:
        name_bundles(["a/shop", "b/shop"])
    assert caught.value.detail == "a/shop and b/shop"


def test_a_stopping_model_answers_all_pending_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stopped() -> tuple[bool, list[Answer]]:
        stubbed = await StubServer.start(monkeypatch, ServerLimits(max_batch_requests=1))
        tasks = [stubbed.ask(f"{n}") for n in range(9)]
        await wait_until(lambda: len(stubbed.queue.pending) == 9 - pool.MAX_BATCHES_IN_FLIGHT)
        stopping = asyncio.create_task(stubbed.server.models["shop"].stop())
        await asyncio.sleep(0.03)
        early = stopping.done()
        stubbed.model.gate.set()
        await stopping
        return early, await asyncio.gather(*tasks)

    early, answers = asyncio.run(stopped())
    assert not early
    assert [(a.status, a.body) for a in answers] == [(200, str(n).encode()) for n in range(9)]

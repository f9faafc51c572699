"""A real server over HTTP answers, refuses, survives crashes, reloads and stops cleanly.

Most tests use a server in this process; tests of processes and signals start their own.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
import tritonclient.http

from fieldcraft.bundle.manifest import MANIFEST_FILE, write_manifest
from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core import files
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.serving import deployed_model
from fieldcraft.serving import server as server_module
from fieldcraft.serving.prediction_log import PredictionLogConfig
from fieldcraft.serving.queue import ServerLimits
from fieldcraft.serving.server import ServerConfig
from tests.environments import create_environment
from tests.serving.in_process import TIMEOUT, listening, metric_value, use_threads

ROW = {"age": 38.5, "city": "Rome", "member": "yes", "seen": "2025-11-15"}
LIMITS = ServerLimits(max_body_bytes=1 << 20)


@pytest.fixture(scope="module")
def bundle(finished_project_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("served") / "shop"
    shutil.copytree(ProjectFolder(finished_project_folder / "project").bundle_path, place)
    return place


@pytest.fixture(scope="module")
def threads() -> Iterator[pytest.MonkeyPatch]:
    """Run workers in threads, poll bundles often, and do not wait before draining."""
    with pytest.MonkeyPatch.context() as patch:
        use_threads(patch)
        patch.setattr(server_module, "DRAIN_ANNOUNCEMENT_SECONDS", 0.0)
        patch.setattr(deployed_model, "BUNDLE_POLL_SECONDS", 0.01)
        yield patch


@pytest.fixture(scope="module")
def server(bundle: Path, threads: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    with listening(ServerConfig({"shop": bundle}, limits=LIMITS)) as client:
        yield client


def predict(client: httpx.Client, value: Any, **headers: str) -> httpx.Response:
    return client.post("/predict", json=value, headers=headers)


def metric(client: httpx.Client, name: str) -> float:
    return metric_value(client.get("/metrics").text, name)


@contextmanager
def server_process(
    *arguments: str, python: str | Path = sys.executable, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """Yield a server in its own process on a free port; it is terminated at the end."""
    command = [python, "-m", "fieldcraft", "serve", *arguments, "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or "listening on" not in lines[-1]:
        line = process.stdout.readline()
        if not line:
            process.communicate()
            pytest.fail("".join(lines))
        lines.append(line)
    draining = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    draining.start()
    address = re.search(r"http://\S+", lines[-1])
    assert address
    with httpx.Client(base_url=address[0], timeout=TIMEOUT) as client:
        try:
            yield process, client
        finally:
            process.terminate()
            process.wait(TIMEOUT)
            draining.join(TIMEOUT)
            process.stdout.close()


def test_answers_equal_those_of_the_bundle_and_have_version_and_request_id(
    server: httpx.Client, bundle: Path
) -> None:
    answer = predict(server, ROW, **{"x-request-id": "client-1"}).json()
    loaded = load_bundle(bundle)
    expected = loaded.predict(pl.DataFrame([{**ROW, "age": "38.5"}]))
    assert answer["prediction"] == expected["prediction"][0]
    assert answer["probabilities"]["yes"] == pytest.approx(expected["probability_yes"][0], abs=1e-6)
    assert answer["model_version"] == loaded.model_id[:16]
    assert answer["request_id"] == "client-1"
    several = predict(server, {"rows": [ROW, ROW]}).json()
    assert [p["prediction"] for p in several["predictions"]] == [answer["prediction"]] * 2
    assert several["request_id"] not in ("", "client-1")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("POST", "/predict", b'{"rows": [', {}, 400, "invalid_json"),
        ("POST", "/predict", b"", {}, 400, "invalid_json"),
        ("POST", "/predict", b'{"age": 1}', {}, 422, "invalid_input"),
        (
            "POST",
            "/predict",
            b"age=1",
            {"content-type": "text/plain"},
            415,
            "unsupported_media_type",
        ),
        ("POST", "/predict", b"x", {"content-encoding": "br"}, 415, "unsupported_media_type"),
        ("POST", "/predict", b"x", {"content-encoding": "gzip"}, 400, "bad_request"),
        ("POST", "/predict", b"[]" + b" " * (1 << 20), {}, 413, "payload_too_large"),
        ("GET", "/predict", b"", {}, 405, "method_not_allowed"),
        ("GET", "/nowhere", b"", {}, 404, "not_found"),
    ],
)
def test_errors_have_the_same_format(
    server: httpx.Client, method: str, path: str, body: bytes, headers: dict[str, str], status: int,
    code: str,
) -> None:  # fmt: skip
    given = {"content-type": "application/json", **headers}
    answer = server.request(method, path, content=body, headers=given)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["message"]


def test_a_chunked_body_is_read_up_to_the_limit(server: httpx.Client) -> None:
    def pieces(whole: bytes, size: int) -> Iterator[bytes]:
        yield from (whole[start : start + size] for start in range(0, len(whole), size))

    headers = {"content-type": "application/json"}
    body = json.dumps(ROW).encode()
    good = server.post("/predict", content=pieces(body, 7), headers=headers)
    assert good.status_code == 200
    packed = {**headers, "content-encoding": "gzip"}
    good = server.post("/predict", content=gzip.compress(body), headers=packed)
    assert good.status_code == 200
    bomb = gzip.compress(b" " * (20 << 20))
    assert server.post("/predict", content=bomb, headers=packed).status_code == 413


def test_every_answer_belongs_to_its_request(server: httpx.Client) -> None:
    async def ask(count: int) -> list[tuple[Any, Any]]:
        async with httpx.AsyncClient(base_url=server.base_url, timeout=TIMEOUT) as client:

            async def one(number: int) -> tuple[Any, Any]:
                row = {**ROW, "age": 18 + number % 60, "seen": f"2025-01-{1 + number % 28:02}"}
                answer = await client.post("/predict", json=row,
                                           headers={"x-request-id": f"n{number}"})  # fmt: skip
                return row, answer.json()

            return await asyncio.gather(*(one(number) for number in range(count)))

    rows_and_answers = asyncio.run(ask(100))
    assert [answer["request_id"] for _, answer in rows_and_answers] == [f"n{i}" for i in range(100)]
    rows = [{**row, "age": str(row["age"])} for row, _ in rows_and_answers]
    expected = predict(server, {"rows": rows}).json()["predictions"]
    for (_, answer), alone in zip(rows_and_answers, expected, strict=True):
        assert answer["probabilities"]["yes"] == pytest.approx(alone["probabilities"]["yes"])
    assert metric(server, 'fieldcraft_batch_size_bucket{le="1.0",model="shop"}') < metric(
        server, 'fieldcraft_batch_size_count{model="shop"}'
    )  # some were computed in one batch


def test_open_inference_works_over_http(server: httpx.Client) -> None:
    metadata = server.get("/v2/models/shop").json()
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["age", "city", "member", "seen"]
    inputs = [
        {"name": name, "shape": [2, 1], "datatype": "BYTES", "data": [value, value]}
        for name, value in ROW.items()
    ]
    answer = server.post("/v2/models/shop/infer", json={"id": "7", "inputs": inputs}).json()
    outputs = {tensor["name"]: tensor for tensor in answer["outputs"]}
    alone = predict(server, ROW).json()
    assert answer["id"] == "7"
    assert outputs["prediction"]["data"] == [alone["prediction"]] * 2
    assert outputs["probabilities.yes"]["data"] == [alone["probabilities"]["yes"]] * 2
    only = {"inputs": inputs, "outputs": [{"name": "ood"}]}
    answer = server.post("/v2/models/shop/infer", json=only).json()
    assert [tensor["name"] for tensor in answer["outputs"]] == ["ood"]
    assert server.get("/v2/health/ready").status_code == 200
    assert server.get("/v2/models/other").status_code == 404


def test_the_triton_client_can_use_the_server(server: httpx.Client) -> None:
    client = tritonclient.http
    there = client.InferenceServerClient(str(server.base_url).split("//")[1].strip("/"))
    assert there.is_server_live()
    assert there.is_server_ready()
    assert there.is_model_ready("shop")
    assert there.get_model_metadata("shop")["name"] == "shop"
    inputs = []
    for name, value in ROW.items():
        tensor = client.InferInput(name, [2], "BYTES")
        cells = np.array([str(value)] * 2, dtype=object)
        tensor.set_data_from_numpy(cells, binary_data=False)
        inputs.append(tensor)
    wanted = [client.InferRequestedOutput(n, binary_data=False) for n in ("prediction", "ood")]
    answer = there.infer("shop", inputs, outputs=wanted, request_id="7")
    assert answer.get_response()["id"] == "7"
    alone = predict(server, ROW).json()["prediction"]
    assert answer.as_numpy("prediction").tolist() == [alone] * 2
    with pytest.raises(client.InferenceServerException, match="age"):
        there.infer("shop", inputs[1:], outputs=wanted)
    there.close()


def test_documentation_and_metrics_are_served(server: httpx.Client) -> None:
    described = server.get("/openapi.json").json()
    row = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert "age" in json.dumps(row)
    tensors = described["paths"]["/v2/models/shop/infer"]["post"]["requestBody"]["content"]
    example = tensors["application/json"]["schema"]["example"]
    answer = server.post("/v2/models/shop/infer", json=example).json()
    assert [tensor["shape"] for tensor in answer["outputs"]] == [[1]] * len(answer["outputs"])
    assert server.get("/docs").status_code == 200
    assert server.get("/models").json()[0]["predict_paths"] == ["/predict", "/models/shop/predict"]
    before = metric(server, 'fieldcraft_predicted_rows_total{model="shop"}')
    predict(server, {"rows": [ROW] * 3})
    assert metric(server, 'fieldcraft_predicted_rows_total{model="shop"}') == before + 3
    names = len(server.get("/metrics").text.splitlines())
    for number in range(50):
        server.get(f"/unknown/{number}")
    assert len(server.get("/metrics").text.splitlines()) == names


def replace_bundle(bundle: Path, temperature: float) -> str:
    """Replace a bundle by another version, as packaging does; return its model id."""
    manifest = files.read_json(bundle / MANIFEST_FILE)
    with files.atomic_folder(bundle) as aside:
        shutil.copytree(bundle, aside, dirs_exist_ok=True)
        generated = ("format", "model_id", "files", "digest")
        manifest_body = {name: value for name, value in manifest.items() if name not in generated}
        manifest_body["calibration"] = {**manifest_body["calibration"], "temperature": temperature}
        return str(write_manifest(aside, manifest_body)["model_id"])


def wait_for(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_new_version_is_loaded_without_a_failed_request(
    bundle: Path, tmp_path: Path, threads: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(bundle, tmp_path / "shop")
    with listening(ServerConfig({"shop": folder})) as client:
        first = predict(client, ROW).json()["model_version"]
        seen: list[tuple[int, str]] = []
        over = threading.Event()

        def ask() -> None:
            with httpx.Client(base_url=client.base_url, timeout=TIMEOUT) as caller:
                while not over.is_set():
                    answer = predict(caller, ROW)
                    seen.append((answer.status_code, answer.json().get("model_version")))

        asking = [threading.Thread(target=ask) for _ in range(3)]
        for thread in asking:
            thread.start()
        second = replace_bundle(folder, 2.5)[:16]
        wait_for(lambda: predict(client, ROW).json()["model_version"] == second)
        over.set()
        for thread in asking:
            thread.join()
        assert {status for status, _ in seen} == {200}
        assert {version for _, version in seen} <= {first, second}
        assert metric(client, 'fieldcraft_model_reloads_total{model="shop",outcome="success"}') == 1
        assert f'version="{first}"' not in client.get("/metrics").text
        (folder / MANIFEST_FILE).write_bytes((folder / MANIFEST_FILE).read_bytes()[:-40])
        wait_for(
            lambda: (
                metric(client, 'fieldcraft_model_reloads_total{model="shop",outcome="failure"}')
                == 1
            )
        )
        assert predict(client, ROW).json()["model_version"] == second


def test_answers_are_logged(bundle: Path, tmp_path: Path, threads: pytest.MonkeyPatch) -> None:
    log = PredictionLogConfig(tmp_path / "log", exclude=("member",))
    with listening(ServerConfig({"shop": bundle}, log_config=log)) as client:
        bad = {**ROW, "age": "old"}
        codes = [
            predict(client, {"rows": rows}, **{"x-request-id": name}).status_code
            for name, rows in {"one": [ROW, ROW], "bad": [ROW, bad], "two": [ROW]}.items()
        ]
        expected = predict(client, ROW, **{"x-request-id": "single"}).json()["probabilities"]["yes"]
    assert codes == [200, 422, 200]
    table = pl.read_parquet(str(tmp_path / "log" / "shop" / "*" / "*.parquet")).sort("time")
    assert table.select("request_id", "row").rows() == [
        ("one", 0), ("one", 1), ("two", 0), ("single", 0),
    ]  # fmt: skip
    assert set(table["input.city"]) == {"Rome"}
    assert "input.member" not in table.columns
    assert table["output.probability_yes"].to_list() == pytest.approx([expected] * 4)


def test_clients_without_the_token_get_401(bundle: Path, threads: pytest.MonkeyPatch) -> None:
    with listening(ServerConfig({"shop": bundle}, token="secret")) as client:
        codes = [
            predict(client, ROW, **headers).status_code
            for headers in (
                {}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer secret"},
            )
        ]  # fmt: skip
        assert codes == [401, 401, 200]
        assert client.get("/health/live").status_code == 200


def test_platforms_find_their_routes(
    bundle: Path, threads: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIP_PREDICT_ROUTE", "/v1/ask")
    monkeypatch.setenv("AIP_HEALTH_ROUTE", "/v1/well")
    with listening(ServerConfig({"shop": bundle}, extra_route="/extra")) as client:
        assert client.get("/ping").status_code == 200
        assert client.get("/v1/well").status_code == 200
        alone = predict(client, ROW).json()["probabilities"]
        for path in ("/invocations", "/extra", "/models/shop/predict"):
            answer = client.post(path, json={"rows": [ROW]})
            assert answer.json()["predictions"][0]["probabilities"] == alone
        vertex = client.post("/v1/ask", json={"instances": [ROW, ROW]})
        assert [p["probabilities"] for p in vertex.json()["predictions"]] == [alone, alone]
        assert client.post("/v1/ask", json={"rows": [ROW]}).status_code == 400


def test_several_models_have_routes_of_their_own(bundle: Path, threads: pytest.MonkeyPatch) -> None:
    with listening(ServerConfig({"shop": bundle, "other": bundle})) as client:
        assert predict(client, ROW).status_code == 404
        answers = [client.post(f"/models/{name}/predict", json=ROW) for name in ("shop", "other")]
        assert [answer.status_code for answer in answers] == [200, 200]
        counted = [
            metric(client, f'fieldcraft_predicted_rows_total{{model="{name}"}}')
            for name in ("shop", "other")
        ]
        assert counted == [1, 1]
        assert client.get("/v2/models/other").json()["name"] == "other"


def test_a_killed_worker_is_replaced_and_a_terminated_server_answers_accepted_requests(
    bundle: Path, tmp_path: Path
) -> None:
    with server_process(
        "--log", str(tmp_path), FIELDCRAFT_BUNDLES=str(bundle), FIELDCRAFT_TOKEN="secret"
    ) as (running, client):
        url = f"{client.base_url}/predict"

        def ask(name: str) -> int:
            headers = {"x-request-id": name, "authorization": "Bearer secret"}
            try:
                return httpx.post(url, json=ROW, headers=headers, timeout=TIMEOUT).status_code
            except httpx.ConnectError:
                return 0  # refused the connection

        def workers() -> list[int]:
            listing = subprocess.run(
                ["pgrep", "-P", str(running.pid), "-f", "fieldcraft.serving.worker"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            return [int(line) for line in listing.stdout.split()]

        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(ask, f"killed{number}") for number in range(40)]
            wait_for(lambda: any(answer.done() for answer in futures))
            (worker,) = workers()
            os.kill(worker, signal.SIGKILL)
            codes = [answer.result() for answer in futures]
            assert set(codes) <= {200, 503}
            wait_for(lambda: ask("again") == 200)
            assert metric(client, 'fieldcraft_worker_restarts_total{model="shop"}') == 1
            futures = [pool.submit(ask, f"r{number}") for number in range(100)]
            wait_for(lambda: sum(answer.done() for answer in futures) > 20)
            running.terminate()
            codes = [answer.result() for answer in futures]
        assert running.wait(TIMEOUT) == 0
    assert set(codes) <= {0, 200, 503}
    log = pl.read_parquet(str(tmp_path / "shop" / "*" / "*.parquet"))
    answered = {f"r{number}" for number, code in enumerate(codes) if code == 200}
    assert len(answered) > 20
    assert answered <= set(log["request_id"])


def test_the_server_runs_without_torch(bundle: Path, tmp_path: Path) -> None:
    python = create_environment(tmp_path / "venv", "serve")
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    assert not (site / "torch").exists()
    with server_process(str(bundle), python=python) as (_, client):
        assert predict(client, ROW).status_code == 200


def test_without_the_extra_the_error_shows_how_to_install_it(bundle: Path, tmp_path: Path) -> None:
    python = create_environment(tmp_path / "venv")
    done = subprocess.run(
        [python, "-m", "fieldcraft", "serve", bundle], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert 'pip install "fieldcraft[serve]"' in done.stderr

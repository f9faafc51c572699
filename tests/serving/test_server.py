"""A real server over HTTP: it answers, refuses, survives, changes versions and ends cleanly."""

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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
import tritonclient.http

from fieldcraft.bundle.manifest import NAME, write_manifest
from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core import files
from fieldcraft.project.folder import Folder
from tests.bare import bare_environment

ROW = {"age": 38.5, "city": "Rome", "member": "yes", "seen": "2025-11-15"}
PATIENCE = 60.0  # seconds until a test gives up on what should take one


@dataclass
class Running:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    client: httpx.Client
    lines: list[str]

    def predict(self, value: Any, **headers: str) -> httpx.Response:
        return self.client.post("/predict", json=value, headers=headers)

    def figure(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.client.get("/metrics").text, re.M)
        return float(found[1]) if found else 0.0

    def workers(self) -> list[int]:
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", "fieldcraft.serving.worker"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return [int(line) for line in found.stdout.split()]


@contextmanager
def serving(
    *words: str, python: str | Path = sys.executable, **environment: str
) -> Iterator[Running]:
    """A server that listens on some free port; it is told to end at the end."""
    command = [python, "-m", "fieldcraft", "serve", *words, "--port", "0"]
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
    found = re.search(r"http://\S+", lines[-1])
    assert found
    with httpx.Client(base_url=found[0], timeout=PATIENCE) as client:
        try:
            yield Running(process, client, lines)
        finally:
            process.terminate()
            process.wait(PATIENCE)
            draining.join(PATIENCE)
            process.stdout.close()


@pytest.fixture(scope="module")
def bundle(finished_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("served") / "shop"
    shutil.copytree(Folder(finished_once / "project").bundle, place)
    return place


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Running]:
    with serving(str(bundle)) as running:
        yield running


def test_it_answers_as_the_bundle_does_and_names_version_and_request(
    server: Running, bundle: Path
) -> None:
    answer = server.predict(ROW, **{"x-request-id": "mine"}).json()
    said = load_bundle(bundle)
    expected = said.predict(pl.DataFrame([{**ROW, "age": "38.5"}]))
    assert answer["prediction"] == expected["prediction"][0]
    assert answer["probabilities"]["yes"] == pytest.approx(expected["probability_yes"][0], abs=1e-6)
    assert answer["model_version"] == said.model_id[:16]
    assert answer["request_id"] == "mine"
    several = server.predict({"rows": [ROW, ROW]}).json()
    assert [p["prediction"] for p in several["predictions"]] == [answer["prediction"]] * 2
    assert several["request_id"] not in ("", "mine")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("POST", "/predict", b'{"rows": [', {}, 400, "bad_json"),
        ("POST", "/predict", b"", {}, 400, "bad_json"),
        ("POST", "/predict", b'{"age": 1}', {}, 422, "bad_rows"),
        ("POST", "/predict", b"age=1", {"content-type": "text/plain"}, 415, "wrong_type"),
        ("POST", "/predict", b"x", {"content-encoding": "br"}, 415, "wrong_type"),
        ("POST", "/predict", b"x", {"content-encoding": "gzip"}, 400, "bad_request"),
        ("POST", "/predict", b"[]" + b" " * (17 << 20), {}, 413, "too_large"),
        ("GET", "/predict", b"", {}, 405, "wrong_method"),
        ("GET", "/nowhere", b"", {}, 404, "not_found"),
    ],
)
def test_refusals_have_one_shape(
    server: Running, method: str, path: str, body: bytes, headers: dict[str, str], status: int,
    code: str,
) -> None:  # fmt: skip
    given = {"content-type": "application/json", **headers}
    answer = server.client.request(method, path, content=body, headers=given)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["message"]


def test_a_body_in_pieces_is_read_up_to_the_limit(server: Running) -> None:
    def pieces(whole: bytes, size: int) -> Iterator[bytes]:
        yield from (whole[start : start + size] for start in range(0, len(whole), size))

    headers = {"content-type": "application/json"}
    body = json.dumps(ROW).encode()
    good = server.client.post("/predict", content=pieces(body, 7), headers=headers)
    assert good.status_code == 200
    packed = {**headers, "content-encoding": "gzip"}
    good = server.client.post("/predict", content=gzip.compress(body), headers=packed)
    assert good.status_code == 200
    bomb = gzip.compress(b" " * (200 << 20))
    assert server.client.post("/predict", content=bomb, headers=packed).status_code == 413


def test_every_answer_belongs_to_its_question(server: Running) -> None:
    async def ask(count: int) -> list[tuple[Any, Any]]:
        async with httpx.AsyncClient(base_url=server.client.base_url, timeout=PATIENCE) as client:

            async def one(number: int) -> tuple[Any, Any]:
                row = {**ROW, "age": 18 + number % 60, "seen": f"2025-01-{1 + number % 28:02}"}
                answer = await client.post("/predict", json=row,
                                           headers={"x-request-id": f"n{number}"})  # fmt: skip
                return row, answer.json()

            return await asyncio.gather(*(one(number) for number in range(count)))

    found = asyncio.run(ask(300))
    assert [answer["request_id"] for _, answer in found] == [f"n{i}" for i in range(300)]
    rows = [{**row, "age": str(row["age"])} for row, _ in found]
    expected = server.predict({"rows": rows}).json()["predictions"]
    for (_, answer), alone in zip(found, expected, strict=True):
        assert answer["probabilities"]["yes"] == pytest.approx(alone["probabilities"]["yes"])
    assert server.figure('fieldcraft_batch_requests_bucket{le="1.0",model="shop"}') < server.figure(
        'fieldcraft_batch_requests_count{model="shop"}'
    )  # some were computed together


def test_the_open_protocol_gives_columns(server: Running) -> None:
    about = server.client.get("/v2/models/shop").json()
    assert [tensor["name"] for tensor in about["inputs"]] == ["age", "city", "member", "seen"]
    inputs = [
        {"name": name, "shape": [2, 1], "datatype": "BYTES", "data": [value, value]}
        for name, value in ROW.items()
    ]
    answer = server.client.post("/v2/models/shop/infer", json={"id": "7", "inputs": inputs}).json()
    outputs = {tensor["name"]: tensor for tensor in answer["outputs"]}
    alone = server.predict(ROW).json()
    assert answer["id"] == "7"
    assert outputs["prediction"]["data"] == [alone["prediction"]] * 2
    assert outputs["probabilities.yes"]["data"] == [alone["probabilities"]["yes"]] * 2
    only = {"inputs": inputs, "outputs": [{"name": "ood"}]}
    answer = server.client.post("/v2/models/shop/infer", json=only).json()
    assert [tensor["name"] for tensor in answer["outputs"]] == ["ood"]
    assert server.client.get("/v2/health/ready").status_code == 200
    assert server.client.get("/v2/models/other").status_code == 404


def test_a_client_of_the_open_protocol_from_elsewhere_understands_it(server: Running) -> None:
    client = tritonclient.http
    there = client.InferenceServerClient(str(server.client.base_url).split("//")[1].strip("/"))
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
    alone = server.predict(ROW).json()["prediction"]
    assert answer.as_numpy("prediction").tolist() == [alone] * 2
    with pytest.raises(client.InferenceServerException, match="age"):
        there.infer("shop", inputs[1:], outputs=wanted)
    there.close()


def test_pages_and_figures_are_there(server: Running) -> None:
    described = server.client.get("/openapi.json").json()
    row = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert "age" in json.dumps(row)
    tensors = described["paths"]["/v2/models/shop/infer"]["post"]["requestBody"]["content"]
    example = tensors["application/json"]["schema"]["example"]
    answer = server.client.post("/v2/models/shop/infer", json=example).json()
    assert [tensor["shape"] for tensor in answer["outputs"]] == [[1]] * len(answer["outputs"])
    assert server.client.get("/docs").status_code == 200
    assert server.client.get("/models").json()[0]["predict"] == ["/predict", "/models/shop/predict"]
    before = server.figure('fieldcraft_rows_total{model="shop"}')
    server.predict({"rows": [ROW] * 3})
    assert server.figure('fieldcraft_rows_total{model="shop"}') == before + 3
    names = len(server.client.get("/metrics").text.splitlines())
    for number in range(50):
        server.client.get(f"/unknown/{number}")
    assert len(server.client.get("/metrics").text.splitlines()) == names


def test_a_killed_worker_is_replaced_and_nobody_hangs(server: Running) -> None:
    def ask(number: int) -> int:
        return httpx.post(
            f"{server.client.base_url}/predict", json=ROW, timeout=PATIENCE
        ).status_code

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, number) for number in range(80)]
        time.sleep(0.1)
        for worker in server.workers():
            os.kill(worker, signal.SIGKILL)
        codes = {answer.result() for answer in asked}
    assert codes <= {200, 503}
    assert server.predict(ROW).status_code == 200
    assert server.figure('fieldcraft_worker_deaths{model="shop"}') == 1


def changed(bundle: Path, temperature: float) -> str:
    """Put another version into the place of a bundle, as packaging does; its id."""
    manifest = files.read_json(bundle / NAME)
    with files.whole_folder(bundle) as aside:
        shutil.copytree(bundle, aside, dirs_exist_ok=True)
        made = ("format", "model_id", "files", "digest")
        about = {name: value for name, value in manifest.items() if name not in made}
        about["calibration"] = {**about["calibration"], "temperature": temperature}
        return str(write_manifest(aside, about)["model_id"])


def wait_for(condition: Any) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_another_version_is_put_to_work_without_a_failed_request(bundle: Path) -> None:
    with serving(str(bundle)) as running:
        first = running.predict(ROW).json()["model_version"]
        seen: list[tuple[int, str]] = []
        over = threading.Event()

        def ask() -> None:
            with httpx.Client(base_url=running.client.base_url, timeout=PATIENCE) as client:
                while not over.is_set():
                    answer = client.post("/predict", json=ROW)
                    seen.append((answer.status_code, answer.json().get("model_version")))

        asking = [threading.Thread(target=ask) for _ in range(3)]
        for thread in asking:
            thread.start()
        second = changed(bundle, 2.5)[:16]
        wait_for(lambda: running.predict(ROW).json()["model_version"] == second)
        over.set()
        for thread in asking:
            thread.join()
        assert {status for status, _ in seen} == {200}
        assert {version for _, version in seen} <= {first, second}
        whole = (bundle / NAME).read_bytes()
        (bundle / NAME).write_bytes(whole[:-40])
        refused = 'fieldcraft_swaps_total{model="shop",outcome="refused"}'
        wait_for(lambda: running.figure(refused) == 1)
        assert running.predict(ROW).json()["model_version"] == second
        (bundle / NAME).write_bytes(whole)


def test_told_to_end_it_answers_what_it_accepted_and_writes_its_log(
    bundle: Path, tmp_path: Path
) -> None:
    codes: Sequence[int] = []
    with serving(str(bundle), "--log", str(tmp_path)) as running:

        def ask(number: int) -> int:
            try:
                url = f"{running.client.base_url}/predict"
                return httpx.post(url, json=ROW, headers={"x-request-id": f"r{number}"},
                                  timeout=PATIENCE).status_code  # fmt: skip
            except httpx.ConnectError:
                return 0  # turned away at the door

        with ThreadPoolExecutor(16) as pool:
            asked = [pool.submit(ask, number) for number in range(200)]
            wait_for(lambda: sum(answer.done() for answer in asked) > 20)
            running.process.terminate()
            codes = [answer.result() for answer in asked]
        assert running.process.wait(PATIENCE) == 0
    assert set(codes) <= {0, 200, 503}
    log = pl.read_parquet(str(tmp_path / "shop" / "*" / "*.parquet"))
    answered = {f"r{number}" for number, code in enumerate(codes) if code == 200}
    assert answered <= set(log["request"])
    assert set(log["city"]) == {"Rome"}
    assert {"time", "row", "model", "said.prediction", "said.probability_yes"} <= set(log.columns)


def test_callers_without_the_token_are_turned_away(bundle: Path) -> None:
    with serving(str(bundle), FIELDCRAFT_TOKEN="secret") as running:
        assert running.predict(ROW).status_code == 401
        assert running.predict(ROW, authorization="Bearer wrong").status_code == 401
        assert running.predict(ROW, authorization="Bearer secret").status_code == 200
        assert running.client.get("/health/live").status_code == 200


def test_platforms_find_what_they_call(bundle: Path) -> None:
    routes = {"AIP_PREDICT_ROUTE": "/v1/ask", "AIP_HEALTH_ROUTE": "/v1/well"}
    with serving(FIELDCRAFT_BUNDLES=str(bundle), **routes) as running:
        assert running.client.get("/ping").status_code == 200
        assert running.client.get("/v1/well").status_code == 200
        alone = running.predict(ROW).json()["probabilities"]
        sagemaker = running.client.post("/invocations", json={"rows": [ROW]})
        assert sagemaker.json()["predictions"][0]["probabilities"] == alone
        vertex = running.client.post("/v1/ask", json={"instances": [ROW, ROW]})
        assert [p["probabilities"] for p in vertex.json()["predictions"]] == [alone, alone]
        assert running.client.post("/v1/ask", json={"rows": [ROW]}).status_code == 400


def test_it_serves_in_an_environment_without_torch(bundle: Path, tmp_path: Path) -> None:
    python = bare_environment(tmp_path / "venv", "serve")
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    assert not (site / "torch").exists()
    with serving(str(bundle), python=python) as running:
        assert running.predict(ROW).status_code == 200


def test_without_the_extra_the_line_that_installs_it_is_told(bundle: Path, tmp_path: Path) -> None:
    python = bare_environment(tmp_path / "venv")
    done = subprocess.run(
        [python, "-m", "fieldcraft", "serve", bundle], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert 'pip install "fieldcraft[serve]"' in done.stderr

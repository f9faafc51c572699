"""Serving throughput and latency, compared with a plain FastAPI server with the same network.

    python bench/serving.py [--rounds 3] [--seconds 5] [--callers 64] [--venvs FOLDER]

Every system gets the same closed-loop clients from a separate process: each client sends its next
request when the response to the last one is complete. Fieldcraft validates, encodes, calibrates,
counts and logs; the plain server gets the inputs of the network. All have one inference process.
Rounds are interleaved. Prints requests per second and latencies, and their ratios to the plain
server. With a folder of environments named litserve, bentoml, mlserver and mlflow, each with that
package and onnxruntime, these are measured too, with their own batching where they have it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

import fieldcraft as fc
from fieldcraft.bundle.runtime import load_bundle

HERE = Path(__file__).resolve().parent
SERVED = HERE / "peers" / "served"
COLUMNS, ROWS = 12, 8_000  # enough rows for a model without cross-fitting


@dataclass
class ServingSystem:
    """A server under load.

    Attributes:
        name: the name in the table.
        command: starts the server; ``%PORT%`` stands for its port.
        body: the body of each request.
        path: the path of the requests.
        working_folder: the folder in which it is started.
        environment: additional environment variables.
    """

    name: str
    command: list[str]
    body: bytes
    path: str = "/predict"
    working_folder: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    request_rates: list[float] = field(default_factory=list)
    p99_latencies: list[float] = field(default_factory=list)
    median_latencies: list[float] = field(default_factory=list)
    single_caller_latencies: list[float] = field(default_factory=list)


class ClosedLoopClient(asyncio.Protocol):
    """A connection that sends its next request when the response to the last one is complete."""

    def __init__(self, request: bytes, until: float, latencies: list[float]) -> None:
        self.request, self.until, self.latencies = request, until, latencies
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.send_request()

    def send_request(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, mark, body = self.buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        assert head.startswith(b"HTTP/1.1 200"), head + body
        now = time.perf_counter()
        self.latencies.append(now - self.sent_at)
        self.buffer = b""
        if now < self.until:
            self.send_request()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set_result(None)


async def generate_load(
    port: int, body: bytes, callers: int, seconds: float, path: str
) -> list[float]:
    """Send requests and return their latencies in seconds."""
    head = (f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n")  # fmt: skip
    latencies: list[float] = []
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    connections = [
        await loop.create_connection(
            lambda: ClosedLoopClient(head.encode() + body, until, latencies), "127.0.0.1", port
        )
        for _ in range(callers)
    ]
    await asyncio.gather(*(client.closed for _, client in connections))
    return latencies


def run_client_process(
    port: int, body: bytes, callers: int, seconds: float, path: str = "/predict"
) -> list[float]:
    """Run the clients in a separate process and return their latencies."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(run_load, (port, body, callers, seconds, path))


def run_load(
    port: int, body: bytes, callers: int, seconds: float, path: str = "/predict"
) -> list[float]:
    """Run the clients in this process and return their latencies."""
    return asyncio.run(generate_load(port, body, callers, seconds, path))


def find_free_port() -> int:
    """Return a port that no process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def measure_system(system: ServingSystem, callers: int, seconds: float) -> None:
    """Start a server, warm it up, and measure it with many clients and with one."""
    port = find_free_port()
    command = [word.replace("%PORT%", str(port)) for word in system.command]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=system.working_folder,
        env={**os.environ, **system.environment}, start_new_session=True,
    )  # fmt: skip
    try:
        wait_until_answered(port, system)
        latencies = run_client_process(port, system.body, callers, seconds, system.path)
        system.request_rates.append(len(latencies) / seconds)
        system.median_latencies.append(float(np.median(latencies)))
        system.p99_latencies.append(float(np.quantile(latencies, 0.99)))
        single_latencies = run_client_process(port, system.body, 1, seconds, system.path)
        system.single_caller_latencies.append(float(np.median(single_latencies)))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until_answered(port: int, system: ServingSystem) -> None:
    """Wait until a server responds correctly, and warm it up."""
    until = time.monotonic() + 120
    while True:
        wait_until_open(port)
        try:
            run_client_process(port, system.body, 4, 1.0, system.path)
        except (AssertionError, OSError):
            if time.monotonic() > until:
                raise
            time.sleep(1.0)
        else:
            return


def wait_until_open(port: int) -> None:
    """Wait until a server accepts connections, for two minutes at most."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("a server did not start")


def build_systems(folder: Path, venvs: Path | None) -> list[ServingSystem]:
    """Train a network, and prepare all systems that serve it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, COLUMNS))
    y = np.where(x[:, 0] * x[:, 1] + x[:, 2] + rng.normal(0, 0.5, ROWS) > 0, "yes", "no")
    names = [f"x{i}" for i in range(COLUMNS)]
    frame = pl.DataFrame(x, schema=names)
    model = fc.Classifier(learner="network", time_budget=60)
    model.fit(frame, y)
    model.to_bundle(str(folder / "bundle"))
    bundle = load_bundle(folder / "bundle")
    member = bundle.models[0]
    (inputs,) = member.encoders.transform(member.encoders.precompute(frame[:1])).tensors().values()
    row = dict(zip(names, map(float, x[0]), strict=True))
    plain_row = {f"x{i}": float(value) for i, value in enumerate(inputs[0])}
    onnx = next((folder / "bundle").rglob("model.onnx"))
    members = len(bundle.models)
    print(f"{members} member{'s' * (members > 1)} in fieldcraft, one in the plain server")
    python, peer = sys.executable, str(HERE / "peers" / "plain_fastapi.py")
    serve_command = [python, "-m", "fieldcraft", "serve", str(folder / "bundle"),
                     "--port", "%PORT%", "--log", str(folder / "log")]  # fmt: skip
    systems = [
        ServingSystem(
            "plain FastAPI", [python, peer, str(onnx), "%PORT%"], json.dumps(plain_row).encode()
        ),
        ServingSystem("fieldcraft", serve_command, json.dumps(row).encode()),
    ]
    return systems + (build_other_systems(venvs, folder, onnx, plain_row) if venvs else [])


def build_other_systems(
    venvs: Path, folder: Path, onnx: Path, row: dict[str, float]
) -> list[ServingSystem]:
    """Return the systems that have an environment; they get the inputs of the network."""
    values = [list(row.values())]
    tensor = {"name": "x", "shape": [1, len(row)], "datatype": "FP32", "data": values[0]}
    batching = {"max_batch_size": 64, "max_batch_time": 0.002}
    mls_folder = folder / "mlserver"
    mls_folder.mkdir()
    model_settings = {"name": "net", "implementation": "mls.Net", "parameters": {"uri": str(onnx)}}
    (mls_folder / "model-settings.json").write_text(json.dumps(model_settings | batching), "utf-8")
    settings = {"host": "127.0.0.1", "parallel_workers": 0, "metrics_endpoint": None}
    (mls_folder / "settings.json").write_text(json.dumps(settings), "utf-8")

    def bin_of(name: str, command: str) -> str:
        return str(venvs / name / "bin" / command)

    mlflow_folder = folder / "mlflow"
    candidates = {
        "litserve": ServingSystem("LitServe", [bin_of("litserve", "python"), str(SERVED / "lit.py"),
                                        str(onnx), "%PORT%"], json.dumps(row).encode()),
        "bentoml": ServingSystem("BentoML", [bin_of("bentoml", "bentoml"), "serve", "bento:Net",
                                      "--host", "127.0.0.1", "--port", "%PORT%"],
                          json.dumps({"rows": values}).encode(),
                          working_folder=SERVED, environment={"MODEL": str(onnx)}),
        "mlserver": ServingSystem("MLServer", ["sh", "-c", f"MLSERVER_HTTP_PORT=%PORT% "
                                        f"MLSERVER_GRPC_PORT=$((%PORT% + 1)) exec "
                                        f"{bin_of('mlserver', 'mlserver')} start {mls_folder}"],
                           json.dumps({"inputs": [tensor]}).encode(), "/v2/models/net/infer",
                           environment={"PYTHONPATH": str(SERVED)}),
        "mlflow": ServingSystem("MLflow",
        [bin_of("mlflow", "mlflow"), "models", "serve", "-m", str(mlflow_folder),
                                    "--env-manager", "local", "--port", "%PORT%", "--workers", "1"],
                         json.dumps({"inputs": values}).encode(), "/invocations",
                         environment={"PATH": f"{venvs / 'mlflow' / 'bin'}:{os.environ['PATH']}"}),
    }  # fmt: skip
    installed = {name: system for name, system in candidates.items() if (venvs / name).is_dir()}
    if "mlflow" in installed:
        script = [
            bin_of("mlflow", "python"),
            str(SERVED / "flow.py"),
            str(onnx),
            str(mlflow_folder),
        ]
        subprocess.run(script, check=True, capture_output=True)
    return list(installed.values())


def main() -> None:
    """Print a row for each system, then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--venvs", type=Path, help="folder of the environments of other systems")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary_folder:
        systems = build_systems(Path(temporary_folder), options.venvs and options.venvs.resolve())
        for _ in range(options.rounds):
            for system in systems:
                measure_system(system, options.callers, options.seconds)
        print("| system | requests/s | median ms | p99 ms | one client, median ms |")
        print("|---|---:|---:|---:|---:|")
        for system in systems:
            medians = [
                np.median(v)
                for v in (
                    system.request_rates,
                    system.median_latencies,
                    system.p99_latencies,
                    system.single_caller_latencies,
                )
            ]
            print(f"| {system.name} | {medians[0]:,.0f} | {1e3 * medians[1]:.2f} | "
                  f"{1e3 * medians[2]:.2f} | {1e3 * medians[3]:.2f} |")  # fmt: skip
        plain_system = systems[0]
        for system in systems[1:]:
            rate, tail, single = (
                np.median(np.divide(own_values, plain_values))
                for own_values, plain_values in (
                    (system.request_rates, plain_system.request_rates),
                    (system.p99_latencies, plain_system.p99_latencies),
                    (system.single_caller_latencies, plain_system.single_caller_latencies),
                )
            )
            print(f"{system.name}: requests/s {rate:.2f} times the plain server's, p99 {tail:.2f} "
                  f"times, one client {single:.2f} times")  # fmt: skip


if __name__ == "__main__":
    main()

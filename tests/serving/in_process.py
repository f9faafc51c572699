"""A server in this process: the real app, queue and pool, with threads in place of processes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fieldcraft.data import file_cells
from fieldcraft.serving import pool, server
from fieldcraft.serving.app import PredictionApp
from fieldcraft.serving.pool import WorkerConfig
from fieldcraft.serving.queue import ServerLimits
from fieldcraft.serving.server import ListenAddress, ModelServer, ServerConfig
from fieldcraft.serving.worker import pack_message, receive_message, run_worker

TIMEOUT = 30.0  # seconds until a test gives up on what should take a moment
WorkerLoop = Callable[..., None]  # of a socket and the words that a process would be started with


class WorkerThread:
    """Stands for the process of a worker, with as much of its interface as the pool uses."""

    def __init__(self, loop: WorkerLoop, stream: socket.socket, words: Sequence[str]) -> None:
        self.returncode: int | None = None
        self.stream = stream.dup()
        self.thread = threading.Thread(target=self.work, args=(loop, words), daemon=True)
        self.thread.start()

    def work(self, loop: WorkerLoop, words: Sequence[str]) -> None:
        with self.stream, contextlib.suppress(OSError):  # of a stream that `kill` has cut
            loop(self.stream, *words)
        self.returncode = 0

    def kill(self) -> None:
        with contextlib.suppress(OSError):  # it has ended by itself
            self.stream.shutdown(socket.SHUT_RDWR)

    async def wait(self) -> int:
        await asyncio.to_thread(self.thread.join, TIMEOUT)
        assert not self.thread.is_alive()
        return 0


def use_threads(patch: pytest.MonkeyPatch, loop: WorkerLoop = run_worker) -> list[WorkerThread]:
    """Have every worker run in a thread; those that were started, in order."""
    started: list[WorkerThread] = []

    async def spawn(post: WorkerConfig, stream: socket.socket) -> WorkerThread:
        started.append(WorkerThread(loop, stream, post.to_arguments()))
        return started[-1]

    patch.setattr(pool, "spawn_process", spawn)
    patch.setitem(file_cells.ACCESS, "outside", True)  # put back afterwards: a worker changes it
    return started


@dataclass
class StubModel:
    """A model that echoes bodies once its gate is open, and remembers which ones it computed."""

    version: str = "first"
    computed: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    failures: int = 0  # batches in which the process still dies
    error: str = ""  # why it cannot be started

    def work(self, stream: socket.socket, *words: str) -> None:
        columns = {"columns": {}, "metadata": '{"inputs": [], "outputs": []}'}
        stream.sendall(pack_message({"error": self.error, "version": self.version, **columns}))
        while not self.error and (items := receive_message(stream)) is not None:
            self.gate.wait(TIMEOUT)
            if self.failures:
                self.failures -= 1
                return
            self.batches.append(len(items))
            self.computed += [body.decode() for *_, body in items]
            replies = [("", body) for *_, body in items]
            stream.sendall(pack_message((replies, {"rows": len(items)})))


@dataclass
class Answer:
    """What a caller of an ASGI application got.

    Attributes:
        status: 0 where no answer came.
        ended: whether the answer was sent to its end.
        pieces: of the request that were received.
        before: how many of them before the answer began.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    pieces: int = 0
    before: int = 0


async def call(
    app: Any, body: bytes | Iterator[bytes] = b"{}", path: str = "/predict", method: str = "POST",
    headers: dict[str, str] | None = None, hang_up: asyncio.Event | None = None,
    stall: bool = False, resume: asyncio.Event | None = None,
) -> Answer:  # fmt: skip
    """Call an ASGI application.

    Args:
        app: the application.
        body: in one piece, or in several, without a content length.
        path, method, headers: of the request.
        hang_up: upon which the caller leaves.
        stall: whether the last piece never comes.
        resume: upon which the pieces after the first one come.
    """
    answer, disconnected = Answer(), hang_up or asyncio.Event()
    pieces = iter([body]) if isinstance(body, bytes) else body
    all_headers = {"content-type": "application/json", **(headers or {})}
    if isinstance(body, bytes):
        all_headers = {"content-length": str(len(body)), **all_headers}
    is_complete = False

    async def receive() -> dict[str, Any]:
        nonlocal is_complete
        await asyncio.sleep(0)
        if resume is not None and answer.pieces:
            await resume.wait()
        if not is_complete:
            piece = next(pieces, None)
            if piece is not None:
                answer.pieces += 1
                is_complete = isinstance(body, bytes) and not stall
                return {"type": "http.request", "body": piece, "more_body": not is_complete}
            if not stall:
                is_complete = True
                return {"type": "http.request", "body": b"", "more_body": False}
        await disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.before = message["status"], answer.pieces
            answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            answer.body += message.get("body", b"")
            answer.ended = not message.get("more_body")

    pairs = [(name.encode(), value.encode()) for name, value in all_headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": pairs,
             "query_string": b"", "root_path": ""}  # fmt: skip
    await app(scope, receive, send)
    return answer


async def wait_until(condition: Callable[[], Any]) -> None:
    """Let others go on until something holds."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():
            await asyncio.sleep(0.001)


@dataclass
class StubServer:
    """A server of a stub: its parts, to be asked and looked at within one event loop."""

    model: StubModel
    server: ModelServer
    app: PredictionApp
    threads: list[WorkerThread]

    @classmethod
    async def start(
        cls, patch: pytest.MonkeyPatch, limits: ServerLimits | None = None, workers: int = 1,
        model: StubModel | None = None, **plan: Any,
    ) -> StubServer:  # fmt: skip
        model = model or StubModel()
        threads = use_threads(patch, model.work)
        patch.setattr(server, "DRAIN_ANNOUNCEMENT_SECONDS", 0.0)
        folder = plan.pop("folder", Path("nowhere"))
        model_server = ModelServer(
            ServerConfig(
                {"shop": folder}, limits=limits or ServerLimits(), n_workers=workers, **plan
            )
        )
        return cls(model, model_server, await model_server.start(), threads)

    @property
    def queue(self) -> Any:
        return self.server.models["shop"].queue

    def ask(self, body: str = "{}", **how: Any) -> asyncio.Task[Answer]:
        return asyncio.create_task(call(self.app, body.encode(), **how))

    async def stop(self) -> None:
        self.model.gate.set()
        await self.server.stop()

    def metric(self, name: str) -> float:
        self.server.models["shop"].update_gauges()
        return metric_value(self.server.metrics.to_text().decode(), name)


def metric_value(text: str, name: str) -> float:
    """A figure of a server, by its name and labels; 0 where it is not there."""
    match = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
    return float(match[1]) if match else 0.0


@contextmanager
def listening(plan: ServerConfig) -> Iterator[httpx.Client]:
    """A client of a server that listens on a port, and whose loop runs in a thread."""
    address: list[Any] = []
    ready = threading.Event()
    listener: list[server.UvicornServer] = []

    def started(name: Any) -> None:
        address.append(name)
        ready.set()

    async def serve() -> None:
        try:
            anywhere = replace(plan, address=ListenAddress(port=0))
            listener.append(await server.create_uvicorn_server(anywhere, started))
            await listener[0].serve()
        finally:
            ready.set()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        assert ready.wait(TIMEOUT)
        host, port = address[0][:2]
        with httpx.Client(base_url=f"http://{host}:{port}", timeout=TIMEOUT) as client:
            yield client
    finally:
        if listener:
            listener[0].should_exit = True
        thread.join(TIMEOUT)
        assert not thread.is_alive()

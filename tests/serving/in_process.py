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
WorkerLoop = Callable[..., None]  # takes a socket and the arguments of a worker process


class WorkerThread:
    """Replaces the process of a worker, with the part of its interface that the pool uses."""

    def __init__(self, loop: WorkerLoop, stream: socket.socket, words: Sequence[str]) -> None:
        self.returncode: int | None = None
        self.stream = stream.dup()
        self.thread = threading.Thread(target=self.work, args=(loop, words), daemon=True)
        self.thread.start()

    def work(self, loop: WorkerLoop, words: Sequence[str]) -> None:
        with self.stream, contextlib.suppress(OSError):  # the stream may have been closed by `kill`
            loop(self.stream, *words)
        self.returncode = 0

    def kill(self) -> None:
        with contextlib.suppress(OSError):  # it may have ended by itself
            self.stream.shutdown(socket.SHUT_RDWR)

    async def wait(self) -> int:
        await asyncio.to_thread(self.thread.join, TIMEOUT)
        assert not self.thread.is_alive()
        return 0


def use_threads(patch: pytest.MonkeyPatch, loop: WorkerLoop = run_worker) -> list[WorkerThread]:
    """Run every worker in a thread; return a list of the started ones, in order."""
    started: list[WorkerThread] = []

    async def spawn(post: WorkerConfig, stream: socket.socket) -> WorkerThread:
        started.append(WorkerThread(loop, stream, post.to_arguments()))
        return started[-1]

    patch.setattr(pool, "spawn_process", spawn)
    patch.setitem(
        file_cells.FILE_ACCESS, "paths_and_urls", True
    )  # restored afterwards, because a worker changes it
    return started


@dataclass
class StubModel:
    """A model that echoes bodies once its gate is open, and records which ones it computed."""

    version: str = "first"
    computed: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    failures: int = 0  # number of batches in which the process still crashes
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
    """The response of an ASGI application.

    Attributes:
        status: 0 if there is no response.
        ended: whether the response was sent completely.
        pieces: the number of body chunks that the application received.
        before: how many of them it received before the response began.
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
        body: in one piece, or in chunks without a content length.
        path, method, headers: of the request.
        hang_up: the event upon which the client disconnects.
        stall: whether the last chunk never arrives.
        resume: the event upon which the chunks after the first one arrive.
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
    """Let other tasks run until the condition holds."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():
            await asyncio.sleep(0.001)


@dataclass
class StubServer:
    """A server of a stub model, with access to its parts within one event loop."""

    model: StubModel
    server: ModelServer
    app: PredictionApp
    threads: list[WorkerThread]

    @classmethod
    async def start(
        cls, patch: pytest.MonkeyPatch, limits: ServerLimits | None = None, workers: int = 1,
        model: StubModel | None = None, **config: Any,
    ) -> StubServer:  # fmt: skip
        model = model or StubModel()
        threads = use_threads(patch, model.work)
        patch.setattr(server, "DRAIN_ANNOUNCEMENT_SECONDS", 0.0)
        folder = config.pop("folder", Path("nowhere"))
        model_server = ModelServer(
            ServerConfig(
                {"shop": folder}, limits=limits or ServerLimits(), n_workers=workers, **config
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
    """Return a metric of a server, by its name and labels; 0 if it is missing."""
    match = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
    return float(match[1]) if match else 0.0


@contextmanager
def listening(config: ServerConfig) -> Iterator[httpx.Client]:
    """Yield a client of a server that listens on a port and runs in a thread."""
    address: list[Any] = []
    ready = threading.Event()
    listener: list[server.UvicornServer] = []

    def started(name: Any) -> None:
        address.append(name)
        ready.set()

    async def serve() -> None:
        try:
            anywhere = replace(config, address=ListenAddress(port=0))
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

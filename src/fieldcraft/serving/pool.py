"""The processes that run a model, and what happens when one of them dies or hangs."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fieldcraft.core.errors import BundleError
from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.ipc import pack_message, read_message
from fieldcraft.serving.limits import ServerLimits
from fieldcraft.serving.model import RequestPolicy
from fieldcraft.serving.prediction_log import PredictionLogConfig
from fieldcraft.serving.queue import PendingRequest, RequestQueue

MAX_BATCHES_IN_FLIGHT = (
    2  # batches that a process is given at a time, so that it never waits for the server
)
START_TIMEOUT_SECONDS = 120.0  # seconds in which a process must have loaded its bundle
STOP_TIMEOUT_SECONDS = 10.0  # seconds in which it must have written its part of the log and ended
RESTART_BACKOFF_SECONDS = (
    0.0,
    0.5,
    2.0,
    5.0,
)  # seconds before a process that died is started again
TallyCallback = Callable[[dict[str, int]], None]


@dataclass(frozen=True)
class WorkerConfig:
    """What a process is to run.

    Attributes:
        folder: of the bundle.
        model_name: of the model.
        policy: of the model.
        limits: of the server.
        log_config: of predictions, if they are recorded.
    """

    folder: Path
    model_name: str
    policy: RequestPolicy
    limits: ServerLimits
    log_config: PredictionLogConfig | None = None

    def to_arguments(self) -> list[str]:
        """What the process is told when it is started."""
        log_json = (
            None
            if self.log_config is None
            else {**asdict(self.log_config), "folder": str(self.log_config.folder)}
        )
        return [
            str(self.folder),
            self.model_name,
            json.dumps(asdict(self.policy)),
            json.dumps(log_json),
        ]


async def spawn_process(config: WorkerConfig, stream: socket.socket) -> asyncio.subprocess.Process:
    """Start a process that runs a model and talks to the server over a stream."""
    command = [
        sys.executable, "-m", "fieldcraft.serving.worker", str(stream.fileno()), *config.to_arguments(),
    ]  # fmt: skip
    return await asyncio.create_subprocess_exec(
        *command, pass_fds=[stream.fileno()], stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )  # fmt: skip


class Worker:
    """One process with a model."""

    def __init__(self, process: asyncio.subprocess.Process, model_info: dict[str, Any],
                 streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:  # fmt: skip
        """A process that has said that it is ready."""
        self.process = process
        self.model_info = model_info
        self.reader, self.writer = streams
        self.pending_replies: deque[asyncio.Future[Any]] = deque()
        self.listener_task = asyncio.create_task(self.receive_replies())

    @classmethod
    async def start(cls, config: WorkerConfig) -> Worker:
        """Start a process and wait until its model is loaded.

        Raises:
            BundleError: the bundle cannot be run.
        """
        server_socket, worker_socket = socket.socketpair()
        process = await spawn_process(config, worker_socket)
        worker_socket.close()
        streams = await asyncio.open_connection(sock=server_socket)
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                model_info = await read_message(streams[0])
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            model_info = {
                "error": f"its process ended before it was ready ({type(error).__name__})"
            }
        except asyncio.CancelledError:  # the server ends while a process is started again
            if process.returncode is None:
                process.kill()
            streams[1].close()
            raise
        if model_info["error"]:
            if process.returncode is None:
                process.kill()
            await process.wait()
            streams[1].close()
            raise BundleError(
                f"the model {config.model_name!r} cannot be put to work",
                detail=model_info["error"].splitlines()[0],
                hint="see the lines above; package the project again: fieldcraft run",
            )
        return cls(process, model_info, streams)

    async def send_batch(self, items: list[tuple[str, str, bytes]], timeout_seconds: float) -> Any:
        """The replies to a batch.

        Raises:
            Trouble: the process died, or took too long and was stopped.
        """
        reply = asyncio.get_running_loop().create_future()
        self.pending_replies.append(reply)
        self.writer.write(pack_message(items))
        try:
            async with asyncio.timeout(timeout_seconds):
                return await reply
        except TimeoutError:
            self.process.kill()
            raise RequestError(
                "worker_lost", "the model took too long and was started again"
            ) from None

    async def receive_replies(self) -> None:
        """Hand replies on in the order in which batches were sent, until the process ends."""
        try:
            while True:
                message = await read_message(self.reader)
                reply = self.pending_replies.popleft()
                if not reply.done():
                    reply.set_result(message)
        except (asyncio.IncompleteReadError, ConnectionError):
            error = RequestError("worker_lost", "the model's process ended; try again")
            for reply in self.pending_replies:
                if not reply.done():
                    reply.set_exception(error)
            self.pending_replies.clear()
        finally:
            self.writer.close()  # else it is kept open until it is collected

    @property
    def is_alive(self) -> bool:
        """Whether it still answers."""
        return not self.listener_task.done()

    async def stop(self) -> None:
        """Close the line, upon which the process ends."""
        self.writer.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        await asyncio.wait([self.listener_task])


class WorkerPool:
    """Several processes with the same model, which share one queue of requests."""

    def __init__(self, config: WorkerConfig, queue: RequestQueue, on_tally: TallyCallback) -> None:
        """Nobody works yet; `start` starts them."""
        self.config = config
        self.queue = queue
        self.on_tally = on_tally
        self.model_info: dict[str, Any] = {}
        self.n_restarts = 0
        self.is_closing = False
        self.idle_tasks: set[asyncio.Task[None]] = set()  # that wait for a batch
        self.n_active_batches = 0  # batches that are computed
        self.supervisor_tasks: list[asyncio.Task[None]] = []
        self.workers: dict[int, Worker] = {}

    async def start(self, n_workers: int) -> None:
        """Start the processes; requests are answered from now on.

        Raises:
            BundleError: the bundle cannot be run.
        """
        first = await Worker.start(self.config)
        self.model_info = first.model_info
        self.supervisor_tasks = [
            asyncio.create_task(self.supervise_worker(number, first if number == 0 else None))
            for number in range(n_workers)
        ]

    @property
    def is_ready(self) -> bool:
        """Whether at least one process answers."""
        return any(worker.is_alive for worker in self.workers.values())

    async def supervise_worker(self, number: int, worker: Worker | None) -> None:
        """Have one process work, and start another whenever it dies."""
        n_failures = 0
        while True:
            try:
                worker_process = worker or await Worker.start(self.config)
            except BundleError:
                n_failures += 1
                await asyncio.sleep(
                    RESTART_BACKOFF_SECONDS[min(n_failures, len(RESTART_BACKOFF_SECONDS) - 1)]
                )
                continue
            self.workers[number], worker, n_failures = worker_process, None, 0
            dispatch_tasks = [
                asyncio.create_task(self.dispatch_batches(worker_process))
                for _ in range(MAX_BATCHES_IN_FLIGHT)
            ]
            try:
                await asyncio.wait(
                    [worker_process.listener_task]
                )  # being told to stop does not stop it
            finally:
                for task in dispatch_tasks:
                    task.cancel()
            self.n_restarts += 1
            await worker_process.process.wait()

    async def dispatch_batches(self, worker: Worker) -> None:
        """Give a process batch after batch."""
        task = asyncio.current_task()
        assert task is not None
        while worker.is_alive and not self.is_closing:
            self.idle_tasks.add(task)
            try:
                batch = await self.queue.next_batch()
            finally:
                self.idle_tasks.discard(task)
            self.n_active_batches += 1
            try:
                await self.run_batch(worker, batch)
            finally:
                self.n_active_batches -= 1

    async def run_batch(self, worker: Worker, batch: list[PendingRequest]) -> None:
        """Have a batch computed and hand out the replies."""
        try:
            items = [(queued.protocol, queued.request_id, queued.body) for queued in batch]
            replies, tally = await worker.send_batch(
                items, self.config.limits.request_timeout_seconds
            )
        except RequestError as error:
            for pending in batch:
                pending.fail(error)
            return
        except asyncio.CancelledError:
            for pending in batch:
                pending.fail(RequestError("worker_lost", "the model's process ended; try again"))
            raise
        for pending, reply in zip(batch, replies, strict=True):
            if not pending.reply.done():
                pending.reply.set_result(reply)
        self.on_tally({**tally, "batches": 1, "batched": len(batch)})

    async def stop(self) -> None:
        """Take no further batch, let running ones end, then end the processes."""
        self.is_closing = True
        for task in list(self.idle_tasks):
            task.cancel()
        while self.n_active_batches:
            await asyncio.sleep(0.01)
        for task in self.supervisor_tasks:
            task.cancel()
        await asyncio.gather(*self.supervisor_tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self.workers.values()))

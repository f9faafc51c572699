"""Run the worker processes of a model, and replace those that crash or hang."""

from __future__ import annotations

import asyncio
import json
import marshal
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
from fieldcraft.serving.model import RequestPolicy
from fieldcraft.serving.prediction_log import PredictionLogConfig
from fieldcraft.serving.queue import PendingRequest, RequestQueue, ServerLimits
from fieldcraft.serving.worker import LENGTH_HEADER, pack_message

# Two, so that the next batch is already in the socket when a worker finishes the previous one.
MAX_BATCHES_IN_FLIGHT = 2
START_TIMEOUT_SECONDS = 120.0  # time to load the bundle
STOP_TIMEOUT_SECONDS = 10.0  # time to write the rest of the prediction log
RESTART_BACKOFF_SECONDS = (0.0, 0.5, 2.0, 5.0)  # by number of failed starts in a row
TallyCallback = Callable[[dict[str, int]], None]


@dataclass(frozen=True)
class WorkerConfig:
    """Configuration of a worker process.

    Attributes:
        folder: folder of the bundle.
        model_name: name of the model.
        policy: policy for requests.
        limits: limits of the server.
        log_config: configuration of the prediction log; None for no log.
    """

    folder: Path
    model_name: str
    policy: RequestPolicy
    limits: ServerLimits
    log_config: PredictionLogConfig | None = None

    def to_arguments(self) -> list[str]:
        """Return the command-line arguments of the process: see `worker.run_worker`."""
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
    """Start a worker process that communicates with the server over a socket."""
    command = [
        sys.executable,
        "-m",
        "fieldcraft.serving.worker",
        str(stream.fileno()),
        *config.to_arguments(),
    ]
    # By default idle OpenMP threads spin for a while, and would take the cores from other workers.
    return await asyncio.create_subprocess_exec(
        *command, pass_fds=[stream.fileno()], stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )  # fmt: skip


async def read_message(reader: asyncio.StreamReader) -> Any:
    """Return the next message of a worker: see `worker.pack_message`.

    Raises:
        asyncio.IncompleteReadError: the worker closed the stream.
    """
    (n_bytes,) = LENGTH_HEADER.unpack(await reader.readexactly(LENGTH_HEADER.size))
    return marshal.loads(await reader.readexactly(n_bytes))


class Worker:
    """The server's end of a worker process."""

    def __init__(self, process: asyncio.subprocess.Process, model_info: dict[str, Any],
                 streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:  # fmt: skip
        """Take over a process that has reported that it is ready."""
        self.process = process
        self.model_info = model_info
        self.reader, self.writer = streams
        self.pending_replies: deque[asyncio.Future[Any]] = deque()
        self.listener_task = asyncio.create_task(self.receive_replies())

    @classmethod
    async def start(cls, config: WorkerConfig) -> Worker:
        """Start a process and wait until its model is loaded.

        Raises:
            BundleError: the bundle cannot be run, or the process cannot be started.
        """
        server_socket, worker_socket = socket.socketpair()
        try:
            # Closed here once the process has it: while the server holds the worker's end as well,
            # it does not notice when the worker dies.
            with worker_socket:
                process = await spawn_process(config, worker_socket)
        except OSError as error:
            server_socket.close()
            raise BundleError(
                f"the model {config.model_name!r} cannot be served",
                detail=f"its process cannot be started: {error}",
                hint="check the system's limits on processes, open files and memory",
            ) from error
        streams = await asyncio.open_connection(sock=server_socket)
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                model_info = await read_message(streams[0])
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            model_info = {
                "error": f"its process ended before it was ready ({type(error).__name__})"
            }
        except asyncio.CancelledError:  # the server is stopped while a worker restarts
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
                f"the model {config.model_name!r} cannot be served",
                detail=model_info["error"].splitlines()[0],
                hint="see the lines above; package the project again: fieldcraft run",
            )
        return cls(process, model_info, streams)

    async def send_batch(self, items: list[tuple[str, str, bytes]], timeout_seconds: float) -> Any:
        """Send a batch and return its replies.

        Raises:
            RequestError: the process crashed, or took too long and was killed.
        """
        reply = asyncio.get_running_loop().create_future()
        self.pending_replies.append(reply)
        self.writer.write(pack_message(items))
        try:
            async with asyncio.timeout(timeout_seconds):
                return await reply
        except TimeoutError:
            # A worker computes one batch after another: one that hangs would block all later ones.
            self.process.kill()
            raise RequestError(
                "worker_crashed", "the model took too long and was restarted"
            ) from None

    async def receive_replies(self) -> None:
        """Assign replies to batches, which are answered in order, until the process ends."""
        try:
            while True:
                message = await read_message(self.reader)
                reply = self.pending_replies.popleft()
                if not reply.done():
                    reply.set_result(message)
        except (asyncio.IncompleteReadError, ConnectionError):
            error = RequestError("worker_crashed", "the model's process ended; try again")
            for reply in self.pending_replies:
                if not reply.done():
                    reply.set_exception(error)
            self.pending_replies.clear()
        finally:
            self.writer.close()  # otherwise the socket stays open until it is garbage-collected

    @property
    def is_alive(self) -> bool:
        """Whether the process still answers."""
        return not self.listener_task.done()

    async def stop(self) -> None:
        """Close the stream, which makes the process end; kill it if it does not."""
        self.writer.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        await asyncio.wait([self.listener_task])


class WorkerPool:
    """Several workers with the same model that share one queue of requests.

    Args:
        config: configuration of the workers.
        queue: queue from which they take batches.
        on_tally: called with the counts of each batch.
        on_restart: called for each worker process that ended unexpectedly.
    """

    def __init__(
        self,
        config: WorkerConfig,
        queue: RequestQueue,
        on_tally: TallyCallback,
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self.queue = queue
        self.on_tally = on_tally
        self.on_restart = on_restart
        self.model_info: dict[str, Any] = {}
        self.is_closing = False
        self.idle_tasks: set[asyncio.Task[None]] = set()  # tasks that wait for a batch
        self.n_active_batches = 0
        self.supervisor_tasks: list[asyncio.Task[None]] = []
        self.workers: dict[int, Worker] = {}

    async def start(self, n_workers: int) -> None:
        """Start the workers, which answer requests from then on.

        Raises:
            BundleError: the bundle cannot be run.
        """
        # Wait for the first one only: it shows whether the bundle can be run.
        first_worker = await Worker.start(self.config)
        self.model_info = first_worker.model_info
        self.supervisor_tasks = [
            asyncio.create_task(
                self.supervise_worker(number, first_worker if number == 0 else None)
            )
            for number in range(n_workers)
        ]

    @property
    def is_ready(self) -> bool:
        """Whether at least one worker answers."""
        return any(worker.is_alive for worker in self.workers.values())

    async def supervise_worker(self, number: int, started_worker: Worker | None) -> None:
        """Keep one worker running: start a new process whenever it ends."""
        n_failures = 0
        while True:
            try:
                worker = started_worker or await Worker.start(self.config)
            except BundleError:
                n_failures += 1
                await asyncio.sleep(
                    RESTART_BACKOFF_SECONDS[min(n_failures, len(RESTART_BACKOFF_SECONDS) - 1)]
                )
                continue
            # Only failed starts are delayed; a worker that crashes later is replaced at once.
            self.workers[number], started_worker, n_failures = worker, None, 0
            dispatch_tasks = [
                asyncio.create_task(self.dispatch_batches(worker))
                for _ in range(MAX_BATCHES_IN_FLIGHT)
            ]
            try:
                # `wait`, unlike `await`, does not cancel the listener when this task is cancelled:
                # the worker still has to send the replies to its last batches.
                await asyncio.wait([worker.listener_task])
            finally:
                for task in dispatch_tasks:
                    task.cancel()
            self.on_restart()
            await worker.process.wait()

    async def dispatch_batches(self, worker: Worker) -> None:
        """Send a worker one batch after another."""
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
        """Compute a batch and distribute its replies."""
        try:
            items = [(pending.protocol, pending.request_id, pending.body) for pending in batch]
            replies, tally = await worker.send_batch(
                items, self.config.limits.request_timeout_seconds
            )
        except RequestError as error:
            for pending in batch:
                pending.fail(error)
            return
        except asyncio.CancelledError:
            for pending in batch:
                pending.fail(RequestError("worker_crashed", "the model's process ended; try again"))
            raise
        for pending, reply in zip(batch, replies, strict=True):
            if not pending.reply.done():
                pending.reply.set_result(reply)
        self.on_tally({**tally, "batch_size": len(batch)})

    async def stop(self) -> None:
        """Take no further batches, finish the running ones, then stop the workers."""
        self.is_closing = True
        # Tasks that wait for a batch are cancelled; those that run one end after it.
        for task in list(self.idle_tasks):
            task.cancel()
        while self.n_active_batches:
            await asyncio.sleep(0.01)
        # Supervisors first: they would restart the workers that are stopped below.
        for task in self.supervisor_tasks:
            task.cancel()
        await asyncio.gather(*self.supervisor_tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self.workers.values()))

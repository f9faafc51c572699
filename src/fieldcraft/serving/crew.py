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
from fieldcraft.serving.frames import next_message, packed
from fieldcraft.serving.limits import Limits
from fieldcraft.serving.line import Line, Waiting
from fieldcraft.serving.model import Manners
from fieldcraft.serving.record import Log
from fieldcraft.serving.trouble import Trouble

AHEAD = 2  # batches that a process is given at a time, so that it never waits for the server
STARTING = 120.0  # seconds in which a process must have loaded its bundle
ENDING = 10.0  # seconds in which it must have written its part of the log and ended
BEFORE_AGAIN = (0.0, 0.5, 2.0, 5.0)  # seconds before a process that died is started again
Tallied = Callable[[dict[str, int]], None]


@dataclass(frozen=True)
class Post:
    """What a process is to run.

    Attributes:
        folder: of the bundle.
        name: of the model.
        manners: of the model.
        limits: of the server.
        log: of predictions, if they are recorded.
    """

    folder: Path
    name: str
    manners: Manners
    limits: Limits
    log: Log | None = None

    def words(self) -> list[str]:
        """What the process is told when it is started."""
        log = None if self.log is None else {**asdict(self.log), "folder": str(self.log.folder)}
        return [str(self.folder), self.name, json.dumps(asdict(self.manners)), json.dumps(log)]


async def spawn_process(post: Post, stream: socket.socket) -> asyncio.subprocess.Process:
    """Start a process that runs a model and talks to the server over a stream."""
    command = [
        sys.executable, "-m", "fieldcraft.serving.worker", str(stream.fileno()), *post.words(),
    ]  # fmt: skip
    return await asyncio.create_subprocess_exec(
        *command, pass_fds=[stream.fileno()], stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )  # fmt: skip


class Worker:
    """One process with a model."""

    def __init__(self, process: asyncio.subprocess.Process, about: dict[str, Any],
                 streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:  # fmt: skip
        """A process that has said that it is ready."""
        self.process = process
        self.about = about
        self.reader, self.writer = streams
        self.asked: deque[asyncio.Future[Any]] = deque()
        self.listening = asyncio.create_task(self.listen())

    @classmethod
    async def start(cls, post: Post) -> Worker:
        """Start a process and wait until its model is loaded.

        Raises:
            BundleError: the bundle cannot be run.
        """
        ours, theirs = socket.socketpair()
        process = await spawn_process(post, theirs)
        theirs.close()
        streams = await asyncio.open_connection(sock=ours)
        try:
            async with asyncio.timeout(STARTING):
                about = await next_message(streams[0])
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            about = {"error": f"its process ended before it was ready ({type(error).__name__})"}
        except asyncio.CancelledError:  # the server ends while a process is started again
            if process.returncode is None:
                process.kill()
            streams[1].close()
            raise
        if about["error"]:
            if process.returncode is None:
                process.kill()
            await process.wait()
            streams[1].close()
            raise BundleError(
                f"the model {post.name!r} cannot be put to work",
                seen=about["error"].splitlines()[0],
                way_out="see the lines above; package the project again: fieldcraft run",
            )
        return cls(process, about, streams)

    async def ask(self, items: list[tuple[str, str, bytes]], seconds: float) -> Any:
        """The replies to a batch.

        Raises:
            Trouble: the process died, or took too long and was stopped.
        """
        reply = asyncio.get_running_loop().create_future()
        self.asked.append(reply)
        self.writer.write(packed(items))
        try:
            async with asyncio.timeout(seconds):
                return await reply
        except TimeoutError:
            self.process.kill()
            raise Trouble("worker_lost", "the model took too long and was started again") from None

    async def listen(self) -> None:
        """Hand replies on in the order in which batches were sent, until the process ends."""
        try:
            while True:
                message = await next_message(self.reader)
                reply = self.asked.popleft()
                if not reply.done():
                    reply.set_result(message)
        except (asyncio.IncompleteReadError, ConnectionError):
            lost = Trouble("worker_lost", "the model's process ended; try again")
            for reply in self.asked:
                if not reply.done():
                    reply.set_exception(lost)
            self.asked.clear()
        finally:
            self.writer.close()  # else it is kept open until it is collected

    @property
    def alive(self) -> bool:
        """Whether it still answers."""
        return not self.listening.done()

    async def stop(self) -> None:
        """Close the line, upon which the process ends."""
        self.writer.close()
        try:
            async with asyncio.timeout(ENDING):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        await asyncio.wait([self.listening])


class Crew:
    """Several processes with the same model, which share one queue of requests."""

    def __init__(self, post: Post, line: Line, tallied: Tallied) -> None:
        """Nobody works yet; `start` starts them."""
        self.post = post
        self.line = line
        self.tallied = tallied
        self.about: dict[str, Any] = {}
        self.deaths = 0
        self.closing = False
        self.idle: set[asyncio.Task[None]] = set()  # that wait for a batch
        self.busy = 0  # batches that are computed
        self.tasks: list[asyncio.Task[None]] = []
        self.workers: dict[int, Worker] = {}

    async def start(self, count: int) -> None:
        """Start the processes; requests are answered from now on.

        Raises:
            BundleError: the bundle cannot be run.
        """
        first = await Worker.start(self.post)
        self.about = first.about
        self.tasks = [
            asyncio.create_task(self.keep_working(number, first if number == 0 else None))
            for number in range(count)
        ]

    @property
    def ready(self) -> bool:
        """Whether at least one process answers."""
        return any(worker.alive for worker in self.workers.values())

    async def keep_working(self, number: int, worker: Worker | None) -> None:
        """Have one process work, and start another whenever it dies."""
        failed = 0
        while True:
            try:
                found = worker or await Worker.start(self.post)
            except BundleError:
                failed += 1
                await asyncio.sleep(BEFORE_AGAIN[min(failed, len(BEFORE_AGAIN) - 1)])
                continue
            self.workers[number], worker, failed = found, None, 0
            feeding = [asyncio.create_task(self.feed(found)) for _ in range(AHEAD)]
            try:
                await asyncio.wait([found.listening])  # being told to stop does not stop it
            finally:
                for task in feeding:
                    task.cancel()
            self.deaths += 1
            await found.process.wait()

    async def feed(self, worker: Worker) -> None:
        """Give a process batch after batch."""
        task = asyncio.current_task()
        assert task is not None
        while worker.alive and not self.closing:
            self.idle.add(task)
            try:
                batch = await self.line.take()
            finally:
                self.idle.discard(task)
            self.busy += 1
            try:
                await self.compute(worker, batch)
            finally:
                self.busy -= 1

    async def compute(self, worker: Worker, batch: list[Waiting]) -> None:
        """Have a batch computed and hand out the replies."""
        try:
            items = [(w.protocol, w.request, w.body) for w in batch]
            replies, tally = await worker.ask(items, self.post.limits.seconds)
        except Trouble as trouble:
            for waiting in batch:
                waiting.fail(trouble)
            return
        except asyncio.CancelledError:
            for waiting in batch:
                waiting.fail(Trouble("worker_lost", "the model's process ended; try again"))
            raise
        for waiting, reply in zip(batch, replies, strict=True):
            if not waiting.reply.done():
                waiting.reply.set_result(reply)
        self.tallied({**tally, "batches": 1, "batched": len(batch)})

    async def stop(self) -> None:
        """Take no further batch, let running ones end, then end the processes."""
        self.closing = True
        for task in list(self.idle):
            task.cancel()
        while self.busy:
            await asyncio.sleep(0.01)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self.workers.values()))

"""Run jobs in this process or in several, with callbacks that answer in this process.

An executor maps a function over jobs. The function gets the specification of a job, which can be
pickled, and the callbacks of the job. In another process the callbacks are called through a pipe,
so they may draw on a terminal, write to the ledger or stop a training, wherever it runs.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import traceback
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import starmap
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Protocol, TypeVar

from fieldcraft.core.callbacks import JobCallbacks, NullJobCallbacks
from fieldcraft.core.errors import FieldcraftError, TrainingError

Spec = TypeVar("Spec")
Result = TypeVar("Result")
STOP_TIMEOUT_SECONDS = 10.0  # of a process that is told to end


@dataclass(frozen=True)
class Job(Generic[Spec]):
    """A job of an executor.

    Attributes:
        make_spec: makes the specification when the job starts, since a share of a time budget is
            known only then. The specification can be pickled.
        callbacks: called in the process of the executor.
        affinity: jobs of equal affinity share cached data, so they run in one process if possible.
    """

    make_spec: Callable[[], Spec]
    callbacks: JobCallbacks = field(default_factory=NullJobCallbacks)
    affinity: Hashable = None


class Executor(Protocol):
    """Runs jobs."""

    n_workers: int  # jobs that run at the same time

    def limit_memory(self, job_bytes: int) -> Executor:
        """An executor whose jobs, of this size each, fit into the free memory together."""

    def map(
        self, function: Callable[[Spec, JobCallbacks], Result], jobs: Sequence[Job[Spec]]
    ) -> Iterator[Result]:
        """The results of a function for each job, in the order of the jobs.

        Jobs run while the results are consumed. The first failure ends all jobs and is raised.
        """


class InProcessExecutor:
    """Runs jobs one after the other in this process."""

    n_workers = 1

    def limit_memory(self, job_bytes: int) -> InProcessExecutor:
        """This executor, which runs one job at a time."""
        return self

    def map(
        self, function: Callable[[Spec, JobCallbacks], Result], jobs: Sequence[Job[Spec]]
    ) -> Iterator[Result]:
        """The results of a function for each job, in the order of the jobs."""
        # A map of arguments, not a loop: so no frame of ours stands between a stage and its fit.
        return starmap(function, ((job.make_spec(), job.callbacks) for job in jobs))


class MultiProcessExecutor:
    """Runs jobs in several processes.

    The processes are started anew (spawned), not forked: a fork would copy the state of the thread
    pools of PyTorch and Polars without their threads, and hang.
    """

    def __init__(self, n_workers: int) -> None:
        """Use at most this many processes; they are started by `map`."""
        self.n_workers = n_workers

    def limit_memory(self, job_bytes: int) -> Executor:
        """An executor with as many processes as fit into the free memory, at most those of this."""
        import psutil  # not needed to predict

        n_workers = min(self.n_workers, int(psutil.virtual_memory().available // job_bytes))
        return make_executor(n_workers)

    def map(
        self, function: Callable[[Spec, JobCallbacks], Result], jobs: Sequence[Job[Spec]]
    ) -> Iterator[Result]:
        """The results of a function for each job, in the order of the jobs.

        Args:
            function: a function at module level, which the processes import.
            jobs: the jobs.

        Raises:
            TrainingError: a process ended before its job did.
        """
        run = _PoolRun(function, jobs)
        try:
            for _ in range(min(self.n_workers, len(jobs))):
                run.start_worker()
            while run.running:
                run.handle_messages()
        finally:
            run.stop_workers()
        yield from (run.results[index] for index in range(len(jobs)))


def make_executor(n_workers: int) -> Executor:
    """An executor that runs this many jobs at the same time."""
    return MultiProcessExecutor(n_workers) if n_workers > 1 else InProcessExecutor()


class _PoolRun:
    """One call of `MultiProcessExecutor.map`."""

    def __init__(self, function: Callable[..., Any], jobs: Sequence[Job[Any]]) -> None:
        self.function, self.jobs = function, jobs
        self.waiting = list(range(len(jobs)))
        self.workers: dict[Connection, BaseProcess] = {}
        self.running: dict[Connection, int] = {}  # index of the job
        self.results: dict[int, Any] = {}

    def start_worker(self) -> None:
        """Start a process and give it its first job."""
        context = multiprocessing.get_context("spawn")
        connection, worker_end = context.Pipe()
        process = context.Process(target=serve_jobs, args=(worker_end, self.function), daemon=True)
        process.start()
        # Only the process holds its end now, so that its death is the end of the stream.
        worker_end.close()
        self.workers[connection] = process
        self.start_job(connection, None)

    def start_job(self, connection: Connection, last_affinity: Hashable) -> None:
        """Give a process its next job, if there is one, preferably one that shares its cache."""
        if not self.waiting:
            self.running.pop(connection, None)
            return
        taken = {self.jobs[index].affinity for index in self.running.values()}
        affinities = [self.jobs[index].affinity for index in self.waiting]
        index = self.waiting.pop(choose_affinity(affinities, last_affinity, taken))
        self.running[connection] = index
        connection.send(self.jobs[index].make_spec())

    def handle_messages(self) -> None:
        """Wait for messages of the processes and answer them."""
        for connection in wait(list(self.running)):
            assert isinstance(connection, Connection)
            index = self.running[connection]
            job = self.jobs[index]
            try:
                kind, arguments = connection.recv()
            except (EOFError, ConnectionResetError) as error:
                raise make_lost_process_error(self.workers[connection]) from error
            if kind == "result":
                self.results[index] = arguments
                del self.running[connection]
                self.start_job(connection, job.affinity)
            elif kind == "error":
                raise arguments
            else:
                connection.send(getattr(job.callbacks, kind)(*arguments))

    def stop_workers(self) -> None:
        """End all processes; those that are in the middle of a job are killed."""
        for connection, process in self.workers.items():
            connection.close()  # an idle process sees the end of the stream and ends
            if connection in self.running:
                process.kill()
        for process in self.workers.values():
            process.join(STOP_TIMEOUT_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


def choose_affinity(
    affinities: Sequence[Hashable], last_affinity: Hashable, taken: Container[Hashable]
) -> int:
    """The index of the next affinity of a process: the same again, else one that no other has.

    >>> choose_affinity(["a", "b", "a"], "b", {"a"})
    1
    >>> choose_affinity(["a", "b", "a"], "c", {"a"})
    1
    >>> choose_affinity(["a", "a"], "c", {"a"})
    0
    """
    return min(
        range(len(affinities)),
        key=lambda index: (affinities[index] != last_affinity, affinities[index] in taken),
    )


class RemoteCallbacks:
    """Callbacks that are called in the process at the other end of a connection."""

    def __init__(self, connection: Connection) -> None:
        """Send calls through a connection."""
        self.connection = connection

    def on_progress(self, message: str, fraction: float | None) -> None:
        """Report progress."""
        self._call("on_progress", message, fraction)

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Report the end of an epoch; True stops the training."""
        return bool(self._call("on_epoch_end", epoch, dict(metrics)))

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            self.connection.send((method, arguments))
            return self.connection.recv()
        except (EOFError, OSError) as error:
            raise LostExecutorError from error


class LostExecutorError(Exception):
    """The process of the executor has ended. A job's own EOFError or OSError is another thing."""


def serve_jobs(connection: Connection, function: Callable[..., Any]) -> None:
    """Run the jobs that arrive at a connection; the main function of a process.

    If the process of the executor ends, the next message fails, and this process ends too.
    """
    # Ctrl+C reaches all processes of a terminal; the process of the executor ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    callbacks = RemoteCallbacks(connection)
    while True:
        try:
            spec = connection.recv()
        except (EOFError, OSError):  # the process of the executor has ended, or needs no more
            return
        try:
            message = ("result", function(spec, callbacks))
        except LostExecutorError:
            return
        except Exception as error:  # noqa: BLE001  # raised again where the executor is
            message = ("error", make_portable(error))
        with suppress(BrokenPipeError):  # then the next `recv` ends this process
            connection.send(message)


def make_portable(error: Exception) -> Exception:
    """The error, with its traceback as a note; another one in its place if it cannot be pickled."""
    note = traceback.format_exc()
    try:
        pickle.loads(pickle.dumps(error))  # some errors can be pickled, but not unpickled
    except Exception:  # noqa: BLE001  # an error may raise anything here
        error = RuntimeError(f"{type(error).__name__}: {error}")
    if not isinstance(error, FieldcraftError):
        error.add_note(note)
    return error


def make_lost_process_error(process: BaseProcess) -> TrainingError:
    """The error for a process that ended in the middle of a job."""
    process.join(STOP_TIMEOUT_SECONDS)
    return TrainingError(
        "a training process ended before its work was done",
        detail=f"exit code {process.exitcode}",
        hint="run again to resume from its last checkpoint; if memory ran out (exit code -9), use "
        "fewer processes: train.workers",
    )

"""Choose by timing how a training computes: the number format, and how many threads.

bfloat16 pays on some processors only. A step of a small network is over before a second thread
has come to help, and while another program keeps a core busy, threads that wait for each other
make it many times slower.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16"]
BatchLoss = Callable[[nn.Module], Tensor]
TIMED_STEPS = 5
MIN_STEP_SECONDS = 2e-3  # seconds of a step below which nothing is gained, and noise would choose
MAX_TIME_RATIO = 0.85  # another way must take less than this share of the time


@dataclass(frozen=True)
class ComputeConfig:
    """How a training computes.

    Attributes:
        precision: number format of the products.
        threads: of the processor; None leaves them as they are (on a graphics card).
    """

    precision: Precision = "float32"
    threads: int | None = None


def autotune_compute(network: nn.Module, loss: BatchLoss) -> ComputeConfig:
    """The fastest way to take a few training steps on a copy of the network.

    Where the device does not compute in bfloat16 itself, that is not timed: it can only lose
    there, and a choice that hangs on noise would make two runs differ. On a processor formats are
    compared by the work of one thread, which other programs do not change.

    Args:
        network: left untouched.
        loss: computes the loss of a batch with the network it is given.
    """
    device = next(network.parameters()).device.type
    best = ComputeConfig("float32", torch.get_num_threads() if device == "cpu" else None)
    best_seconds = time_steps(network, loss, best)
    if best_seconds < MIN_STEP_SECONDS:
        return best
    # The format first: how many threads pay depends on how long a step is in the better one.
    if has_bfloat16(device):
        clock = time.process_time if device == "cpu" else time.perf_counter
        single_thread = replace(best, threads=1 if device == "cpu" else None)
        candidate = replace(single_thread, precision="bfloat16")
        float32_seconds = time_steps(network, loss, single_thread, clock)
        if time_steps(network, loss, candidate, clock) < MAX_TIME_RATIO * float32_seconds:
            best = replace(best, precision="bfloat16")
            best_seconds = time_steps(network, loss, best)
    for n_threads in smaller_thread_counts(best.threads):
        candidate = replace(best, threads=n_threads)
        seconds = time_steps(network, loss, candidate)
        if seconds < MAX_TIME_RATIO * best_seconds:
            best, best_seconds = candidate, seconds
    return best


def smaller_thread_counts(n_threads: int | None) -> list[int]:
    """Numbers of threads to try below the present one: powers of two, the largest first."""
    if n_threads is None:
        return []
    return [2**exponent for exponent in reversed(range((n_threads - 1).bit_length()))]


def has_bfloat16(device: str) -> bool:
    """Whether a device multiplies matrices of bfloat16 in hardware."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        cpu_flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:  # not Linux: let the clock decide
        return True
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(cpu_flags))


def time_steps(
    network: nn.Module,
    loss: BatchLoss,
    compute_config: ComputeConfig,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Seconds of the fastest of a few steps forward and back, the first one not counted."""
    network = copy.deepcopy(network).train()
    device = next(network.parameters()).device.type
    step_seconds = []
    with limit_threads(compute_config.threads):
        for _ in range(TIMED_STEPS + 1):
            start = clock()
            with autocast(device, compute_config.precision):
                batch_loss = loss(network)
            torch.autograd.backward(batch_loss)
            if device == "cuda":
                torch.cuda.synchronize()
            step_seconds.append(clock() - start)
    return min(step_seconds[1:])


def autocast(device: str, precision: Precision) -> torch.autocast:
    """The context in which a forward pass runs in the chosen format."""
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def limit_threads(n_threads: int | None) -> Iterator[None]:
    """Compute with some number of threads while the block runs; None: as many as now."""
    previous = torch.get_num_threads()
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(previous)

"""Choose the number format and the number of threads of a training by timing.

bfloat16 is faster on some CPUs only. A step of a small network ends before a second thread can
help, and while another program keeps a core busy, threads that wait for each other make a step
many times slower (217 ms instead of about 30; docs/log.md).
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
MIN_STEP_SECONDS = 2e-3  # differences of shorter steps are noise, and gain nothing
# A candidate must be clearly faster: two runs of one project should make the same choice, as
# another number format leads to slightly different weights.
MAX_TIME_RATIO = 0.85


@dataclass(frozen=True)
class ComputeConfig:
    """Number format and threads of a training.

    Attributes:
        precision: number format of matrix products.
        threads: CPU threads; None leaves them as they are (on a GPU).
    """

    precision: Precision = "float32"
    threads: int | None = None


def autotune_compute(
    network: nn.Module, loss: BatchLoss, n_threads: int | None = None
) -> ComputeConfig:
    """Choose the fastest configuration by timing a few training steps on a copy of the network.

    bfloat16 is not timed on devices without hardware support: it can only lose there, and a choice
    by noise would make two runs differ. On a CPU, formats are compared by the CPU time of one
    thread, which other programs do not affect.

    Args:
        network: not modified.
        loss: computes the loss of a batch with the network it is given.
        n_threads: CPU threads; None for the fastest number.
    """
    device = next(network.parameters()).device.type
    max_threads = n_threads or torch.get_num_threads()
    best = ComputeConfig("float32", max_threads if device == "cpu" else None)
    best_seconds = time_steps(network, loss, best)
    if best_seconds < MIN_STEP_SECONDS:
        return best
    # The format first: how many threads pay off depends on the length of a step.
    if has_bfloat16(device):
        clock = time.process_time if device == "cpu" else time.perf_counter
        single_thread = replace(best, threads=1 if device == "cpu" else None)
        candidate = replace(single_thread, precision="bfloat16")
        float32_seconds = time_steps(network, loss, single_thread, clock)
        if time_steps(network, loss, candidate, clock) < MAX_TIME_RATIO * float32_seconds:
            best = replace(best, precision="bfloat16")
            best_seconds = time_steps(network, loss, best)
    for n_fewer in smaller_thread_counts(best.threads) if n_threads is None else ():
        candidate = replace(best, threads=n_fewer)
        seconds = time_steps(network, loss, candidate)
        if seconds < MAX_TIME_RATIO * best_seconds:
            best, best_seconds = candidate, seconds
    return best


def smaller_thread_counts(n_threads: int | None) -> list[int]:
    """Smaller numbers of threads to try: powers of two, largest first."""
    if n_threads is None:
        return []
    return [2**exponent for exponent in reversed(range((n_threads - 1).bit_length()))]


def has_bfloat16(device: str) -> bool:
    """Whether a device multiplies matrices of bfloat16 in hardware."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        cpu_flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:  # not Linux: time it
        return True
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(cpu_flags))


def time_steps(
    network: nn.Module,
    loss: BatchLoss,
    compute_config: ComputeConfig,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Seconds of the fastest of a few training steps; the first one is a warm-up."""
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
    # The minimum, as other programs can only make a step slower.
    return min(step_seconds[1:])


def autocast(device: str, precision: Precision) -> torch.autocast:
    """The autocast context of a forward pass in the chosen format."""
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def limit_threads(n_threads: int | None) -> Iterator[None]:
    """Limit PyTorch to a number of threads while the block runs; None leaves it as it is."""
    previous = torch.get_num_threads()
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(previous)

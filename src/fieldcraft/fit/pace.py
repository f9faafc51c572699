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
Loss = Callable[[nn.Module], Tensor]
STEPS = 5
SHORTEST = 2e-3  # seconds of a step below which nothing is gained, and noise would choose
WORTH = 0.85  # another way must take less than this share of the time


@dataclass(frozen=True)
class Pace:
    """How a training computes.

    Attributes:
        precision: number format of the products.
        threads: of the processor; None leaves them as they are (on a graphics card).
    """

    precision: Precision = "float32"
    threads: int | None = None


def choose_pace(network: nn.Module, loss: Loss) -> Pace:
    """The fastest way to take a few training steps on a copy of the network.

    Where the device does not compute in bfloat16 itself, that is not timed: it can only lose
    there, and a choice that hangs on noise would make two runs differ. On a processor formats are
    compared by the work of one thread, which other programs do not change.

    Args:
        network: left untouched.
        loss: computes the loss of a batch with the network it is given.
    """
    device = next(network.parameters()).device.type
    best = Pace("float32", torch.get_num_threads() if device == "cpu" else None)
    shortest = time_steps(network, loss, best)
    if shortest < SHORTEST:
        return best
    # The format first: how many threads pay depends on how long a step is in the better one.
    if computes_bfloat16(device):
        clock = time.process_time if device == "cpu" else time.perf_counter
        alone = replace(best, threads=1 if device == "cpu" else None)
        other = replace(alone, precision="bfloat16")
        spent = time_steps(network, loss, alone, clock)
        if time_steps(network, loss, other, clock) < WORTH * spent:
            best = replace(best, precision="bfloat16")
            shortest = time_steps(network, loss, best)
    for count in fewer(best.threads):
        other = replace(best, threads=count)
        seconds = time_steps(network, loss, other)
        if seconds < WORTH * shortest:
            best, shortest = other, seconds
    return best


def fewer(threads: int | None) -> list[int]:
    """Numbers of threads to try below the present one: powers of two, the largest first."""
    if threads is None:
        return []
    return [2**power for power in reversed(range((threads - 1).bit_length()))]


def computes_bfloat16(device: str) -> bool:
    """Whether a device multiplies matrices of bfloat16 in hardware."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:  # not Linux: let the clock decide
        return True
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags))


def time_steps(
    network: nn.Module, loss: Loss, pace: Pace, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Seconds of the fastest of a few steps forward and back, the first one not counted."""
    network = copy.deepcopy(network).train()
    device = next(network.parameters()).device.type
    found = []
    with using_threads(pace.threads):
        for _ in range(STEPS + 1):
            start = clock()
            with autocast(device, pace.precision):
                value = loss(network)
            torch.autograd.backward(value)
            if device == "cuda":
                torch.cuda.synchronize()
            found.append(clock() - start)
    return min(found[1:])


def autocast(device: str, precision: Precision) -> torch.autocast:
    """The context in which a forward pass runs in the chosen format."""
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """Compute with some number of threads while the block runs; None: as many as now."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

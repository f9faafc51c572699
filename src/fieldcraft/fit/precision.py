"""Choose the number format of training by timing it: bfloat16 pays on some processors only."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16"]
STEPS = 3
SHORTEST = 2e-3  # seconds of a step below which nothing is gained, and noise would choose
WORTH = 0.85  # bfloat16 must take less than this share of the time of float32


def choose_precision(network: nn.Module, loss: Callable[[nn.Module], Tensor]) -> Precision:
    """The faster of float32 and bfloat16 for a few training steps on a copy of the network.

    Where the device does not compute in bfloat16 itself, nothing is timed: it can only lose
    there, and a choice that hangs on noise would make two runs differ.

    Args:
        network: left untouched.
        loss: computes the loss of a batch with the network it is given.
    """
    if not computes_bfloat16(next(network.parameters()).device.type):
        return "float32"
    plain = time_steps(copy.deepcopy(network), loss, "float32")
    if plain < SHORTEST:
        return "float32"
    short = time_steps(copy.deepcopy(network), loss, "bfloat16")
    return "bfloat16" if short < WORTH * plain else "float32"


def computes_bfloat16(device: str) -> bool:
    """Whether a device multiplies matrices of bfloat16 in hardware."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:  # not Linux: let the clock decide
        return True
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags))


PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def time_steps(
    network: nn.Module, loss: Callable[[nn.Module], Tensor], precision: Precision
) -> float:
    """Seconds of the fastest of a few steps forward and back, the first one not counted."""
    device = next(network.parameters()).device.type
    found = []
    for _ in range(STEPS + 1):
        start = time.perf_counter()
        with autocast(device, precision):
            value = loss(network)
        torch.autograd.backward(value)
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return min(found[1:])


def autocast(device: str, precision: Precision) -> torch.autocast:
    """The context in which a forward pass runs in the chosen format."""
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")

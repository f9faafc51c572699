"""Choose the number format of training by timing it: bfloat16 pays on some processors only."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16"]
STEPS = 3
WORTH = 0.85  # bfloat16 must take less than this share of the time of float32


def choose_precision(network: nn.Module, loss: Callable[[nn.Module], Tensor]) -> Precision:
    """The faster of float32 and bfloat16 for a few training steps on a copy of the network.

    Args:
        network: left untouched.
        loss: computes the loss of a batch with the network it is given.
    """
    times = {name: time_steps(copy.deepcopy(network), loss, name) for name in PRECISIONS}
    return "bfloat16" if times["bfloat16"] < WORTH * times["float32"] else "float32"


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

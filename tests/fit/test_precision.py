"""The number format of training is chosen by the clock, where there is a choice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fieldcraft.fit import precision
from fieldcraft.fit.checkpoint import snapshot
from fieldcraft.fit.precision import PRECISIONS, Precision, autocast, choose_precision, time_steps


def loss(network: nn.Module) -> Tensor:
    found: Tensor = network(torch.ones(4, 8)).square().mean()
    return found


def test_choosing_leaves_the_network_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: True)
    network = nn.Linear(8, 8)
    before = snapshot(network)
    assert choose_precision(network, loss) in PRECISIONS
    assert all(torch.equal(value, before[name]) for name, value in snapshot(network).items())
    assert network.weight.grad is None


@pytest.mark.parametrize(
    ("seconds", "hardware", "chosen"),
    [
        ({"float32": 1.0, "bfloat16": 0.5}, True, "bfloat16"),
        ({"float32": 1.0, "bfloat16": 0.9}, True, "float32"),  # not worth it
        ({"float32": 1.0, "bfloat16": 0.5}, False, "float32"),  # the clock must be wrong
    ],
)
def test_the_shorter_format_must_pay_clearly(
    seconds: dict[str, float], hardware: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: hardware)
    monkeypatch.setattr(precision, "time_steps", lambda network, loss, name: seconds[name])
    assert choose_precision(nn.Linear(2, 2), loss) == chosen


@pytest.mark.parametrize("name", PRECISIONS)
def test_steps_are_timed_in_the_format(name: Precision) -> None:
    assert 0 < time_steps(nn.Linear(8, 8), loss, name) < float("inf")


@pytest.mark.parametrize(
    ("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_autocast_computes_in_the_format(name: Precision, dtype: torch.dtype) -> None:
    with autocast("cpu", name):
        assert nn.Linear(8, 8)(torch.ones(1, 8)).dtype == dtype

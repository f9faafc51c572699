"""Number format and threads of a training are chosen by timing."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from fieldcraft.fit import compute
from fieldcraft.fit.checkpoint import copy_weights
from fieldcraft.fit.compute import (
    ComputeConfig,
    Precision,
    autocast,
    autotune_compute,
    limit_threads,
    smaller_thread_counts,
    time_steps,
)

PRECISIONS = get_args(Precision)


def loss(network: nn.Module) -> Tensor:
    mean_square: Tensor = network(torch.ones(4, 8)).square().mean()
    return mean_square


def test_autotuning_leaves_network_and_threads_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compute, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(compute, "MIN_STEP_SECONDS", 0.0)
    network = nn.Linear(8, 8).eval()
    before, threads = copy_weights(network), torch.get_num_threads()
    config = autotune_compute(network, loss)
    assert config.precision in PRECISIONS
    assert config.threads is not None
    assert 1 <= config.threads <= threads
    assert all(torch.equal(value, before[name]) for name, value in copy_weights(network).items())
    assert network.weight.grad is None
    assert not network.training
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("seconds", "hardware", "chosen"),
    [
        ({("bfloat16", 1): 0.5, ("bfloat16", 4): 0.5}, True, ComputeConfig("bfloat16", 4)),
        ({("bfloat16", 1): 0.84, ("bfloat16", 4): 0.84}, True, ComputeConfig("bfloat16", 4)),
        ({("bfloat16", 1): 0.85}, True, ComputeConfig("float32", 4)),  # not clearly faster
        ({("float32", 1): 0.85, ("float32", 2): 0.85}, True, ComputeConfig("float32", 4)),
        (
            {("bfloat16", 4): 0.5},
            True,
            ComputeConfig("float32", 4),
        ),  # only the time of one thread counts
        ({("bfloat16", 1): 0.5}, False, ComputeConfig("float32", 4)),  # a wrong measurement
        ({("float32", 1): 0.7}, True, ComputeConfig("float32", 1)),
        ({("float32", 2): 0.7, ("float32", 1): 0.65}, True, ComputeConfig("float32", 2)),
        (
            {("bfloat16", 1): 0.6, ("bfloat16", 4): 0.5, ("bfloat16", 2): 0.4},
            True,
            ComputeConfig("bfloat16", 2),
        ),
    ],
)
def test_a_candidate_must_be_clearly_faster(
    seconds: dict[tuple[str, int], float],
    hardware: bool,
    chosen: ComputeConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fake_time_steps(
        network: nn.Module, loss: object, config: ComputeConfig, clock: object = None
    ) -> float:
        return seconds.get((config.precision, config.threads or 0), 1.0)

    monkeypatch.setattr(compute, "has_bfloat16", lambda device: hardware)
    monkeypatch.setattr(compute, "time_steps", fake_time_steps)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert autotune_compute(nn.Linear(2, 2), loss) == chosen


@pytest.mark.parametrize(("seconds", "threads"), [(0.0019, 4), (0.002, 1)])
def test_steps_below_two_milliseconds_are_not_tuned(
    seconds: float, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake_time_steps(
        network: nn.Module, loss: object, config: ComputeConfig, clock: object = None
    ) -> float:
        return seconds if config.threads == 4 else 0.5 * seconds * (config.threads or 0)

    monkeypatch.setattr(compute, "has_bfloat16", lambda device: False)
    monkeypatch.setattr(compute, "time_steps", fake_time_steps)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert autotune_compute(nn.Linear(2, 2), loss) == ComputeConfig("float32", threads)


@pytest.mark.parametrize(
    ("threads", "candidates"), [(None, []), (1, []), (2, [1]), (3, [2, 1]), (16, [8, 4, 2, 1])]
)
def test_smaller_thread_counts_are_powers_of_two(
    threads: int | None, candidates: list[int]
) -> None:
    assert smaller_thread_counts(threads) == candidates


def test_the_step_time_is_the_fastest_after_the_first() -> None:
    seconds = [0.25, 5.0, 4.0, 3.0, 6.0, 7.0]
    ticks = iter(
        [tick for start, taken in enumerate(seconds) for tick in (9 * start, 9 * start + taken)]
    )
    assert time_steps(nn.Linear(8, 8), loss, ComputeConfig(), lambda: next(ticks)) == 3.0
    assert not list(ticks)


@pytest.mark.parametrize("name", PRECISIONS)
def test_steps_are_timed_in_training_mode_and_in_the_format(name: Precision) -> None:
    network, seen = nn.Linear(8, 8).eval(), list[bool]()

    def recorded_loss(copied: nn.Module) -> Tensor:
        seen.append(copied.training)
        return loss(copied)

    assert 0 < time_steps(network, recorded_loss, ComputeConfig(name, 1)) < float("inf")
    assert all(seen)


@pytest.mark.parametrize(
    ("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_autocast_computes_in_the_format(name: Precision, dtype: torch.dtype) -> None:
    with autocast("cpu", name):
        assert nn.Linear(8, 8)(torch.ones(1, 8)).dtype == dtype


def test_threads_are_restored_if_the_block_fails() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), limit_threads(before + 2):
        torch.get_num_threads() / 0
    with limit_threads(None):
        assert torch.get_num_threads() == before

"""Checkpoints hold all that the loop needs, and nothing but data."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open

from fieldcraft.fit.checkpoint import (
    Progress,
    read_checkpoint,
    snapshot,
    unpack,
    write_checkpoint,
)
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.fit.optimizers import build_optimizers, memory_of
from fieldcraft.fit.settings import Training
from tests.fit.small import GOAL, make_network, make_rows

PROGRESS = Progress(
    epoch=3,
    step=18,
    best_epoch=2,
    best_loss=0.1 + 0.2,
    mark_epoch=1,
    mark_loss=1 / 7,
    elapsed=1.5,
    train_losses=[0.7, 0.6, 1 / 3],
    tune_losses=[0.8, 0.3, 0.4],
)


def step(network: FusedNetwork, optimizer: torch.optim.Optimizer, seed: int) -> None:
    """One step of the optimizer on rows of their own."""
    rows = make_rows(16, seed)
    optimizer.zero_grad()
    torch.autograd.backward(GOAL.loss(network.eval().raw(dict(rows.tensors)), rows.y).mean())
    optimizer.step()


def test_a_checkpoint_reads_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    network, shadow, best = make_network(), make_network(seed=1), snapshot(make_network(seed=2))
    optimizers = build_optimizers(network, Training())
    step(network, optimizers[0], 0)
    write_checkpoint(path, PROGRESS, network, shadow, best, memory_of(optimizers))
    progress, tensors = read_checkpoint(path)
    assert progress == PROGRESS
    for prefix, wanted in (
        ("network", snapshot(network)),
        ("shadow", snapshot(shadow)),
        ("best", best),
        ("optimizer", memory_of(optimizers)),
    ):
        found = unpack(tensors, prefix)
        assert set(found) == set(wanted)
        assert all(torch.equal(value, found[name]) for name, value in wanted.items())


def test_a_checkpoint_is_a_safetensors_file_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    network = make_network()
    write_checkpoint(path, PROGRESS, network, network, {}, {})
    with safe_open(path, framework="np") as stored:
        assert set(stored.metadata()) == {"progress"}
        assert "network/trunk.body.0.weight" in stored.keys()  # noqa: SIM118


def test_progress_without_a_best_epoch_yet_can_be_written(tmp_path: Path) -> None:
    path, network = tmp_path / "c.safetensors", make_network()
    write_checkpoint(path, Progress(), network, network, {}, {})
    assert read_checkpoint(path)[0] == Progress()


def test_a_snapshot_does_not_move_with_the_weights() -> None:
    network = make_network()
    kept = snapshot(network)
    step(network, build_optimizers(network, Training())[0], 0)
    assert any(not torch.equal(kept[name], value) for name, value in snapshot(network).items())

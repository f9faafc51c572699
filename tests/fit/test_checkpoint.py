"""Checkpoints hold all that the loop needs, and nothing but data."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open

from fieldcraft.fit.checkpoint import (
    TrainingState,
    copy_weights,
    load_checkpoint,
    save_checkpoint,
    tensors_under,
)
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.fit.optimizers import build_optimizers, optimizer_state
from fieldcraft.fit.settings import TrainingSettings
from tests.fit.tiny_training import CROSS_ENTROPY_OBJECTIVE, make_network, make_rows

PROGRESS = TrainingState(
    epoch=3,
    step=18,
    best_epoch=2,
    best_loss=0.1 + 0.2,
    last_improvement_epoch=1,
    last_improvement_loss=1 / 7,
    elapsed_seconds=1.5,
    train_losses=[0.7, 0.6, 1 / 3],
    validation_losses=[0.8, 0.3, 0.4],
)


def step(network: FusedNetwork, optimizer: torch.optim.Optimizer, seed: int) -> None:
    """One step of the optimizer on rows of their own."""
    rows = make_rows(16, seed)
    optimizer.zero_grad()
    torch.autograd.backward(
        CROSS_ENTROPY_OBJECTIVE.loss(network.eval().logits(dict(rows.tensors)), rows.y).mean()
    )
    optimizer.step()


def test_a_checkpoint_reads_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    network, shadow, best = make_network(), make_network(seed=1), copy_weights(make_network(seed=2))
    optimizers = build_optimizers(network, TrainingSettings())
    step(network, optimizers[0], 0)
    save_checkpoint(path, PROGRESS, network, shadow, best, optimizer_state(optimizers))
    progress, tensors = load_checkpoint(path)
    assert progress == PROGRESS
    for prefix, wanted in (
        ("network", copy_weights(network)),
        ("shadow", copy_weights(shadow)),
        ("best", best),
        ("optimizer", optimizer_state(optimizers)),
    ):
        found = tensors_under(tensors, prefix)
        assert set(found) == set(wanted)
        assert all(torch.equal(value, found[name]) for name, value in wanted.items())


def test_a_checkpoint_is_a_safetensors_file_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    network = make_network()
    save_checkpoint(path, PROGRESS, network, network, {}, {})
    with safe_open(path, framework="np") as stored:
        assert set(stored.metadata()) == {"progress"}
        assert "network/trunk.body.0.weight" in stored.keys()  # noqa: SIM118


def test_progress_without_a_best_epoch_yet_can_be_written(tmp_path: Path) -> None:
    path, network = tmp_path / "c.safetensors", make_network()
    save_checkpoint(path, TrainingState(), network, network, {}, {})
    assert load_checkpoint(path)[0] == TrainingState()


def test_a_snapshot_does_not_move_with_the_weights() -> None:
    network = make_network()
    kept = copy_weights(network)
    step(network, build_optimizers(network, TrainingSettings())[0], 0)
    assert any(not torch.equal(kept[name], value) for name, value in copy_weights(network).items())

"""Checkpoints contain everything that training needs, as data only."""

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

STATE = TrainingState(
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


def take_step(network: FusedNetwork, optimizer: torch.optim.Optimizer, seed: int) -> None:
    """Take one step of the optimizer on new rows."""
    rows = make_rows(16, seed)
    optimizer.zero_grad()
    torch.autograd.backward(
        CROSS_ENTROPY_OBJECTIVE.loss(network.eval().logits(dict(rows.tensors)), rows.y).mean()
    )
    optimizer.step()


def test_a_checkpoint_loads_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    network, ema_model = make_network(), make_network(seed=1)
    best = copy_weights(make_network(seed=2))
    optimizers = build_optimizers(network, TrainingSettings())
    take_step(network, optimizers[0], 0)
    save_checkpoint(path, STATE, network, ema_model, best, optimizer_state(optimizers))
    state, tensors = load_checkpoint(path)
    assert state == STATE
    for prefix, expected in (
        ("network", copy_weights(network)),
        ("ema", copy_weights(ema_model)),
        ("best", best),
        ("optimizer", optimizer_state(optimizers)),
    ):
        loaded = tensors_under(tensors, prefix)
        assert set(loaded) == set(expected)
        assert all(torch.equal(value, loaded[name]) for name, value in expected.items())


def test_a_checkpoint_is_a_plain_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    network = make_network()
    save_checkpoint(path, STATE, network, network, {}, {})
    with safe_open(path, framework="np") as stored:
        assert set(stored.metadata()) == {"progress"}
        assert "network/trunk.layers.0.weight" in stored.keys()  # noqa: SIM118


def test_a_state_without_a_best_epoch_can_be_saved(tmp_path: Path) -> None:
    path, network = tmp_path / "c.safetensors", make_network()
    save_checkpoint(path, TrainingState(), network, network, {}, {})
    assert load_checkpoint(path)[0] == TrainingState()


def test_copied_weights_do_not_follow_the_network() -> None:
    network = make_network()
    snapshot = copy_weights(network)
    take_step(network, build_optimizers(network, TrainingSettings())[0], 0)
    assert any(
        not torch.equal(snapshot[name], value) for name, value in copy_weights(network).items()
    )

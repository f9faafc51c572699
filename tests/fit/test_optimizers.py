"""Each parameter is moved by the right rule, and optimizers can be stopped and go on."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from fieldcraft.fit.checkpoint import copy_weights
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.fit.optimizers import (
    build_optimizers,
    iter_hidden_matrices,
    load_optimizer_state,
    optimizer_state,
)
from fieldcraft.fit.settings import OptimizerName, TrainingSettings
from tests.fit.tiny_training import CROSS_ENTROPY_OBJECTIVE, make_network, make_rows

NAMES: tuple[OptimizerName, ...] = get_args(OptimizerName)


def take_step(network: FusedNetwork, optimizers: list[torch.optim.Optimizer], seed: int) -> None:
    """Take one step of all optimizers on new rows."""
    rows = make_rows(16, seed)
    network.zero_grad()
    torch.autograd.backward(
        CROSS_ENTROPY_OBJECTIVE.loss(network.eval().logits(dict(rows.tensors)), rows.y).mean()
    )
    for optimizer in optimizers:
        optimizer.step()


def weight_after(name: OptimizerName, gradients: list[float]) -> float:
    """A decayed weight of 1.0 after some gradients, with a learning rate of 0.1."""
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(layer.weight)
    (optimizer,) = build_optimizers(
        layer, TrainingSettings(optimizer=name, learning_rate=0.1, weight_decay=0.5)
    )
    for gradient in gradients:
        layer.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
    return float(layer.weight.detach())


def test_two_steps_of_each_optimizer_follow_its_paper() -> None:
    """Sutskever et al. 2013; Tieleman and Hinton 2012; Kingma and Ba 2015; Loshchilov and Hutter
    2019. The weight decay of 0.5 is added to the gradient by all but AdamW."""
    first, second = 3.0, -1.0
    w, momentum, average = 1.0, 0.0, 0.0
    for g in (first, second):
        momentum = 0.9 * momentum + (g + 0.5 * w)
        w -= 0.1 * (g + 0.5 * w + 0.9 * momentum)
    assert weight_after("sgd", [first, second]) == pytest.approx(w)
    w = 1.0
    for g in (first, second):
        average = 0.99 * average + 0.01 * (g + 0.5 * w) ** 2
        w -= 0.1 * (g + 0.5 * w) / average**0.5
    assert weight_after("rmsprop", [first, second]) == pytest.approx(w, rel=1e-5)
    for name, coupled in (("adam", 0.5), ("adamw", 0.0)):
        w, mean, square = 1.0, 0.0, 0.0
        for step, g in enumerate((first, second), start=1):
            slope = g + coupled * w
            w *= 1.0 if coupled else 1 - 0.1 * 0.5
            mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
            w -= 0.1 * mean / (1 - 0.9**step) / (square / (1 - 0.999**step)) ** 0.5
        assert weight_after(name, [first, second]) == pytest.approx(w, rel=1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", NAMES)
def test_only_weight_matrices_are_decayed_and_frozen_weights_are_skipped(
    optimizer: OptimizerName,
) -> None:
    network = make_network("tabm")
    frozen = torch.nn.Embedding(3, 2)
    frozen.weight.requires_grad_(False)
    network.extra = frozen
    built = build_optimizers(network, TrainingSettings(optimizer=optimizer, weight_decay=0.1))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups: dict[float, list[str]] = {0.0: [], 0.1: []}
    for group in (group for optimizer in built for group in optimizer.param_groups):
        groups[group["weight_decay"]] += [names[id(p)] for p in group["params"]]
    assert sorted(groups[0.1]) == ["trunk.input_layer.weight", "trunk.shared_layers.1.weight"]
    assert set(groups[0.0]) == set(names.values()) - set(groups[0.1]) - {"extra.weight"}


@pytest.mark.parametrize("trunk", ["mlp", "tabm"])
@pytest.mark.parametrize("name", NAMES)
def test_optimizers_with_restored_state_take_the_same_step(name: OptimizerName, trunk: str) -> None:
    settings = TrainingSettings(optimizer=name, learning_rate=1e-2)
    network, copied = make_network(trunk), make_network(trunk)
    optimizers = build_optimizers(network, settings)
    for seed in range(3):
        take_step(network, optimizers, seed)
    copied.load_state_dict(copy_weights(network))
    restored = build_optimizers(copied, settings)
    load_optimizer_state(
        restored, {key: value.clone() for key, value in optimizer_state(optimizers).items()}
    )
    take_step(network, optimizers, 9)
    take_step(copied, restored, 9)
    expected = copy_weights(copied)
    assert all(torch.equal(value, expected[key]) for key, value in copy_weights(network).items())


def test_muon_updates_hidden_matrices_and_adamw_everything_else() -> None:
    network = make_network("mlp")
    hidden = {id(matrix) for matrix in iter_hidden_matrices(network)}
    names = {name for name, p in network.named_parameters() if id(p) in hidden}
    assert names == {"trunk.layers.0.weight"}  # layers.3 is the output layer
    muon, rest = build_optimizers(network, TrainingSettings(optimizer="muon"))
    muon_ids = {id(p) for group in muon.param_groups for p in group["params"]}
    assert muon_ids == hidden
    adamw_ids = {id(p) for group in rest.param_groups for p in group["params"]}
    assert adamw_ids == {id(p) for p in network.parameters()} - hidden


@pytest.mark.parametrize("optimizer", NAMES)
def test_parameters_may_have_a_scaled_learning_rate(optimizer: OptimizerName) -> None:
    network = make_network("tabm")
    slow = dict(network.named_parameters())["trunk.shared_layers.1.weight"]
    slow.lr_scale = 0.25  # type: ignore[attr-defined]
    groups = [group for built in build_optimizers(network, TrainingSettings(optimizer=optimizer))
              for group in built.param_groups]  # fmt: skip
    rates = {id(p): group.get("lr_scale", 1.0) for group in groups for p in group["params"]}
    assert rates.pop(id(slow)) == 0.25
    assert set(rates.values()) == {1.0}

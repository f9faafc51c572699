"""Rows are mixed in training with a share of each other's answers, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fieldcraft.core import catalogue
from fieldcraft.fit import loop
from fieldcraft.fit.loop import Place, predict
from fieldcraft.fit.mixing import Mixing, drawn
from fieldcraft.fit.network import FusedNetwork, PassNet
from fieldcraft.fit.pace import Pace
from fieldcraft.fit.settings import Training
from fieldcraft.fit.trunk import Mlp
from tests.fit.small import CPU, QUICK, make_network, make_rows, make_trainer

MIXED = replace(QUICK, mixup=0.4, cutmix=1.0)
TARGETS = {
    "binary": torch.tensor([0, 1, 1]),
    "multiclass": torch.tensor([2, 0, 1]),
    "ordinal": torch.tensor([2, 0, 1]),
    "multilabel": torch.tensor([[0.0, 1, 1], [1, 1, 0], [0, 0, 0]]),
    "regression": torch.tensor([0.3, -1.0, 2.0]),
}
TURN = torch.tensor([1, 2, 0])


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 0.25])])
def test_each_answer_counts_by_its_share_whatever_the_task(
    name: str, weights: Tensor | None
) -> None:
    y = TARGETS[name]
    width = 1 if name == "regression" else 2 if name == "binary" else 3
    raw = torch.randn(3, 2, width, generator=torch.Generator().manual_seed(0))
    loss = partial(catalogue.load("tasks", name).loss(), raw)
    counted = torch.ones(3) if weights is None else weights
    own, other = loss(y) * counted, loss(y[TURN]) * counted[TURN]
    for share in (torch.ones(3), torch.zeros(3), torch.tensor([0.9, 0.25, 0.5])):
        found = Mixing(share, TURN).losses(loss, y, weights)
        torch.testing.assert_close(found, share * own + (1 - share) * other)


def test_the_tasks_that_are_tried_are_all_there_are() -> None:
    assert set(TARGETS) == set(catalogue.names("tasks"))


def test_features_lie_between_a_row_and_its_partner() -> None:
    x = torch.tensor([[0.0, 1.0], [10.0, 1.0], [20.0, 5.0]])
    found = Mixing(torch.tensor([1.0, 0.5, 0.25]), TURN).mixed(x)
    assert found.tolist() == [[0, 1], [15, 3], [5, 2]]
    assert Mixing(torch.ones(3), TURN).mixed(x.bfloat16()).dtype == torch.bfloat16


def test_nothing_is_drawn_unless_it_is_asked_for() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert drawn(Training(), 8, CPU) is None
    assert torch.equal(torch.get_rng_state(), before)


def test_shares_follow_a_beta_distribution_and_ways_take_turns_by_lot() -> None:
    torch.manual_seed(0)
    found = drawn(Training(mixup=0.2), 4_000, CPU)
    assert found is not None
    assert found.cut is False
    assert sorted(found.partner.tolist()) == list(range(4_000))
    assert abs(float(found.share.mean()) - 0.5) < 0.03
    assert abs(float(found.share.var()) - 0.25 / 1.4) < 0.01  # of Beta(a, a): 1 / (8 a + 4)
    ways = [drawn(Training(mixup=0.2, cutmix=1.0), 2, CPU) for _ in range(60)]
    assert 15 < sum(way is not None and way.cut for way in ways) < 45


class Own(nn.Module):
    """A net that mixes in its own way: it says the shares."""

    inputs, chunks, recipe = ("own",), (1,), None

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        return tensors["own"]

    def mixed(self, tensors: dict[str, Tensor], mixing: Mixing) -> Tensor:
        return mixing.share[:, None]


@pytest.mark.parametrize("late", [False, True])
def test_all_nets_are_mixed_alike_and_some_in_their_own_way(late: bool) -> None:
    nets = {"own": Own(), "x": PassNet("x", 2)}
    trunk = partial(Mlp, layers=(), dropout=0.0)
    network = FusedNetwork(nets, dict.fromkeys(nets, trunk) if late else trunk, 2, lambda raw: raw)
    seen: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, Mlp):
            module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = torch.tensor([[0.0, 1.0], [10.0, 1.0], [20.0, 5.0]])
    tensors = {"own": torch.zeros(3, 1), "x": x}
    network.raw(tensors, Mixing(torch.tensor([1.0, 0.5, 0.25]), TURN))
    assert torch.cat(seen, 1).tolist() == [[1, 0, 1], [0.5, 15, 3], [0.25, 5, 2]]
    seen.clear()
    network.raw(tensors)
    assert torch.equal(torch.cat(seen, 1), torch.cat([torch.zeros(3, 1), x], 1))


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_killed_training_of_mixed_rows_ends_in_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "choose_pace", lambda network, loss: Pace())
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    train, tune = make_rows(), make_rows(seed=1)
    whole, plain = make_trainer(settings=MIXED), make_trainer()
    whole.fit(train, tune)
    plain.fit(train, tune)
    assert whole.state.train_losses != plain.state.train_losses

    def tell(text: str, share: float | None) -> None:
        if text.startswith("epoch 3"):
            raise Killed

    with pytest.raises(Killed):
        make_trainer(settings=MIXED, place=Place(folder=tmp_path, progress=tell)).fit(train, tune)
    again = make_trainer(make_network(seed=9), MIXED, Place(folder=tmp_path))
    again.fit(train, tune)
    assert again.state.train_losses == whole.state.train_losses
    for one, other in zip(again.best.values(), whole.best.values(), strict=True):
        assert torch.equal(one, other)


def test_rows_are_not_mixed_when_the_network_predicts_or_is_validated() -> None:
    trainer = make_trainer(settings=MIXED)
    trainer.fit(make_rows(), make_rows(seed=1))
    rows = make_rows(20, seed=2)
    outputs = predict(trainer.shadow, rows)
    alone = [predict(trainer.shadow, rows.take(slice(i, i + 1)))[0] for i in range(20)]
    np.testing.assert_allclose(np.stack(alone), outputs, atol=1e-6)

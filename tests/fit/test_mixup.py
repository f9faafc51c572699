"""Rows are mixed in training with a share of each other's answers, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fieldcraft.core import catalog
from fieldcraft.fit import trainer
from fieldcraft.fit.compute import ComputeConfig
from fieldcraft.fit.mixup import MixupPlan, sample_mixup
from fieldcraft.fit.network import FusedNetwork, IdentityNet
from fieldcraft.fit.settings import TrainingSettings
from fieldcraft.fit.trainer import TrainingContext, predict_outputs
from fieldcraft.fit.trunk import MLP
from tests.fit.tiny_training import CPU, FAST_SETTINGS, make_network, make_rows, make_trainer

MIXUP_SETTINGS = replace(FAST_SETTINGS, mixup=0.4, cutmix=1.0)
TARGETS = {
    "binary": torch.tensor([0, 1, 1]),
    "multiclass": torch.tensor([2, 0, 1]),
    "ordinal": torch.tensor([2, 0, 1]),
    "multilabel": torch.tensor([[0.0, 1, 1], [1, 1, 0], [0, 0, 0]]),
    "regression": torch.tensor([0.3, -1.0, 2.0]),
}
NEXT_ROW = torch.tensor([1, 2, 0])


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 0.25])])
def test_each_answer_counts_by_its_share_whatever_the_task(
    name: str, weights: Tensor | None
) -> None:
    y = TARGETS[name]
    width = 1 if name == "regression" else 2 if name == "binary" else 3
    raw = torch.randn(3, 2, width, generator=torch.Generator().manual_seed(0))
    loss = partial(catalog.load_plugin("tasks", name).loss(), raw)
    counted = torch.ones(3) if weights is None else weights
    own, other = loss(y) * counted, loss(y[NEXT_ROW]) * counted[NEXT_ROW]
    for share in (torch.ones(3), torch.zeros(3), torch.tensor([0.9, 0.25, 0.5])):
        found = MixupPlan(share, NEXT_ROW).mixed_losses(loss, y, weights)
        torch.testing.assert_close(found, share * own + (1 - share) * other)


def test_the_tasks_that_are_tried_are_all_there_are() -> None:
    assert set(TARGETS) == set(catalog.list_plugins("tasks"))


def test_features_lie_between_a_row_and_its_partner() -> None:
    x = torch.tensor([[0.0, 1.0], [10.0, 1.0], [20.0, 5.0]])
    found = MixupPlan(torch.tensor([1.0, 0.5, 0.25]), NEXT_ROW).mix(x)
    assert found.tolist() == [[0, 1], [15, 3], [5, 2]]
    assert MixupPlan(torch.ones(3), NEXT_ROW).mix(x.bfloat16()).dtype == torch.bfloat16


def test_nothing_is_drawn_unless_it_is_asked_for() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert sample_mixup(TrainingSettings(), 8, CPU) is None
    assert torch.equal(torch.get_rng_state(), before)


def test_shares_follow_a_beta_distribution_and_ways_take_turns_by_lot() -> None:
    torch.manual_seed(0)
    found = sample_mixup(TrainingSettings(mixup=0.2), 4_000, CPU)
    assert found is not None
    assert found.is_cutmix is False
    assert sorted(found.partner.tolist()) == list(range(4_000))
    assert abs(float(found.own_fraction.mean()) - 0.5) < 0.03
    assert abs(float(found.own_fraction.var()) - 0.25 / 1.4) < 0.01  # of Beta(a, a): 1 / (8 a + 4)
    ways = [sample_mixup(TrainingSettings(mixup=0.2, cutmix=1.0), 2, CPU) for _ in range(60)]
    assert 15 < sum(way is not None and way.is_cutmix for way in ways) < 45


class OwnMixingNet(nn.Module):
    """A net that mixes in its own way: it says the shares."""

    inputs, chunks, recipe = ("own",), (1,), None

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        return tensors["own"]

    def mixed(self, tensors: dict[str, Tensor], mixing: MixupPlan) -> Tensor:
        return mixing.own_fraction[:, None]


@pytest.mark.parametrize("late", [False, True])
def test_all_nets_are_mixed_alike_and_some_in_their_own_way(late: bool) -> None:
    nets = {"own": OwnMixingNet(), "x": IdentityNet("x", 2)}
    trunk = partial(MLP, hidden_sizes=(), dropout=0.0)
    network = FusedNetwork(nets, dict.fromkeys(nets, trunk) if late else trunk, 2, lambda raw: raw)
    seen: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, MLP):
            module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = torch.tensor([[0.0, 1.0], [10.0, 1.0], [20.0, 5.0]])
    tensors = {"own": torch.zeros(3, 1), "x": x}
    network.logits(tensors, MixupPlan(torch.tensor([1.0, 0.5, 0.25]), NEXT_ROW))
    assert torch.cat(seen, 1).tolist() == [[1, 0, 1], [0.5, 15, 3], [0.25, 5, 2]]
    seen.clear()
    network.logits(tensors)
    assert torch.equal(torch.cat(seen, 1), torch.cat([torch.zeros(3, 1), x], 1))


class ProcessKilled(Exception):
    """Stands for the end of the process."""


def test_a_killed_training_of_mixed_rows_ends_in_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "autotune_compute", lambda network, loss: ComputeConfig())
    monkeypatch.setattr(trainer, "CHECKPOINT_INTERVAL_SECONDS", 0.0)
    train, tune = make_rows(), make_rows(seed=1)
    whole, plain = make_trainer(settings=MIXUP_SETTINGS), make_trainer()
    whole.fit(train, tune)
    plain.fit(train, tune)
    assert whole.state.train_losses != plain.state.train_losses

    def tell(text: str, share: float | None) -> None:
        if text.startswith("epoch 3"):
            raise ProcessKilled

    with pytest.raises(ProcessKilled):
        make_trainer(
            settings=MIXUP_SETTINGS,
            context=TrainingContext(checkpoint_folder=tmp_path, on_progress=tell),
        ).fit(train, tune)
    again = make_trainer(
        make_network(seed=9), MIXUP_SETTINGS, TrainingContext(checkpoint_folder=tmp_path)
    )
    again.fit(train, tune)
    assert again.state.train_losses == whole.state.train_losses
    for one, other in zip(again.best_weights.values(), whole.best_weights.values(), strict=True):
        assert torch.equal(one, other)


def test_rows_are_not_mixed_when_the_network_predicts_or_is_validated() -> None:
    trainer = make_trainer(settings=MIXUP_SETTINGS)
    trainer.fit(make_rows(), make_rows(seed=1))
    rows = make_rows(20, seed=2)
    outputs = predict_outputs(trainer.ema_model, rows)
    alone = [predict_outputs(trainer.ema_model, rows.select(slice(i, i + 1)))[0] for i in range(20)]
    np.testing.assert_allclose(np.stack(alone), outputs, atol=1e-6)

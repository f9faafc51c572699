"""Rows and targets are mixed in training, and nowhere else."""

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
from tests.callbacks import TestCallbacks
from tests.fit.tiny_training import (
    CPU,
    FAST_SETTINGS,
    ProcessKilled,
    kill_after,
    make_network,
    make_rows,
    make_trainer,
)

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
def test_mixed_losses_weight_both_targets_in_every_task(name: str, weights: Tensor | None) -> None:
    y = TARGETS[name]
    width = 1 if name == "regression" else 2 if name == "binary" else 3
    logits = torch.randn(3, 2, width, generator=torch.Generator().manual_seed(0))
    loss = partial(catalog.load_plugin("tasks", name).loss(), logits)
    row_weights = torch.ones(3) if weights is None else weights
    own_loss, partner_loss = loss(y) * row_weights, loss(y[NEXT_ROW]) * row_weights[NEXT_ROW]
    for fraction in (torch.ones(3), torch.zeros(3), torch.tensor([0.9, 0.25, 0.5])):
        losses = MixupPlan(fraction, NEXT_ROW).mixed_losses(loss, y, weights)
        torch.testing.assert_close(losses, fraction * own_loss + (1 - fraction) * partner_loss)


def test_all_tasks_are_tested() -> None:
    assert set(TARGETS) == set(catalog.list_plugins("tasks"))


def test_features_are_interpolated_between_a_row_and_its_partner() -> None:
    x = torch.tensor([[0.0, 1.0], [10.0, 1.0], [20.0, 5.0]])
    mixed = MixupPlan(torch.tensor([1.0, 0.5, 0.25]), NEXT_ROW).mix(x)
    assert mixed.tolist() == [[0, 1], [15, 3], [5, 2]]
    assert MixupPlan(torch.ones(3), NEXT_ROW).mix(x.bfloat16()).dtype == torch.bfloat16


def test_no_random_numbers_are_drawn_without_mixup() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert sample_mixup(TrainingSettings(), 8, CPU) is None
    assert torch.equal(torch.get_rng_state(), before)


def test_fractions_follow_a_beta_distribution_and_methods_alternate_at_random() -> None:
    torch.manual_seed(0)
    plan = sample_mixup(TrainingSettings(mixup=0.2), 4_000, CPU)
    assert plan is not None
    assert plan.is_cutmix is False
    assert sorted(plan.partner.tolist()) == list(range(4_000))
    assert abs(float(plan.own_fraction.mean()) - 0.5) < 0.03
    assert abs(float(plan.own_fraction.var()) - 0.25 / 1.4) < 0.01  # of Beta(a, a): 1 / (8 a + 4)
    plans = [sample_mixup(TrainingSettings(mixup=0.2, cutmix=1.0), 2, CPU) for _ in range(60)]
    assert 15 < sum(plan is not None and plan.is_cutmix for plan in plans) < 45


class OwnMixingNet(nn.Module):
    """A net that mixes in its own way: it returns the fractions."""

    inputs, feature_widths, recipe = ("own",), (1,), None

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        return tensors["own"]

    def forward_mixed(self, tensors: dict[str, Tensor], mixup: MixupPlan) -> Tensor:
        return mixup.own_fraction[:, None]


@pytest.mark.parametrize("late", [False, True])
def test_nets_are_mixed_by_one_plan_and_some_in_their_own_way(late: bool) -> None:
    nets = {"own": OwnMixingNet(), "x": IdentityNet("x", 2)}
    trunk = partial(MLP, hidden_sizes=(), dropout=0.0)
    network = FusedNetwork(
        nets, dict.fromkeys(nets, trunk) if late else trunk, 2, lambda logits: logits
    )
    seen: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, MLP):
            module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.tensor([[0.0, 1.0], [10.0, 1.0], [20.0, 5.0]])
    tensors = {"own": torch.zeros(3, 1), "x": x}
    network.logits(tensors, MixupPlan(torch.tensor([1.0, 0.5, 0.25]), NEXT_ROW))
    assert torch.cat(seen, 1).tolist() == [[1, 0, 1], [0.5, 15, 3], [0.25, 5, 2]]
    seen.clear()
    network.logits(tensors)
    assert torch.equal(torch.cat(seen, 1), torch.cat([torch.zeros(3, 1), x], 1))


def test_a_killed_training_with_mixup_ends_in_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "autotune_compute", lambda *_: ComputeConfig())
    monkeypatch.setattr(trainer, "CHECKPOINT_INTERVAL_SECONDS", 0.0)
    train, validation = make_rows(), make_rows(seed=1)
    mixed, unmixed = make_trainer(settings=MIXUP_SETTINGS), make_trainer()
    mixed.fit(train, validation)
    unmixed.fit(train, validation)
    assert mixed.state.train_losses != unmixed.state.train_losses

    with pytest.raises(ProcessKilled):
        make_trainer(
            settings=MIXUP_SETTINGS,
            context=TrainingContext(
                checkpoint_folder=tmp_path, callbacks=TestCallbacks(kill_after(3))
            ),
        ).fit(train, validation)
    resumed = make_trainer(
        make_network(seed=9), MIXUP_SETTINGS, TrainingContext(checkpoint_folder=tmp_path)
    )
    resumed.fit(train, validation)
    assert resumed.state.train_losses == mixed.state.train_losses
    for first, second in zip(
        resumed.best_weights.values(), mixed.best_weights.values(), strict=True
    ):
        assert torch.equal(first, second)


def test_predictions_are_not_mixed() -> None:
    trainer = make_trainer(settings=MIXUP_SETTINGS)
    trainer.fit(make_rows(), make_rows(seed=1))
    rows = make_rows(20, seed=2)
    outputs = predict_outputs(trainer.ema_model, rows)
    alone = [predict_outputs(trainer.ema_model, rows.select(slice(i, i + 1)))[0] for i in range(20)]
    np.testing.assert_allclose(np.stack(alone), outputs, atol=1e-6)

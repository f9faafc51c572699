"""The training loop: learning, stopping, and resuming exactly after a crash."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from fieldcraft.contracts import Weights
from fieldcraft.core import files
from fieldcraft.core.errors import TrainingError
from fieldcraft.core.types import Array
from fieldcraft.fit import trainer as trainer_module
from fieldcraft.fit.checkpoint import copy_weights, load_checkpoint
from fieldcraft.fit.compute import ComputeConfig, Precision
from fieldcraft.fit.losses import squared_error
from fieldcraft.fit.mixup import MixupPlan
from fieldcraft.fit.network import FusedNetwork, IdentityNet
from fieldcraft.fit.settings import LearningRateSchedule, OptimizerName, TrainingSettings
from fieldcraft.fit.trainer import (
    Objective,
    RuntimeConfig,
    TensorRows,
    Trainer,
    TrainingContext,
    make_accelerator,
    predict_outputs,
)
from fieldcraft.fit.trunk import MLP
from tests.callbacks import TestCallbacks
from tests.fit.tiny_training import (
    CPU,
    CROSS_ENTROPY_OBJECTIVE,
    FAST_SETTINGS,
    FEATURES,
    Clock,
    ProcessKilled,
    checkpoint_path,
    kill_after,
    make_network,
    make_rows,
    make_trainer,
    mean_log_loss,
    objective_with_losses,
)


def assert_same_result(first: Trainer, second: Trainer) -> None:
    """Two trainings have the same learning curves and end in the same weights."""
    assert first.state.train_losses == second.state.train_losses
    assert first.state.validation_losses == second.state.validation_losses
    assert (first.state.epoch, first.state.step) == (second.state.epoch, second.state.step)
    assert (first.state.best_epoch, first.state.best_loss) == (
        second.state.best_epoch,
        second.state.best_loss,
    )
    for model, other_model in (
        (first.ema_model, second.ema_model),
        (first.network, second.network),
    ):
        left, right = copy_weights(model), copy_weights(other_model)
        assert all(torch.equal(value, right[name]) for name, value in left.items())


@pytest.fixture(autouse=True)
def fixed_compute_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """No choice by timing, which other programs on the machine would disturb."""
    monkeypatch.setattr(trainer_module, "autotune_compute", lambda *_: ComputeConfig())


def test_training_learns() -> None:
    trainer = make_trainer(settings=replace(FAST_SETTINGS, epochs=25, patience=25))
    trainer.fit(make_rows(), make_rows(seed=1))
    held_out = make_rows(400, seed=2)
    is_correct = predict_outputs(trainer.ema_model, held_out).argmax(axis=1) == held_out.y.numpy()
    assert is_correct.mean() > 0.9
    assert trainer.state.best_loss < 0.5 * trainer.state.validation_losses[0]


@pytest.mark.parametrize("trunk", ["mlp", "tabm"])
@pytest.mark.parametrize(
    ("optimizer", "precision"),
    [(name, "float32") for name in ("muon", "adamw", "adam", "sgd", "rmsprop")]
    + [("adamw", "bfloat16")],
)
def test_a_killed_training_ends_in_the_same_weights(
    optimizer: OptimizerName,
    trunk: str,
    precision: Precision,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trainer_module, "CHECKPOINT_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(trainer_module, "autotune_compute", lambda *_: ComputeConfig(precision))
    settings = replace(FAST_SETTINGS, optimizer=optimizer)
    train, validation = make_rows(), make_rows(seed=1)
    uninterrupted = make_trainer(make_network(trunk), settings)
    uninterrupted.fit(train, validation)

    killed = TrainingContext(checkpoint_folder=tmp_path, callbacks=TestCallbacks(kill_after(3)))
    with pytest.raises(ProcessKilled):
        make_trainer(make_network(trunk), settings, killed).fit(train, validation)
    resumed = make_trainer(
        make_network(trunk, seed=9), settings, TrainingContext(checkpoint_folder=tmp_path)
    )
    resumed.fit(train, validation)
    assert_same_result(resumed, uninterrupted)


@pytest.mark.parametrize("interval", [0.0, math.inf])
def test_a_kill_within_an_epoch_changes_no_weights(
    interval: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "CHECKPOINT_INTERVAL_SECONDS", interval)
    train, validation = make_rows(), make_rows(seed=1)
    uninterrupted = make_trainer()
    uninterrupted.fit(train, validation)
    steps = iter(range(100))

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        if next(steps) == 27:  # of the six steps in each epoch
            raise ProcessKilled
        return CROSS_ENTROPY_OBJECTIVE.loss(logits, y)

    with pytest.raises(ProcessKilled):
        make_trainer(
            context=TrainingContext(checkpoint_folder=tmp_path),
            objective=Objective(loss, mean_log_loss),
        ).fit(train, validation)
    resumed = make_trainer(
        make_network(seed=9), context=TrainingContext(checkpoint_folder=tmp_path)
    )
    resumed.fit(train, validation)
    assert_same_result(resumed, uninterrupted)


def test_a_finished_training_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "CHECKPOINT_INTERVAL_SECONDS", 0.0)
    train, validation = make_rows(), make_rows(seed=1)
    first = make_trainer(context=TrainingContext(checkpoint_folder=tmp_path))
    first.fit(train, validation)
    repeated = make_trainer(
        context=TrainingContext(checkpoint_folder=tmp_path, callbacks=TestCallbacks(kill_after(1)))
    )
    repeated.fit(train, validation)
    assert_same_result(repeated, first)


def test_without_a_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_trainer().fit(make_rows(), make_rows(seed=1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("seconds", "on_disk"),
    [(0.5, [1, 1, 1, 1, 5, 5]), (1.0, [1, 1, 3, 3, 5, 5]), (2.5, [1, 2, 3, 4, 5, 6])],
)
def test_checkpoints_are_written_at_most_every_two_seconds(
    seconds: float, on_disk: list[int], tmp_path: Path
) -> None:
    clock, epochs = Clock(), list[int]()

    def read_checkpoint(message: str, fraction: float | None) -> None:
        epochs.append(load_checkpoint(checkpoint_path(tmp_path))[0].epoch)

    objective = objective_with_losses(repeat(1.0), clock, seconds)
    context = TrainingContext(
        checkpoint_folder=tmp_path, callbacks=TestCallbacks(read_checkpoint), clock=clock
    )
    make_trainer(context=context, objective=objective).fit(make_rows(), make_rows(seed=1))
    assert epochs == on_disk


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)])
def test_the_seed_determines_the_training(seed: int, same: bool) -> None:
    curves = []
    for training_seed in (0, seed):
        trainer = make_trainer(context=TrainingContext(seed=training_seed))
        trainer.fit(make_rows(), make_rows(seed=1))
        curves.append(trainer.state.train_losses)
    assert (curves[0] == curves[1]) == same


def test_each_epoch_visits_every_row_once_in_a_new_order() -> None:
    base = make_rows(50)
    rows = TensorRows(base.tensors, torch.arange(50.0))
    seen: list[float] = []

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        seen.extend(y.tolist())
        return squared_error(logits, y)

    trainer = make_trainer(objective=Objective(loss, lambda outputs, y, weights: 0.0))
    epochs = []
    for trainer.state.epoch in range(3):
        trainer.run_epoch(rows)
        epochs.append(tuple(seen))
        seen.clear()
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len(set(epochs)) == 3


def test_training_stops_when_patience_ends_and_keeps_the_best_epoch() -> None:
    settings = replace(FAST_SETTINGS, epochs=50, patience=3, patience_fraction=0.0)
    objective = objective_with_losses([5.0, 4.0, 3.0, 3.0, 3.5, 3.6, 1.0])
    weights_by_epoch: list[dict[str, Tensor]] = []
    trainer = make_trainer(
        settings=settings, objective=objective,
        context=TrainingContext(
            callbacks=TestCallbacks(
                lambda *_: weights_by_epoch.append(copy_weights(trainer.ema_model))
            )
        ),
    )  # fmt: skip
    state = trainer.fit(make_rows(), make_rows(seed=1))
    assert (state.epoch, state.best_epoch, state.best_loss) == (6, 3, 3.0)
    end = copy_weights(trainer.ema_model)
    assert all(torch.equal(value, end[name]) for name, value in weights_by_epoch[2].items())
    assert not all(torch.equal(value, end[name]) for name, value in weights_by_epoch[5].items())


@pytest.mark.parametrize(
    ("losses", "end"),
    [
        # Improvements of less than a quarter are kept, but do not restart patience;
        ([8.0, 7.0, 6.0, 6.0], (4, 3, 1)),
        # they add up until they are sufficient;
        ([8.0, 7.0, 5.5, 5.5, 5.5, 5.5], (6, 3, 3)),
        # then the next ones are compared with the loss of that epoch.
        ([8.0, 5.0, 4.5, 4.25, 4.0], (5, 5, 2)),
    ],
)
def test_only_sufficient_improvements_restart_patience(
    losses: list[float], end: tuple[int, int, int]
) -> None:
    settings = replace(
        FAST_SETTINGS, epochs=50, patience=3, patience_fraction=0.0, min_relative_improvement=0.25
    )
    trainer = make_trainer(settings=settings, objective=objective_with_losses(losses))
    state = trainer.fit(make_rows(), make_rows(seed=1))
    assert (state.epoch, state.best_epoch, state.last_improvement_epoch) == end
    assert state.last_improvement_loss == losses[end[2] - 1]


def test_patience_grows_with_the_epoch_of_the_last_improvement() -> None:
    settings = replace(FAST_SETTINGS, epochs=50, patience=2, patience_fraction=0.5)
    trainer = make_trainer(
        settings=settings, objective=objective_with_losses([5.0, 4.0, 3.0, 2.0] + [9.0] * 20)
    )
    assert trainer.fit(make_rows(), make_rows(seed=1)).epoch == 4 + 7  # half of 4, and 5


def test_averaged_weights_are_validated_and_kept() -> None:
    seen: list[tuple[Array, Array, Weights]] = []

    def loss(outputs: Array, y: Array, weights: Weights) -> float:
        seen.append((outputs, y, weights))
        return 1.0

    trainer = make_trainer(objective=Objective(CROSS_ENTROPY_OBJECTIVE.loss, loss))
    for parameter in trainer.ema_model.parameters():
        torch.nn.init.zeros_(parameter)
    rows = make_rows(4)
    x, y = rows.tensors["x"].numpy(), rows.y.numpy()
    trainer.validate(TensorRows.from_arrays({"x": x}, y, CPU, np.array([1.0, 1.0, 2.0, 4.0])))
    ((outputs, truth, weights),) = seen
    assert outputs.tolist() == [[0.5, 0.5]] * 4
    assert truth.tolist() == y.tolist()
    assert weights is not None
    assert weights.tolist() == [0.5, 0.5, 1.0, 2.0]
    assert not any(bool(value.any()) for value in trainer.best_weights.values())


def test_epochs_are_limited() -> None:
    trainer = make_trainer(
        settings=replace(FAST_SETTINGS, epochs=2), objective=objective_with_losses([3.0, 2.0, 1.0])
    )
    assert trainer.fit(make_rows(), make_rows(seed=1)).epoch == 2


@pytest.mark.parametrize(
    ("budget", "epochs"),
    [(0.5, 1), (2.9, 2), (3.0, 3), (3.9, 3), (4.0, 4), (9.0, FAST_SETTINGS.epochs)],
)
def test_an_epoch_that_would_exceed_the_budget_is_not_started(budget: float, epochs: int) -> None:
    clock = Clock()  # one second an epoch
    trainer = make_trainer(
        context=TrainingContext(budget_seconds=budget, clock=clock),
        objective=objective_with_losses(repeat(1.0), clock, 1.0),
    )
    assert trainer.fit(make_rows(), make_rows(seed=1)).epoch == epochs


def test_time_spent_before_a_kill_counts_against_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "CHECKPOINT_INTERVAL_SECONDS", 0.0)
    clock, context = (
        Clock(),
        TrainingContext(checkpoint_folder=tmp_path, callbacks=TestCallbacks(kill_after(2))),
    )
    objective = objective_with_losses(repeat(1.0), clock, 1.0)
    with pytest.raises(ProcessKilled):
        make_trainer(context=replace(context, clock=clock), objective=objective).fit(
            make_rows(), make_rows(seed=1)
        )
    resumed = make_trainer(
        context=TrainingContext(checkpoint_folder=tmp_path, budget_seconds=4.0, clock=clock),
        objective=objective,
    )
    state = resumed.fit(make_rows(), make_rows(seed=1))
    assert (state.epoch, state.elapsed_seconds) == (4, 4.0)


def test_an_error_names_non_finite_inputs() -> None:
    rows = make_rows()
    rows.tensors["x"][5, 1] = math.nan
    with pytest.raises(TrainingError, match="loss nan in epoch 1, non-finite inputs: x"):
        make_trainer().fit(rows, make_rows(seed=1))


def test_an_error_of_diverging_training_names_the_learning_rate() -> None:
    settings = TrainingSettings(
        optimizer="sgd", learning_rate=1e20, max_grad_norm=0.0, batch_size=16, epochs=9
    )
    objective = Objective(squared_error, lambda outputs, y, weights: 0.0)
    with pytest.raises(TrainingError, match=r"(?s)training diverges.*learning_rate below 1e\+20"):
        make_trainer(settings=settings, objective=objective).fit(make_rows(), make_rows(seed=1))


def test_the_runtime_config_is_chosen_once_and_saved(tmp_path: Path) -> None:
    trainer = make_trainer(context=TrainingContext(checkpoint_folder=tmp_path))
    trainer.fit(make_rows(), make_rows(seed=1))
    assert files.read_json(tmp_path / "runtime_config.json") == asdict(trainer.runtime_config)
    for precision in get_args(Precision):
        files.atomic_write_json(
            tmp_path / "runtime_config.json", {"precision": precision, "threads": 1}
        )
        repeated = make_trainer(context=TrainingContext(checkpoint_folder=tmp_path))
        repeated.fit(make_rows(), make_rows(seed=1))
        assert repeated.runtime_config == RuntimeConfig(precision, threads=1)


def test_threads_are_limited_during_training_only(
    tmp_path: Path,
) -> None:
    before, seen = torch.get_num_threads(), list[int]()
    files.atomic_write_json(tmp_path / "runtime_config.json", {"threads": before + 1})
    context = TrainingContext(
        checkpoint_folder=tmp_path,
        callbacks=TestCallbacks(lambda message, fraction: seen.append(torch.get_num_threads())),
    )
    make_trainer(context=context).fit(make_rows(), make_rows(seed=1))
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("ema_decay", [0.0, 0.27, 0.999])
def test_the_moving_average_warms_up_to_its_decay(ema_decay: float) -> None:
    """The decay of update n is min(ema_decay, (1 + n) / (10 + n)), as in TensorFlow's average."""
    trainer = make_trainer(settings=replace(FAST_SETTINGS, ema_decay=ema_decay))
    expected = {name: value.double() for name, value in copy_weights(trainer.ema_model).items()}
    for step in range(1, 7):
        trainer.train_step(make_rows(16, seed=step))
        decay = min(ema_decay, (1 + step) / (10 + step))
        for name, value in copy_weights(trainer.network).items():
            assert not torch.equal(value.double(), expected[name])
            expected[name] = decay * expected[name] + (1 - decay) * value.double()
    for name, value in copy_weights(trainer.ema_model).items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-7)


PLAIN_SGD = TrainingSettings(
    optimizer="sgd", learning_rate=0.1, max_grad_norm=0.0, ema_decay=0.0, weight_decay=0.0
)


@pytest.mark.parametrize("max_norm", [0.0, 1e-3, 0.02, 1e3])
def test_gradients_are_clipped_to_the_maximum_norm(max_norm: float) -> None:
    rows, network = make_rows(16), make_network().eval()
    loss = CROSS_ENTROPY_OBJECTIVE.loss(network.logits(dict(rows.tensors)), rows.y).mean()
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    norm = float(torch.cat([g.flatten() for g in gradients]).norm())
    factor = min(1.0, max_norm / norm) if max_norm else 1.0
    trainer = make_trainer(network, replace(PLAIN_SGD, max_grad_norm=max_norm))
    start = [p.detach().clone() for p in network.parameters()]
    trainer.train_step(rows)
    for before, after, gradient in zip(start, network.parameters(), gradients, strict=True):
        expected = before - 0.1 * 1.9 * factor * gradient  # Nesterov: 1 + 0.9 times the first
        torch.testing.assert_close(after.detach(), expected, rtol=1e-4, atol=1e-8)


def test_the_l1_penalty_shrinks_weights_by_a_constant_and_leaves_biases() -> None:
    objective = Objective(lambda logits, y: 0 * logits.sum((1, 2)), mean_log_loss)
    trainer = make_trainer(settings=replace(PLAIN_SGD, l1=0.05), objective=objective)
    start = copy_weights(trainer.network)
    assert float(trainer.train_step(make_rows(16))) == 0  # the reported loss is that of the data
    for name, value in copy_weights(trainer.network).items():
        pull = 0.1 * 1.9 * 0.05 * start[name].sign() if name.endswith("weight") else 0.0
        torch.testing.assert_close(value, start[name] - pull)


def test_predictions_keep_the_order_of_rows_over_several_batches() -> None:
    network = make_network().train()
    rows = make_rows(2 * trainer_module.MAX_PREDICTION_ROWS + 5)
    outputs = predict_outputs(network, rows)
    assert outputs.shape == (len(rows), 2)
    assert outputs.dtype == np.float32
    where = slice(trainer_module.MAX_PREDICTION_ROWS - 2, trainer_module.MAX_PREDICTION_ROWS + 2)
    np.testing.assert_allclose(
        outputs[where], predict_outputs(network, rows.select(where)), atol=1e-6
    )


def test_labels_stay_integers_and_values_become_32_bit_floats() -> None:
    x = {"x": np.zeros((3, 2), dtype=np.float32)}
    assert TensorRows.from_arrays(x, np.array([0, 1, 1]), CPU).y.dtype == torch.int64
    assert TensorRows.from_arrays(x, np.array([0.5, 1, 1]), CPU).y.dtype == torch.float32
    assert len(TensorRows.from_arrays(x, np.array([0, 1, 1]), CPU).select(slice(1, 3))) == 2


@pytest.mark.parametrize(
    ("epochs", "budget", "seconds_left"),
    [(50, None, [6, 6, 4, 2, 0]), (3, None, [4, 2, 0]), (50, 9.0, [6, 5, 3, 1])],
)
def test_progress_reports_epoch_losses_and_minimum_time_left(
    epochs: int, budget: float | None, seconds_left: list[int]
) -> None:
    clock, messages = Clock(), list[tuple[str, float | None]]()
    losses = [5.0, 3.0, 2.9, 3.25, 6.0]  # two seconds each; the third improvement is too small
    make_trainer(
        settings=replace(
            FAST_SETTINGS,
            epochs=epochs,
            patience=3,
            patience_fraction=0.0,
            min_relative_improvement=0.25,
        ),
        context=TrainingContext(
            clock=clock,
            budget_seconds=budget,
            callbacks=TestCallbacks(messages=messages),
        ),
        objective=objective_with_losses(losses, clock, 2.0),
    ).fit(make_rows(), make_rows(seed=1))
    best, fractions = [(5, 1), (3, 2), *[(2.9, 3)] * 3], [1 / 4, 2 / 5, 3 / 5, 4 / 5, 1.0]
    assert messages == [
        (
            f"epoch {i + 1}, validation loss {losses[i]:.4f} "
            f"(best {best[i][0]:.4f} at {best[i][1]}), at least {left} s left",
            fractions[i],
        )
        for i, left in enumerate(seconds_left)
    ]


def test_a_reproduced_training_runs_the_given_number_of_epochs(tmp_path: Path) -> None:
    first = make_trainer(settings=replace(FAST_SETTINGS, epochs=4))
    first.fit(make_rows(), make_rows(seed=1))
    files.atomic_write_json(
        tmp_path / trainer_module.RUNTIME_CONFIG_FILE, {"precision": "float32", "exact_epochs": 4}
    )
    repeated = make_trainer(
        settings=replace(FAST_SETTINGS, epochs=50),
        context=TrainingContext(checkpoint_folder=tmp_path, budget_seconds=1e-9),
    )
    repeated.fit(make_rows(), make_rows(seed=1))
    assert_same_result(repeated, first)


def test_a_row_of_weight_two_counts_like_two_rows() -> None:
    rows, settings = (
        make_rows(32),
        replace(FAST_SETTINGS, batch_size=64, epochs=3, max_grad_norm=0.0),
    )
    times = np.where(np.arange(32) % 3 == 0, 2, 1)
    x, y = rows.tensors["x"].numpy(), rows.y.numpy()
    weighted = TensorRows.from_arrays({"x": x}, y, CPU, 3.5 * times)
    repeated = TensorRows.from_arrays({"x": x.repeat(times, axis=0)}, y.repeat(times), CPU)
    ends = []
    for train in (weighted, repeated):
        torch.manual_seed(0)
        network = FusedNetwork(
            {"x": IdentityNet("x", FEATURES)},
            partial(MLP, hidden_sizes=(8,), dropout=0.0),
            2,
            lambda logits: logits.softmax(-1),
        )
        trainer = make_trainer(network, settings)
        trainer.fit(train, make_rows(seed=1))
        ends.append([*trainer.state.train_losses, *trainer.state.validation_losses])
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-4)


ROW_TARGETS = torch.tensor([1.0, 2.0, 3.0, 4.0])
MIXUP_PLAN = MixupPlan(torch.tensor([1.0, 0.5, 0.25, 0.0]), torch.tensor([1, 2, 3, 0]))


@pytest.mark.parametrize(
    ("weights", "mixup", "expected"),
    [
        (None, None, 10 / 4),
        ([0.5, 0.5, 1.0, 2.0], None, (0.5 + 1 + 3 + 8) / 4),
        (None, MIXUP_PLAN, (1 + (1 + 1.5) + (0.75 + 3) + 1) / 4),
        ([0.5, 0.5, 1.0, 2.0], MIXUP_PLAN, (0.5 + (0.5 + 1.5) + (0.75 + 6) + 0.5) / 4),
        ([0.5, 0.5, 0.5, 0.5], None, 10 / 8),  # one batch may weigh less than another
    ],
)
def test_the_batch_loss_weights_rows_and_mixed_targets(
    weights: list[float] | None,
    mixup: MixupPlan | None,
    expected: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    all_logits: list[Tensor] = []

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        all_logits.append(logits)
        return y

    monkeypatch.setattr(trainer_module, "sample_mixup", lambda settings, rows, device: mixup)
    torch.manual_seed(0)
    nets, linear = {"x": IdentityNet("x", FEATURES)}, partial(MLP, hidden_sizes=(), dropout=0.0)
    network = FusedNetwork(nets, linear, 2, lambda logits: logits)
    tensors = dict(make_rows(4).tensors)
    batch = TensorRows(tensors, ROW_TARGETS, None if weights is None else torch.tensor(weights))
    assert (
        float(make_trainer(network, objective=Objective(loss, mean_log_loss)).compute_loss(batch))
        == expected
    )
    # In a linear network, outputs are mixed as inputs are.
    expected_logits = network.logits(tensors)
    if mixup is not None:
        expected_logits = expected_logits[mixup.partner].lerp(
            expected_logits, mixup.own_fraction[:, None, None]
        )
    torch.testing.assert_close(all_logits[0], expected_logits)


def test_the_training_loss_is_the_mean_over_rows_with_a_short_last_batch() -> None:
    rows = TensorRows(make_rows(50).tensors, torch.arange(50.0))
    objective = Objective(lambda logits, y: y + 0 * logits.sum((1, 2)), mean_log_loss)
    assert make_trainer(objective=objective).run_epoch(rows) == 24.5


def test_an_unavailable_device_is_an_error_with_a_hint() -> None:
    assert make_accelerator("cpu").device.type == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(TrainingError, match=r"device cuda is not available[\s\S]*devices: cpu"):
            make_accelerator("cuda")


def test_a_parameter_with_a_learning_rate_scale_gets_that_fraction() -> None:
    network = make_network()
    network.get_parameter("trunk.layers.0.weight").lr_scale = 0.25  # type: ignore[attr-defined]
    trainer = make_trainer(
        network, replace(FAST_SETTINGS, lr_schedule="linear", epochs=8, learning_rate=0.8)
    )
    trainer.state.epoch = 2
    trainer.set_learning_rates(0.5)
    groups = [group for group in trainer.optimizers[0].param_groups if group["params"]]
    rates = sorted({group["lr"] for group in groups})
    assert rates == pytest.approx([0.25 * 0.8 * 5.5 / 8, 0.8 * 5.5 / 8])


def test_the_learning_rate_decays_within_an_epoch() -> None:
    seen: list[float] = []
    settings = replace(
        FAST_SETTINGS, lr_schedule="linear", epochs=2, batch_size=24, warmup_epochs=0
    )
    trainer = make_trainer(settings=settings)
    train_step = trainer.train_step

    def recorded_step(batch: TensorRows) -> torch.Tensor:
        seen.append(trainer.optimizers[0].param_groups[0]["lr"])
        return train_step(batch)

    trainer.train_step = recorded_step  # type: ignore[method-assign]
    trainer.fit(make_rows(96), make_rows(seed=1))
    rate = settings.learning_rate
    assert seen == pytest.approx([rate * (1 - done / 8) for done in range(8)])


@pytest.mark.parametrize(
    ("schedule", "budget", "epochs", "schedule_epochs"),
    [
        ("linear", 2.0, 100, 12),  # 13 steps an epoch, 10 ms each, in 80 % of 2 s: 12.3 epochs
        ("cosine", 2.0, 5, 5),
        ("linear", 1e-3, 100, 1),
        ("constant", 2.0, 100, None),
        ("linear", None, 100, None),
    ],
)
def test_a_schedule_is_shortened_to_the_budget(
    schedule: LearningRateSchedule,
    budget: float | None,
    epochs: int,
    schedule_epochs: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trainer_module, "time_steps", lambda network, loss, config: 0.01)
    settings = replace(FAST_SETTINGS, lr_schedule=schedule, epochs=epochs, batch_size=8)
    for limit in (budget, 900.0):  # the first choice holds for a resumed training
        context = TrainingContext(checkpoint_folder=tmp_path, budget_seconds=limit, clock=Clock())
        trainer = make_trainer(
            settings=settings, context=context, objective=objective_with_losses(repeat(1.0))
        )
        trainer.fit(make_rows(100), make_rows(seed=1))
        assert trainer.runtime_config.schedule_epochs == schedule_epochs
        assert trainer.settings.epochs == (schedule_epochs or epochs)
    assert files.read_json(tmp_path / "runtime_config.json")["schedule_epochs"] == schedule_epochs


def test_buffers_are_copied_instead_of_averaged() -> None:
    trainer = make_trainer()
    trainer.network.register_buffer("seen", torch.full((2,), 7.0))
    trainer.ema_model.register_buffer("seen", torch.zeros(2))
    trainer.update_ema()
    assert trainer.ema_model.get_buffer("seen").tolist() == [7.0, 7.0]


def test_wide_rows_are_predicted_in_small_batches() -> None:
    narrow = TensorRows({"x": torch.zeros(10, 3)}, torch.zeros(10))
    wide = TensorRows({"x": torch.zeros(10, 3 << 20, dtype=torch.uint8)}, torch.zeros(10))
    assert narrow.prediction_batch_size == 2_048
    assert wide.prediction_batch_size == 2

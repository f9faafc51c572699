"""The training loop: learning, stopping, and going on after a kill as if nothing had been."""

from __future__ import annotations

import math
from collections.abc import Callable
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
from tests.fit.tiny_training import (
    CPU,
    CROSS_ENTROPY_OBJECTIVE,
    FAST_SETTINGS,
    FEATURES,
    Clock,
    checkpoint_path,
    make_network,
    make_rows,
    make_trainer,
    mean_log_loss,
    objective_with_losses,
)


class ProcessKilled(Exception):
    """Stands for the end of the process."""


def stop_after(epochs: int) -> Callable[[str, float | None], None]:
    """A watcher that ends the process after some epochs."""
    messages: list[str] = []

    def on_progress(text: str, share: float | None) -> None:
        messages.append(text)
        if len(messages) == epochs:
            raise ProcessKilled

    return on_progress


def assert_same_result(first: Trainer, second: Trainer) -> None:
    """Two trainings went through the same curves and ended in the same weights."""
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
    """No choice by the clock, which beside other programs would not fall the same way twice."""
    monkeypatch.setattr(trainer_module, "autotune_compute", lambda network, loss: ComputeConfig())


def test_training_learns() -> None:
    trainer = make_trainer(settings=replace(FAST_SETTINGS, epochs=25, patience=25))
    trainer.fit(make_rows(), make_rows(seed=1))
    held = make_rows(400, seed=2)
    right = predict_outputs(trainer.ema_model, held).argmax(axis=1) == held.y.numpy()
    assert right.mean() > 0.9
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
    monkeypatch.setattr(
        trainer_module, "autotune_compute", lambda network, loss: ComputeConfig(precision)
    )
    settings = replace(FAST_SETTINGS, optimizer=optimizer)
    train, tune = make_rows(), make_rows(seed=1)
    whole = make_trainer(make_network(trunk), settings)
    whole.fit(train, tune)

    broken = TrainingContext(checkpoint_folder=tmp_path, on_progress=stop_after(3))
    with pytest.raises(ProcessKilled):
        make_trainer(make_network(trunk), settings, broken).fit(train, tune)
    resumed = make_trainer(
        make_network(trunk, seed=9), settings, TrainingContext(checkpoint_folder=tmp_path)
    )
    resumed.fit(train, tune)
    assert_same_result(resumed, whole)


@pytest.mark.parametrize("save_every", [0.0, math.inf])
def test_a_kill_in_the_middle_of_an_epoch_loses_nothing_but_time(
    save_every: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "CHECKPOINT_INTERVAL_SECONDS", save_every)
    train, tune = make_rows(), make_rows(seed=1)
    whole = make_trainer()
    whole.fit(train, tune)
    steps = iter(range(100))

    def loss(raw: Tensor, y: Tensor) -> Tensor:
        if next(steps) == 27:  # of the six steps in each epoch
            raise ProcessKilled
        return CROSS_ENTROPY_OBJECTIVE.loss(raw, y)

    with pytest.raises(ProcessKilled):
        make_trainer(
            context=TrainingContext(checkpoint_folder=tmp_path),
            objective=Objective(loss, mean_log_loss),
        ).fit(train, tune)
    resumed = make_trainer(
        make_network(seed=9), context=TrainingContext(checkpoint_folder=tmp_path)
    )
    resumed.fit(train, tune)
    assert_same_result(resumed, whole)


def test_a_training_that_has_ended_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "CHECKPOINT_INTERVAL_SECONDS", 0.0)
    train, tune = make_rows(), make_rows(seed=1)
    first = make_trainer(context=TrainingContext(checkpoint_folder=tmp_path))
    first.fit(train, tune)
    again = make_trainer(
        context=TrainingContext(checkpoint_folder=tmp_path, on_progress=stop_after(1))
    )
    again.fit(train, tune)
    assert_same_result(again, first)


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

    def look(text: str, share: float | None) -> None:
        epochs.append(load_checkpoint(checkpoint_path(tmp_path))[0].epoch)

    goal = objective_with_losses(repeat(1.0), clock, seconds)
    place = TrainingContext(checkpoint_folder=tmp_path, on_progress=look, clock=clock)
    make_trainer(context=place, objective=goal).fit(make_rows(), make_rows(seed=1))
    assert epochs == on_disk


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)])
def test_the_seed_alone_decides_the_weights(seed: int, same: bool) -> None:
    ends = []
    for chosen in (0, seed):
        trainer = make_trainer(context=TrainingContext(seed=chosen))
        trainer.fit(make_rows(), make_rows(seed=1))
        ends.append(trainer.state.train_losses)
    assert (ends[0] == ends[1]) == same


def test_each_epoch_passes_over_every_row_once_in_an_order_of_its_own() -> None:
    base = make_rows(50)
    rows = TensorRows(base.tensors, torch.arange(50.0))
    seen: list[float] = []

    def loss(raw: Tensor, y: Tensor) -> Tensor:
        seen.extend(y.tolist())
        return squared_error(raw, y)

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
    goal = objective_with_losses([5.0, 4.0, 3.0, 3.0, 3.5, 3.6, 1.0])
    kept: list[dict[str, Tensor]] = []
    trainer = make_trainer(
        settings=settings, objective=goal,
        context=TrainingContext(on_progress=lambda text, share: kept.append(copy_weights(trainer.ema_model))),
    )  # fmt: skip
    state = trainer.fit(make_rows(), make_rows(seed=1))
    assert (state.epoch, state.best_epoch, state.best_loss) == (6, 3, 3.0)
    end = copy_weights(trainer.ema_model)
    assert all(torch.equal(value, end[name]) for name, value in kept[2].items())
    assert not all(torch.equal(value, end[name]) for name, value in kept[5].items())


@pytest.mark.parametrize(
    ("losses", "end"),
    [
        # Gains of less than a quarter are kept, but do not make the training wait any longer;
        ([8.0, 7.0, 6.0, 6.0], (4, 3, 1)),
        # they add up until they are worth it;
        ([8.0, 7.0, 5.5, 5.5, 5.5, 5.5], (6, 3, 3)),
        # then the next ones are set against the loss of that epoch.
        ([8.0, 5.0, 4.5, 4.25, 4.0], (5, 5, 2)),
    ],
)
def test_waiting_begins_anew_only_with_gains_that_are_worth_it(
    losses: list[float], end: tuple[int, int, int]
) -> None:
    settings = replace(
        FAST_SETTINGS, epochs=50, patience=3, patience_fraction=0.0, min_relative_improvement=0.25
    )
    trainer = make_trainer(settings=settings, objective=objective_with_losses(losses))
    state = trainer.fit(make_rows(), make_rows(seed=1))
    assert (state.epoch, state.best_epoch, state.last_improvement_epoch) == end
    assert state.last_improvement_loss == losses[end[2] - 1]


def test_patience_grows_with_the_epoch_of_the_last_gain() -> None:
    settings = replace(FAST_SETTINGS, epochs=50, patience=2, patience_fraction=0.5)
    trainer = make_trainer(
        settings=settings, objective=objective_with_losses([5.0, 4.0, 3.0, 2.0] + [9.0] * 20)
    )
    assert trainer.fit(make_rows(), make_rows(seed=1)).epoch == 4 + 7  # half of 4, and 5


def test_validation_takes_the_averaged_weights_and_keeps_them() -> None:
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


def test_epochs_are_the_most_there_will_be() -> None:
    trainer = make_trainer(
        settings=replace(FAST_SETTINGS, epochs=2), objective=objective_with_losses([3.0, 2.0, 1.0])
    )
    assert trainer.fit(make_rows(), make_rows(seed=1)).epoch == 2


@pytest.mark.parametrize(
    ("budget", "epochs"),
    [(0.5, 1), (2.9, 2), (3.0, 3), (3.9, 3), (4.0, 4), (9.0, FAST_SETTINGS.epochs)],
)
def test_an_epoch_that_would_end_after_the_budget_is_not_begun(budget: float, epochs: int) -> None:
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
    clock, place = Clock(), TrainingContext(checkpoint_folder=tmp_path, on_progress=stop_after(2))
    goal = objective_with_losses(repeat(1.0), clock, 1.0)
    with pytest.raises(ProcessKilled):
        make_trainer(context=replace(place, clock=clock), objective=goal).fit(
            make_rows(), make_rows(seed=1)
        )
    resumed = make_trainer(
        context=TrainingContext(checkpoint_folder=tmp_path, budget_seconds=4.0, clock=clock),
        objective=goal,
    )
    state = resumed.fit(make_rows(), make_rows(seed=1))
    assert (state.epoch, state.elapsed_seconds) == (4, 4.0)


def test_inputs_that_are_not_numbers_are_named() -> None:
    rows = make_rows()
    rows.tensors["x"][5, 1] = math.nan
    with pytest.raises(TrainingError, match="loss nan in epoch 1, inputs that are not finite: x"):
        make_trainer().fit(rows, make_rows(seed=1))


def test_diverging_steps_are_named_with_the_learning_rate_to_lower() -> None:
    settings = TrainingSettings(
        optimizer="sgd", learning_rate=1e20, max_grad_norm=0.0, batch_size=16, epochs=9
    )
    goal = Objective(squared_error, lambda outputs, y, weights: 0.0)
    with pytest.raises(TrainingError, match=r"(?s)diverging steps.*learning_rate below 1e\+20"):
        make_trainer(settings=settings, objective=goal).fit(make_rows(), make_rows(seed=1))


def test_the_pace_is_decided_once_and_kept_in_the_folder(tmp_path: Path) -> None:
    trainer = make_trainer(context=TrainingContext(checkpoint_folder=tmp_path))
    trainer.fit(make_rows(), make_rows(seed=1))
    assert files.read_json(tmp_path / "decisions.json") == asdict(trainer.runtime_config)
    for precision in get_args(Precision):
        files.atomic_write_json(tmp_path / "decisions.json", {"precision": precision, "threads": 1})
        again = make_trainer(context=TrainingContext(checkpoint_folder=tmp_path))
        again.fit(make_rows(), make_rows(seed=1))
        assert again.runtime_config == RuntimeConfig(precision, threads=1)


def test_a_training_runs_in_the_threads_that_were_decided_and_leaves_the_others_theirs(
    tmp_path: Path,
) -> None:
    before, seen = torch.get_num_threads(), list[int]()
    files.atomic_write_json(tmp_path / "decisions.json", {"threads": before + 1})
    place = TrainingContext(
        checkpoint_folder=tmp_path,
        on_progress=lambda text, share: seen.append(torch.get_num_threads()),
    )
    make_trainer(context=place).fit(make_rows(), make_rows(seed=1))
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("ema", [0.0, 0.27, 0.999])
def test_the_moving_average_warms_up_to_its_decay(ema: float) -> None:
    """The decay of update n is min(ema, (1 + n) / (10 + n)), as in TensorFlow's average."""
    trainer = make_trainer(settings=replace(FAST_SETTINGS, ema_decay=ema))
    expected = {name: value.double() for name, value in copy_weights(trainer.ema_model).items()}
    for step in range(1, 7):
        trainer.train_step(make_rows(16, seed=step))
        decay = min(ema, (1 + step) / (10 + step))
        for name, value in copy_weights(trainer.network).items():
            assert not torch.equal(value.double(), expected[name])
            expected[name] = decay * expected[name] + (1 - decay) * value.double()
    for name, value in copy_weights(trainer.ema_model).items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-7)


PLAIN_SGD = TrainingSettings(
    optimizer="sgd", learning_rate=0.1, max_grad_norm=0.0, ema_decay=0.0, weight_decay=0.0
)


@pytest.mark.parametrize("clip", [0.0, 1e-3, 0.02, 1e3])
def test_a_gradient_longer_than_the_clip_is_shortened_to_it(clip: float) -> None:
    rows, network = make_rows(16), make_network().eval()
    loss = CROSS_ENTROPY_OBJECTIVE.loss(network.logits(dict(rows.tensors)), rows.y).mean()
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    norm = float(torch.cat([g.flatten() for g in gradients]).norm())
    factor = min(1.0, clip / norm) if clip else 1.0
    trainer = make_trainer(network, replace(PLAIN_SGD, max_grad_norm=clip))
    start = [p.detach().clone() for p in network.parameters()]
    trainer.train_step(rows)
    for before, after, gradient in zip(start, network.parameters(), gradients, strict=True):
        expected = before - 0.1 * 1.9 * factor * gradient  # Nesterov: 1 + 0.9 times the first
        torch.testing.assert_close(after.detach(), expected, rtol=1e-4, atol=1e-8)


def test_the_l1_penalty_pulls_every_weight_towards_zero_by_the_same_and_no_bias() -> None:
    goal = Objective(lambda raw, y: 0 * raw.sum((1, 2)), mean_log_loss)
    trainer = make_trainer(settings=replace(PLAIN_SGD, l1=0.05), objective=goal)
    start = copy_weights(trainer.network)
    assert float(trainer.train_step(make_rows(16))) == 0  # the reported loss is that of the data
    for name, value in copy_weights(trainer.network).items():
        pull = 0.1 * 1.9 * 0.05 * start[name].sign() if name.endswith("weight") else 0.0
        torch.testing.assert_close(value, start[name] - pull)


def test_predicting_keeps_the_order_of_rows_however_many_there_are() -> None:
    network = make_network().train()
    rows = make_rows(2 * trainer_module.MAX_PREDICTION_ROWS + 5)
    outputs = predict_outputs(network, rows)
    assert outputs.shape == (len(rows), 2)
    assert outputs.dtype == np.float32
    where = slice(trainer_module.MAX_PREDICTION_ROWS - 2, trainer_module.MAX_PREDICTION_ROWS + 2)
    np.testing.assert_allclose(
        outputs[where], predict_outputs(network, rows.select(where)), atol=1e-6
    )


def test_rows_keep_labels_whole_and_make_amounts_short_floats() -> None:
    x = {"x": np.zeros((3, 2), dtype=np.float32)}
    assert TensorRows.from_arrays(x, np.array([0, 1, 1]), CPU).y.dtype == torch.int64
    assert TensorRows.from_arrays(x, np.array([0.5, 1, 1]), CPU).y.dtype == torch.float32
    assert len(TensorRows.from_arrays(x, np.array([0, 1, 1]), CPU).select(slice(1, 3))) == 2


@pytest.mark.parametrize(
    ("epochs", "budget", "seconds_left"),
    [(50, None, [6, 6, 4, 2, 0]), (3, None, [4, 2, 0]), (50, 9.0, [6, 5, 3, 1])],
)
def test_progress_names_the_epoch_its_losses_and_the_least_time_left(
    epochs: int, budget: float | None, seconds_left: list[int]
) -> None:
    clock, told = Clock(), list[tuple[str, float | None]]()
    losses = [5.0, 3.0, 2.9, 3.25, 6.0]  # two seconds each; the third gain is not worth it
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
            on_progress=lambda text, share: told.append((text, share)),
        ),
        objective=objective_with_losses(losses, clock, 2.0),
    ).fit(make_rows(), make_rows(seed=1))
    best, fractions = [(5, 1), (3, 2), *[(2.9, 3)] * 3], [1 / 4, 2 / 5, 3 / 5, 4 / 5, 1.0]
    assert told == [
        (
            f"epoch {i + 1}, tune loss {losses[i]:.4f} (best {best[i][0]:.4f} at {best[i][1]}), "
            f"at least {left} s left",
            fractions[i],
        )
        for i, left in enumerate(seconds_left)
    ]


def test_a_training_that_is_done_over_again_takes_as_many_epochs(tmp_path: Path) -> None:
    first = make_trainer(settings=replace(FAST_SETTINGS, epochs=4))
    first.fit(make_rows(), make_rows(seed=1))
    files.atomic_write_json(
        tmp_path / trainer_module.RUNTIME_CONFIG_FILE, {"precision": "float32", "epochs": 4}
    )
    again = make_trainer(
        settings=replace(FAST_SETTINGS, epochs=50),
        context=TrainingContext(checkpoint_folder=tmp_path, budget_seconds=1e-9),
    )
    again.fit(make_rows(), make_rows(seed=1))
    assert_same_result(again, first)


def test_a_weight_of_two_is_worth_the_row_twice() -> None:
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
            lambda raw: raw.softmax(-1),
        )
        trainer = make_trainer(network, settings)
        trainer.fit(train, make_rows(seed=1))
        ends.append([*trainer.state.train_losses, *trainer.state.validation_losses])
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-4)


ROW_TARGETS = torch.tensor([1.0, 2.0, 3.0, 4.0])
MIXING = MixupPlan(torch.tensor([1.0, 0.5, 0.25, 0.0]), torch.tensor([1, 2, 3, 0]))


ROW_TARGETS = torch.tensor([1.0, 2.0, 3.0, 4.0])
MIXING = MixupPlan(torch.tensor([1.0, 0.5, 0.25, 0.0]), torch.tensor([1, 2, 3, 0]))


@pytest.mark.parametrize(
    ("weights", "mixing", "expected"),
    [
        (None, None, 10 / 4),
        ([0.5, 0.5, 1.0, 2.0], None, (0.5 + 1 + 3 + 8) / 4),
        (None, MIXING, (1 + (1 + 1.5) + (0.75 + 3) + 1) / 4),
        ([0.5, 0.5, 1.0, 2.0], MIXING, (0.5 + (0.5 + 1.5) + (0.75 + 6) + 0.5) / 4),
        ([0.5, 0.5, 0.5, 0.5], None, 10 / 8),  # one batch may weigh less than another
    ],
)
def test_the_loss_of_a_batch_counts_rows_by_weight_and_mixed_ones_by_their_parts(
    weights: list[float] | None,
    mixing: MixupPlan | None,
    expected: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raws: list[Tensor] = []

    def loss(raw: Tensor, y: Tensor) -> Tensor:
        raws.append(raw)
        return y

    monkeypatch.setattr(trainer_module, "sample_mixup", lambda settings, rows, device: mixing)
    torch.manual_seed(0)
    nets, linear = {"x": IdentityNet("x", FEATURES)}, partial(MLP, hidden_sizes=(), dropout=0.0)
    network = FusedNetwork(nets, linear, 2, lambda raw: raw)
    tensors = dict(make_rows(4).tensors)
    batch = TensorRows(tensors, ROW_TARGETS, None if weights is None else torch.tensor(weights))
    assert (
        float(make_trainer(network, objective=Objective(loss, mean_log_loss)).compute_loss(batch))
        == expected
    )
    plain = network.logits(tensors)  # of a linear network, outputs are mixed as inputs are
    if mixing is not None:
        plain = plain[mixing.partner].lerp(plain, mixing.own_fraction[:, None, None])
    torch.testing.assert_close(raws[0], plain)


def test_the_training_loss_is_the_mean_over_rows_however_short_the_last_batch_is() -> None:
    rows = TensorRows(make_rows(50).tensors, torch.arange(50.0))
    goal = Objective(lambda raw, y: y + 0 * raw.sum((1, 2)), mean_log_loss)
    assert make_trainer(objective=goal).run_epoch(rows) == 24.5


def test_a_device_that_is_not_there_is_an_error_with_a_way_out() -> None:
    assert make_accelerator("cpu").device.type == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(TrainingError, match=r"no device cuda here[\s\S]*devices: cpu"):
            make_accelerator("cuda")


def test_a_parameter_with_a_rate_of_its_own_gets_that_part_of_the_step_size() -> None:
    network = make_network()
    network.get_parameter("trunk.body.0.weight").rate = 0.25  # type: ignore[attr-defined]
    trainer = make_trainer(
        network, replace(FAST_SETTINGS, lr_schedule="linear", epochs=8, learning_rate=0.8)
    )
    trainer.state.epoch = 2
    trainer.set_learning_rates(0.5)
    groups = [group for group in trainer.optimizers[0].param_groups if group["params"]]
    rates = sorted({group["lr"] for group in groups})
    assert rates == pytest.approx([0.25 * 0.8 * 5.5 / 8, 0.8 * 5.5 / 8])


def test_the_step_size_falls_within_an_epoch() -> None:
    seen: list[float] = []
    settings = replace(
        FAST_SETTINGS, lr_schedule="linear", epochs=2, batch_size=24, warmup_epochs=0
    )
    trainer = make_trainer(settings=settings)
    plain = trainer.train_step

    def watched(batch: TensorRows) -> torch.Tensor:
        seen.append(trainer.optimizers[0].param_groups[0]["lr"])
        return plain(batch)

    trainer.train_step = watched  # type: ignore[method-assign]
    trainer.fit(make_rows(96), make_rows(seed=1))
    rate = settings.learning_rate
    assert seen == pytest.approx([rate * (1 - done / 8) for done in range(8)])


@pytest.mark.parametrize(
    ("schedule", "budget", "epochs", "horizon"),
    [
        ("linear", 2.0, 100, 12),  # 13 steps an epoch, 10 ms each, in 80 % of 2 s: 12.3 epochs
        ("cosine", 2.0, 5, 5),
        ("linear", 1e-3, 100, 1),
        ("constant", 2.0, 100, None),
        ("linear", None, 100, None),
    ],
)
def test_a_schedule_falls_over_the_epochs_that_fit_the_budget(
    schedule: LearningRateSchedule,
    budget: float | None,
    epochs: int,
    horizon: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trainer_module, "time_steps", lambda network, loss, pace: 0.01)
    settings = replace(FAST_SETTINGS, lr_schedule=schedule, epochs=epochs, batch_size=8)
    for limit in (budget, 900.0):  # what was decided holds for a training that goes on
        place = TrainingContext(checkpoint_folder=tmp_path, budget_seconds=limit, clock=Clock())
        trainer = make_trainer(
            settings=settings, context=place, objective=objective_with_losses(repeat(1.0))
        )
        trainer.fit(make_rows(100), make_rows(seed=1))
        assert trainer.runtime_config.schedule_epochs == horizon
        assert trainer.settings.epochs == (horizon or epochs)
    assert files.read_json(tmp_path / "decisions.json")["horizon"] == horizon


def test_statistics_of_batches_follow_at_once() -> None:
    trainer = make_trainer()
    trainer.network.register_buffer("seen", torch.full((2,), 7.0))
    trainer.ema_model.register_buffer("seen", torch.zeros(2))
    trainer.update_ema()
    assert trainer.ema_model.get_buffer("seen").tolist() == [7.0, 7.0]


def test_wide_rows_are_predicted_a_few_at_a_time() -> None:
    narrow = TensorRows({"x": torch.zeros(10, 3)}, torch.zeros(10))
    wide = TensorRows({"x": torch.zeros(10, 3 << 20, dtype=torch.uint8)}, torch.zeros(10))
    assert narrow.prediction_batch_size == 2_048
    assert wide.prediction_batch_size == 2

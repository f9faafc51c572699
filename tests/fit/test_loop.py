"""The training loop: learning, stopping, and going on after a kill as if nothing had been."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from fieldcraft.core import files
from fieldcraft.core.errors import TrainingError
from fieldcraft.fit import loop
from fieldcraft.fit.checkpoint import read_checkpoint, snapshot
from fieldcraft.fit.loop import Decided, Goal, Place, Rows, Trainer, accelerator_for, predict
from fieldcraft.fit.losses import squared_error
from fieldcraft.fit.network import FusedNetwork, PassNet
from fieldcraft.fit.pace import Pace, Precision
from fieldcraft.fit.settings import OptimizerName, Training
from fieldcraft.fit.trunk import Mlp
from tests.fit.small import (
    CPU,
    FEATURES,
    GOAL,
    QUICK,
    checkpoint_of,
    log_loss,
    make_network,
    make_rows,
    make_trainer,
)


class Killed(Exception):
    """Stands for the end of the process."""


def kill_after(epochs: int) -> Callable[[str, float | None], None]:
    """A watcher that ends the process after some epochs."""
    seen: list[str] = []

    def tell(text: str, share: float | None) -> None:
        seen.append(text)
        if len(seen) == epochs:
            raise Killed

    return tell


def assert_same_end(one: Trainer, other: Trainer) -> None:
    """Two trainings went through the same curves and ended in the same weights."""
    assert one.state.train_losses == other.state.train_losses
    assert one.state.tune_losses == other.state.tune_losses
    assert (one.state.epoch, one.state.step) == (other.state.epoch, other.state.step)
    assert (one.state.best_epoch, one.state.best_loss) == (
        other.state.best_epoch,
        other.state.best_loss,
    )
    left, right = snapshot(one.shadow), snapshot(other.shadow)
    assert all(torch.equal(value, right[name]) for name, value in left.items())


@pytest.fixture(autouse=True)
def steady_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """No choice by the clock, which beside other programs would not fall the same way twice."""
    monkeypatch.setattr(loop, "choose_pace", lambda network, loss: Pace())


def test_training_learns() -> None:
    trainer = make_trainer(settings=replace(QUICK, epochs=25, patience=25))
    trainer.fit(make_rows(), make_rows(seed=1))
    held = make_rows(400, seed=2)
    right = predict(trainer.shadow, held).argmax(axis=1) == held.y.numpy()
    assert right.mean() > 0.9
    assert trainer.state.best_loss < 0.5 * trainer.state.tune_losses[0]


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
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(loop, "choose_pace", lambda network, loss: Pace(precision))
    settings = replace(QUICK, optimizer=optimizer)
    train, tune = make_rows(), make_rows(seed=1)
    whole = make_trainer(make_network(trunk), settings)
    whole.fit(train, tune)

    broken = Place(folder=tmp_path, progress=kill_after(3))
    with pytest.raises(Killed):
        make_trainer(make_network(trunk), settings, broken).fit(train, tune)
    resumed = make_trainer(make_network(trunk, seed=9), settings, Place(folder=tmp_path))
    resumed.fit(train, tune)
    assert_same_end(resumed, whole)


@pytest.mark.parametrize("save_every", [0.0, math.inf])
def test_a_kill_in_the_middle_of_an_epoch_loses_nothing_but_time(
    save_every: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", save_every)
    train, tune = make_rows(), make_rows(seed=1)
    whole = make_trainer()
    whole.fit(train, tune)
    steps = iter(range(100))

    def loss(raw: Tensor, y: Tensor) -> Tensor:
        if next(steps) == 27:  # of the six steps in each epoch
            raise Killed
        return GOAL.loss(raw, y)

    with pytest.raises(Killed):
        make_trainer(place=Place(folder=tmp_path), goal=Goal(loss, log_loss)).fit(train, tune)
    resumed = make_trainer(make_network(seed=9), place=Place(folder=tmp_path))
    resumed.fit(train, tune)
    assert_same_end(resumed, whole)


def test_a_training_that_has_ended_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    train, tune = make_rows(), make_rows(seed=1)
    first = make_trainer(place=Place(folder=tmp_path))
    first.fit(train, tune)
    again = make_trainer(place=Place(folder=tmp_path, progress=kill_after(1)))
    again.fit(train, tune)
    assert_same_end(again, first)


def test_without_a_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_trainer().fit(make_rows(), make_rows(seed=1))
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_are_not_written_more_often_than_every_two_seconds(tmp_path: Path) -> None:
    make_trainer(place=Place(folder=tmp_path, progress=kill_after(99))).fit(
        make_rows(), make_rows(seed=1)
    )
    state, _ = read_checkpoint(checkpoint_of(tmp_path))
    assert state.epoch < QUICK.epochs


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)])
def test_the_seed_alone_decides_the_weights(seed: int, same: bool) -> None:
    ends = []
    for chosen in (0, seed):
        trainer = make_trainer(place=Place(seed=chosen))
        trainer.fit(make_rows(), make_rows(seed=1))
        ends.append(trainer.state.train_losses)
    assert (ends[0] == ends[1]) == same


def test_each_epoch_passes_over_every_row_once_in_an_order_of_its_own() -> None:
    base = make_rows(50)
    rows = Rows(base.tensors, torch.arange(50.0))
    seen: list[float] = []

    def loss(raw: Tensor, y: Tensor) -> Tensor:
        seen.extend(y.tolist())
        return squared_error(raw, y)

    trainer = make_trainer(goal=Goal(loss, lambda outputs, y, weights: 0.0))
    epochs = []
    for trainer.state.epoch in range(3):
        trainer.run_epoch(rows)
        epochs.append(tuple(seen))
        seen.clear()
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len(set(epochs)) == 3


def scripted(losses: list[float]) -> Goal:
    """A goal whose tune loss takes given values, epoch by epoch."""
    values = iter(losses)
    return Goal(GOAL.loss, lambda outputs, y, weights: next(values))


def test_training_stops_when_patience_ends_and_keeps_the_best_epoch() -> None:
    settings = replace(QUICK, epochs=50, patience=3, patience_share=0.0)
    goal = scripted([5.0, 4.0, 3.0, 3.0, 3.5, 3.6, 1.0])
    kept: list[dict[str, Tensor]] = []
    trainer = make_trainer(
        settings=settings, goal=goal,
        place=Place(progress=lambda text, share: kept.append(snapshot(trainer.shadow))),
    )  # fmt: skip
    state = trainer.fit(make_rows(), make_rows(seed=1))
    assert (state.epoch, state.best_epoch, state.best_loss) == (6, 3, 3.0)
    end = snapshot(trainer.shadow)
    assert all(torch.equal(value, end[name]) for name, value in kept[2].items())
    assert not all(torch.equal(value, end[name]) for name, value in kept[5].items())


def test_epochs_are_the_most_there_will_be() -> None:
    trainer = make_trainer(settings=replace(QUICK, epochs=2), goal=scripted([3.0, 2.0, 1.0]))
    assert trainer.fit(make_rows(), make_rows(seed=1)).epoch == 2


@pytest.mark.parametrize(("budget", "epochs"), [(1e-9, 1), (1e9, QUICK.epochs)])
def test_a_budget_stops_the_training_but_never_before_one_epoch(budget: float, epochs: int) -> None:
    trainer = make_trainer(place=Place(budget=budget))
    assert trainer.fit(make_rows(), make_rows(seed=1)).epoch == epochs


def test_time_spent_before_a_kill_counts_against_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    with pytest.raises(Killed):
        make_trainer(place=Place(folder=tmp_path, progress=kill_after(2))).fit(
            make_rows(), make_rows(seed=1)
        )
    resumed = make_trainer(place=Place(folder=tmp_path, budget=1e-9))
    assert resumed.fit(make_rows(), make_rows(seed=1)).epoch == 2


def test_inputs_that_are_not_numbers_are_named() -> None:
    rows = make_rows()
    rows.tensors["x"][5, 1] = math.nan
    with pytest.raises(TrainingError, match="inputs that are not finite: x"):
        make_trainer().fit(rows, make_rows(seed=1))


def test_diverging_steps_are_named_with_the_learning_rate_to_lower() -> None:
    settings = Training(optimizer="sgd", learning_rate=1e20, clip=0.0, batch_size=16, epochs=9)
    goal = Goal(squared_error, lambda outputs, y, weights: 0.0)
    with pytest.raises(TrainingError, match=r"(?s)diverging steps.*learning_rate below 1e\+20"):
        make_trainer(settings=settings, goal=goal).fit(make_rows(), make_rows(seed=1))


def test_the_pace_is_decided_once_and_kept_in_the_folder(tmp_path: Path) -> None:
    trainer = make_trainer(place=Place(folder=tmp_path))
    trainer.fit(make_rows(), make_rows(seed=1))
    assert files.read_json(tmp_path / "decisions.json") == asdict(trainer.decided)
    for precision in get_args(Precision):
        files.write_json(tmp_path / "decisions.json", {"precision": precision, "threads": 1})
        again = make_trainer(place=Place(folder=tmp_path))
        again.fit(make_rows(), make_rows(seed=1))
        assert again.decided == Decided(precision, threads=1)


def test_a_training_runs_in_the_threads_that_were_decided_and_leaves_the_others_theirs(
    tmp_path: Path,
) -> None:
    before, seen = torch.get_num_threads(), list[int]()
    files.write_json(tmp_path / "decisions.json", {"threads": before + 1})
    place = Place(
        folder=tmp_path, progress=lambda text, share: seen.append(torch.get_num_threads())
    )
    make_trainer(place=place).fit(make_rows(), make_rows(seed=1))
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("ema", [0.0, 0.5, 0.999])
def test_the_average_follows_the_weights_faster_at_the_start(ema: float) -> None:
    trainer = make_trainer(settings=replace(QUICK, ema=ema))
    start = snapshot(trainer.shadow)
    trainer.step(make_rows(16))
    present, average = snapshot(trainer.network), snapshot(trainer.shadow)
    decay = min(ema, 2 / 11)  # (1 + step) / (10 + step)
    for name, value in start.items():
        assert not torch.equal(present[name], value)
        expected = decay * value + (1 - decay) * present[name]
        torch.testing.assert_close(average[name], expected)


@pytest.mark.parametrize("clip", [0.0, 1e-3])
def test_clipping_bounds_the_step(clip: float) -> None:
    settings = Training(optimizer="sgd", learning_rate=1.0, clip=clip, ema=0.0, weight_decay=0.0)
    trainer = make_trainer(settings=settings)
    start = snapshot(trainer.network)
    trainer.step(make_rows(16))
    moved = [value - start[name] for name, value in snapshot(trainer.network).items()]
    length = float(torch.cat([move.flatten() for move in moved]).norm())
    # Nesterov's first step is the gradient 1.9 times over.
    assert (length <= 1.9 * 1e-3 * 1.001) == bool(clip)


def test_predicting_keeps_the_order_of_rows_however_many_there_are() -> None:
    network = make_network().train()
    rows = make_rows(2 * loop.ROWS_AT_ONCE + 5)
    outputs = predict(network, rows)
    assert outputs.shape == (len(rows), 2)
    assert outputs.dtype == np.float32
    where = slice(loop.ROWS_AT_ONCE - 2, loop.ROWS_AT_ONCE + 2)
    np.testing.assert_allclose(outputs[where], predict(network, rows.take(where)), atol=1e-6)


def test_rows_keep_labels_whole_and_make_amounts_short_floats() -> None:
    x = {"x": np.zeros((3, 2), dtype=np.float32)}
    assert Rows.of(x, np.array([0, 1, 1]), CPU).y.dtype == torch.int64
    assert Rows.of(x, np.array([0.5, 1, 1]), CPU).y.dtype == torch.float32
    assert len(Rows.of(x, np.array([0, 1, 1]), CPU).take(slice(1, 3))) == 2


def test_progress_tells_the_epoch_and_a_share_that_is_one_at_most() -> None:
    told: list[tuple[str, float | None]] = []
    place = Place(progress=lambda text, share: told.append((text, share)))
    make_trainer(place=place).fit(make_rows(), make_rows(seed=1))
    assert [text.split(",")[0] for text, _ in told] == [f"epoch {i}" for i in range(1, 7)]
    assert all(share is not None and 0 < share <= 1 for _, share in told)


def test_a_training_that_is_done_over_again_takes_as_many_epochs(tmp_path: Path) -> None:
    first = make_trainer(settings=replace(QUICK, epochs=4))
    first.fit(make_rows(), make_rows(seed=1))
    files.write_json(tmp_path / loop.DECISIONS, {"precision": "float32", "epochs": 4})
    again = make_trainer(
        settings=replace(QUICK, epochs=50), place=Place(folder=tmp_path, budget=1e-9)
    )
    again.fit(make_rows(), make_rows(seed=1))
    assert_same_end(again, first)


def test_a_weight_of_two_is_worth_the_row_twice() -> None:
    rows, settings = make_rows(32), replace(QUICK, batch_size=64, epochs=3, clip=0.0)
    twice = Rows({"x": torch.cat([rows.tensors["x"]] * 2)}, torch.cat([rows.y] * 2))
    weights = np.full(32, 7.0)
    weighted = Rows.of({"x": rows.tensors["x"].numpy()}, rows.y.numpy(), CPU, weights)
    ends = []
    for train in (weighted, twice):
        torch.manual_seed(0)
        network = FusedNetwork(
            {"x": PassNet("x", FEATURES)},
            partial(Mlp, layers=(8,), dropout=0.0),
            2,
            lambda raw: raw.softmax(-1),
        )
        trainer = make_trainer(network, settings)
        trainer.fit(train, make_rows(seed=1))
        ends.append(trainer.state.tune_losses)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-4)


def test_rows_of_no_weight_teach_nothing() -> None:
    rows = make_rows(64)
    wrong = np.where(np.arange(64) < 32, rows.y.numpy(), 1 - rows.y.numpy())
    weights = np.where(np.arange(64) < 32, 1.0, 1e-9)
    trainer = make_trainer(settings=replace(QUICK, epochs=40, patience=40))
    trainer.fit(Rows.of({"x": rows.tensors["x"].numpy()}, wrong, CPU, weights), make_rows(seed=1))
    held = make_rows(200, seed=2)
    assert (predict(trainer.shadow, held).argmax(axis=1) == held.y.numpy()).mean() > 0.75


def test_an_l1_penalty_makes_weights_smaller() -> None:
    sizes = []
    for l1 in (0.0, 0.1):
        trainer = make_trainer(settings=replace(QUICK, l1=l1, ema=0.0))
        trainer.fit(make_rows(), make_rows(seed=1))
        body = trainer.network.get_parameter("trunk.body.0.weight")
        sizes.append(float(body.detach().abs().sum()))
    assert sizes[1] < 0.7 * sizes[0]


def test_a_device_that_is_not_there_is_an_error_with_a_way_out() -> None:
    assert accelerator_for("cpu").device.type == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(TrainingError, match=r"no device cuda here[\s\S]*devices: cpu"):
            accelerator_for("cuda")


def test_the_step_size_falls_within_an_epoch() -> None:
    seen: list[float] = []
    settings = replace(QUICK, schedule="linear", epochs=2, batch_size=24, warmup=0)
    trainer = make_trainer(settings=settings)
    plain = trainer.step

    def watched(batch: Rows) -> torch.Tensor:
        seen.append(trainer.optimizers[0].param_groups[0]["lr"])
        return plain(batch)

    trainer.step = watched  # type: ignore[method-assign]
    trainer.fit(make_rows(96), make_rows(seed=1))
    rate = settings.learning_rate
    assert seen == pytest.approx([rate * (1 - done / 8) for done in range(8)])


def test_a_schedule_ends_within_the_budget(tmp_path: Path) -> None:
    settings = replace(QUICK, schedule="linear", epochs=100_000, batch_size=8)
    trainer = make_trainer(settings=settings, place=Place(folder=tmp_path, budget=1.0))
    trainer.fit(make_rows(96), make_rows(seed=1))
    horizon = trainer.decided.horizon
    assert horizon is not None
    assert trainer.settings.epochs == horizon < 100_000
    assert files.read_json(tmp_path / "decisions.json")["horizon"] == horizon
    again = make_trainer(settings=settings, place=Place(folder=tmp_path, budget=900.0))
    again.fit(make_rows(96), make_rows(seed=1))
    assert again.settings.epochs == horizon


def test_statistics_of_batches_follow_at_once() -> None:
    trainer = make_trainer()
    trainer.network.register_buffer("seen", torch.full((2,), 7.0))
    trainer.shadow.register_buffer("seen", torch.zeros(2))
    trainer.follow()
    assert trainer.shadow.get_buffer("seen").tolist() == [7.0, 7.0]


def test_wide_rows_are_predicted_a_few_at_a_time() -> None:
    narrow = Rows({"x": torch.zeros(10, 3)}, torch.zeros(10))
    wide = Rows({"x": torch.zeros(10, 3 << 20, dtype=torch.uint8)}, torch.zeros(10))
    assert narrow.at_once == 2_048
    assert wide.at_once == 2

"""The one training loop: fit, run_epoch, step, validate.

Every epoch starts from a seed of its own, so a run that was killed and resumed from a
checkpoint goes through the same shuffles and dropouts and ends in the same weights.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fieldcraft.contracts import Array
from fieldcraft.core import files, seeds
from fieldcraft.core.errors import TrainingError
from fieldcraft.fit.checkpoint import (
    Progress,
    read_checkpoint,
    snapshot,
    unpack,
    write_checkpoint,
)
from fieldcraft.fit.mixing import drawn
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.fit.optimizers import build_optimizers, memory_of, restore_memory
from fieldcraft.fit.pace import Pace, autocast, choose_pace, time_steps, using_threads
from fieldcraft.fit.process import tuned_process
from fieldcraft.fit.settings import Training

ROWS_AT_ONCE = 2_048  # when predicting, at most
BYTES_AT_ONCE = 1 << 23  # of what a network reads: layers of photos take a hundred times as much
STEPPING = 0.8  # share of the time that goes into steps forward and back
DECISIONS = "decisions.json"
SAVE_EVERY = 2.0  # seconds between checkpoints at least


@dataclass(frozen=True)
class Rows:
    """Encoded rows with their target, as tensors."""

    tensors: Mapping[str, Tensor]
    y: Tensor
    weights: Tensor | None = None

    @classmethod
    def of(
        cls,
        tensors: Mapping[str, Array],
        y: Array,
        device: torch.device,
        weights: Array | None = None,
    ) -> Rows:
        """Rows on a device: whole numbers as labels, others as 32-bit floats, weights of mean 1."""
        target = torch.as_tensor(np.asarray(y)).to(device)
        arrays = {name: torch.as_tensor(array).to(device) for name, array in tensors.items()}
        counted = None
        if weights is not None:
            counted = torch.as_tensor(weights / weights.mean()).float().to(device)
        return cls(arrays, target if not target.is_floating_point() else target.float(), counted)

    def take(self, where: Tensor | slice) -> Rows:
        """Some of the rows."""
        tensors = {name: tensor[where] for name, tensor in self.tensors.items()}
        weights = None if self.weights is None else self.weights[where]
        return Rows(tensors, self.y[where], weights)

    def __len__(self) -> int:
        """How many rows."""
        return len(self.y)

    @property
    def at_once(self) -> int:
        """How many rows a network takes in one go when it predicts."""
        widths = [t[:1].nbytes for t in self.tensors.values()]
        return max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // max(sum(widths), 1)))


@dataclass(frozen=True)
class Goal:
    """What training aims at: a loss to follow down, and one that says when to stop."""

    loss: Callable[[Tensor, Tensor], Tensor]
    tune_loss: Callable[[Array, Array, Array | None], float]


@dataclass(frozen=True)
class Place:
    """Where, how long and under whose eyes a training runs; `clock` tells its seconds."""

    seed: int = 0
    budget: float | None = None
    folder: Path | None = None
    progress: Callable[[str, float | None], None] = lambda text, share: None
    device: str = "auto"
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Decided(Pace):
    """What hangs on the clock.

    Attributes:
        epochs: after how many to end, if a training is done over again.
        horizon: over how many the step size falls, where the budget leaves time for fewer.
    """

    epochs: int | None = None
    horizon: int | None = None


class Trainer:
    """Trains a network on rows in memory until the tune loss stops getting better."""

    def __init__(self, network: FusedNetwork, goal: Goal, settings: Training, place: Place) -> None:
        """Set up the training; nothing runs yet."""
        self.accelerator = accelerator_for(place.device)
        self.settings, self.goal, self.place = settings, goal, place
        self.network: FusedNetwork
        self.optimizers: list[torch.optim.Optimizer]
        self.network, *self.optimizers = self.accelerator.prepare(
            network, *build_optimizers(network, settings)
        )
        self.shadow = copy.deepcopy(self.accelerator.unwrap_model(self.network)).eval()
        self.best = snapshot(self.shadow)
        self.state = Progress()
        self.decided = Decided()
        self.saved = -math.inf

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        device: torch.device = self.accelerator.device
        return device

    def fit(self, train: Rows, tune: Rows) -> Progress:
        """Train to the end, from the last checkpoint if there is one.

        The weights of the best epoch are then those of `shadow`.

        Raises:
            TrainingError: the loss stopped being a number.
        """
        self.resume()
        with tuned_process():
            self.decided = self.decide(train)
            if self.decided.horizon is not None:
                self.settings = replace(self.settings, epochs=self.decided.horizon)
            with using_threads(self.decided.threads):
                self.run_epochs(train, tune)
        self.shadow.load_state_dict(self.best)
        return self.state

    def run_epochs(self, train: Rows, tune: Rows) -> None:
        """Train, validate, save and tell, epoch by epoch, until it is time to stop."""
        while not self.finished():
            start = self.place.clock()
            self.state.train_losses.append(self.run_epoch(train))
            self.state.epoch += 1
            self.validate(tune)
            self.state.elapsed += self.place.clock() - start
            self.save()
            self.tell(self.place.clock() - start)

    def run_epoch(self, train: Rows) -> float:
        """Pass over the training rows once, in an order of this epoch's own."""
        torch.manual_seed(seeds.derive(self.place.seed, "epoch", self.state.epoch))
        order = torch.randperm(len(train)).to(self.device)
        self.network.train()
        total = torch.zeros((), device=self.device)
        self.set_rates()
        for start in range(0, len(train), self.settings.batch_size):
            if self.settings.moves:
                self.set_rates(start / len(train))
            batch = train.take(order[start : start + self.settings.batch_size])
            total += self.step(batch) * len(batch)
        mean = float(total) / len(train)
        if not math.isfinite(mean):
            self.explain_failure(train, mean)
        return mean

    def set_rates(self, done: float = 0.0) -> None:
        """Give the optimizers the learning rate of this epoch, of which a share is done."""
        rate = self.settings.rate_at(self.state.epoch + done)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("rate", 1.0)

    def step(self, batch: Rows) -> Tensor:
        """One step of the optimizer, and of the moving average that follows it."""
        loss = self.loss_of(batch)
        self.accelerator.backward(loss + self.penalty() if self.settings.l1 else loss)
        if self.settings.clip:
            self.accelerator.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.state.step += 1
        self.follow()
        return loss.detach()

    def loss_of(self, batch: Rows) -> Tensor:
        """The mean loss of a batch, of which each row counts by its weight and may be mixed."""
        mixing = drawn(self.settings, len(batch), self.device)
        with autocast(self.device.type, self.decided.precision):
            raw = self.network.raw(batch.tensors, mixing)  # type: ignore[arg-type]
        if mixing is not None:
            return mixing.losses(partial(self.goal.loss, raw), batch.y, batch.weights).mean()
        losses = self.goal.loss(raw, batch.y)
        return (losses if batch.weights is None else losses * batch.weights).mean()

    def penalty(self) -> Tensor:
        """The L1 penalty on weight matrices."""
        layers = [m for m in self.network.modules() if isinstance(m, nn.Linear)]
        return self.settings.l1 * torch.stack([m.weight.abs().sum() for m in layers]).sum()

    @torch.no_grad()
    def follow(self) -> None:
        """Move the averaged weights towards the present ones, faster at the start."""
        step = self.state.step
        decay = min(self.settings.ema, (1 + step) / (10 + step)) if self.settings.ema else 0.0
        pairs = zip(self.shadow.parameters(), self.network.parameters(), strict=True)
        learning = [(a, p.detach()) for a, p in pairs if p.requires_grad]
        torch._foreach_lerp_([a for a, _ in learning], [p for _, p in learning], 1 - decay)
        for followed, buffer in zip(self.shadow.buffers(), self.network.buffers(), strict=True):
            followed.copy_(buffer)

    def validate(self, tune: Rows) -> None:
        """Take the tune loss of the averaged weights and keep them if it is the best yet."""
        outputs = predict(self.shadow, tune)
        weights = None if tune.weights is None else tune.weights.cpu().numpy()
        loss = self.goal.tune_loss(outputs, tune.y.cpu().numpy(), weights)
        self.state.tune_losses.append(loss)
        if loss < self.state.best_loss:
            self.state.best_loss, self.state.best_epoch = loss, self.state.epoch
            if loss < self.state.mark_loss * (1 - self.settings.worth):
                self.state.mark_loss, self.state.mark_epoch = loss, self.state.epoch
            self.best = snapshot(self.shadow)

    def finished(self) -> bool:
        """Whether epochs, patience or time have run out."""
        state = self.state
        if self.decided.epochs is not None:
            return state.epoch >= self.decided.epochs
        if state.epoch >= self.settings.epochs:
            return True
        waited = state.epoch - state.mark_epoch
        if state.epoch and waited >= self.settings.allowance(state.mark_epoch):
            return True
        if self.place.budget is None or not state.epoch:
            return False
        return state.elapsed * (1 + 1 / state.epoch) > self.place.budget

    def decide(self, train: Rows) -> Decided:
        """What the clock decides: taken once, and kept for when the training resumes."""
        path = self.place.folder / DECISIONS if self.place.folder else None
        if path and path.exists():
            return Decided(**files.read_json(path))
        batch = train.take(slice(0, self.settings.batch_size))

        def loss(network: nn.Module) -> Tensor:
            return self.goal.loss(network.raw(batch.tensors), batch.y).mean()  # type: ignore[operator]

        network = self.accelerator.unwrap_model(self.network)
        pace = choose_pace(network, loss)
        found = Decided(**asdict(pace))
        if self.place.budget is not None and self.settings.schedule != "constant":
            steps = math.ceil(len(train) / self.settings.batch_size)
            fitting = STEPPING * self.place.budget / (steps * time_steps(network, loss, pace))
            found = replace(found, horizon=max(1, min(self.settings.epochs, int(fitting))))
        if path:
            files.write_json(path, asdict(found))
        return found

    def save(self) -> None:
        """Write a checkpoint, unless one was written a moment ago."""
        if self.place.folder is None or self.place.clock() - self.saved < SAVE_EVERY:
            return
        network = self.accelerator.unwrap_model(self.network)
        path = self.place.folder / "checkpoint.safetensors"
        memory = memory_of(self.optimizers)
        write_checkpoint(path, self.state, network, self.shadow, self.best, memory)
        self.saved = self.place.clock()

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        path = self.place.folder / "checkpoint.safetensors" if self.place.folder else None
        if path is None or not path.exists():
            return
        self.state, tensors = read_checkpoint(path)
        self.accelerator.unwrap_model(self.network).load_state_dict(unpack(tensors, "network"))
        self.shadow.load_state_dict(unpack(tensors, "shadow"))
        self.best = unpack(tensors, "best")
        restore_memory(self.optimizers, unpack(tensors, "optimizer"))

    def tell(self, seconds: float) -> None:
        """Say how far the training is and how long it may still take."""
        state = self.state
        left = state.mark_epoch + self.settings.allowance(state.mark_epoch) - state.epoch
        wait = min(left, self.settings.epochs - state.epoch) * seconds
        if self.place.budget is not None:
            wait = min(wait, self.place.budget - state.elapsed)
        share = state.epoch / max(state.epoch + left, 1)
        text = f"epoch {state.epoch}, tune loss {state.tune_losses[-1]:.4f} "
        text += f"(best {state.best_loss:.4f} at {state.best_epoch}), "
        text += f"at least {max(wait, 0):.0f} s left"
        self.place.progress(text, share)

    def explain_failure(self, train: Rows, mean: float) -> None:
        """Name the cause of a loss that is not a number.

        Raises:
            TrainingError: always.
        """
        broken = [name for name, t in train.tensors.items() if not bool(t.float().isfinite().all())]
        cause = f"inputs that are not finite: {', '.join(broken)}" if broken else "diverging steps"
        raise TrainingError(
            "the training loss is no longer a number",
            seen=f"loss {mean} in epoch {self.state.epoch + 1}, {cause}",
            way_out=f"set model.learning_rate below {self.settings.learning_rate:g}, "
            "or clip far values: clean.all.clip: auto",
        )


def accelerator_for(device: str) -> Accelerator:
    """The device to train on: a graphics card if there is one, unless another is named.

    Raises:
        TrainingError: the device that is asked for is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    found = ["cpu", *(name for name in there if there[name])]
    if not there.get(device, True):
        raise TrainingError(
            f"there is no device {device} here",
            seen=f"devices: {', '.join(found)}",
            way_out="set train.device to auto, or run where the device is",
        )
    return Accelerator(cpu=device == "cpu")


@torch.no_grad()
def predict(network: nn.Module, rows: Rows) -> Array:
    """Outputs of a network in evaluation mode, shape (rows, width), in 32-bit floats."""
    network.eval()
    parts = [
        network(rows.take(slice(start, start + rows.at_once)).tensors).float().cpu()
        for start in range(0, len(rows), rows.at_once)
    ]
    return torch.cat(parts).numpy()

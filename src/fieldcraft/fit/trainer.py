"""The training loop of all networks: fit, run_epoch, train_step, validate.

Every epoch starts from its own seed, so a training that was killed and resumed from a checkpoint
goes through the same shuffles and dropout masks and ends in the same weights.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fieldcraft.core import files, seeds
from fieldcraft.core.callbacks import JobCallbacks, NullJobCallbacks
from fieldcraft.core.errors import TrainingError
from fieldcraft.core.types import Array
from fieldcraft.fit.allocator import tuned_allocator
from fieldcraft.fit.checkpoint import (
    TrainingState,
    copy_weights,
    load_checkpoint,
    save_checkpoint,
    tensors_under,
)
from fieldcraft.fit.compute import (
    ComputeConfig,
    autocast,
    autotune_compute,
    limit_threads,
    time_steps,
)
from fieldcraft.fit.mixup import sample_mixup
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.fit.optimizers import build_optimizers, load_optimizer_state, optimizer_state
from fieldcraft.fit.settings import TrainingSettings

MAX_PREDICTION_ROWS = 2_048
MAX_PREDICTION_BYTES = 1 << 23  # of inputs; activations of image nets take a hundred times as much
STEP_TIME_FRACTION = 0.8  # of an epoch; the rest goes into validation and checkpoints
RUNTIME_CONFIG_FILE = "runtime_config.json"
# An epoch of a small table takes less time than writing a checkpoint. A killed training repeats at
# most the epochs since the last one.
CHECKPOINT_INTERVAL_SECONDS = 2.0


@dataclass(frozen=True)
class TensorRows:
    """Encoded rows with their targets, as tensors."""

    tensors: Mapping[str, Tensor]
    y: Tensor
    weights: Tensor | None = None

    @classmethod
    def from_arrays(
        cls,
        tensors: Mapping[str, Array],
        y: Array,
        device: torch.device,
        weights: Array | None = None,
    ) -> TensorRows:
        """Move rows to a device: integer targets as labels, others as 32-bit floats."""
        target = torch.as_tensor(np.asarray(y)).to(device)
        arrays = {name: torch.as_tensor(array).to(device) for name, array in tensors.items()}
        normalized_weights = None
        if weights is not None:
            # Of mean 1, so that weights do not change the effective learning rate.
            normalized_weights = torch.as_tensor(weights / weights.mean()).float().to(device)
        return cls(
            arrays, target if not target.is_floating_point() else target.float(), normalized_weights
        )

    def select(self, index: Tensor | slice) -> TensorRows:
        """The rows of an index or a slice."""
        tensors = {name: tensor[index] for name, tensor in self.tensors.items()}
        weights = None if self.weights is None else self.weights[index]
        return TensorRows(tensors, self.y[index], weights)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.y)

    @property
    def prediction_batch_size(self) -> int:
        """Rows per batch of predictions, limited by memory."""
        row_bytes = [tensor[:1].nbytes for tensor in self.tensors.values()]
        return max(1, min(MAX_PREDICTION_ROWS, MAX_PREDICTION_BYTES // max(sum(row_bytes), 1)))


@dataclass(frozen=True)
class Objective:
    """The differentiable training loss of rows, and the validation loss for early stopping."""

    loss: Callable[[Tensor, Tensor], Tensor]
    validation_loss: Callable[[Array, Array, Array | None], float]


@dataclass(frozen=True)
class TrainingContext:
    """Seed, time budget, checkpoint folder, callbacks, device, threads and clock of a training."""

    seed: int = 0
    budget_seconds: float | None = None
    checkpoint_folder: Path | None = None
    callbacks: JobCallbacks = field(default_factory=NullJobCallbacks)
    device: str = "auto"
    threads: int | None = None  # None: the fastest number
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class RuntimeConfig(ComputeConfig):
    """Timing-dependent choices, saved so that a resumed or reproduced training repeats them.

    Attributes:
        exact_epochs: number of epochs of the training to reproduce.
        schedule_epochs: length of the learning-rate schedule, if the budget allows fewer epochs
            than the settings.
    """

    exact_epochs: int | None = None
    schedule_epochs: int | None = None


class Trainer:
    """Trains a network on rows in memory until the validation loss stops improving."""

    def __init__(
        self,
        network: FusedNetwork,
        objective: Objective,
        settings: TrainingSettings,
        context: TrainingContext,
    ) -> None:
        """Prepare the training without running it."""
        self.accelerator = make_accelerator(context.device)
        self.settings, self.objective, self.context = settings, objective, context
        self.network: FusedNetwork
        self.optimizers: list[torch.optim.Optimizer]
        self.network, *self.optimizers = self.accelerator.prepare(
            network, *build_optimizers(network, settings)
        )
        self.ema_model = copy.deepcopy(self.accelerator.unwrap_model(self.network)).eval()
        self.best_weights = copy_weights(self.ema_model)
        self.state = TrainingState()
        self.runtime_config = RuntimeConfig()
        self.last_saved_at = -math.inf

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        device: torch.device = self.accelerator.device
        return device

    def fit(self, train: TensorRows, validation: TensorRows) -> TrainingState:
        """Train to the end, from the last checkpoint if there is one.

        Afterwards `ema_model` has the weights of the best epoch.

        Raises:
            TrainingError: the loss is not finite.
        """
        self.load_checkpoint()
        with tuned_allocator():
            self.runtime_config = self.resolve_runtime_config(train)
            if self.runtime_config.schedule_epochs is not None:
                self.settings = replace(self.settings, epochs=self.runtime_config.schedule_epochs)
            with limit_threads(self.runtime_config.threads):
                while not self.should_stop():
                    epoch_start = self.context.clock()
                    self.state.train_losses.append(self.run_epoch(train))
                    self.state.epoch += 1
                    self.validate(validation)
                    # Only the time of epochs counts: a pause between kill and resume is free.
                    self.state.elapsed_seconds += self.context.clock() - epoch_start
                    # Asked before the checkpoint is written: a resumed training is stopped, too.
                    self.state.is_stopped = self.report_epoch()
                    self.save_checkpoint()
                    self.report_progress(self.context.clock() - epoch_start)
        self.ema_model.load_state_dict(self.best_weights)
        return self.state

    def run_epoch(self, train: TensorRows) -> float:
        """Pass over the training rows once, in a new random order; returns the mean loss."""
        torch.manual_seed(seeds.derive_seed(self.context.seed, "epoch", self.state.epoch))
        order = torch.randperm(len(train)).to(self.device)
        self.network.train()
        # On the device: reading a loss in every step would make the CPU wait for a GPU.
        loss_sum = torch.zeros((), device=self.device)
        self.set_learning_rates()
        for start in range(0, len(train), self.settings.batch_size):
            if self.settings.has_step_schedule:
                self.set_learning_rates(start / len(train))
            batch = train.select(order[start : start + self.settings.batch_size])
            loss_sum += self.train_step(batch) * len(batch)
        mean_loss = float(loss_sum) / len(train)
        if not math.isfinite(mean_loss):
            self.raise_non_finite_loss(train, mean_loss)
        return mean_loss

    def set_learning_rates(self, epoch_fraction: float = 0.0) -> None:
        """Set the learning rate of the optimizers for a point within this epoch."""
        learning_rate = self.settings.learning_rate_at(self.state.epoch + epoch_fraction)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * group.get("lr_scale", 1.0)

    def train_step(self, batch: TensorRows) -> Tensor:
        """Take one step of the optimizers, and update the moving average of weights."""
        loss = self.compute_loss(batch)
        self.accelerator.backward(loss + self.l1_penalty() if self.settings.l1 else loss)
        if self.settings.max_grad_norm:
            self.accelerator.clip_grad_norm_(self.network.parameters(), self.settings.max_grad_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.state.step += 1
        self.update_ema()
        return loss.detach()

    def compute_loss(self, batch: TensorRows) -> Tensor:
        """The mean loss of a batch, with row weights and mixup."""
        mixup = sample_mixup(self.settings, len(batch), self.device)
        with autocast(self.device.type, self.runtime_config.precision):
            logits = self.network.logits(batch.tensors, mixup)  # type: ignore[arg-type]
        if mixup is not None:
            return mixup.mixed_losses(
                partial(self.objective.loss, logits), batch.y, batch.weights
            ).mean()
        losses = self.objective.loss(logits, batch.y)
        return (losses if batch.weights is None else losses * batch.weights).mean()

    def l1_penalty(self) -> Tensor:
        """The L1 penalty of the weight matrices."""
        layers = [module for module in self.network.modules() if isinstance(module, nn.Linear)]
        return (
            self.settings.l1 * torch.stack([module.weight.abs().sum() for module in layers]).sum()
        )

    @torch.no_grad()
    def update_ema(self) -> None:
        """Update the exponential moving average of weights; the decay is warmed up."""
        step = self.state.step
        # With the full decay of 0.998 the random initial weights would still count after hundreds
        # of steps. With (1 + t) / (10 + t), the warm-up of TensorFlow's ExponentialMovingAverage,
        # the average reaches back over about a ninth of the steps so far, until that exceeds the
        # decay.
        decay = (
            min(self.settings.ema_decay, (1 + step) / (10 + step))
            if self.settings.ema_decay
            else 0.0
        )
        pairs = zip(self.ema_model.parameters(), self.network.parameters(), strict=True)
        trainable_pairs = [
            (averaged, parameter.detach())
            for averaged, parameter in pairs
            if parameter.requires_grad
        ]
        # One fused call: a loop over parameters costs more than the arithmetic in small networks.
        torch._foreach_lerp_(
            [averaged for averaged, _ in trainable_pairs],
            [parameter for _, parameter in trainable_pairs],
            1 - decay,
        )
        # Buffers such as running statistics of batch norm are averages already.
        for ema_buffer, buffer in zip(
            self.ema_model.buffers(), self.network.buffers(), strict=True
        ):
            ema_buffer.copy_(buffer)

    def validate(self, validation: TensorRows) -> None:
        """Compute the validation loss of the averaged weights, and keep them if it is the best.

        The averaged weights are the ones that are kept and packaged, so they are validated, not the
        current ones. Their loss is also smooth, which makes early stopping reliable.
        """
        outputs = predict_outputs(self.ema_model, validation)
        weights = None if validation.weights is None else validation.weights.cpu().numpy()
        loss = self.objective.validation_loss(outputs, validation.y.cpu().numpy(), weights)
        self.state.validation_losses.append(loss)
        if loss < self.state.best_loss:
            self.state.best_loss, self.state.best_epoch = loss, self.state.epoch
            # Tiny improvements are kept but do not restart patience: on the letter table they never
            # ended within 400 epochs (docs/log.md).
            if loss < self.state.last_improvement_loss * (
                1 - self.settings.min_relative_improvement
            ):
                self.state.last_improvement_loss, self.state.last_improvement_epoch = (
                    loss,
                    self.state.epoch,
                )
            self.best_weights = copy_weights(self.ema_model)

    def should_stop(self) -> bool:
        """Whether epochs, patience or the time budget have run out."""
        state = self.state
        if self.runtime_config.exact_epochs is not None:
            return state.epoch >= self.runtime_config.exact_epochs
        if state.is_stopped or state.epoch >= self.settings.epochs:
            return True
        epochs_without_improvement = state.epoch - state.last_improvement_epoch
        if state.epoch and epochs_without_improvement >= self.settings.patience_at(
            state.last_improvement_epoch
        ):
            return True
        if self.context.budget_seconds is None or not state.epoch:
            return False
        # Stop if the next epoch, of average length, would end after the budget.
        return state.elapsed_seconds * (1 + 1 / state.epoch) > self.context.budget_seconds

    def resolve_runtime_config(self, train: TensorRows) -> RuntimeConfig:
        """Make the timing-dependent choices once, and save them for when the training resumes.

        They change the weights, so they are saved before the first step: after a crash the resumed
        training must not time again and choose differently.
        """
        path = (
            self.context.checkpoint_folder / RUNTIME_CONFIG_FILE
            if self.context.checkpoint_folder
            else None
        )
        if path and path.exists():
            return RuntimeConfig(**files.read_json(path))
        batch = train.select(slice(0, self.settings.batch_size))

        def batch_loss(network: nn.Module) -> Tensor:
            return self.objective.loss(network.logits(batch.tensors), batch.y).mean()  # type: ignore[operator]

        network = self.accelerator.unwrap_model(self.network)
        compute_config = autotune_compute(network, batch_loss, self.context.threads)
        runtime_config = RuntimeConfig(**asdict(compute_config))
        # A budget shortens the schedule: cut off at the end of the budget, a learning rate that is
        # still high would leave a bad model.
        if self.context.budget_seconds is not None and self.settings.lr_schedule != "constant":
            steps_per_epoch = math.ceil(len(train) / self.settings.batch_size)
            epochs_in_budget = (
                STEP_TIME_FRACTION
                * self.context.budget_seconds
                / (steps_per_epoch * time_steps(network, batch_loss, compute_config))
            )
            runtime_config = replace(
                runtime_config,
                schedule_epochs=max(1, min(self.settings.epochs, int(epochs_in_budget))),
            )
        if path:
            files.atomic_write_json(path, asdict(runtime_config))
        return runtime_config

    def save_checkpoint(self) -> None:
        """Write a checkpoint, unless the last one was written just before."""
        if (
            self.context.checkpoint_folder is None
            or self.context.clock() - self.last_saved_at < CHECKPOINT_INTERVAL_SECONDS
        ):
            return
        network = self.accelerator.unwrap_model(self.network)
        path = self.context.checkpoint_folder / "checkpoint.safetensors"
        optimizer_tensors = optimizer_state(self.optimizers)
        save_checkpoint(
            path, self.state, network, self.ema_model, self.best_weights, optimizer_tensors
        )
        self.last_saved_at = self.context.clock()

    def load_checkpoint(self) -> None:
        """Resume from the checkpoint, if there is one."""
        path = (
            self.context.checkpoint_folder / "checkpoint.safetensors"
            if self.context.checkpoint_folder
            else None
        )
        if path is None or not path.exists():
            return
        self.state, tensors = load_checkpoint(path)
        self.accelerator.unwrap_model(self.network).load_state_dict(
            tensors_under(tensors, "network")
        )
        self.ema_model.load_state_dict(tensors_under(tensors, "ema"))
        self.best_weights = tensors_under(tensors, "best")
        load_optimizer_state(self.optimizers, tensors_under(tensors, "optimizer"))

    def report_epoch(self) -> bool:
        """Report the metrics of an epoch; returns whether a callback stops the training."""
        state = self.state
        metrics = {
            "train_loss": state.train_losses[-1],
            "validation_loss": state.validation_losses[-1],
            "best_validation_loss": state.best_loss,
            "learning_rate": self.settings.learning_rate_at(state.epoch),
            "elapsed_seconds": state.elapsed_seconds,
        }
        return self.context.callbacks.on_epoch_end(state.epoch, metrics)

    def report_progress(self, epoch_seconds: float) -> None:
        """Report the epoch, the validation loss and a lower bound of the time left."""
        state = self.state
        patience_left = (
            state.last_improvement_epoch
            + self.settings.patience_at(state.last_improvement_epoch)
            - state.epoch
        )
        seconds_left = min(patience_left, self.settings.epochs - state.epoch) * epoch_seconds
        if self.context.budget_seconds is not None:
            seconds_left = min(seconds_left, self.context.budget_seconds - state.elapsed_seconds)
        fraction = state.epoch / max(state.epoch + patience_left, 1)
        text = f"epoch {state.epoch}, validation loss {state.validation_losses[-1]:.4f} "
        text += f"(best {state.best_loss:.4f} at {state.best_epoch}), "
        text += f"at least {max(seconds_left, 0):.0f} s left"
        self.context.callbacks.on_progress(text, fraction)

    def raise_non_finite_loss(self, train: TensorRows, loss: float) -> None:
        """Raise an error with the cause of a non-finite loss.

        Raises:
            TrainingError: always.
        """
        non_finite_inputs = [
            name
            for name, tensor in train.tensors.items()
            if not bool(tensor.float().isfinite().all())
        ]
        cause = (
            f"non-finite inputs: {', '.join(non_finite_inputs)}"
            if non_finite_inputs
            else "training diverges"
        )
        raise TrainingError(
            "the training loss is not finite",
            detail=f"loss {loss} in epoch {self.state.epoch + 1}, {cause}",
            hint=f"set model.learning_rate below {self.settings.learning_rate:g}, "
            "or clip outliers: clean.all.clip: auto",
        )


def make_accelerator(device: str) -> Accelerator:
    """Choose the device to train on: a GPU if there is one, unless a device is named.

    Raises:
        TrainingError: the named device is not available.
    """
    is_available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    device_names = ["cpu", *(name for name in is_available if is_available[name])]
    if not is_available.get(device, True):
        raise TrainingError(
            f"device {device} is not available",
            detail=f"available devices: {', '.join(device_names)}",
            hint="set train.device to auto, or run on a machine with that device",
        )
    return Accelerator(cpu=device == "cpu")


@torch.no_grad()
def predict_outputs(network: nn.Module, rows: TensorRows) -> Array:
    """Predict in evaluation mode: outputs of shape (rows, outputs) in 32-bit floats."""
    network.eval()
    batches = [
        network(rows.select(slice(start, start + rows.prediction_batch_size)).tensors).float().cpu()
        for start in range(0, len(rows), rows.prediction_batch_size)
    ]
    return torch.cat(batches).numpy()

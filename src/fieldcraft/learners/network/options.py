"""Options of the network learner."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fieldcraft.fit.settings import LearningRateSchedule, OptimizerName


class NetworkOptions(BaseModel):
    """Settings of the network; the defaults depend on the trunk and the number of rows.

    Attributes:
        trunk: ``tabm`` for many MLPs that share weights, ``mlp`` for one plain MLP, ``linear`` for
            a single layer (the default if all columns are photos or texts read by a deep net).
        fusion: ``early``: one trunk joins all kinds of column; ``late``: each kind has its own
            trunk, and their outputs are averaged.
        layers: number of hidden layers (tabm), or the units of each (mlp).
        width: units of each shared layer (tabm).
        ensemble_size: number of MLPs that share these layers (tabm).
        dropout: fraction of units dropped in training.
        optimizer: muon (default of tabm), adamw (default of mlp), adam, sgd or rmsprop.
        learning_rate: peak learning rate.
        lr_schedule: constant, or decaying to 0 over ``epochs``: cosine or linear.
        warmup_epochs: epochs over which the learning rate rises; may be fractional.
        weight_decay: decoupled decay of weight matrices.
        batch_size: rows per step.
        epochs: maximum number of passes over the training rows.
        patience: epochs without a better validation loss before training stops.
        ema_decay: decay of the moving average of the weights; 0 for none.
        max_grad_norm: norm that gradients are clipped to; 0 for no clipping.
        l1: weight of the L1 penalty.
        mixup: parameter of the beta distribution of mixup, 0.1 to 1; 0 for none.
        cutmix: the same for CutMix, which replaces a square of a photo by one of another photo.
        label_smoothing: fraction of each target that is spread over all classes.
        class_weights: weights of the classes: none, ``balanced``, or one per class by name.
    """

    model_config = ConfigDict(extra="forbid")
    trunk: Literal["tabm", "mlp", "linear"] | None = None
    fusion: Literal["early", "late"] = "early"
    layers: int | list[int] | None = None
    width: int | None = Field(default=None, ge=1)
    ensemble_size: int | None = Field(default=None, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    optimizer: OptimizerName | None = None
    learning_rate: float | None = Field(default=None, gt=0)
    lr_schedule: LearningRateSchedule | None = None
    warmup_epochs: float | None = Field(default=None, ge=0)
    weight_decay: float | None = Field(default=None, ge=0)
    batch_size: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    patience: int | None = Field(default=None, ge=1)
    ema_decay: float | None = Field(default=None, ge=0, lt=1)
    max_grad_norm: float | None = Field(default=None, ge=0)
    l1: float | None = Field(default=None, ge=0)
    mixup: float | None = Field(default=None, ge=0)
    cutmix: float | None = Field(default=None, ge=0)
    label_smoothing: float | None = Field(default=None, ge=0, lt=1)
    class_weights: Literal["balanced"] | dict[str, float] | None = None

    @model_validator(mode="after")
    def check_layers(self) -> NetworkOptions:
        """The plain MLP takes a list of layer sizes, TabM a number of layers."""
        if self.layers is None:
            return self
        if self.trunk == "linear":
            raise ValueError("trunk linear has no layers; omit layers")
        if isinstance(self.layers, list) != (self.trunk == "mlp"):
            expected = "a list of units, such as [128, 64]" if self.trunk == "mlp" else "a number"
            raise ValueError(f"layers of trunk {self.trunk or 'tabm'} should be {expected}")
        return self

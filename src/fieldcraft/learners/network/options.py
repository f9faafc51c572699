"""Settings of the network."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fieldcraft.fit.settings import LearningRateSchedule, OptimizerName


class NetworkOptions(BaseModel):
    """Settings of the network; what is left out is chosen by trunk and number of rows.

    Attributes:
        trunk: ``tabm`` for many MLPs that share weights, ``mlp`` for one plain MLP, ``linear`` for
            a single layer (the network's own choice where photos are all there is).
        fusion: ``early``: one trunk joins all kinds of column; ``late``: each kind has a trunk of
            its own, and what they say is averaged.
        layers: hidden layers: how many (tabm), or the units of each (mlp).
        hidden_size: units of each shared layer (tabm).
        ensemble_size: how many MLPs share them (tabm).
        dropout: share of units dropped in training.
        optimizer: muon (tabm's own choice), adamw (mlp's), adam, sgd or rmsprop.
        learning_rate: step size at its highest.
        schedule: constant, or falling to nothing over ``epochs``: cosine or linear.
        warmup: epochs over which the step size rises.
        weight_decay: decay of weight matrices.
        batch_size: rows a step.
        epochs: passes over the training rows at most.
        patience: epochs to wait for a better tune loss.
        ema: decay of the moving average of weights; 0 for none.
        clip: largest norm of the gradient; 0 for none.
        l1: penalty on absolute weights.
        mixup: how far rows of a batch are mixed with each other, 0.1 to 1; 0 for not at all.
        cutmix: the same, but photos get a square of another one.
        label_smoothing: share of each target that is spread over all classes.
        class_weights: how much rows of each class count: all the same, ``balanced``, or a weight
            for each class by name.
    """

    model_config = ConfigDict(extra="forbid")
    trunk: Literal["tabm", "mlp", "linear"] | None = None
    fusion: Literal["early", "late"] = "early"
    layers: int | list[int] | None = None
    hidden_size: int | None = Field(default=None, ge=1)
    ensemble_size: int | None = Field(default=None, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    optimizer: OptimizerName | None = None
    learning_rate: float | None = Field(default=None, gt=0)
    schedule: LearningRateSchedule | None = None
    warmup: float | None = Field(default=None, ge=0)
    weight_decay: float | None = Field(default=None, ge=0)
    batch_size: int | None = Field(default=None, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    patience: int | None = Field(default=None, ge=1)
    ema: float | None = Field(default=None, ge=0, lt=1)
    clip: float | None = Field(default=None, ge=0)
    l1: float | None = Field(default=None, ge=0)
    mixup: float | None = Field(default=None, ge=0)
    cutmix: float | None = Field(default=None, ge=0)
    label_smoothing: float | None = Field(default=None, ge=0, lt=1)
    class_weights: Literal["balanced"] | dict[str, float] | None = None

    @model_validator(mode="after")
    def check_layers(self) -> NetworkOptions:
        """A list of layers belongs to the plain MLP, a number of layers to TabM."""
        if self.layers is None:
            return self
        if self.trunk == "linear":
            raise ValueError("trunk linear has no layers; leave layers out")
        if isinstance(self.layers, list) != (self.trunk == "mlp"):
            expected = "a list of units, such as [128, 64]" if self.trunk == "mlp" else "a number"
            raise ValueError(f"layers of trunk {self.trunk or 'tabm'} should be {expected}")
        return self

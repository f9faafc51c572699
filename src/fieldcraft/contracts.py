"""Everything that can be plugged into Fieldcraft, on one page.

A plug is a module that offers one object: ``KIND``, ``TASK``, ``LEARNER``, ``CHECK``, ``STAGE``
or ``FORMAT`` (see `fieldcraft.core.catalogue`). Every plug passes the conformance suite of its
shape in ``tests/conformance``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy.typing as npt
import polars as pl

from fieldcraft.data.look import Look
from fieldcraft.data.table import Schema
from fieldcraft.evidence.metrics import Metric
from fieldcraft.evidence.records import Finding
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Settings

Array = npt.NDArray[Any]
Json = dict[str, Any]
Form = Literal["tensors", "matrix"]  # what a model reads of encoded rows
Sight = Literal["data", "split", "model", "traffic"]  # what a check looks at


@dataclass(frozen=True)
class Guess:
    """What a column or target looks like, how sure that is (0 to 1), and why."""

    name: str
    confidence: float
    reason: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Matrix:
    """Rows for trees and linear models: float32, NaN where missing; a column with levels > 0
    holds codes 0 (unseen or rare) to levels."""

    values: Array
    names: tuple[str, ...]
    levels: tuple[int, ...]


@dataclass(frozen=True)
class State:
    """What a fitted encoder or model is made of: JSON values and arrays, nothing else."""

    values: Json = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)


class Encoded(Protocol):
    """Encoded rows, in the form that a learner asks for."""

    def tensors(self) -> dict[str, Array]: ...
    def matrix(self) -> Matrix: ...


class Encoder(Protocol):
    """Turns the columns of one kind into numbers; fitted on training rows only."""

    def fit_transform(self, rows: pl.DataFrame, target: Array) -> Encoded: ...
    def transform(self, rows: pl.DataFrame) -> Encoded: ...
    def state(self) -> State: ...
    def restore(self, state: State) -> None: ...


class Kind(Protocol):
    """What a column holds."""

    name: str
    used: bool  # False: columns of this kind are set aside and no model sees them
    options: tuple[str, ...]  # what a column's entry in the project file may say beside `kind`

    def recognise(self, look: Look) -> Guess | None: ...
    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series: ...
    def encoder(self) -> Encoder: ...
    def net(self, encoder: Encoder, plain: bool) -> Any: ...  # a torch module: fit/network.py
    def checks(self) -> Sequence[Check]: ...
    def describe(self, values: pl.Series) -> Json: ...  # the reference profile, for drift


class Task(Protocol):
    """What the target asks. Outputs are probabilities (rows, classes) or values (rows, 1)."""

    name: str
    output: Literal["probabilities", "value"]
    metrics: tuple[Metric, ...]  # the first is the default for choosing the champion
    baselines: tuple[str, ...]  # names of learners, simplest first

    def recognise(self, look: Look) -> Guess | None: ...
    def describe(self, target: pl.Series, positive: str | None) -> Json: ...  # e.g. classes
    def encode(self, target: pl.Series, about: Json) -> Array: ...
    def scale(self, y: Array) -> Json: ...  # fitted on training rows; {} if there is none
    def scaled(self, y: Array, scale: Json) -> Array: ...
    def unscaled(self, outputs: Array, scale: Json) -> Array: ...
    def columns(self, y: Array, about: Json) -> Array: ...  # what target means are taken of
    def width(self, about: Json) -> int: ...
    def loss(self) -> Callable[[Any, Any], Any]: ...  # torch: raw outputs, y -> one per row
    def activate(self, raw: Any) -> Any: ...  # torch: raw outputs of a network -> outputs
    def validation_loss(self, outputs: Array, y: Array) -> float: ...
    def calibrate(self, outputs: Array, y: Array) -> Json: ...
    def calibrated(self, outputs: Array, calibration: Json) -> Array: ...
    def decide(self, outputs: Array, about: Json) -> pl.DataFrame: ...
    def evidence(self, y: Array, outputs: Array, about: Json) -> Json: ...  # for the report


@dataclass(frozen=True)
class Brief:
    """What a model is to be built for: the task, the options, and fresh encoder nets by kind."""

    task: Task
    about: Json
    options: Any
    nets: Callable[[bool], Mapping[str, Any]]  # True: plain ones, without embeddings


@dataclass(frozen=True)
class Job(Brief):
    """A brief with encoded rows and targets to train and to tune on, limits and a place."""

    train: Encoded
    train_y: Array
    tune: Encoded
    tune_y: Array
    seed: int = 0
    budget: float | None = None  # seconds
    folder: Path | None = None  # for checkpoints
    progress: Callable[[str, float | None], None] = lambda text, share: None


class Fitted(Protocol):
    """A trained model: encoded rows in, outputs out, as data on disk or as ONNX."""

    view: Form

    def outputs(self, rows: Encoded) -> Array: ...
    def state(self) -> State: ...
    def onnx(self) -> bytes: ...  # inputs named as the view names them, one output "outputs"


class Learner(Protocol):
    """Turns training rows into a model. A baseline is a learner like any other."""

    name: str
    title: str
    complexity: int  # ties go to the lower
    options: type[Any]  # pydantic model of what `model:` may say

    def fit(self, job: Job) -> Fitted: ...
    def restore(self, state: State, brief: Brief) -> Fitted: ...


class Predictor(Protocol):
    """Turns rows into predictions; later stages see nothing else of a model."""

    def outputs(self, rows: pl.DataFrame) -> Array: ...
    def predict(self, rows: Any) -> pl.DataFrame: ...


@dataclass(frozen=True)
class View:
    """What a check may look at; parts that are not there yet are None."""

    schema: Schema
    target: str
    looks: Mapping[str, Look]  # columns as read: of all rows before the split, else of training
    values: pl.DataFrame  # the same rows, parsed
    rows: Sequence[int]  # line of each row in its source, counted from 1
    task: Task | None = None
    about: Json | None = None
    y: Array | None = None  # training rows only
    digests: Mapping[str, Sequence[bytes]] | None = None  # of feature cells, by part


class Check(Protocol):
    """Looks at data, a split, a model or live traffic and may report findings."""

    code: str
    looks_at: Sight

    def run(self, view: View) -> Iterable[Finding]: ...


@dataclass(frozen=True)
class Work:
    """What a stage works on and with."""

    project: Folder
    settings: Settings
    inputs: Mapping[str, Path]  # the folders of the steps before it
    out: Path  # the folder to fill; what a killed run left there is still in it
    previous: Path | None  # the folder of the last finished run of the same step
    record: Callable[[str, Json], None]  # into the ledger, when the stage has ended well
    progress: Callable[[str, float | None], None]


@dataclass(frozen=True)
class Stage:
    """A step from records to records; its name is its command."""

    name: str
    summary: str
    run: Callable[[Work], Json]  # returns what it did in short
    sections: tuple[str, ...] = ()  # of the project file that its result depends on
    version: int = 1  # raised when the same inputs would give another result


class Format(Protocol):
    """A file form of a trained model that runs without the engine that trained it."""

    name: str
    suffix: str

    def write(self, model: Fitted, path: Path) -> None: ...
    def load(self, path: Path) -> Callable[[Mapping[str, Array]], Array]: ...

"""All that can be plugged in, on a page; `core.catalogue` finds it, tests/conformance tests it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

from fieldcraft.core.types import Array, Json, ProgressCallback
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.schema import Column, Schema
from fieldcraft.ledger.records import Finding
from fieldcraft.project.context import StageContext
from fieldcraft.statistics.metrics import Metric, Predictions

Tensors = Mapping[str, Array]
Weights = Array | None  # how much each row counts; None if all count the same
InputFormat = Literal["tensors", "matrix"]  # what a model reads of encoded rows
Output = Literal["probabilities", "labels", "value"]  # of classes (adding up to 1), of labels
CheckScope = Literal["data", "split", "model", "traffic"]  # what a check looks at
ScoreFunction = Callable[[Sequence[Any]], Array]  # what the champion says if a cell held each of these


@dataclass(frozen=True)
class Matrix:
    """Rows as one float32 table, NaN where missing; levels > 0: codes, 0 for unseen ones."""
    values: Array
    names: tuple[str, ...]
    levels: tuple[int, ...]


@dataclass(frozen=True)
class State:
    """What a fitted encoder or model is made of: JSON values and arrays, nothing else."""
    values: Json = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)  # large; matrix/...: for matrices only


class Encoded(Protocol):
    """Encoded rows, in the form that a learner asks for."""
    def tensors(self) -> dict[str, Array]: """Arrays by input name, for networks."""
    def matrix(self) -> Matrix: """One table, for trees and linear models."""


class Encoder(Protocol):
    """Turns the columns of one kind into numbers; fitted on training rows only."""
    @property
    def max_batch_rows(self) -> int | None: """A network may read at once; None: as memory allows."""
    def precompute(self, rows: pl.DataFrame) -> Any: """What needs nothing learned, done once."""
    def fit_transform(self, precomputed: Any, target: Array) -> Encoded: """Learn and encode."""
    def transform(self, precomputed: Any) -> Encoded: """Encode, each row by itself."""
    def state(self) -> State: """What was learned."""
    def restore(self, state: State) -> None: """Become the encoder whose state this is."""


class Kind(Protocol):
    """What a column holds; `data.aside.PlainValues` brings the last five."""
    name: str
    is_feature: bool  # False: columns of this kind are set aside and no model sees them
    storage: Literal["values", "files"]  # files: cells name files, see data/media.py
    options: tuple[str, ...]  # what a column's entry in the project file may say beside `kind`
    packages: tuple[str, ...]  # that a bundle with such columns needs beside the core
    def infer(self, profile: ColumnProfile) -> TypeInference | None: """Whether a column is of this kind."""
    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series: """To values."""
    def encoder(self, columns: Sequence[Column]) -> Encoder: """A fresh one for these columns."""
    def net(self, encoder: Encoder, without_embeddings: bool) -> Any: """A torch module: see fit/network.py."""
    def checks(self) -> Sequence[Check]: """Checks of columns of this kind."""
    def drift_statistics(self, values: pl.Series) -> Mapping[str, pl.Series]: """To watch drift by."""
    def near_duplicate_groups(self, values: pl.Series) -> Sequence[Array] | None: """Rows nearly the same."""
    def thumbnail(self, value: Any) -> str | None: """A value drawn small, as a data: address."""
    def explain(self, value: Any, score: ScoreFunction) -> Json | None: """Why: see develop/reasons.py."""
    def attributions(self, network: Any, row: Tensors, output_index: int, output: Output) -> Sequence[Json]:
        """For each column further maps by name, drawn by what a network does with a row."""
    def augmentation_examples(self, network: Any, rows: Tensors) -> Sequence[Sequence[str]]: """As trained."""


class Task(Protocol):
    """What the target asks. Outputs are (rows, width), raw ones (rows, members, width)."""
    name: str
    output: Output
    metrics: tuple[Metric, ...]  # the first is the default for choosing the champion
    baselines: tuple[str, ...]  # names of learners, simplest first
    def infer(self, profiles: Sequence[ColumnProfile]) -> TypeInference | None: """Whether a target asks this."""
    def describe(self, target: pl.Series, problem: Json) -> Json: """Such as classes and costs."""
    def encode(self, target: pl.Series, target_spec: Json) -> Array: """The target as numbers."""
    def fit_target_scale(self, y: Array) -> Json: """The scale of training targets; {} if there is none."""
    def scale_target(self, y: Array, scale: Json) -> Array: """Targets as learners see them."""
    def unscale_outputs(self, outputs: Array, scale: Json) -> Array: """Outputs in units of the target."""
    def target_indicator_matrix(self, y: Array, target_spec: Json) -> Array: """What encoders may learn of."""
    def n_outputs(self, target_spec: Json) -> int: """Outputs a row."""
    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]: """Of rows, in torch."""
    def activate(self, raw: Any) -> Any: """Torch: raw outputs of a network to outputs."""
    def validation_loss(self, outputs: Array, y: Array, weights: Weights = None) -> float:
        """What early stopping watches."""
    def calibrate(self, outputs: Array, y: Array, target_spec: Json, weights: Weights = None) -> Json:
        """What makes outputs honest, from tune rows."""
    def apply_calibration(self, outputs: Array, calibration: Json) -> Array: """Outputs made honest."""
    def predictions_from_outputs(self, outputs: Array, target_spec: Json, calibration: Json) -> Predictions: """And decisions."""
    def to_frame(self, predictions: Predictions, target_spec: Json) -> pl.DataFrame: """`prediction` and more."""
    def diagnostics(self, y: Array, predictions: Predictions, target_spec: Json) -> Json: """For the report."""


@dataclass(frozen=True)
class ModelSpec:
    """What a model is to be built for: the task, the options, and fresh encoder nets by kind."""
    task: Task
    target_spec: Json
    options: Any
    encoder_nets: Callable[[bool], Mapping[str, Any]]  # True: plain ones, without embeddings


@dataclass(frozen=True)
class TrainingJob(ModelSpec):
    """A brief with encoded rows and targets to train and to tune on, limits and a place."""
    train: Encoded
    train_y: Array
    validation: Encoded
    validation_y: Array
    weights: Weights = None  # of training rows
    validation_weights: Weights = None
    seed: int = 0
    budget: float | None = None  # seconds
    device: str = "auto"
    checkpoint_folder: Path | None = None  # for checkpoints
    on_progress: ProgressCallback = lambda text, share: None


class FittedModel(Protocol):
    """A trained model: encoded rows in, outputs out; as data on disk, or as ONNX."""
    input_format: InputFormat
    def outputs(self, rows: Encoded) -> Array: """Outputs on the scale that learners see."""
    def state(self) -> State: """What was learned."""
    def to_onnx(self) -> bytes: """Inputs named as the view names them, one output `outputs`."""


class Learner(Protocol):
    """Turns training rows into a model. A baseline is a learner like any other."""
    name: str
    title: str
    complexity: int  # ties go to the lower
    options: type[Any]  # pydantic model of what `model:` may say
    def fit(self, job: TrainingJob) -> FittedModel: """Train a model."""
    def restore(self, state: State, spec: ModelSpec) -> FittedModel: """The model whose state this is."""


class Predictor(Protocol):
    """Turns rows into predictions; later stages see nothing else of a model."""
    def outputs(self, rows: pl.DataFrame) -> Array: """Calibrated outputs for rows as read."""
    def predict(self, rows: Any) -> pl.DataFrame: """Decisions and probabilities."""


@dataclass(frozen=True)
class CheckContext:
    """What a check may look at; parts that are not there yet are None."""
    schema: Schema
    targets: tuple[str, ...]
    column_profiles: Mapping[str, ColumnProfile]  # columns as read: of all rows before the split, else of training
    values: pl.DataFrame  # the same rows, parsed
    row_numbers: Sequence[int]  # number of each row in its source, counted from 1
    sensitive_features: tuple[str, ...] = ()  # columns that the project file wants to be fair to
    time_column: str | None = None  # column that orders the rows
    group_column: str | None = None  # column whose rows belong together
    task: Task | None = None
    target_spec: Json | None = None
    y: Array | None = None  # training rows only, and judge rows where `said` is there
    predictions: Predictions | None = None  # of the champion, about these rows
    row_digests: Mapping[str, Sequence[bytes]] | None = None  # of feature cells, by part
    group_digests: Mapping[str, Sequence[bytes]] | None = None  # of the entity's cell, by part


class Check(Protocol):
    """Looks at data, a split, a model or live traffic and may report findings."""
    code: str
    scope: CheckScope
    def run(self, context: CheckContext) -> Iterable[Finding]: """Look, and report."""


@dataclass(frozen=True)
class Stage:
    """A step from records to records; its name is its command."""
    name: str
    summary: str
    run: Callable[[StageContext], Json]  # returns what it did in short
    config_sections: tuple[str, ...] = ()  # of the project file that its result depends on
    version: int = 1  # raised when the same inputs would give another result


class Format(Protocol):
    """A file form of a trained model that runs without the engine that trained it."""
    name: str
    suffix: str
    def write(self, model: FittedModel, path: Path) -> None: """Write a model as one file."""
    def load(self, path: Path) -> Callable[[Tensors], Array]: """Inputs to outputs."""

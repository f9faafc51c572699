"""The plug-in contracts, on one page; `core.catalog` finds plug-ins, tests/conformance tests them.

Shapes: n rows, n_outputs outputs of a row; raw network outputs are (n, ensemble_size, n_outputs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

from fieldcraft.core.callbacks import JobCallbacks, NullJobCallbacks
from fieldcraft.core.types import Array, Json
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.schema import Column, Schema
from fieldcraft.ledger.records import Finding
from fieldcraft.project.context import StageContext
from fieldcraft.statistics.metrics import Metric, Predictions

Tensors = Mapping[str, Array]
Weights = Array | None  # sample weights, (n,); None for equal weights
InputFormat = Literal["tensors", "matrix"]  # form of encoded rows that a model reads
Output = Literal["probabilities", "labels", "value"]  # for classes, for labels, one number
CheckScope = Literal["data", "split", "model", "traffic"]  # what a check examines
ScoreFunction = Callable[[Sequence[Any]], Array]  # scores with the cell replaced by each value


@dataclass(frozen=True)
class Matrix:
    """Rows as one float32 array, NaN where missing; levels > 0: category codes, 0 if unseen."""

    values: Array
    names: tuple[str, ...]
    levels: tuple[int, ...]


@dataclass(frozen=True)
class State:
    """The fitted state of an encoder or model: JSON values, arrays and large files."""

    values: Json = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)  # below matrix/: for matrices only


class Encoded(Protocol):
    """Encoded rows, in the input format of a learner."""

    def tensors(self) -> dict[str, Array]:
        """Arrays by input name, for networks."""

    def matrix(self) -> Matrix:
        """One array, for trees and linear models."""


class Encoder(Protocol):
    """Encodes all columns of one kind as arrays; fitted on training rows only."""

    @property
    def max_batch_rows(self) -> int | None:
        """Largest batch for a network; None: no limit."""

    def precompute(self, rows: pl.DataFrame) -> Any:
        """The part that needs no fitting."""

    def fit_transform(self, precomputed: Any, target: Array) -> Encoded:
        """Fit and encode."""

    def transform(self, precomputed: Any) -> Encoded:
        """Encode; rows are independent."""

    def state(self) -> State:
        """The fitted state."""

    def restore(self, state: State) -> None:
        """Load a fitted state."""


class Kind(Protocol):
    """A kind of column; `kinds._base` has defaults of the last methods."""

    name: str
    is_feature: bool  # False: columns of this kind are not model inputs
    storage: Literal["values", "files"]  # files: cells are paths or URLs of files
    options: tuple[str, ...]  # options of a column besides `kind`
    packages: tuple[str, ...]  # requirements of a bundle with such columns

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """The inference that a column has this kind; None if it does not look like it."""

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells to values; what cannot be read is null."""

    def encoder(self, columns: Sequence[Column]) -> Encoder:
        """An unfitted encoder."""

    def net(self, encoder: Encoder, without_embeddings: bool) -> Any:
        """A torch module: see fit/network.py."""

    def checks(self) -> Sequence[Check]:
        """Checks of such columns."""

    def drift_statistics(self, values: pl.Series) -> Mapping[str, pl.Series]:
        """The series whose drift is measured, by name."""

    def near_duplicate_groups(self, values: pl.Series) -> Sequence[Array] | None:
        """Groups of indexes of rows that are nearly equal."""

    def thumbnail(self, value: Any) -> str | None:
        """A small image as a data: URL."""

    def explain(self, value: Any, score: ScoreFunction) -> Json | None:
        """Local explanation."""

    def attributions(
        self, network: Any, row: Tensors, output_index: int, output: Output
    ) -> Sequence[Json]:
        """For each column, attribution maps of a network for one row, by method."""

    def augmentation_examples(self, network: Any, rows: Tensors) -> Sequence[Sequence[str]]:
        """Augmented variants of the rows, by column."""


class Task(Protocol):
    """The prediction task: loss, metrics, calibration and decision rule."""

    name: str
    output: Output
    metrics: tuple[Metric, ...]  # the first one is the default for choosing the champion
    baselines: tuple[str, ...]  # names of learners, simplest first

    def infer(self, profiles: Sequence[ColumnProfile]) -> TypeInference | None:
        """The inference that the targets call for this task; None if they do not."""

    def describe(self, target: pl.Series, problem: Json) -> Json:
        """The target_spec: properties of the target, such as its classes and costs."""

    def encode(self, target: pl.Series, target_spec: Json) -> Array:
        """The target as numbers."""

    def fit_target_scale(self, y: Array) -> Json:
        """Scale of the training targets; {} if none."""

    def scale_target(self, y: Array, scale: Json) -> Array:
        """Targets on the scale that learners train on."""

    def unscale_outputs(self, outputs: Array, scale: Json) -> Array:
        """Outputs in units of the target."""

    def target_indicator_matrix(self, y: Array, target_spec: Json) -> Array:
        """Columns of the target that encoders may learn from, (n, k)."""

    def n_outputs(self, target_spec: Json) -> int:
        """The number of outputs per row."""

    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]:
        """A torch function from raw outputs and targets to one loss per row."""

    def activate(self, raw: Any) -> Any:
        """Map raw outputs to outputs, in torch."""

    def validation_loss(self, outputs: Array, y: Array, weights: Weights = None) -> float:
        """The loss for early stopping and ensemble weights."""

    def calibrate(
        self, outputs: Array, y: Array, target_spec: Json, weights: Weights = None
    ) -> Json:
        """Fit the calibration on the validation rows."""

    def apply_calibration(self, outputs: Array, calibration_state: Json) -> Array:
        """Calibrate outputs."""

    def predictions_from_outputs(
        self, outputs: Array, target_spec: Json, calibration_state: Json
    ) -> Predictions:
        """Add decisions and prediction sets or intervals to calibrated outputs."""

    def to_frame(self, predictions: Predictions, target_spec: Json) -> pl.DataFrame:
        """The columns that users get: `prediction`, probabilities and others of the task."""

    def diagnostics(self, y: Array, predictions: Predictions, target_spec: Json) -> Json:
        """Tables and curves for the report, such as the confusion matrix."""


@dataclass(frozen=True)
class ModelSpec:
    """What a learner needs to build a model: task, options and a factory of encoder nets."""

    task: Task
    target_spec: Json
    options: Any
    encoder_nets: Callable[[bool], Mapping[str, Any]]  # True: without embeddings


@dataclass(frozen=True)
class TrainingJob(ModelSpec):
    """A model spec with encoded training and validation rows, limits and callbacks."""

    train: Encoded
    train_y: Array
    validation: Encoded
    validation_y: Array
    weights: Weights = None  # of the training rows
    validation_weights: Weights = None
    seed: int = 0
    budget: float | None = None  # seconds
    device: str = "auto"
    threads: int | None = None  # None: the fastest number
    checkpoint_folder: Path | None = None
    callbacks: JobCallbacks = field(default_factory=NullJobCallbacks)


class FittedModel(Protocol):
    """A trained model: maps encoded rows to outputs; can be saved or exported to ONNX."""

    input_format: InputFormat

    def outputs(self, rows: Encoded) -> Array:
        """Outputs on the scale of the training targets, (n, n_outputs)."""

    def state(self) -> State:
        """The fitted state."""

    def to_onnx(self) -> bytes:
        """An ONNX graph with the inputs of the input format and one output, `outputs`."""


class Learner(Protocol):
    """Trains models. A baseline is a learner like any other."""

    name: str
    title: str
    complexity: int  # of tied models, the least complex one wins
    options: type[Any]  # pydantic model of its options under `model:`

    def fit(self, job: TrainingJob) -> FittedModel:
        """Train a model."""

    def restore(self, state: State, spec: ModelSpec) -> FittedModel:
        """The model of a saved state."""


@dataclass(frozen=True)
class CheckContext:
    """The data that a check may examine; what does not exist yet is None."""

    schema: Schema
    targets: tuple[str, ...]
    column_profiles: Mapping[str, ColumnProfile]  # of all rows, after the split of training rows
    values: pl.DataFrame  # the same rows, parsed
    row_numbers: Sequence[int]  # in the source, from 1
    sensitive_features: tuple[str, ...] = ()  # problem.sensitive_features
    time_column: str | None = None  # set where it orders the split
    group_column: str | None = None  # data.group
    task: Task | None = None
    target_spec: Json | None = None
    y: Array | None = None  # of training rows; of evaluation rows where predictions are set
    predictions: Predictions | None = None  # of the champion for these rows
    row_digests: Mapping[str, Sequence[bytes]] | None = None  # digests of the features, by part
    group_digests: Mapping[str, Sequence[bytes]] | None = None  # digests of the group, by part


class Check(Protocol):
    """Examines data, a split, a model or live traffic and reports findings."""

    code: str
    scope: CheckScope

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Run the check."""


@dataclass(frozen=True)
class Stage:
    """A step of the pipeline; its name is its command."""

    name: str
    summary: str
    run: Callable[[StageContext], Json]  # returns its summary
    config_sections: tuple[str, ...] = ()  # sections of the project file that affect its result
    version: int = 1  # raise it when the same inputs give another result


class Format(Protocol):
    """A file format of a trained model that runs without the training framework."""

    name: str
    suffix: str

    def write(self, model: FittedModel, path: Path) -> None:
        """Write the model as one file."""

    def load(self, path: Path) -> Callable[[Tensors], Array]:
        """A function from inputs to outputs."""

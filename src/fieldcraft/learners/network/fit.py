"""Build, train, restore and export the network.

The fields of `NetworkOptions` and `TrainingSettings` that have the same name are the same setting.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from functools import partial

import numpy as np
import torch

from fieldcraft.contracts import Encoded, InputFormat, ModelSpec, State, TrainingJob
from fieldcraft.core import seeds
from fieldcraft.core.errors import TrainingError
from fieldcraft.core.types import Array, Json
from fieldcraft.data.splitting import MAX_CROSS_FITTED_ROWS
from fieldcraft.fit.checkpoint import copy_weights
from fieldcraft.fit.network import FusedNetwork, TrunkFactory
from fieldcraft.fit.onnx_export import export_network
from fieldcraft.fit.settings import TrainingRecipe, TrainingSettings, choose_batch_size
from fieldcraft.fit.trainer import Objective, TensorRows, Trainer, TrainingContext, predict_outputs
from fieldcraft.fit.trunk import MLP, TabM
from fieldcraft.learners.network.options import NetworkOptions

WEIGHT_DECAY_BY_OPTIMIZER = {"muon": 0.1}  # 3e-4 for the others; figures in docs/log.md
LEARNING_RATE_BY_OPTIMIZER = {"muon": 4e-3}  # 2e-3 for the others
# Training rows of a fold of the largest table that is cross-fitted: 70 % of its rows.
SMALL_TABLE_ROWS = 7 * MAX_CROSS_FITTED_ROWS // 10
LARGE_TABLE_ROWS = 100_000
# Plain MLPs are trained as papers usually report, so that results compare: constant patience,
# no averaging of weights.
MLP_TRAINING = TrainingSettings(
    "adamw",
    learning_rate=1e-3,
    weight_decay=0.0,
    patience=10,
    patience_fraction=0.0,
    min_relative_improvement=0.0,
    ema_decay=0.0,
)
TABM_TRAINING = TrainingSettings("muon")


@dataclass(frozen=True)
class TabmSize:
    """The size of a TabM trunk."""

    ensemble_size: int
    hidden_size: int
    n_layers: int


def choose_tabm_size(rows: int, options: NetworkOptions, has_gpu: bool) -> TabmSize:
    """Choose the size of TabM by the number of training rows, unless the options give it.

    Large tables need wider layers. On a GPU the sizes are those of the paper (Gorishniy et al.,
    *TabM*, ICLR 2025); on a CPU smaller ones were as good on California housing at less than
    half the cost. Small tables are trained in five folds, which are an ensemble already.
    """
    if has_gpu:
        default = TabmSize(32, 512, 2)
    elif rows > LARGE_TABLE_ROWS:
        default = TabmSize(8, 256, 3)
    elif rows < SMALL_TABLE_ROWS:
        default = TabmSize(8, 128, 3)
    else:
        default = TabmSize(16, 128, 3)
    n_layers = options.layers if isinstance(options.layers, int) else default.n_layers
    return TabmSize(
        options.ensemble_size or default.ensemble_size,
        options.width or default.hidden_size,
        n_layers,
    )


def choose_training_settings(
    rows: int, options: NetworkOptions, recipe: TrainingRecipe | None = None
) -> TrainingSettings:
    """Settings of the training loop: the user's, else a deep net's recipe, else the defaults."""
    training_fields = {field.name for field in fields(TrainingSettings)}
    user_settings = options.model_dump(include=training_fields, exclude_none=True)
    if recipe is not None:
        return replace(recipe.settings, **user_settings)
    if options.trunk in ("mlp", "linear"):
        settings = replace(MLP_TRAINING, batch_size=choose_batch_size(rows, is_mlp=True))
    else:
        optimizer = user_settings.get("optimizer", TABM_TRAINING.optimizer)
        learning_rate, weight_decay = (
            LEARNING_RATE_BY_OPTIMIZER.get(optimizer, 2e-3),
            WEIGHT_DECAY_BY_OPTIMIZER.get(optimizer, 3e-4),
        )
        batch_size = choose_batch_size(rows, is_mlp=False)
        settings = replace(
            TABM_TRAINING,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            batch_size=batch_size,
        )
    if options.patience:  # taken literally: it does not grow, and small gains count
        settings = replace(settings, patience_fraction=0.0, min_relative_improvement=0.0)
    return replace(settings, **user_settings)


def build_network(spec: ModelSpec, size: TabmSize) -> FusedNetwork:
    """Build the untrained network for a task and fitted encoders."""
    options: NetworkOptions = spec.options
    is_plain = options.trunk in ("mlp", "linear")
    nets = spec.encoder_nets(is_plain)
    is_deep = {name: net.recipe is not None for name, net in nets.items()}
    trunk: TrunkFactory | dict[str, TrunkFactory]
    if options.fusion == "late":
        trunk = {
            name: choose_trunk(options, size, has_deep_net)
            for name, has_deep_net in is_deep.items()
        }
    else:
        trunk = choose_trunk(options, size, all(is_deep.values()))
    n_outputs = spec.task.n_outputs(spec.target_spec)
    return FusedNetwork(nets, trunk, n_outputs, spec.task.activate)


def choose_trunk(options: NetworkOptions, size: TabmSize, is_deep: bool) -> TrunkFactory:
    """The factory of the trunk: as requested, else one layer on deep nets, else TabM."""
    if options.trunk == "linear" or (options.trunk is None and is_deep):
        return partial(MLP, hidden_sizes=(), dropout=0.0)
    if options.trunk == "mlp":
        layer_sizes = options.layers if isinstance(options.layers, list) else [128, 64]
        return partial(MLP, hidden_sizes=tuple(layer_sizes), dropout=options.dropout)
    return partial(
        TabM,
        n_members=size.ensemble_size,
        hidden_size=size.hidden_size,
        n_layers=size.n_layers,
        dropout=options.dropout,
    )


def fit_network(job: TrainingJob) -> NetworkModel:
    """Build and train the network; the model has the weights of the best epoch."""
    rows = len(job.train_y)
    # Before the network is built, because its initial weights are drawn from this generator.
    torch.manual_seed(seeds.derive_seed(job.seed, "weights"))
    size = choose_tabm_size(rows, job.options, torch.cuda.is_available())
    network = build_network(job, size)
    recipe = network.training_recipe(rows)
    settings = choose_training_settings(rows, job.options, recipe)
    context = TrainingContext(
        job.seed, job.budget, job.checkpoint_folder, job.callbacks, job.device, job.threads
    )
    smoothing = job.options.label_smoothing
    if smoothing is None:
        smoothing = recipe.label_smoothing if recipe else 0.0
    objective = Objective(job.task.loss(smoothing), job.task.validation_loss)
    trainer = Trainer(network, objective, settings, context)
    train = TensorRows.from_arrays(
        job.train.tensors(), job.train_y, trainer.device, compute_row_weights(job)
    )
    validation = TensorRows.from_arrays(
        job.validation.tensors(), job.validation_y, trainer.device, job.validation_weights
    )
    history = trainer.fit(train, validation)
    curves = {
        "train_losses": history.train_losses,
        "validation_losses": history.validation_losses,
        "best_epoch": history.best_epoch,
        "precision": trainer.runtime_config.precision,
        "threads": trainer.runtime_config.threads,
        "training_settings": asdict(trainer.settings),
    }
    # Types and shapes of one row, from which `to_onnx` builds its example inputs.
    inputs = {
        name: [str(array.dtype), *array.shape[1:]] for name, array in job.train.tensors().items()
    }
    metadata = {"size": asdict(size), "inputs": inputs, "learning_curves": curves}
    return NetworkModel(trainer.ema_model.cpu(), metadata)


def compute_row_weights(job: TrainingJob) -> Array | None:
    """Weights of the training rows: each is the row's own weight times that of its class.

    Raises:
        TrainingError: class weights for a task without classes, or of an unknown class.
    """
    class_weights, weights = job.options.class_weights, job.weights
    if not class_weights:
        return weights
    classes = job.target_spec.get("classes")
    unknown_classes = (
        set(class_weights) - set(classes or ()) if isinstance(class_weights, dict) else set()
    )
    if classes is None or unknown_classes:
        known_classes = ", ".join(classes or ["none"])
        raise TrainingError(
            "model.class_weights does not fit the target",
            detail=f"{sorted(unknown_classes) or class_weights}; classes: {known_classes}",
            hint="use balanced, or give a weight for each class by its name",
        )
    if isinstance(class_weights, dict):
        by_class = np.array([class_weights.get(label, 1.0) for label in classes])
    else:
        by_class = balanced_class_weights(job.train_y, len(classes))
    return by_class[job.train_y] * (1.0 if weights is None else weights)


def balanced_class_weights(y: Array, n_classes: int) -> Array:
    """Weights with which all classes have the same total, as scikit-learn's ``balanced``."""
    counts = np.bincount(y, minlength=n_classes)
    return len(y) / (n_classes * np.maximum(counts, 1))


def restore_network(state: State, spec: ModelSpec) -> NetworkModel:
    """Rebuild the network and load its weights."""
    network = build_network(spec, TabmSize(**state.values["size"]))
    network.load_state_dict({name: torch.as_tensor(array) for name, array in state.arrays.items()})
    return NetworkModel(network.eval(), state.values)


class NetworkModel:
    """A trained network with its learning curves."""

    input_format: InputFormat = "tensors"

    def __init__(self, network: FusedNetwork, metadata: Json) -> None:
        """Store the network and its metadata: size, inputs and learning curves."""
        self.network, self.metadata = network, metadata

    def outputs(self, rows: Encoded) -> Array:
        """Probabilities of classes or labels, or values, shape (rows, n_outputs)."""
        tensors = rows.tensors()
        n_rows = len(next(iter(tensors.values())))
        dataset = TensorRows.from_arrays(tensors, np.zeros(n_rows), torch.device("cpu"))
        return predict_outputs(self.network, dataset)

    def state(self) -> State:
        """Weights, size, inputs and learning curves."""
        arrays = {name: weights.numpy() for name, weights in copy_weights(self.network).items()}
        return State(self.metadata, arrays)

    def to_onnx(self) -> bytes:
        """The network as an ONNX graph."""
        return export_network(
            self.network,
            {
                name: np.zeros((2, *shape), dtype=dtype)
                for name, (dtype, *shape) in self.metadata["inputs"].items()
            },
        )

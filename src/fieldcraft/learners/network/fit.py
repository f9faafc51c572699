"""Build, train, restore and export the network."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from functools import partial

import numpy as np
import torch

from fieldcraft.contracts import Array, Brief, Encoded, Form, Job, Json, State
from fieldcraft.core import seeds
from fieldcraft.core.errors import TrainingError
from fieldcraft.data.split import SMALL
from fieldcraft.fit.checkpoint import snapshot
from fieldcraft.fit.export import to_onnx
from fieldcraft.fit.loop import Goal, Place, Rows, Trainer, predict
from fieldcraft.fit.network import FusedNetwork, Trunk
from fieldcraft.fit.settings import Recipe, Training, batch_size_for
from fieldcraft.fit.trunk import Mlp, TabM
from fieldcraft.learners.network.options import NetworkOptions

DECAY = {"muon": 0.1}  # of weights by optimizer; 3e-4 for the others
RATE = {"muon": 4e-3}  # learning rate by optimizer; 2e-3 for the others
FEW = 7 * SMALL // 10  # training rows of a fold, where a table is cut into folds
MANY = 100_000
PLAIN = Training(
    "adamw",
    learning_rate=1e-3,
    weight_decay=0.0,
    patience=10,
    patience_share=0.0,
    worth=0.0,
    ema=0.0,
)
AVERAGED = Training("muon")


@dataclass(frozen=True)
class Size:
    """How large the shared layers of a TabM trunk are."""

    members: int
    width: int
    layers: int


def size_for(rows: int, options: NetworkOptions, gpu: bool) -> Size:
    """The size of TabM for a number of training rows; the user's choice goes first.

    Many rows need wider layers. On a GPU the sizes are those of the paper; on a processor the
    smaller ones were level with them on California housing at less than half the cost. Few rows
    come in five folds, whose members add up.
    """
    if gpu:
        chosen = Size(32, 512, 2)
    elif rows > MANY:
        chosen = Size(8, 256, 3)
    elif rows < FEW:
        chosen = Size(8, 128, 3)
    else:
        chosen = Size(16, 128, 3)
    layers = options.layers if isinstance(options.layers, int) else chosen.layers
    return Size(options.members or chosen.members, options.width or chosen.width, layers)


def training_for(rows: int, options: NetworkOptions, recipe: Recipe | None = None) -> Training:
    """Settings of the loop: the user's, then those of a deep net's recipe, then our own."""
    known = {field.name for field in fields(Training)}
    given = options.model_dump(include=known, exclude_none=True)
    if recipe is not None:
        return replace(recipe.training, **given)
    if options.trunk in ("mlp", "linear"):  # trained the plain way, without averaging
        found = replace(PLAIN, batch_size=batch_size_for(rows, plain=True))
    else:
        optimizer = given.get("optimizer", AVERAGED.optimizer)
        rate, decay = RATE.get(optimizer, 2e-3), DECAY.get(optimizer, 3e-4)
        size = batch_size_for(rows, plain=False)
        found = replace(AVERAGED, learning_rate=rate, weight_decay=decay, batch_size=size)
    if options.patience:  # the user's, as it stands
        found = replace(found, patience_share=0.0, worth=0.0)
    return replace(found, **given)


def build(brief: Brief, size: Size) -> FusedNetwork:
    """The untrained network for a task and fitted encoders."""
    options: NetworkOptions = brief.options
    plain = options.trunk in ("mlp", "linear")
    nets = brief.nets(plain)
    deep = {name: net.recipe is not None for name, net in nets.items()}
    trunk: Trunk | dict[str, Trunk]
    if options.fusion == "late":
        trunk = {name: trunk_for(options, size, own) for name, own in deep.items()}
    else:
        trunk = trunk_for(options, size, all(deep.values()))
    width = brief.task.width(brief.about)
    return FusedNetwork(nets, trunk, width, brief.task.activate)


def trunk_for(options: NetworkOptions, size: Size, deep: bool) -> Trunk:
    """What builds the trunk: the one that is asked for, else one layer on deep nets, else TabM."""
    if options.trunk == "linear" or (options.trunk is None and deep):
        return partial(Mlp, layers=(), dropout=0.0)
    if options.trunk == "mlp":
        units = options.layers if isinstance(options.layers, list) else [128, 64]
        return partial(Mlp, layers=tuple(units), dropout=options.dropout)
    return partial(
        TabM,
        members=size.members,
        hidden=size.width,
        layers=size.layers,
        dropout=options.dropout,
    )


def fit_network(job: Job) -> NetworkModel:
    """Build and train the network; its weights are those of the best epoch."""
    rows = len(job.train_y)
    torch.manual_seed(seeds.derive(job.seed, "weights"))
    size = size_for(rows, job.options, torch.cuda.is_available())
    network = build(job, size)
    recipe = network.recipe(rows)
    settings = training_for(rows, job.options, recipe)
    place = Place(job.seed, job.budget, job.folder, job.progress, job.device)
    smoothing = job.options.label_smoothing
    if smoothing is None:
        smoothing = recipe.smoothing if recipe else 0.0
    goal = Goal(job.task.loss(smoothing), job.task.validation_loss)
    trainer = Trainer(network, goal, settings, place)
    train = Rows.of(job.train.tensors(), job.train_y, trainer.device, row_weights(job))
    tune = Rows.of(job.tune.tensors(), job.tune_y, trainer.device, job.tune_weights)
    progress = trainer.fit(train, tune)
    curves = {
        "train_losses": progress.train_losses,
        "tune_losses": progress.tune_losses,
        "best_epoch": progress.best_epoch,
        "precision": trainer.decided.precision,
        "threads": trainer.decided.threads,
        "training": asdict(trainer.settings),
    }
    inputs = {name: [str(a.dtype), *a.shape[1:]] for name, a in job.train.tensors().items()}
    return NetworkModel(
        trainer.shadow.cpu(), {"size": asdict(size), "inputs": inputs, "curves": curves}
    )


def row_weights(job: Job) -> Array | None:
    """How much each training row counts: its own weight times that of its class.

    Raises:
        TrainingError: weights of classes where there are none, or of an unknown class.
    """
    wanted, weights = job.options.class_weights, job.weights
    if not wanted:
        return weights
    classes = job.about.get("classes")
    odd = set(wanted) - set(classes or ()) if isinstance(wanted, dict) else set()
    if classes is None or odd:
        raise TrainingError(
            "model.class_weights does not fit the target",
            seen=f"{sorted(odd) or wanted}; classes: {', '.join(classes or ['none'])}",
            way_out="use balanced, or a weight for each class by its name",
        )
    if isinstance(wanted, dict):
        by_class = np.array([wanted.get(label, 1.0) for label in classes])
    else:
        counts = np.bincount(job.train_y, minlength=len(classes))
        by_class = len(job.train_y) / (len(classes) * np.maximum(counts, 1))
    return by_class[job.train_y] * (1.0 if weights is None else weights)


def restore_network(state: State, brief: Brief) -> NetworkModel:
    """Build the network again and give it its weights."""
    network = build(brief, Size(**state.values["size"]))
    network.load_state_dict({name: torch.as_tensor(a) for name, a in state.arrays.items()})
    return NetworkModel(network.eval(), state.values)


class NetworkModel:
    """A trained network with the story of its training."""

    view: Form = "tensors"

    def __init__(self, network: FusedNetwork, about: Json) -> None:
        """Keep the network and what is known of it: its size, inputs and curves."""
        self.network, self.about = network, about

    def outputs(self, rows: Encoded) -> Array:
        """Probabilities of the classes, or values."""
        tensors = rows.tensors()
        count = len(next(iter(tensors.values())))
        arrays = Rows.of(tensors, np.zeros(count), torch.device("cpu"))
        return predict(self.network, arrays)

    def state(self) -> State:
        """Weights, size, inputs and curves."""
        arrays = {name: t.numpy() for name, t in snapshot(self.network).items()}
        return State(self.about, arrays)

    def onnx(self) -> bytes:
        """The network as an ONNX graph."""
        return to_onnx(
            self.network,
            {
                name: np.zeros((2, *shape), dtype=kind)
                for name, (kind, *shape) in self.about["inputs"].items()
            },
        )

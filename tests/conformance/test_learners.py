"""Every learner that is plugged in keeps the promises of a learner, for every task."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from fieldcraft.contracts import Encoded, FittedModel, Learner, Matrix, State, TrainingJob
from fieldcraft.core import catalog
from fieldcraft.core.types import Array
from fieldcraft.fit.trainer import RUNTIME_CONFIG_FILE

MakeJob = Callable[..., TrainingJob]

# Options that keep a learner quick; learners that are not here run with their defaults.
QUICK_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "network": [
        {"trunk": "tabm", "ensemble_size": 2, "width": 8, "layers": 2, "epochs": 2},
        {"trunk": "mlp", "layers": [8], "epochs": 3},
    ]
}
VARIANTS = {name: QUICK_OPTIONS.get(name, [{}]) for name in catalog.list_plugins("learners")}
LEARNERS = [
    pytest.param(name, options, id="-".join([name, str(options.get("trunk", ""))]).strip("-"))
    for name, variants in VARIANTS.items()
    for options in variants
]
TASKS = catalog.list_plugins("tasks")
CLASSIFICATION_TASKS = [
    name for name in TASKS if catalog.load_plugin("tasks", name).output != "value"
]
EXPORT_CASES = [  # which takes seconds: each learner with each task, its variants with one
    (name, options, task)
    for name, (first, *others) in VARIANTS.items()
    for options, tasks in ((first, TASKS), *((other, TASKS[:1]) for other in others))
    for task in tasks
]

every_learner = pytest.mark.parametrize(("learner", "options"), LEARNERS)


def make_learner_job(
    make_job: MakeJob, learner: str, options: dict[str, Any], task: str, **more: Any
) -> TrainingJob:
    plugin: Learner = catalog.load_plugin("learners", learner)
    return make_job(catalog.load_plugin("tasks", task), plugin.options(**options), **more)


@dataclass(frozen=True)
class EncodedSlice:
    """Some of the rows that were encoded."""

    rows: Encoded
    row_slice: slice

    def tensors(self) -> dict[str, Array]:
        return {name: array[self.row_slice] for name, array in self.rows.tensors().items()}

    def matrix(self) -> Matrix:
        return replace(self.rows.matrix(), values=self.rows.matrix().values[self.row_slice])


def build_onnx_runner(model: FittedModel) -> Callable[[Encoded], Array]:
    """The exported model, run by onnxruntime."""
    session_options = onnxruntime.SessionOptions()
    session_options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.to_onnx(), session_options, providers=["CPUExecutionProvider"]
    )

    def run(rows: Encoded) -> Array:
        arrays = (
            rows.tensors() if model.input_format == "tensors" else {"matrix": rows.matrix().values}
        )
        inputs = {item.name: arrays[item.name] for item in session.get_inputs()}
        return np.asarray(session.run(["outputs"], inputs)[0])

    return run


def assert_valid_model(model: FittedModel, job: TrainingJob) -> None:
    """Outputs have their shape and are what they claim to be."""
    outputs = model.outputs(job.validation)
    assert outputs.shape == (len(job.validation_y), job.task.n_outputs(job.target_spec))
    assert np.isfinite(outputs).all()
    if job.task.output != "value":
        assert ((outputs >= 0) & (outputs <= 1)).all()
    if job.task.output == "probabilities":
        np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-5)
    # A network is exported as it was built, whatever its rows were; once for each task is enough.
    if model.input_format == "matrix":
        np.testing.assert_allclose(build_onnx_runner(model)(job.validation), outputs, atol=1e-5)


@pytest.mark.parametrize("name", catalog.list_plugins("learners"))
def test_a_learner_has_the_name_it_is_found_by_and_explains_its_options(name: str) -> None:
    learner: Learner = catalog.load_plugin("learners", name)
    assert learner.name == name
    assert learner.title
    assert learner.complexity >= 0
    docstring = learner.options.__doc__ or ""
    assert all(f"{option}: " in docstring for option in learner.options.model_fields)


def test_no_two_learners_are_equally_complex() -> None:
    complexities = [learner.complexity for learner in catalog.load_plugins("learners")]
    assert len(set(complexities)) == len(complexities)


@every_learner
@pytest.mark.parametrize("task", TASKS)
def test_a_model_comes_back_from_disk_as_it_was(
    learner: str, options: dict[str, Any], task: str, make_job: MakeJob
) -> None:
    plug: Learner = catalog.load_plugin("learners", learner)
    job = make_learner_job(make_job, learner, options, task)
    model = plug.fit(job)
    assert_valid_model(model, job)
    state = model.state()
    read = State(
        json.loads(json.dumps(state.values, allow_nan=False)),
        {name: np.array(array) for name, array in state.arrays.items()},
    )
    restored = plug.restore(read, job)
    assert restored.input_format == model.input_format
    np.testing.assert_array_equal(restored.outputs(job.validation), model.outputs(job.validation))


@every_learner
@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_gives_the_same_model(
    learner: str, options: dict[str, Any], task: str, make_job: MakeJob, tmp_path: Path
) -> None:
    """Given the same decisions where it lets the clock decide: those are kept in the folder."""
    plug: Learner = catalog.load_plugin("learners", learner)
    outputs = []
    for name in ("one", "other"):
        place = tmp_path / name
        place.mkdir()
        for decisions in (tmp_path / "one").glob(RUNTIME_CONFIG_FILE):
            (place / RUNTIME_CONFIG_FILE).write_bytes(decisions.read_bytes())
        job = replace(make_learner_job(make_job, learner, options, task), checkpoint_folder=place)
        outputs.append(plug.fit(job).outputs(job.validation))
    first, second = outputs
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("learner", "options", "task"), EXPORT_CASES)
def test_onnx_gives_the_same_outputs_for_any_number_of_rows(
    learner: str, options: dict[str, Any], task: str, make_job: MakeJob
) -> None:
    job = make_learner_job(make_job, learner, options, task)
    model = catalog.load_plugin("learners", learner).fit(job)
    outputs, run = model.outputs(job.validation), build_onnx_runner(model)
    for where in (slice(0, 1), slice(3, 10), slice(None)):
        some = EncodedSlice(job.validation, where)
        np.testing.assert_allclose(run(some), outputs[where], atol=1e-5)
        np.testing.assert_allclose(model.outputs(some), outputs[where], atol=1e-6)


@every_learner
@pytest.mark.parametrize("task", CLASSIFICATION_TASKS)
@pytest.mark.parametrize("missing", ["first", "last"])
def test_a_class_or_label_without_training_rows_breaks_nothing(
    learner: str, options: dict[str, Any], task: str, missing: str, make_job: MakeJob
) -> None:
    complete_job = make_learner_job(make_job, learner, options, task)
    without = 0 if missing == "first" else complete_job.task.n_outputs(complete_job.target_spec) - 1
    job = make_learner_job(make_job, learner, options, task, left_out_class=without)
    has_class = job.train_y[:, without] if job.train_y.ndim > 1 else job.train_y == without
    assert not has_class.any()
    assert_valid_model(catalog.load_plugin("learners", learner).fit(job), job)


@every_learner
@pytest.mark.parametrize("column", ["amount", "city", "member", "seen", "flat", "empty"])
def test_one_column_is_enough(
    learner: str, options: dict[str, Any], column: str, make_job: MakeJob
) -> None:
    job = make_learner_job(make_job, learner, options, TASKS[0], names=[column])
    assert_valid_model(catalog.load_plugin("learners", learner).fit(job), job)


@every_learner
@pytest.mark.parametrize("task", CLASSIFICATION_TASKS)
def test_validation_rows_of_one_class_break_nothing(
    learner: str, options: dict[str, Any], task: str, make_job: MakeJob
) -> None:
    job = make_learner_job(make_job, learner, options, task)
    job = replace(job, validation_y=np.zeros_like(job.validation_y))
    assert_valid_model(catalog.load_plugin("learners", learner).fit(job), job)


@every_learner
@pytest.mark.parametrize("task", TASKS)
def test_heavier_rows_count_for_more_and_the_unit_of_weights_is_free(
    learner: str, options: dict[str, Any], task: str, make_job: MakeJob
) -> None:
    job = make_learner_job(make_job, learner, options, task)
    target = job.train_y.reshape(len(job.train_y), -1)[:, 0]  # of labels, the first one
    high = np.median(target) if job.task.output == "value" else target.max()
    heavy = np.where(target >= high, 9.0, 1.0)
    plain, weighted, scaled = (
        catalog.load_plugin("learners", learner)
        .fit(replace(job, weights=weights))
        .outputs(job.train)
        for weights in (None, heavy, heavy / 1_000)
    )
    column = 0 if job.task.output == "labels" else -1  # of classes, the highest one
    assert weighted[:, column].mean() > plain[:, column].mean()
    np.testing.assert_allclose(scaled, weighted, atol=1e-3)


@every_learner
@pytest.mark.parametrize("task", TASKS)
def test_as_few_rows_as_the_split_lets_through_are_enough(
    learner: str, options: dict[str, Any], task: str, make_job: MakeJob
) -> None:
    job = make_learner_job(make_job, learner, options, task, rows=12)
    assert_valid_model(catalog.load_plugin("learners", learner).fit(job), job)

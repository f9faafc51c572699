"""Every file form of a model that is plugged in keeps the promises of a format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fieldcraft.contracts import FittedModel, Format, TrainingJob
from fieldcraft.core import catalog
from fieldcraft.core.errors import BundleError

FORMATS = catalog.list_plugins("bundle.formats")
TASKS = catalog.list_plugins("tasks")


@pytest.fixture(scope="module")
def fitted_models(make_job: Callable[..., TrainingJob]) -> list[tuple[FittedModel, TrainingJob]]:
    """A quick model of each task that tells all rows apart: of the third simplest learner."""
    learner = sorted(catalog.load_plugins("learners"), key=lambda plug: int(plug.complexity))[2]
    jobs = [make_job(catalog.load_plugin("tasks", task), learner.options()) for task in TASKS]
    return [(learner.fit(job), job) for job in jobs]


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_the_name_it_is_found_by_and_an_ending(name: str) -> None:
    form: Format = catalog.load_plugin("bundle.formats", name)
    assert form.name == name
    assert form.suffix.startswith(".")


@pytest.mark.parametrize("name", FORMATS)
def test_a_written_model_gives_the_same_outputs(
    name: str, fitted_models: list[tuple[FittedModel, TrainingJob]], tmp_path: Path
) -> None:
    form: Format = catalog.load_plugin("bundle.formats", name)
    for number, (model, job) in enumerate(fitted_models):
        path = tmp_path / f"{number}{form.suffix}"
        form.write(model, path)
        outputs = model.outputs(job.validation)
        assert len(np.unique(outputs)) >= len(outputs)
        inputs = {**job.validation.tensors(), "matrix": job.validation.matrix().values}
        np.testing.assert_allclose(form.load(path)(inputs), outputs, atol=1e-5)


@pytest.mark.parametrize("name", FORMATS)
def test_many_rows_give_what_few_give(
    name: str, fitted_models: list[tuple[FittedModel, TrainingJob]], tmp_path: Path
) -> None:
    form: Format = catalog.load_plugin("bundle.formats", name)
    model, job = fitted_models[0]
    form.write(model, tmp_path / f"model{form.suffix}")
    run = form.load(tmp_path / f"model{form.suffix}")
    inputs = {**job.validation.tensors(), "matrix": job.validation.matrix().values}
    times = 1_500 // len(inputs["matrix"]) + 1
    many = {key: np.concatenate([array] * times) for key, array in inputs.items()}
    few = run(inputs)
    np.testing.assert_allclose(run(many), np.concatenate([few] * times), atol=1e-6)
    assert run({key: array[:0] for key, array in inputs.items()}).shape == (0, *few.shape[1:])


@pytest.mark.parametrize("name", FORMATS)
def test_a_model_is_one_file_that_is_written_the_same_twice(
    name: str, fitted_models: list[tuple[FittedModel, TrainingJob]], tmp_path: Path
) -> None:
    form: Format = catalog.load_plugin("bundle.formats", name)
    first_path, second_path = (tmp_path / f"{part}{form.suffix}" for part in ("one", "other"))
    for path in (first_path, second_path):
        form.write(fitted_models[0][0], path)
    assert sorted(tmp_path.iterdir()) == [first_path, second_path]
    assert first_path.read_bytes() == second_path.read_bytes()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08" * 99])
def test_a_damaged_file_is_refused_by_name(name: str, content: bytes, tmp_path: Path) -> None:
    form: Format = catalog.load_plugin("bundle.formats", name)
    path = tmp_path / f"damaged{form.suffix}"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=f"damaged{form.suffix} cannot be loaded"):
        form.load(path)

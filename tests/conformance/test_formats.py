"""Every file form of a model that is plugged in keeps the promises of a format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fieldcraft.contracts import Fitted, Format, Job
from fieldcraft.core import catalogue
from fieldcraft.core.errors import BundleError

FORMATS = catalogue.names("bundle.formats")
TASKS = catalogue.names("tasks")


@pytest.fixture(scope="module")
def models(make_job: Callable[..., Job]) -> list[tuple[Fitted, Job]]:
    """A quick model of each task that tells all rows apart: of the third simplest learner."""
    learner = sorted(catalogue.load_all("learners"), key=lambda plug: int(plug.complexity))[2]
    jobs = [make_job(catalogue.load("tasks", task), learner.options()) for task in TASKS]
    return [(learner.fit(job), job) for job in jobs]


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_the_name_it_is_found_by_and_an_ending(name: str) -> None:
    form: Format = catalogue.load("bundle.formats", name)
    assert form.name == name
    assert form.suffix.startswith(".")


@pytest.mark.parametrize("name", FORMATS)
def test_a_written_model_gives_the_same_outputs(
    name: str, models: list[tuple[Fitted, Job]], tmp_path: Path
) -> None:
    form: Format = catalogue.load("bundle.formats", name)
    for number, (model, job) in enumerate(models):
        path = tmp_path / f"{number}{form.suffix}"
        form.write(model, path)
        outputs = model.outputs(job.tune)
        assert len(np.unique(outputs)) >= len(outputs)
        inputs = {**job.tune.tensors(), "matrix": job.tune.matrix().values}
        np.testing.assert_allclose(form.load(path)(inputs), outputs, atol=1e-5)


@pytest.mark.parametrize("name", FORMATS)
def test_many_rows_give_what_few_give(
    name: str, models: list[tuple[Fitted, Job]], tmp_path: Path
) -> None:
    form: Format = catalogue.load("bundle.formats", name)
    model, job = models[0]
    form.write(model, tmp_path / f"model{form.suffix}")
    run = form.load(tmp_path / f"model{form.suffix}")
    inputs = {**job.tune.tensors(), "matrix": job.tune.matrix().values}
    times = 1_500 // len(inputs["matrix"]) + 1
    many = {key: np.concatenate([array] * times) for key, array in inputs.items()}
    few = run(inputs)
    np.testing.assert_allclose(run(many), np.concatenate([few] * times), atol=1e-6)
    assert run({key: array[:0] for key, array in inputs.items()}).shape == (0, *few.shape[1:])


@pytest.mark.parametrize("name", FORMATS)
def test_a_model_is_one_file_that_is_written_the_same_twice(
    name: str, models: list[tuple[Fitted, Job]], tmp_path: Path
) -> None:
    form: Format = catalogue.load("bundle.formats", name)
    one, other = (tmp_path / f"{part}{form.suffix}" for part in ("one", "other"))
    for path in (one, other):
        form.write(models[0][0], path)
    assert sorted(tmp_path.iterdir()) == [one, other]
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08" * 99])
def test_a_damaged_file_is_refused_by_name(name: str, content: bytes, tmp_path: Path) -> None:
    form: Format = catalogue.load("bundle.formats", name)
    path = tmp_path / f"damaged{form.suffix}"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=f"damaged{form.suffix} cannot be loaded"):
        form.load(path)

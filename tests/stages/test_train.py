"""Training follows the project file."""

from __future__ import annotations

import shutil

from fieldcraft.core import files
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _pipeline, _workflows
from tests.conftest import set_settings

PLAIN_MLP = (
    ConfigEdit(("model", "trunk"), "mlp"),
    ConfigEdit(("model", "layers"), [128, 64]),
    ConfigEdit(("model", "dropout"), 0.3),
    ConfigEdit(("model", "optimizer"), "adam"),
)


def train_and_read_model(project: ProjectFolder) -> dict[str, object]:
    outcome = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="train")
    return dict(files.read_json(next(outcome.folders["train"].glob("*/0/model.json"))))


def test_four_settings_make_a_plain_mlp(project: ProjectFolder) -> None:
    project_file.apply_edits(project.file_path, [*PLAIN_MLP, ConfigEdit(("model", "epochs"), 2)])
    model = train_and_read_model(project)
    training = model["learning_curves"]["training_settings"]  # type: ignore[index]
    assert training["learning_rate"] == 1e-3
    assert (training["optimizer"], training["patience"], training["ema_decay"]) == ("adam", 10, 0)
    shapes = project.root.glob("runs/train/*/network/0/model.safetensors")
    from safetensors.numpy import load_file

    weights = load_file(next(shapes))
    assert weights["trunk.layers.0.weight"].shape[0] == 128
    assert weights["trunk.layers.2.weight"].shape == (64, 128)
    assert weights["trunk.layers.4.weight"].shape == (2, 64)


def test_the_learner_can_be_configured(project: ProjectFolder) -> None:
    text = project.file_path.read_text(encoding="utf-8")
    start = text.index("model:")
    end = text.index("train:", start)
    project.file_path.write_text(
        text[:start] + "model: {learner: linear}\n" + text[end:], encoding="utf-8"
    )
    outcome = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="evaluate")
    assert [p.name for p in outcome.folders["train"].iterdir() if p.is_dir()] == ["linear"]


def test_the_time_budget_ends_training(project: ProjectFolder) -> None:
    project_file.apply_edits(
        project.file_path,
        [ConfigEdit(("model", "epochs"), 100_000), ConfigEdit(("model", "patience"), 100_000),
         ConfigEdit(("train", "time_budget"), 2.0)],
    )  # fmt: skip
    curves = train_and_read_model(project)["learning_curves"]
    assert 1 <= len(curves["validation_losses"]) < 100_000  # type: ignore[index]


def test_the_number_of_processes_changes_no_model_and_no_key(project: ProjectFolder) -> None:
    set_settings(project, {"model": {"learner": "linear"}, "train.threads": 1})
    _pipeline.run_steps(project, _workflows.NullCallbacks(), until="train")
    (folder,) = project.root.glob("runs/train/*/linear")
    alone = {path.name: path.read_bytes() for path in folder.glob("0/*.safetensors")}
    set_settings(project, {"train.workers": 2})
    keys = [key for _, key in _pipeline.step_keys(project, project.load_settings(), "train")]
    assert keys[-1].startswith(folder.parent.name)
    shutil.rmtree(folder.parent)
    _pipeline.run_steps(project, _workflows.NullCallbacks(), until="train")
    assert {path.name: path.read_bytes() for path in folder.glob("0/*.safetensors")} == alone
    assert len(alone) == 2

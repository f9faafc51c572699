"""What is trained is what the project file asks for."""

from __future__ import annotations

from fieldcraft.core import files
from fieldcraft.core.edit import Edit
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow, _plan

PLAIN_MLP = (
    Edit(("model", "trunk"), "mlp"),
    Edit(("model", "layers"), [128, 64]),
    Edit(("model", "dropout"), 0.3),
    Edit(("model", "optimizer"), "adam"),
)


def trained(project: Folder) -> dict[str, object]:
    outcome = _plan.run(project, _flow.Unwatched(), until="train")
    return dict(files.read_json(next(outcome.folders["train"].glob("*/0/model.json"))))


def test_four_lines_make_the_plain_mlp(project: Folder) -> None:
    file.edit(project.file, [*PLAIN_MLP, Edit(("model", "epochs"), 2)])
    found = trained(project)
    training = found["curves"]["training"]  # type: ignore[index]
    assert training["learning_rate"] == 1e-3
    assert (training["optimizer"], training["patience"], training["ema"]) == ("adam", 10, 0)
    shapes = project.root.glob("runs/train/*/network/0/model.safetensors")
    from safetensors.numpy import load_file

    weights = load_file(next(shapes))
    assert weights["trunk.body.0.weight"].shape[0] == 128
    assert weights["trunk.body.2.weight"].shape == (64, 128)
    assert weights["trunk.body.4.weight"].shape == (2, 64)


def test_another_learner_can_be_the_model(project: Folder) -> None:
    text = project.file.read_text(encoding="utf-8")
    start = text.index("model:")
    end = text.index("train:", start)
    project.file.write_text(
        text[:start] + "model: {learner: linear}\n" + text[end:], encoding="utf-8"
    )
    outcome = _plan.run(project, _flow.Unwatched(), until="evaluate")
    assert [p.name for p in outcome.folders["train"].iterdir() if p.is_dir()] == ["linear"]


def test_the_budget_ends_the_training(project: Folder) -> None:
    file.edit(
        project.file,
        [Edit(("model", "epochs"), 100_000), Edit(("model", "patience"), 100_000),
         Edit(("train", "budget"), 2.0)],
    )  # fmt: skip
    curves = trained(project)["curves"]
    assert 1 <= len(curves["tune_losses"]) < 100_000  # type: ignore[index]

"""The baselines of the task are always there."""

from __future__ import annotations

from fieldcraft.core import catalogue, files
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow


def test_every_baseline_of_the_task_is_trained_on_every_fold(finished: Folder) -> None:
    folder = _flow.latest(finished).folders["baseline"]
    wanted = catalogue.load("tasks", "binary").baselines
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == sorted(wanted)
    for name in wanted:
        assert files.read_json(folder / name / "model.json")["members"] == 5
        assert len(list(folder.glob(f"{name}/*/encoders.json"))) == 5

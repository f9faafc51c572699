"""The baselines of the task are always trained."""

from __future__ import annotations

from fieldcraft.core import catalog, files
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _workflows


def test_every_baseline_of_the_task_is_trained_on_every_fold(
    finished_project: ProjectFolder,
) -> None:
    folder = _workflows.load_latest_report_data(finished_project).folders["baseline"]
    baseline_names = catalog.load_plugin("tasks", "binary").baselines
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == sorted(baseline_names)
    for name in baseline_names:
        assert files.read_json(folder / name / "model.json")["n_members"] == 5
        assert len(list(folder.glob(f"{name}/*/encoders.json"))) == 5

"""Parts of the prediction log have names of their own, also from processes with the same id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fieldcraft.contracts import Task
from fieldcraft.core import catalogue
from fieldcraft.serving.record import Log, Recorder


def test_recorders_of_the_same_process_id_and_second_do_not_overwrite_each_other(
    tmp_path: Path,
) -> None:
    task: Task = catalogue.load("tasks", "binary")
    nothing: dict[str, Any] = {}
    marks = set()
    for _ in range(5):
        recorder = Recorder(Log(tmp_path), "model", task, nothing)
        marks.add(recorder.mark)
        recorder.stop()
    assert len(marks) == 5

"""Few hops: how many frames of ours lie between what a user calls and where the work is done."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import fieldcraft
from fieldcraft.cli.app import app
from fieldcraft.fit.trainer import Trainer

PACKAGE = Path(fieldcraft.__file__).parent
MAX_FRAMES_TO_TRAINING_LOOP = 7  # the command and the loop included


class ReachedError(Exception):
    """The training loop was reached; nothing is trained."""


def own_frames() -> list[str]:
    """Names of the functions of this package on the stack, the outermost first."""
    frames = [f for f in inspect.stack() if Path(f.filename).is_relative_to(PACKAGE)]
    return [frame.function for frame in reversed(frames)]


def test_a_command_reaches_the_training_loop_in_few_frames(
    csv_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks = []

    def stop(trainer: Trainer, *rows: object) -> None:
        stacks.append(own_frames())
        raise ReachedError

    monkeypatch.setattr(Trainer, "fit", stop)
    arguments = ["run", str(csv_path), "--target", "bought", "--dir", str(tmp_path / "project")]
    with pytest.raises(ReachedError):
        app(arguments, standalone_mode=False)
    [stack] = stacks
    assert stack[0] == "run"
    assert len(stack) + 1 <= MAX_FRAMES_TO_TRAINING_LOOP, stack

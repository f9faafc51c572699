"""Look at the data and write the project file, with the reason beside each guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from fieldcraft.contracts import Json, Stage
from fieldcraft.core import catalogue
from fieldcraft.core.errors import DataError, ProjectError, near
from fieldcraft.core.words import joined, listed, plural
from fieldcraft.data.look import Guess, Look, looks
from fieldcraft.data.read import Reading, read_table, relative
from fieldcraft.develop.guess import by_confidence, guess_kind, missing_marks
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Model

COMMENT_COLUMN = 44


@dataclass(frozen=True)
class Request:
    """What a new project starts from.

    Attributes:
        folder: of the project.
        source: the table (see `read_table`), or the training file of a ready-made split.
        targets: names of the target columns, or their numbers counted from 1.
        validation: validation file of a ready-made split.
        test: test file of a ready-made split.
        names: column names, for a file without a header.
        task: overrules the guess.
    """

    folder: Path
    source: str
    targets: tuple[str, ...]
    validation: str | None = None
    test: str | None = None
    names: tuple[str, ...] = ()
    task: str | None = None


def init(request: Request) -> Json:
    """Write the project file of a new project.

    Raises:
        ProjectError: the folder holds another project already.
        DataError: the table cannot be read, or has no such target.
    """
    folder = Folder(request.folder)
    if folder.file.exists():
        raise ProjectError(
            "there is a project here already",
            seen=f"{folder.file}",
            way_out="go on with: fieldcraft run (inside it), or use another --dir",
        )
    reading = read_table(request.source, request.names)
    targets = [find_target(target, reading.frame) for target in request.targets]
    missing = missing_marks(reading.frame)
    seen = looks(reading.frame, missing)
    task = guess_task([seen[target] for target in targets], request.task)
    document = CommentedMap()
    document["problem"] = problem_section(targets, task, request.source)
    document["data"] = data_section(request, reading, missing, seen, targets)
    sections = {
        "split": ("rule", "stratified", "rows are dealt out at random, classes evenly"),
        "model": (
            "learner",
            Model().learner,
            "many small networks in one; README tells its settings",
        ),
        "train": ("seed", 0, "the same seed gives the same model"),
    }
    for name, (key, value, reason) in sections.items():
        document[name] = CommentedMap({key: value})
        document[name].yaml_add_eol_comment(reason, key, column=COMMENT_COLUMN)
    document.yaml_set_start_comment(
        "What Fieldcraft is to do, and what it guessed from the data. Change what is wrong;\n"
        "`fieldcraft run` then does again only what depends on the change."
    )
    for name in ("data", "split", "model", "train"):
        document.yaml_set_comment_before_after_key(name, before="\n")
    file.write(folder.file, document)
    return {
        "file": str(folder.file),
        "target": joined(targets),
        "task": task.name,
        "rows": reading.frame.height,
        "notes": list(reading.notes),
    }


def find_target(target: str, frame: pl.DataFrame) -> str:
    """The name of the target column, which may be given by its number counted from 1.

    Raises:
        DataError: there is no such column.
    """
    if target in frame.columns:
        return target
    if target.isdigit() and 1 <= int(target) <= frame.width:
        return frame.columns[int(target) - 1]
    raise DataError(
        f"there is no column {target!r} to predict",
        seen=f"{plural(frame.width, 'column')}: {listed(frame.columns)}",
        way_out=f"pass another --target: {near(target, frame.columns)} (a file without a header "
        "takes --names a,b,... or --target with a column number)",
    )


def guess_task(looks: Sequence[Look], wanted: str | None) -> Guess:
    """What the target asks, guessed from its values unless the user said it.

    Raises:
        DataError: no task fits the target.
    """
    if wanted is not None:
        task = catalogue.load("tasks", wanted)
        guess = task.recognise(looks)
        return Guess(str(task.name), 1.0, "as given", guess.options if guess else {})
    guesses = [task.recognise(looks) for task in catalogue.load_all("tasks")]
    best: Guess | None = max((g for g in guesses if g), key=by_confidence, default=None)
    if best is None:
        raise no_task(looks)
    return best


def no_task(looks: Sequence[Look]) -> DataError:
    """The error for targets that no task fits."""
    common = {look.name: ", ".join(value for value, _ in look.top(3)) for look in looks}
    if len(looks) > 1:
        return DataError(
            "several targets must be columns of yes and no, one for each label",
            seen="; ".join(f"{name}: {values}" for name, values in list(common.items())[:4]),
            way_out="choose one target, or columns of 1 and 0",
        )
    look = looks[0]
    return DataError(
        f"the target {look.name!r} cannot be predicted as it is",
        seen=f"{look.distinct:,} different values in {len(look.values):,} rows, "
        f"such as {common[look.name] or 'none'}",
        way_out="choose another target, or give --task if one of "
        f"{', '.join(catalogue.names('tasks'))} is meant",
    )


def problem_section(targets: Sequence[str], task: Guess, source: str) -> CommentedMap:
    """The section that says what is to be predicted."""
    section = CommentedMap()
    section["question"] = f"Predict {joined(targets)} from the other columns of {Path(source).name}"
    section["target"] = targets[0] if len(targets) == 1 else flow(list(targets))
    section["task"] = task.name
    section.yaml_add_eol_comment(task.reason, "task", column=COMMENT_COLUMN)
    metric = catalogue.load("tasks", task.name).metrics[0]
    section["metric"] = metric.name
    section.yaml_add_eol_comment("models are compared by this", "metric", column=COMMENT_COLUMN)
    for name, value in task.options.items():
        section[name] = value
        reason = "guessed from the target's values"
        section.yaml_add_eol_comment(reason, name, column=COMMENT_COLUMN)
    return section


def data_section(
    request: Request,
    reading: Reading,
    missing: Sequence[str],
    seen: dict[str, Look],
    targets: Sequence[str],
) -> CommentedMap:
    """The section that says where the rows are and what each column holds."""
    section = CommentedMap()
    section["source"] = source_value(request)
    if reading.notes:
        section.yaml_set_comment_before_after_key(
            "source", before=one_line("; ".join(reading.notes)), indent=2
        )
    if request.names:
        section["names"] = flow(list(request.names))
    section["missing"] = flow(list(missing))
    marks = ", ".join(map(repr, missing))
    section.yaml_add_eol_comment(
        f"empty cells, and {marks}" if missing else "empty cells only", "missing", COMMENT_COLUMN
    )
    columns = CommentedMap()
    for name, look in seen.items():
        guess = guess_kind(look)
        entry = CommentedMap({"kind": guess.name, **guess.options})
        entry.fa.set_flow_style()
        columns[name] = entry
        said = "the target: " + guess.reason if name in targets else guess.reason
        columns.yaml_add_eol_comment(one_line(said), name, column=COMMENT_COLUMN)
    section["columns"] = columns
    if reading.split:
        section["split"] = reading.split
        section.yaml_add_eol_comment("says which part a row is for", "split", column=COMMENT_COLUMN)
    section["drop"] = flow([])
    section.yaml_add_eol_comment("columns no model may use", "drop", column=COMMENT_COLUMN)
    return section


def source_value(request: Request) -> Any:
    """The source as it stands in the file: paths relative to the project folder."""

    if request.validation is None and request.test is None:
        return relative(request.source, request.folder)
    parts = {"train": request.source, "validation": request.validation, "test": request.test}
    return CommentedMap(
        {name: relative(path, request.folder) for name, path in parts.items() if path}
    )


def flow(values: list[str]) -> CommentedSeq:
    """A list written on one line."""
    found = CommentedSeq(values)
    found.fa.set_flow_style()
    return found


def one_line(text: str) -> str:
    """Text that may stand in a comment."""
    return " ".join(text.split())


STAGE = Stage("init", "Look at the data and write the project file.", init)  # type: ignore[arg-type]

"""The project file: YAML 1.2 read with line numbers, checked whole, edited with comments kept."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from fieldcraft.core import catalogue, files
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import ProjectError, near
from fieldcraft.project.settings import Model, Settings

NAME = "fieldcraft.yaml"
WIDTH = 96
FORM = re.compile(r"(str|float|int|bool|Sources|constrained-\w+|(list|literal|function-\w+)\[.*)$")


def parser() -> YAML:
    """YAML 1.2 that keeps comments and the order of keys."""
    yaml = YAML(typ="rt")
    yaml.version = (1, 2)
    yaml.width = WIDTH
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def load(path: Path) -> Settings:
    """Read and check a project file.

    Raises:
        ProjectError: every mistake in it at once, each with its line.
    """
    return check(load_document(path), path)


def check(document: CommentedMap, path: Path) -> Settings:
    """The settings that a document holds, if there is no mistake in it.

    Raises:
        ProjectError: every mistake in it at once, each with its line.
    """
    mistakes: list[tuple[int, str]] = []
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(plain(document))
    except ValidationError as error:
        mistakes += [mistake(item, document) for item in without_forms(error.errors())]
    mistakes += list(names_unknown(plain(document), document))
    mistakes += list(columns_unknown(plain(document), document))
    if mistakes or settings is None:
        lines = [f"line {line}: {text}" for line, text in sorted(set(mistakes))]
        raise ProjectError(
            f"{path.name} has {len(lines)} mistake{'s' * (len(lines) > 1)}",
            seen="\n        ".join(lines),
            way_out=f"correct {path}, then run the same command again",
        )
    return settings


def load_document(path: Path) -> CommentedMap:
    """The file as a document that remembers lines and comments.

    Raises:
        ProjectError: there is no such file, it is not text, or it is not YAML.
    """
    if not path.exists():
        raise ProjectError(
            "there is no project here",
            seen=f"no {path.name} in {path.parent}",
            way_out="go to a project folder, pass --dir, or start one: "
            "fieldcraft run DATA --target COLUMN",
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ProjectError(
            f"{path.name} is not valid YAML",
            seen=str(error),
            way_out="use an editor that saves UTF-8, or start anew with fieldcraft init",
        ) from error
    return to_document(text, path)


def to_document(text: str, path: Path) -> CommentedMap:
    """YAML text as a document that remembers lines and comments.

    Raises:
        ProjectError: it is not YAML, or holds no sections.
    """
    try:
        document = parser().load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ProjectError(
            f"{path.name} is not valid YAML",
            seen=f"{where}{getattr(error, 'problem', None) or str(error).splitlines()[0]}",
            way_out="make sure that indentation, colons and quotes around that line are right",
        ) from error
    if not isinstance(document, CommentedMap):
        raise ProjectError(
            f"{path.name} holds no sections",
            seen=f"{type(document).__name__} instead of sections such as problem: and data:",
            way_out="start it anew with: fieldcraft init DATA --target COLUMN",
        )
    return document


def plain(value: Any) -> Any:
    """A document without its lines and comments."""
    if isinstance(value, str):
        return str(value)  # without its quotation marks
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return value


def line_of(document: Any, path: Sequence[Any]) -> int:
    """Line, counted from 1, of the deepest part of a path that stands in the document."""
    line = 1
    for named in path:
        try:
            step = spelt(document, named)
            if isinstance(document, CommentedMap):
                line = document.lc.key(step)[0] + 1
            elif isinstance(document, CommentedSeq):
                line = document.lc.item(step)[0] + 1
            document = document[step]
        except (KeyError, IndexError, TypeError):
            break
    return line


def spelt(document: Any, step: Any) -> Any:
    """A step of a path as it stands in the document, where a name may be a number."""
    if isinstance(document, CommentedMap) and step not in document:
        return next((key for key in document if str(key) == step), step)
    return step


def mistake(error: Mapping[str, Any], document: CommentedMap) -> tuple[int, str]:
    """Line and words of one mistake found by the settings' own rules."""
    path = list(error["loc"])
    where = ".".join(map(str, path)) or "the file"
    if error["type"] == "extra_forbidden":
        known = fields_at(path[:-1])
        return line_of(document, path), f"{where} is not known here; {near(str(path[-1]), known)}"
    if error["type"] == "missing":
        return line_of(document, path), f"{where} is missing"
    return line_of(document, path), f"{where}: {complaint(error)}"


def without_forms(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Mistakes where a value may take several forms, told once and without the names of forms.

    If one form fits but for something within it, only that is told; else what each form asks.
    """
    found: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    cut = [next((i for i, step in enumerate(e["loc"]) if is_form(step)), None) for e in errors]
    for error, at in zip(errors, cut, strict=True):
        if at is not None:
            found.setdefault(error["loc"][:at], []).append(error["loc"][at + 1 :])
    kept: list[Mapping[str, Any]] = []
    for error, at in zip(errors, cut, strict=True):
        if at is None:
            kept.append(error)
            continue
        place, inside = error["loc"][:at], error["loc"][at + 1 :]
        if inside:
            kept.append({**error, "loc": place + inside})
        elif not any(found[place]):
            asked = [e["msg"] for e, i in zip(errors, cut, strict=True) if e["loc"][:i] == place]
            told = " or ".join(dict.fromkeys(text[0].lower() + text[1:] for text in asked))
            kept.append({**error, "loc": place, "msg": told})
    return kept


def is_form(step: Any) -> bool:
    """Whether a step of a path is only the name of one of several forms of a value."""
    return isinstance(step, str) and bool(FORM.match(step))


def complaint(error: Mapping[str, Any]) -> str:
    """What a rule says about a value, and the value."""
    text, seen = error["msg"].removeprefix("Value error, "), error.get("input")
    shown = "" if isinstance(seen, (dict, BaseModel)) else f" (seen: {seen!r})"
    return f"{text[0].lower()}{text[1:]}{shown}"


def fields_at(path: Sequence[Any]) -> list[str]:
    """Names that may stand at a place in the file."""
    model: Any = Settings
    for step in path:
        field = model.model_fields.get(str(step)) if hasattr(model, "model_fields") else None
        annotation = field.annotation if field else None
        if str(annotation).startswith("dict["):
            continue
        inner = [a for a in getattr(annotation, "__args__", ()) if hasattr(a, "model_fields")]
        model = inner[0] if inner else annotation or model
    return list(getattr(model, "model_fields", {}))


def names_unknown(values: Mapping[str, Any], document: CommentedMap) -> Iterator[tuple[int, str]]:
    """Mistakes in names of plugs: task, metric, learner and its options, kinds of columns."""
    problem, model = values.get("problem"), values.get("model")
    if isinstance(problem, dict) and isinstance(problem.get("task"), str):
        yield from task_unknown(problem, document)
    if isinstance(model, dict):
        yield from model_unknown(model, document)
    data = values.get("data")
    columns = data.get("columns") if isinstance(data, dict) else None
    for name, column in (columns if isinstance(columns, dict) else {}).items():
        if isinstance(column, dict) and isinstance(column.get("kind"), str):
            yield from kind_unknown(name, column, document)


def kind_unknown(
    name: str, column: Mapping[str, Any], document: CommentedMap
) -> Iterator[tuple[int, str]]:
    """A kind that does not exist, or options that it does not have."""
    kind, known = column["kind"], catalogue.names("kinds")
    path = ["data", "columns", name]
    where = ".".join(path)
    if kind not in known:
        yield (
            line_of(document, [*path, "kind"]),
            f"{where}.kind: no kind {kind!r}; {near(kind, known)}",
        )
        return
    options = ["kind", *catalogue.load("kinds", kind).options]
    for option in column:
        if option not in options:
            hint = near(option, options)
            yield line_of(document, [*path, option]), f"{where}.{option} is not known here; {hint}"


def task_unknown(problem: Mapping[str, Any], document: CommentedMap) -> Iterator[tuple[int, str]]:
    """A task or metric that does not exist."""
    task, metric, known = problem["task"], problem.get("metric"), catalogue.names("tasks")
    if task not in known:
        line = line_of(document, ["problem", "task"])
        yield line, f"problem.task: no task {task!r}; {near(task, known)}"
    elif isinstance(metric, str):
        metrics = [item.name for item in catalogue.load("tasks", task).metrics]
        if metric not in metrics:
            line = line_of(document, ["problem", "metric"])
            yield line, f"problem.metric: no metric {metric!r} for {task}; {near(metric, metrics)}"


def model_unknown(model: Mapping[str, Any], document: CommentedMap) -> Iterator[tuple[int, str]]:
    """A learner that does not exist, or settings that it does not have."""
    name = model.get("learner", Model().learner)
    known = catalogue.names("learners")
    if not isinstance(name, str):
        return  # the settings' own rules say so
    if name not in known:
        line = line_of(document, ["model", "learner"])
        yield line, f"model.learner: no learner {name!r}; {near(name, known)}"
        return
    options = catalogue.load("learners", name).options
    try:
        options.model_validate(
            {key: value for key, value in model.items() if key not in Model.model_fields}
        )
    except ValidationError as error:
        for item in error.errors():
            path = ["model", *item["loc"][:1]]
            line = line_of(document, path)
            if item["type"] == "extra_forbidden":
                hint = near(str(path[-1]), [*options.model_fields, *Model.model_fields])
                yield line, f"{'.'.join(map(str, path))} is not a setting of {name}; {hint}"
            else:
                yield line, f"{'.'.join(map(str, path))}: {complaint(item)}"


def columns_unknown(values: Mapping[str, Any], document: CommentedMap) -> Iterator[tuple[int, str]]:
    """Names of columns that do not stand under ``data.columns``."""
    data, rule = part(values, "data"), part(values, "split").get("rule")
    known = data.get("columns")
    if isinstance(known, dict):
        known = {**known, **part(data, "derive")}
    for path, name in columns_named(values):
        if isinstance(known, dict) and isinstance(name, str) and name not in known:
            where = ".".join(map(str, path[:2]))
            yield line_of(document, path), f"{where}: no column {name!r}; {near(name, known)}"
    if rule in ("time", "entity") and data.get(rule) is None:
        line = line_of(document, ["split", "rule"])
        yield line, f"split.rule is {rule}, but data.{rule} names no column"


def columns_named(values: Mapping[str, Any]) -> Iterator[tuple[list[Any], Any]]:
    """Every place in the file that names a column, with what stands there."""
    problem, data = part(values, "problem"), part(values, "data")
    for place in ("time", "entity", "weight", "id", "split"):
        yield ["data", place], data.get(place)
    for section, name, value in (
        ("problem", "target", problem.get("target")),
        ("problem", "groups", problem.get("groups")),
        ("data", "drop", data.get("drop")),
    ):
        if isinstance(value, list):
            yield from (([section, name, i], column) for i, column in enumerate(value))
        else:
            yield [section, name], value
    for name in part(part(values, "clean"), "columns"):
        yield ["clean", "columns", name], name


def part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of the file by its name; empty if it is not there or not made of names."""
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def edit(path: Path, edits: Sequence[Edit]) -> None:
    """Make changes in a project file, leaving its comments and everything else as they are.

    Raises:
        ProjectError: an edit does not fit the file.
    """
    document = load_document(path)
    for change in edits:
        make(document, change, path)
    write(path, document)


def write(path: Path, document: CommentedMap) -> None:
    """Write a document as a project file, if it will be read without a mistake.

    Raises:
        ProjectError: there is a mistake in it; what stood in the file still does.
    """
    text = to_text(document)
    check(to_document(text, path), path)
    files.write_text(path, text)


def make(document: CommentedMap, change: Edit, path: Path) -> None:
    """Make one change in a document.

    Raises:
        ProjectError: the change goes through, or adds to, something that cannot hold it.
    """
    *steps, last = change.path
    place: Any = document
    try:
        for step in steps:
            place = place.setdefault(spelt(place, step), CommentedMap())
        if not change.add:
            place[spelt(place, last)] = change.value
        elif change.value not in (values := list_at(place, last)):
            values.append(change.value)
    except (AttributeError, TypeError) as error:
        raise ProjectError(
            f"a change does not fit {path.name}",
            seen=f"{change.in_words()}, but something else stands there",
            way_out=f"correct {path} by hand, then run the same command again",
        ) from error


def list_at(place: CommentedMap, name: str) -> CommentedSeq:
    """The list of that name, made if it is not there; TypeError if something else is."""
    values = place.setdefault(name, CommentedSeq())
    if not isinstance(values, CommentedSeq):
        raise TypeError(name)
    return values


def to_text(document: CommentedMap) -> str:
    """A document as YAML text, without the line that says which version it is."""
    stream = io.StringIO()
    parser().dump(document, stream)
    text = stream.getvalue()
    return text.partition("---\n")[2] if text.startswith("%YAML") else text

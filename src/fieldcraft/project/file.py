"""The project file: YAML 1.2 read with line numbers, checked whole, edited with comments kept."""

from __future__ import annotations

import inspect
import io
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from fieldcraft.core import catalogue, files
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import ProjectError
from fieldcraft.project import settings as sections
from fieldcraft.project.forms import left_out, told
from fieldcraft.project.mistakes import (
    Mistake,
    columns_unknown,
    fills_unfit,
    names_unknown,
    rules_unmet,
)
from fieldcraft.project.settings import Model, Settings, as_text

NAME = "fieldcraft.yaml"
WIDTH = 96


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
    values, tree = plain(document), shape()
    mistakes: list[Mistake] = []
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(left_out(values, tree, tree))
    except ValidationError as error:
        mistakes = told(error, tree)
    odd = {path[:end] for path, _ in mistakes for end in range(1, len(path) + 1)}
    rules = (names_unknown, columns_unknown, rules_unmet, fills_unfit)
    further = [mistake for rule in rules for mistake in rule(values)]
    mistakes += [(path, text) for path, text in further if path not in odd]
    if mistakes or settings is None:
        placed = {(line_of(document, path), text) for path, text in mistakes}
        lines = [f"line {line}: {text}" for line, text in sorted(placed)]
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
        return {str(as_text(key)): plain(item) for key, item in value.items()}
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
        return next((key for key in document if str(as_text(key)) == step), step)
    return step


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
            key = spelt(place, step)
            if place.get(key) is None:
                place[key] = CommentedMap()
            place = place[key]
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
    if place.get(name) is None:
        place[name] = CommentedSeq()
    values = place[name]
    if not isinstance(values, CommentedSeq):
        raise TypeError(name)
    return values


def to_text(document: CommentedMap) -> str:
    """A document as YAML text, without the line that says which version it is."""
    stream = io.StringIO()
    parser().dump(document, stream)
    text = stream.getvalue()
    return text.partition("---\n")[2] if text.startswith("%YAML") else text


@cache
def shape() -> dict[str, Any]:
    """The JSON schema of the settings as such, without the names of plugs."""
    return Settings.model_json_schema()


def schema() -> dict[str, Any]:
    """A JSON schema of project files, for editors that complete and check them.

    It knows the tasks, kinds and learners that are plugged in, with their metrics and options.
    """
    tree = Settings.model_json_schema()
    tree |= {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Fieldcraft project file",
    }
    definitions = tree["$defs"]
    for name, definition in definitions.items():
        definition["description"] = definition["description"].partition("\n\nAttributes:")[0]
        texts = attributes(getattr(sections, name))
        for field, node in definition["properties"].items():
            node["description"] = texts.get(field, node.get("description", ""))
    add_tasks(definitions["Problem"])
    add_kinds(definitions["ColumnSettings"])
    add_learners(definitions["Model"], definitions)
    for definition in [tree, *definitions.values()]:
        for field in set(definition["properties"]) - set(definition.get("required", ())):
            allow_nothing(definition["properties"][field], definitions)
    return tree


def attributes(model: type[BaseModel]) -> dict[str, str]:
    """What the docstring of a section says about each of its entries."""
    found: dict[str, str] = {}
    name = ""
    for line in inspect.getdoc(model).partition("Attributes:\n")[2].splitlines():  # type: ignore[union-attr]
        text = line.strip()
        if line.startswith("    ") and not line.startswith("     "):
            name, _, text = text.partition(": ")
        found[name] = f"{found[name]} {text}" if name in found else text
    return {name: text[:1].upper() + text[1:] for name, text in found.items()}


def when(field: str, value: str, then: dict[str, Any], usual: bool = False) -> dict[str, Any]:
    """A rule for sections in which an entry has a value; the usual one may be left out."""
    if usual:
        return {"if": {"properties": {field: {"enum": [value, None]}}}, "then": then}
    return {"if": {"properties": {field: {"const": value}}, "required": [field]}, "then": then}


def add_tasks(problem: dict[str, Any]) -> None:
    """Let the schema know the tasks, with their metrics and how many targets they have."""
    names = catalogue.names("tasks")
    problem["properties"]["task"]["enum"] = names
    one, many = problem["properties"]["target"]["anyOf"]
    problem["allOf"] = []
    for name in names:
        task = catalogue.load("tasks", name)
        then = {
            "metric": {"enum": [metric.name for metric in task.metrics] + [None]},
            "target": many if task.output == "labels" else one,
        }
        problem["allOf"].append(when("task", name, {"properties": then}))


def add_kinds(column: dict[str, Any]) -> None:
    """Let the schema know the kinds of columns, with the names of their options."""
    names = catalogue.names("kinds")
    column["properties"]["kind"]["enum"] = names
    column["allOf"] = [
        when("kind", name, {"propertyNames": {"enum": ["kind", *options]}})
        for name in names
        if (options := catalogue.load("kinds", name).options) is not None
    ]


def add_learners(model: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Let the schema know the learners, with their settings."""
    names = catalogue.names("learners")
    model["properties"]["learner"]["enum"] = names
    model["allOf"] = []
    for name in names:
        options = catalogue.load("learners", name).options
        tree = options.model_json_schema()
        definitions |= tree.get("$defs", {})
        texts = attributes(options)
        own = {
            field: {**node, "description": texts.get(field, "")}
            for field, node in tree["properties"].items()
        }
        for node in own.values():
            allow_nothing(node, definitions)
        then = {"properties": own, "propertyNames": {"enum": [*Model.model_fields, *own]}}
        model["allOf"].append(when("learner", name, then, name == Model().learner))


def allow_nothing(node: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Let an entry stand with nothing under it, which counts as left out."""
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    if "anyOf" in node:
        if {"type": "null"} not in node["anyOf"]:
            node["anyOf"] = [*node["anyOf"], {"type": "null"}]
        return
    kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
    node["type"] = [*kinds, "null"] if "null" not in kinds else kinds
    if "enum" in node and None not in node["enum"]:
        node["enum"] = [*node["enum"], None]

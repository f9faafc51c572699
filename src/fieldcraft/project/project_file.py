"""The project file: YAML 1.2 with line numbers in errors and edits that keep comments."""

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

from fieldcraft.core import catalog, files
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import ProjectError
from fieldcraft.project import settings as sections
from fieldcraft.project.consistency import (
    ValidationIssue,
    check_column_references,
    check_impute_values,
    check_plugin_names,
    check_split_strategy,
)
from fieldcraft.project.schema_messages import drop_empty_entries, explain_validation_error
from fieldcraft.project.settings import ModelSettings, ProjectSettings, as_text

PROJECT_FILE_NAME = "fieldcraft.yaml"
YAML_LINE_WIDTH = 96


def create_yaml_parser() -> YAML:
    """Create a YAML 1.2 parser that keeps comments and the order of keys."""
    yaml = YAML(typ="rt")
    yaml.version = (1, 2)
    yaml.width = YAML_LINE_WIDTH
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def load_settings(path: Path) -> ProjectSettings:
    """Read and check a project file.

    Raises:
        ProjectError: all mistakes at once, each with its line.
    """
    return validate_document(load_document(path), path)


def validate_document(document: CommentedMap, path: Path) -> ProjectSettings:
    """Validate a document and return its settings.

    Raises:
        ProjectError: all mistakes at once, each with its line.
    """
    values, json_schema = to_plain_values(document), settings_json_schema()
    issues: list[ValidationIssue] = []
    settings: ProjectSettings | None = None
    try:
        settings = ProjectSettings.model_validate(
            drop_empty_entries(values, json_schema, json_schema)
        )
    except ValidationError as error:
        issues = explain_validation_error(error, json_schema)
    # The pydantic model already reports these paths; a second message for one would only confuse.
    reported_paths = {path[:depth] for path, _ in issues for depth in range(1, len(path) + 1)}
    checks = (
        check_plugin_names,
        check_column_references,
        check_split_strategy,
        check_impute_values,
    )
    further_issues = [issue for check_values in checks for issue in check_values(values)]
    issues += [(path, message) for path, message in further_issues if path not in reported_paths]
    if issues or settings is None:
        located = {(line_number(document, path), message) for path, message in issues}
        lines = [f"line {line}: {message}" for line, message in sorted(located)]
        raise ProjectError(
            f"{path.name} has {len(lines)} mistake{'s' * (len(lines) > 1)}",
            detail="\n        ".join(lines),
            hint=f"correct {path}, then run the same command again",
        )
    return settings


def load_document(path: Path) -> CommentedMap:
    """Parse a project file into a document that keeps lines and comments.

    Raises:
        ProjectError: there is no such file, it is not text, or it is not YAML.
    """
    if not path.exists():
        raise ProjectError(
            "there is no project here",
            detail=f"no {path.name} in {path.parent}",
            hint="go to a project folder, pass --dir, or start one: "
            "fieldcraft run DATA --target COLUMN",
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ProjectError(
            f"{path.name} is not valid YAML",
            detail=str(error),
            hint="use an editor that saves UTF-8, or start over with fieldcraft init",
        ) from error
    return parse_document(text, path)


def parse_document(text: str, path: Path) -> CommentedMap:
    """Parse YAML text into a document that keeps lines and comments.

    Raises:
        ProjectError: it is not YAML, or has no sections.
    """
    try:
        document = create_yaml_parser().load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ProjectError(
            f"{path.name} is not valid YAML",
            detail=f"{position}{getattr(error, 'problem', None) or str(error).splitlines()[0]}",
            hint="check indentation, colons and quotes around that line",
        ) from error
    if not isinstance(document, CommentedMap):
        raise ProjectError(
            f"{path.name} has no sections",
            detail=f"{type(document).__name__} instead of sections such as problem: and data:",
            hint="start over with: fieldcraft init DATA --target COLUMN",
        )
    return document


def to_plain_values(value: Any) -> Any:
    """Convert a document to plain dicts, lists and values, without lines and comments."""
    if isinstance(value, str):
        return str(value)  # without its quotation marks
    if isinstance(value, Mapping):
        return {str(as_text(key)): to_plain_values(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [to_plain_values(item) for item in value]
    return value


def line_number(document: Any, path: Sequence[Any]) -> int:
    """Return the line, counted from 1, of the deepest part of a path that the document contains."""
    line = 1
    for step in path:
        try:
            key = matching_key(document, step)
            if isinstance(document, CommentedMap):
                line = document.lc.key(key)[0] + 1
            elif isinstance(document, CommentedSeq):
                line = document.lc.item(key)[0] + 1
            document = document[key]
        except (KeyError, IndexError, TypeError):
            break
    return line


def matching_key(document: Any, step: Any) -> Any:
    """Return the key of a document that matches a step of a path.

    Steps are texts, but YAML reads a column name such as 2024 as a number.
    """
    if isinstance(document, CommentedMap) and step not in document:
        return next((key for key in document if str(as_text(key)) == step), step)
    return step


def apply_edits(path: Path, edits: Sequence[ConfigEdit]) -> None:
    """Edit a project file; comments and everything else stay as they are.

    Raises:
        ProjectError: an edit does not fit the file.
    """
    document = load_document(path)
    for edit in edits:
        apply_edit(document, edit, path)
    write_document(path, document)


def write_document(path: Path, document: CommentedMap) -> None:
    """Write a document as a project file, provided that it is valid.

    Raises:
        ProjectError: it is not valid; the file is left unchanged.
    """
    text = dump_document(document)
    # The text is parsed again, so that exactly what is written is known to be valid.
    validate_document(parse_document(text, path), path)
    files.atomic_write_text(path, text)


def apply_edit(document: CommentedMap, edit: ConfigEdit, path: Path) -> None:
    """Make one edit in a document.

    Raises:
        ProjectError: its path leads through a value, or it appends to something other than a list.
    """
    *steps, leaf = edit.path
    node: Any = document
    try:
        for step in steps:
            key = matching_key(node, step)
            if node.get(key) is None:
                node[key] = CommentedMap()
            node = node[key]
        if not edit.append:
            node[matching_key(node, leaf)] = edit.value
        elif edit.value not in (values := get_or_create_list(node, leaf)):
            values.append(edit.value)
    except (AttributeError, TypeError) as error:
        raise ProjectError(
            f"an edit does not fit {path.name}",
            detail=f"{edit.describe()}, but the existing value has another type",
            hint=f"correct {path} by hand, then run the same command again",
        ) from error


def get_or_create_list(mapping: CommentedMap, name: str) -> CommentedSeq:
    """Return the list with a name, created if it is missing.

    Raises:
        TypeError: the value is not a list.
    """
    if mapping.get(name) is None:
        mapping[name] = CommentedSeq()
    values = mapping[name]
    if not isinstance(values, CommentedSeq):
        raise TypeError(name)
    return values


def dump_document(document: CommentedMap) -> str:
    """Return a document as YAML text, without the ``%YAML`` directive."""
    stream = io.StringIO()
    create_yaml_parser().dump(document, stream)
    text = stream.getvalue()
    # ruamel.yaml writes the directive and a separator if a version is set.
    return text.partition("---\n")[2] if text.startswith("%YAML") else text


@cache
def settings_json_schema() -> dict[str, Any]:
    """Return the JSON schema of the settings, without plug-ins."""
    return ProjectSettings.model_json_schema()


def build_editor_schema() -> dict[str, Any]:
    """Build the JSON schema of project files, for editors that complete and check them.

    It contains the tasks, kinds and learners that are installed, with their metrics and options.
    """
    json_schema = ProjectSettings.model_json_schema()
    json_schema |= {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Fieldcraft project file",
    }
    definitions = json_schema["$defs"]
    for name, definition in definitions.items():
        definition["description"] = definition["description"].partition("\n\nAttributes:")[0]
        descriptions = attribute_descriptions(getattr(sections, name))
        for entry, node in definition["properties"].items():
            node["description"] = descriptions.get(entry, node.get("description", ""))
    add_task_schemas(definitions["ProblemSettings"])
    add_kind_schemas(definitions["ColumnSettings"])
    add_learner_schemas(definitions["ModelSettings"], definitions)
    for definition in [json_schema, *definitions.values()]:
        for entry in set(definition["properties"]) - set(definition.get("required", ())):
            allow_null(definition["properties"][entry], definitions)
    return json_schema


def attribute_descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return the descriptions of the entries of a section, from its docstring."""
    descriptions: dict[str, str] = {}
    name = ""
    for line in inspect.getdoc(model).partition("Attributes:\n")[2].splitlines():  # type: ignore[union-attr]
        text = line.strip()
        if line.startswith("    ") and not line.startswith("     "):
            name, _, text = text.partition(": ")
        descriptions[name] = f"{descriptions[name]} {text}" if name in descriptions else text
    return {name: text[:1].upper() + text[1:] for name, text in descriptions.items()}


def conditional_schema(
    field: str, value: str, then: dict[str, Any], is_default: bool = False
) -> dict[str, Any]:
    """Return a rule for the case that a field has a value; a default value may be left out."""
    if is_default:
        return {"if": {"properties": {field: {"enum": [value, None]}}}, "then": then}
    return {"if": {"properties": {field: {"const": value}}, "required": [field]}, "then": then}


def add_task_schemas(problem: dict[str, Any]) -> None:
    """Add the tasks to the schema, with their metrics and number of targets."""
    names = catalog.list_plugins("tasks")
    problem["properties"]["task"]["enum"] = names
    single_target, target_list = problem["properties"]["target"]["anyOf"]
    problem["allOf"] = []
    for name in names:
        task = catalog.load_plugin("tasks", name)
        properties = {
            "metric": {"enum": [metric.name for metric in task.metrics] + [None]},
            "target": target_list if task.output == "labels" else single_target,
        }
        problem["allOf"].append(conditional_schema("task", name, {"properties": properties}))


def add_kind_schemas(column: dict[str, Any]) -> None:
    """Add the kinds of columns to the schema, with the names of their options."""
    names = catalog.list_plugins("kinds")
    column["properties"]["kind"]["enum"] = names
    column["allOf"] = [
        conditional_schema("kind", name, {"propertyNames": {"enum": ["kind", *options]}})
        for name in names
        if (options := catalog.load_plugin("kinds", name).options) is not None
    ]


def add_learner_schemas(model: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Add the learners to the schema, with their options."""
    names = catalog.list_plugins("learners")
    model["properties"]["learner"]["enum"] = names
    model["allOf"] = []
    for name in names:
        options = catalog.load_plugin("learners", name).options
        options_schema = options.model_json_schema()
        definitions |= options_schema.get("$defs", {})
        descriptions = attribute_descriptions(options)
        properties = {
            entry: {**node, "description": descriptions.get(entry, "")}
            for entry, node in options_schema["properties"].items()
        }
        for node in properties.values():
            allow_null(node, definitions)
        then = {
            "properties": properties,
            "propertyNames": {"enum": [*ModelSettings.model_fields, *properties]},
        }
        model["allOf"].append(
            conditional_schema("learner", name, then, name == ModelSettings().learner)
        )


def allow_null(node: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Allow null in a schema node: an empty entry counts as left out."""
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    if "anyOf" in node:
        if {"type": "null"} not in node["anyOf"]:
            node["anyOf"] = [*node["anyOf"], {"type": "null"}]
        return
    types = node["type"] if isinstance(node["type"], list) else [node["type"]]
    node["type"] = [*types, "null"] if "null" not in types else types
    if "enum" in node and None not in node["enum"]:
        node["enum"] = [*node["enum"], None]

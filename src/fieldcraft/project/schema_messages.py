"""Turn validation errors of pydantic into plain messages.

A root schema is the JSON schema of a pydantic model (`model_json_schema`); a node is a part of it.
A path consists of keys and, in lists, indexes.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from fieldcraft.core.errors import did_you_mean
from fieldcraft.core.formatting import join_names

SchemaNode = Mapping[str, Any]
SettingsPath = tuple[Any, ...]
PLURAL_PHRASES = {
    "a text": "texts",
    "the name of a column": "names of columns",
    "a number": "numbers",
    "a whole number": "whole numbers",
}
TYPE_PHRASES = {
    "string": "a text",
    "boolean": "true or false",
    "number": "a number",
    "integer": "a whole number",
}
MAX_VALUE_CHARS = 80  # of a value in a message


def explain_validation_error(
    error: ValidationError, root_schema: SchemaNode, base_path: SettingsPath = ()
) -> list[tuple[SettingsPath, str]]:
    """Return the path and message of each mistake that a pydantic model reports, one per path.

    Args:
        error: the error of the model.
        root_schema: the JSON schema of the model.
        base_path: the path of the validated values in the project file.
    """
    messages_by_path: dict[SettingsPath, list[tuple[int, str]]] = {}
    for detail in error.errors():
        path, node, parent = resolve_location(root_schema, detail["loc"])
        messages_by_path.setdefault(path, []).append(
            rank_and_message(detail, (*base_path, *path), node, parent, root_schema)
        )
    # Pydantic reports an error for every alternative of a union. If one alternative fits except for
    # an inner value, only that inner value is reported.
    innermost_paths = [
        path
        for path in messages_by_path
        if not any(is_within(nested_path, path) for nested_path in messages_by_path)
    ]
    return [((*base_path, *path), min(messages_by_path[path])[1]) for path in innermost_paths]


def is_within(path: SettingsPath, ancestor: SettingsPath) -> bool:
    """Return whether a path lies strictly below another."""
    return len(path) > len(ancestor) and path[: len(ancestor)] == ancestor


def rank_and_message(
    detail: Mapping[str, Any],
    path: SettingsPath,
    node: SchemaNode,
    parent: SchemaNode,
    root_schema: SchemaNode,
) -> tuple[int, str]:
    """Return the rank of a mistake among those of its path (0 is most specific), and a message."""
    location, value_note = format_path(path) or "the file", format_value_note(detail.get("input"))
    if detail["type"] == "extra_forbidden":
        return (
            0,
            f"{location} is not known here; {did_you_mean(str(path[-1]), section_names(parent))}",
        )
    if detail["type"] == "missing":
        return 0, f"{location} is missing"
    if detail["type"] == "value_error":
        return 0, f"{location}: {detail['msg'].removeprefix('Value error, ')}{value_note}"
    return 1, f"{location} must be {describe_node(node, root_schema)}{value_note}"


def format_path(path: SettingsPath) -> str:
    """Return a path in readable form: ``data.join, entry 1: on``."""
    text = ""
    for i, step in enumerate(path):
        if isinstance(step, int):
            text += f", entry {step + 1}"
        else:
            after_entry = i and isinstance(path[i - 1], int)
            text += f"{': ' if after_entry else '.' if i else ''}{step}"
    return text


def format_value_note(value: Any) -> str:
    """Return a value as a note in parentheses; empty for a section."""
    if isinstance(value, (Mapping, BaseModel)):
        return ""
    if value is None:
        return " (got: nothing)"
    if isinstance(value, bool):
        return f" (got: {str(value).lower()})"
    text = value.isoformat() if isinstance(value, datetime.date) else repr(value)
    return f" (got: {text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + '...'})"


def resolve_location(
    root_schema: SchemaNode, loc: Sequence[Any]
) -> tuple[SettingsPath, SchemaNode, SchemaNode]:
    """Return the path of an error, the schema node at that path, and its parent node.

    Args:
        root_schema: the JSON schema of a model.
        loc: location of the error; pydantic adds the name of the alternative after a union,
            which is not part of the path.
    """
    path: list[Any] = []
    node = parent = resolve_ref(root_schema, root_schema)
    steps = list(loc)
    while steps:
        if len(list_alternatives(node, root_schema)) > 1:
            steps.pop(0)
        if not steps:
            break
        step = steps.pop(0)
        path.append(step)
        parent = select_type(node, "array" if isinstance(step, int) else "object", root_schema)
        node = child_node(parent, step, root_schema)
    return tuple(path), node, parent


def drop_empty_entries(value: Any, node: SchemaNode, root_schema: SchemaNode) -> Any:
    """Remove empty entries from values, so that they count as left out."""
    if isinstance(value, list):
        entry_schema = child_node(select_type(node, "array", root_schema), 0, root_schema)
        return [drop_empty_entries(entry, entry_schema, root_schema) for entry in value]
    if not isinstance(value, dict):
        return value
    node = select_type(node, "object", root_schema)
    known_entries, extra_schema = node.get("properties", {}), node.get("additionalProperties")
    kept_entries = {}
    for name, entry in value.items():
        entry_schema = child_node(node, name, root_schema)
        if entry is None and (name in known_entries or extra_schema is True):
            continue
        kept_entries[name] = drop_empty_entries(
            {} if entry is None and section_names(entry_schema) else entry,
            entry_schema,
            root_schema,
        )
    return kept_entries


def select_type(node: SchemaNode, json_type: str, root_schema: SchemaNode) -> SchemaNode:
    """Return the alternative of a node with a JSON type; an empty node if there is none."""
    return next(
        (
            alternative
            for alternative in list_alternatives(node, root_schema)
            if alternative.get("type") == json_type
        ),
        {},
    )


def child_node(node: SchemaNode, step: Any, root_schema: SchemaNode) -> SchemaNode:
    """Return the schema node of a key, or of the entries of a list."""
    schema = node.get("items") if isinstance(step, int) else node.get("properties", {}).get(step)
    if schema is None:
        schema = node.get("additionalProperties")
    return resolve_ref(schema, root_schema) if isinstance(schema, Mapping) else {}


def resolve_ref(node: SchemaNode, root_schema: SchemaNode) -> SchemaNode:
    """Return a node with its ``$ref`` resolved."""
    if "$ref" not in node:
        return node
    definition: SchemaNode = root_schema["$defs"][node["$ref"].rpartition("/")[2]]
    return definition


def list_alternatives(node: SchemaNode, root_schema: SchemaNode) -> list[SchemaNode]:
    """Return the alternatives of a node except null."""
    nodes = [resolve_ref(alternative, root_schema) for alternative in node.get("anyOf", [node])]
    return [alternative for alternative in nodes if alternative.get("type") != "null"]


def section_names(node: SchemaNode) -> list[str]:
    """Return the keys of a section."""
    return list(node.get("properties", {}))


def describe_node(node: SchemaNode, root_schema: SchemaNode) -> str:
    """Return the allowed values of a node in words, to follow "must be"."""
    phrases = [
        describe_alternative(alternative, root_schema)
        for alternative in list_alternatives(node, root_schema)
    ]
    return ", or ".join(dict.fromkeys(phrases))


def describe_alternative(node: SchemaNode, root_schema: SchemaNode) -> str:
    """Return one alternative of a node in words."""
    json_type = node.get("type")
    if json_type == "object":
        return describe_object(node, root_schema)
    if json_type == "array":
        return describe_array(node, root_schema)
    if "description" in node:
        return str(node["description"])
    if "const" in node or "enum" in node:
        choices = [str(choice) for choice in node.get("enum", [node.get("const")])]
        return join_names(choices, "or")
    return TYPE_PHRASES.get(str(json_type), "something else") + describe_bounds(node)


def describe_bounds(node: SchemaNode) -> str:
    """Return the bounds of a number in words."""
    phrases = {
        "minimum": "of {:g} or more",
        "exclusiveMinimum": "above {:g}",
        "maximum": "of {:g} or less",
        "exclusiveMaximum": "below {:g}",
    }
    parts = [phrase.format(node[keyword]) for keyword, phrase in phrases.items() if keyword in node]
    return " " + " and ".join(parts) if parts else ""


def describe_array(node: SchemaNode, root_schema: SchemaNode) -> str:
    """Return a list in words: its entries and their number."""
    item_phrase = describe_node(resolve_ref(node.get("items", {}), root_schema), root_schema)
    min_items, max_items = node.get("minItems", 0), node.get("maxItems")
    count = f"{max_items} " if min_items == max_items else "one or more " if min_items else ""
    if item_phrase in PLURAL_PHRASES:
        return f"a list of {count}{PLURAL_PHRASES[item_phrase]}"
    return f"a list, each entry {item_phrase}"


def describe_object(node: SchemaNode, root_schema: SchemaNode) -> str:
    """Return a section in words: its keys, or the values of its entries."""
    if section_names(node):
        return f"a section with {join_names(section_names(node))}"
    item_phrase = describe_node(child_node(node, "", root_schema), root_schema)
    return str(node.get("description", f"names, each with {item_phrase}"))

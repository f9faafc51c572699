"""What may stand at each place of the project file, and mistakes in it, in plain words.

A tree is the JSON schema of a pydantic model, as `model_json_schema` gives it; a node is a part of
it. A path leads through names and, in lists, numbers.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from fieldcraft.core.errors import near
from fieldcraft.core.words import joined

Node = Mapping[str, Any]
Path = tuple[Any, ...]
PLURALS = {
    "a text": "texts",
    "the name of a column": "names of columns",
    "a number": "numbers",
    "a whole number": "whole numbers",
}
SIMPLE = {
    "string": "a text",
    "boolean": "true or false",
    "number": "a number",
    "integer": "a whole number",
}
SHOWN = 80  # characters of a value


def told(error: ValidationError, tree: Node, above: Path = ()) -> list[tuple[Path, str]]:
    """Mistakes that a model has found in values: where each is, and what is wrong, told once.

    Args:
        error: what the model raised.
        tree: its JSON schema.
        above: the path at which its values stand.
    """
    found: dict[Path, list[tuple[int, str]]] = {}
    for item in error.errors():
        path, node, outer = follow(tree, item["loc"])
        found.setdefault(path, []).append(complaint(item, (*above, *path), node, outer, tree))
    # Where one form of a value fits but for something within it, only that is told.
    inmost = [path for path in found if not any(is_within(other, path) for other in found)]
    return [((*above, *path), min(found[path])[1]) for path in inmost]


def is_within(path: Path, place: Path) -> bool:
    """Whether a path leads to something within a place."""
    return len(path) > len(place) and path[: len(place)] == place


def complaint(
    item: Mapping[str, Any], path: Path, node: Node, outer: Node, tree: Node
) -> tuple[int, str]:
    """The rank of a mistake among those of the same place, and its text."""
    where, seen = named(path) or "the file", shown(item.get("input"))
    if item["type"] == "extra_forbidden":
        return 0, f"{where} is not known here; {near(str(path[-1]), names(outer))}"
    if item["type"] == "missing":
        return 0, f"{where} is missing"
    if item["type"] == "value_error":
        return 0, f"{where}: {item['msg'].removeprefix('Value error, ')}{seen}"
    return 1, f"{where} must be {words(node, tree)}{seen}"


def named(path: Path) -> str:
    """A path as people read it: ``data.join, entry 1: on``."""
    text = ""
    for i, step in enumerate(path):
        if isinstance(step, int):
            text += f", entry {step + 1}"
        else:
            after_entry = i and isinstance(path[i - 1], int)
            text += f"{': ' if after_entry else '.' if i else ''}{step}"
    return text


def shown(value: Any) -> str:
    """The value that was met, in brackets; nothing where it is a section of its own."""
    if isinstance(value, (Mapping, BaseModel)):
        return ""
    if value is None:
        return " (seen: nothing)"
    if isinstance(value, bool):
        return f" (seen: {str(value).lower()})"
    text = value.isoformat() if isinstance(value, datetime.date) else repr(value)
    return f" (seen: {text if len(text) <= SHOWN else text[:SHOWN] + '...'})"


def follow(tree: Node, loc: Sequence[Any]) -> tuple[Path, Node, Node]:
    """The path of a place in the values, what may stand there, and what stands around it.

    Args:
        tree: the JSON schema of a model.
        loc: where the model found a mistake; of a value of several forms it names one of them,
            which is no part of the path.
    """
    path: list[Any] = []
    node = outer = resolved(tree, tree)
    steps = list(loc)
    while steps:
        if len(alternatives(node, tree)) > 1:
            steps.pop(0)
        if not steps:
            break
        step = steps.pop(0)
        path.append(step)
        outer = of_type(node, "array" if isinstance(step, int) else "object", tree)
        node = child(outer, step, tree)
    return tuple(path), node, outer


def left_out(value: Any, node: Node, tree: Node) -> Any:
    """Values without the names under which nothing stands, so that these count as left out."""
    if isinstance(value, list):
        inner = child(of_type(node, "array", tree), 0, tree)
        return [left_out(one, inner, tree) for one in value]
    if not isinstance(value, dict):
        return value
    node = of_type(node, "object", tree)
    known, others = node.get("properties", {}), node.get("additionalProperties")
    found = {}
    for name, one in value.items():
        inner = child(node, name, tree)
        if one is None and (name in known or others is True):
            continue
        found[name] = left_out({} if one is None and names(inner) else one, inner, tree)
    return found


def of_type(node: Node, kind: str, tree: Node) -> Node:
    """The form of a value that is an object, or an array; an empty node if it has none."""
    return next((one for one in alternatives(node, tree) if one.get("type") == kind), {})


def child(node: Node, step: Any, tree: Node) -> Node:
    """What may stand under a name, or as an entry of a list."""
    inner = node.get("items") if isinstance(step, int) else node.get("properties", {}).get(step)
    if inner is None:
        inner = node.get("additionalProperties")
    return resolved(inner, tree) if isinstance(inner, Mapping) else {}


def resolved(node: Node, tree: Node) -> Node:
    """A node itself, where it only points at one of the tree's definitions."""
    if "$ref" not in node:
        return node
    found: Node = tree["$defs"][node["$ref"].rpartition("/")[2]]
    return found


def alternatives(node: Node, tree: Node) -> list[Node]:
    """The forms that a value may have; nothing at all is not one of them."""
    forms = [resolved(one, tree) for one in node.get("anyOf", [node])]
    return [one for one in forms if one.get("type") != "null"]


def names(node: Node) -> list[str]:
    """Names that may stand in a section."""
    return list(node.get("properties", {}))


def words(node: Node, tree: Node) -> str:
    """What may stand at a place, as in "must be ..."."""
    forms = [form(one, tree) for one in alternatives(node, tree)]
    return ", or ".join(dict.fromkeys(forms))


def form(node: Node, tree: Node) -> str:
    """One form of a value."""
    kind = node.get("type")
    if kind == "object":
        return section(node, tree)
    if kind == "array":
        return listing(node, tree)
    if "description" in node:
        return str(node["description"])
    if "const" in node or "enum" in node:
        choices = [str(one) for one in node.get("enum", [node.get("const")])]
        return joined(choices, "or")
    return SIMPLE.get(str(kind), "something else") + bounds(node)


def bounds(node: Node) -> str:
    """Between which values a number may lie."""
    ends = {
        "minimum": "of {:g} or more",
        "exclusiveMinimum": "above {:g}",
        "maximum": "of {:g} or less",
        "exclusiveMaximum": "below {:g}",
    }
    found = [text.format(node[end]) for end, text in ends.items() if end in node]
    return " " + " and ".join(found) if found else ""


def listing(node: Node, tree: Node) -> str:
    """A list: of what, and of how many."""
    one = words(resolved(node.get("items", {}), tree), tree)
    fewest, most = node.get("minItems", 0), node.get("maxItems")
    count = f"{most} " if fewest == most else "one or more " if fewest else ""
    if one in PLURALS:
        return f"a list of {count}{PLURALS[one]}"
    return f"a list, each entry {one}"


def section(node: Node, tree: Node) -> str:
    """A section: its names, or what stands beside each."""
    if names(node):
        return f"a section with {joined(names(node))}"
    inner = words(child(node, "", tree), tree)
    return str(node.get("description", f"names, each with {inner}"))

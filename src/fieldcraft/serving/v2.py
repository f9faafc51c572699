"""The Open Inference Protocol, version 2, over HTTP with JSON tensors.

https://github.com/kserve/open-inference-protocol. Every column is an input of shape (rows,) or
(rows, 1); a missing value is null, or NaN in a tensor of floats. Outputs are columns too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

from fieldcraft.contracts import Json
from fieldcraft.serving.asked import Row, parsed
from fieldcraft.serving.model import Model
from fieldcraft.serving.trouble import Fault, Trouble

NAME = "v2"
TYPES = (b"application/json", b"")  # of bodies; common clients do not say it
DATATYPES = {"number": "FP64", "boolean": "BOOL"}  # by JSON types; all others are BYTES
MOST_NAMES = 20  # of outputs that an error tells
PARTS = {"name": str, "shape": list, "datatype": str, "data": list}
SAYS = {str: "a text", list: "a list"}
ALL_TYPES = ("BOOL", "BYTES", "FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64",
             "UINT8", "UINT16", "UINT32", "UINT64")  # fmt: skip


def read(body: bytes, model: Model) -> tuple[list[Row], Any]:
    """The rows of a request, and what its answer must carry: its id and the outputs it wants.

    Raises:
        Trouble: the body is no request of this protocol.
    """
    asked = parsed(body)
    if not isinstance(asked, dict) or not isinstance(asked.get("inputs"), list):
        raise Trouble(
            "bad_request", 'a request has "inputs": [{"name", "shape", "datatype", "data"}]'
        )
    columns: dict[str, list[Any]] = {}
    for tensor in asked["inputs"]:
        name, cells = column(tensor)
        if name in columns:
            fault = Fault("send it once", column=name)
            raise Trouble("bad_request", "an input stands twice", [fault])
        columns[name] = cells
    heights = {len(cells) for cells in columns.values()}
    if len(heights) > 1:
        raise Trouble("bad_request", "the inputs do not have the same number of rows")
    height = heights.pop() if heights else 0
    if height > model.manners.rows:
        raise Trouble("too_large", f"a request may hold {model.manners.rows:,} rows")
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return rows, (named(asked), outputs_in(asked, model))


def named(asked: Json) -> str | None:
    """The id of a request, if it has one.

    Raises:
        Trouble: it is no text.
    """
    given = asked.get("id")
    if given is not None and not isinstance(given, str):
        raise Trouble("bad_request", "the id of a request is a text")
    return given


def outputs_in(asked: Json, model: Model) -> list[str]:
    """The names of the outputs that a request wants; all of them if it names none.

    Raises:
        Trouble: it wants what is not there.
    """
    outputs = asked.get("outputs")
    known = [name for name, _ in outputs_of(model)]
    items = [] if outputs is None else outputs if isinstance(outputs, list) else [None]
    wanted = [
        item["name"] for item in items if isinstance(item, dict) and item.get("name") in known
    ]
    if len(wanted) < len(items):
        raise Trouble("bad_request", 'outputs are [{"name": ...}] of those that the model has', [
            Fault(f"it has {', '.join(known[:MOST_NAMES])}")])  # fmt: skip
    return wanted or known


def column(tensor: Any) -> tuple[str, list[Any]]:
    """An input by name, as one value a row.

    Raises:
        Trouble: it is not a tensor of one value a row.
    """
    if not isinstance(tensor, dict) or any(
        not isinstance(tensor.get(part), kind) for part, kind in PARTS.items()
    ):
        parts = ", ".join(f"{part} ({SAYS[kind]})" for part, kind in PARTS.items())
        raise Trouble("bad_request", f"an input has {parts}")
    name, shape, data = tensor["name"], tensor["shape"], tensor["data"]
    if tensor["datatype"] not in ALL_TYPES:
        fault = Fault(f"it is one of {', '.join(ALL_TYPES)}", column=name)
        raise Trouble("bad_request", "the datatype of an input is not known", [fault])
    flat = data
    if data and all(isinstance(row, list) for row in data):
        flat = list(chain.from_iterable(data))
    whole = bool(shape) and all(type(size) is int for size in shape)
    if not whole or shape not in ([len(flat)], [len(flat), 1]):
        raise Trouble("bad_request", "an input does not have its shape, or not one value a row", [
            Fault(f"shape {shape} with {len(flat)} values", column=name)])  # fmt: skip
    return name, flat


def write(answers: list[Json], asked: Any, model: Model, request: str) -> bytes:
    """The answer to a request."""
    given, wanted = asked
    outputs = [tensor for tensor in tensors(answers, model) if tensor["name"] in wanted]
    whole = {
        "model_name": model.name, "model_version": model.version, "id": given or request,
        "outputs": outputs,
    }  # fmt: skip
    return json.dumps(whole, separators=(",", ":"), allow_nan=False).encode()


def refuse(trouble: Trouble, private: bool, request: str) -> bytes:
    """What is wrong with a request, as one text, which is all that the protocol has."""
    told = trouble.as_json(private)["error"]
    where = [
        ": ".join(str(part) for part in (fault.get("column"), fault["message"]) if part)
        for fault in told.get("details", [])
    ]
    text = "; ".join([f"{told['code']}: {told['message']}", *where])
    return json.dumps({"error": text, "id": request}, separators=(",", ":")).encode()


def tensors(answers: Sequence[Json], model: Model) -> list[Json]:
    """Answers column by column."""
    height = len(answers)
    found = []
    for name, kind in outputs_of(model):
        part, _, of = name.partition(".")
        data = [flat(answer[part][of] if of else answer[part]) for answer in answers]
        found.append({"name": name, "shape": [height], "datatype": kind, "data": data})
    return found


def flat(value: Any) -> Any:
    """A value of one output: several names joined by ``|``."""
    return "|".join(map(str, value)) if isinstance(value, list) else value


def outputs_of(model: Model) -> list[tuple[str, str]]:
    """Names and types of the outputs."""
    about, output = model.bundle.about, model.bundle.task.output
    if output == "value":
        return [("prediction", "FP64"), ("ood", "BOOL")]
    names = about["classes" if output == "probabilities" else "labels"]
    chances = [(f"probabilities.{name}", "FP64") for name in names]
    return [("prediction", "BYTES"), *chances, ("ood", "BOOL")]


def metadata(model: Model) -> Json:
    """What a client of the protocol may ask about a model."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "fieldcraft_onnx",
        "inputs": [
            {"name": name, "datatype": DATATYPES.get(kind, "BYTES"), "shape": [-1]}
            for name, kind in model.types.items()
        ],
        "outputs": [
            {"name": name, "datatype": kind, "shape": [-1]} for name, kind in outputs_of(model)
        ],
    }

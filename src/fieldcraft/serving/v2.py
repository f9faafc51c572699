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
WANTED = ("name", "shape", "datatype", "data")


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
    columns = dict(column(tensor) for tensor in asked["inputs"])
    heights = {len(cells) for cells in columns.values()}
    if len(heights) > 1:
        raise Trouble("bad_request", "the inputs do not have the same number of rows")
    height = heights.pop() if heights else 0
    if height > model.manners.rows:
        raise Trouble("too_large", f"a request may hold {model.manners.rows:,} rows")
    outputs = asked.get("outputs") or []
    wanted = [item.get("name") for item in outputs if isinstance(item, dict)]
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return rows, (asked.get("id"), wanted)


def column(tensor: Any) -> tuple[str, list[Any]]:
    """An input by name, as one value a row.

    Raises:
        Trouble: it is not a tensor of one value a row.
    """
    if not isinstance(tensor, dict) or any(name not in tensor for name in WANTED):
        raise Trouble("bad_request", f"an input has {', '.join(WANTED)}")
    name, shape, data = str(tensor["name"]), tensor["shape"], tensor["data"]
    if not isinstance(data, list) or not isinstance(shape, list):
        raise Trouble("bad_request", "shape and data of an input are lists", [Fault(
            "send one value a row", column=name)])  # fmt: skip
    flat = list(chain.from_iterable(data)) if data and isinstance(data[0], list) else data
    if not shape or shape[0] != len(flat) or any(size != 1 for size in shape[1:]):
        raise Trouble("bad_request", "an input does not have its shape, or not one value a row", [
            Fault(f"shape {shape} with {len(flat)} values", column=name)])  # fmt: skip
    return name, flat


def write(answers: list[Json], asked: Any, model: Model, request: str) -> bytes:
    """The answer to a request."""
    given, wanted = asked
    outputs = [t for t in tensors(answers, model) if not wanted or t["name"] in wanted]
    whole = {
        "model_name": model.name, "model_version": model.version,
        "id": given if isinstance(given, str) and given else request, "outputs": outputs,
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

"""The Open Inference Protocol, version 2, over HTTP with JSON tensors.

https://github.com/kserve/open-inference-protocol. Every column is an input of shape (rows,) or
(rows, 1); a missing value is null, or NaN in a tensor of floats. Outputs are columns too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

from fieldcraft.core.types import Json
from fieldcraft.serving.errors import ErrorDetail, RequestError
from fieldcraft.serving.model import ServedModel
from fieldcraft.serving.json_body import RequestRow, parse_json

NAME = "v2"
CONTENT_TYPES = (b"application/json", b"")  # of bodies; common clients do not say it
DATATYPE_BY_JSON_TYPE = {"number": "FP64", "boolean": "BOOL"}  # by JSON types; all others are BYTES
MAX_LISTED_OUTPUTS = 20  # of outputs that an error tells
TENSOR_FIELDS = {"name": str, "shape": list, "datatype": str, "data": list}
TYPE_DESCRIPTIONS = {str: "a text", list: "a list"}
DATATYPES = ("BOOL", "BYTES", "FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64",
             "UINT8", "UINT16", "UINT32", "UINT64")  # fmt: skip


def parse_request(body: bytes, model: ServedModel) -> tuple[list[RequestRow], Any]:
    """The rows of a request, and what its answer must carry: its id and the outputs it wants.

    Raises:
        Trouble: the body is no request of this protocol.
    """
    document = parse_json(body)
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise RequestError(
            "bad_request", 'a request has "inputs": [{"name", "shape", "datatype", "data"}]'
        )
    columns: dict[str, list[Any]] = {}
    for tensor in document["inputs"]:
        name, cells = parse_tensor(tensor)
        if name in columns:
            detail = ErrorDetail("send it once", column=name)
            raise RequestError("bad_request", "an input stands twice", [detail])
        columns[name] = cells
    row_counts = {len(cells) for cells in columns.values()}
    if len(row_counts) > 1:
        raise RequestError("bad_request", "the inputs do not have the same number of rows")
    n_rows = row_counts.pop() if row_counts else 0
    if n_rows > model.policy.max_rows:
        raise RequestError("too_large", f"a request may hold {model.policy.max_rows:,} rows")
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return rows, (get_request_id(document), get_requested_outputs(document, model))


def get_request_id(document: Json) -> str | None:
    """The id of a request, if it has one.

    Raises:
        Trouble: it is no text.
    """
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestError("bad_request", "the id of a request is a text")
    return request_id


def get_requested_outputs(document: Json, model: ServedModel) -> list[str]:
    """The names of the outputs that a request wants; all of them if it names none.

    Raises:
        Trouble: it wants what is not there.
    """
    outputs = document.get("outputs")
    output_names = [name for name, _ in get_outputs(model)]
    items = [] if outputs is None else outputs if isinstance(outputs, list) else [None]
    requested = [
        item["name"]
        for item in items
        if isinstance(item, dict) and item.get("name") in output_names
    ]
    if len(requested) < len(items):
        raise RequestError("bad_request", 'outputs are [{"name": ...}] of those that the model has', [
            ErrorDetail(f"it has {', '.join(output_names[:MAX_LISTED_OUTPUTS])}")])  # fmt: skip
    return requested or output_names


def parse_tensor(tensor: Any) -> tuple[str, list[Any]]:
    """An input by name, as one value a row.

    Raises:
        Trouble: it is not a tensor of one value a row.
    """
    if not isinstance(tensor, dict) or any(
        not isinstance(tensor.get(field), field_type) for field, field_type in TENSOR_FIELDS.items()
    ):
        field_descriptions = ", ".join(
            f"{field} ({TYPE_DESCRIPTIONS[field_type]})"
            for field, field_type in TENSOR_FIELDS.items()
        )
        raise RequestError("bad_request", f"an input has {field_descriptions}")
    name, shape, data = tensor["name"], tensor["shape"], tensor["data"]
    if tensor["datatype"] not in DATATYPES:
        detail = ErrorDetail(f"it is one of {', '.join(DATATYPES)}", column=name)
        raise RequestError("bad_request", "the datatype of an input is not known", [detail])
    values = data
    if data and all(isinstance(row, list) for row in data):
        values = list(chain.from_iterable(data))
    has_valid_shape = bool(shape) and all(type(size) is int for size in shape)
    if not has_valid_shape or shape not in ([len(values)], [len(values), 1]):
        raise RequestError("bad_request", "an input does not have its shape, or not one value a row", [
            ErrorDetail(f"shape {shape} with {len(values)} values", column=name)])  # fmt: skip
    return name, values


def format_response(
    answers: list[Json], context: Any, model: ServedModel, request_id: str
) -> bytes:
    """The answer to a request."""
    client_id, output_names = context
    outputs = [tensor for tensor in to_tensors(answers, model) if tensor["name"] in output_names]
    document = {
        "model_name": model.name, "model_version": model.version, "id": client_id or request_id,
        "outputs": outputs,
    }  # fmt: skip
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def format_error(error: RequestError, redact: bool, request_id: str) -> bytes:
    """What is wrong with a request, as one text, which is all that the protocol has."""
    error_json = error.to_json(redact)["error"]
    detail_texts = [
        ": ".join(
            str(text_part) for text_part in (detail.get("column"), detail["message"]) if text_part
        )
        for detail in error_json.get("details", [])
    ]
    text = "; ".join([f"{error_json['code']}: {error_json['message']}", *detail_texts])
    return json.dumps({"error": text, "id": request_id}, separators=(",", ":")).encode()


def to_tensors(answers: Sequence[Json], model: ServedModel) -> list[Json]:
    """Answers column by column."""
    n_rows = len(answers)
    output_tensors = []
    for name, datatype in get_outputs(model):
        field, _, class_name = name.partition(".")
        data = [
            join_labels(answer[field][class_name] if class_name else answer[field])
            for answer in answers
        ]
        output_tensors.append({"name": name, "shape": [n_rows], "datatype": datatype, "data": data})
    return output_tensors


def join_labels(value: Any) -> Any:
    """A value of one output: several names joined by ``|``."""
    return "|".join(map(str, value)) if isinstance(value, list) else value


def get_outputs(model: ServedModel) -> list[tuple[str, str]]:
    """Names and types of the outputs."""
    target_spec, output = model.bundle.target_spec, model.bundle.task.output
    if output == "value":
        return [("prediction", "FP64"), ("ood", "BOOL")]
    names = target_spec["classes" if output == "probabilities" else "labels"]
    probabilities = [(f"probabilities.{name}", "FP64") for name in names]
    return [("prediction", "BYTES"), *probabilities, ("ood", "BOOL")]


def get_model_metadata(model: ServedModel) -> Json:
    """What a client of the protocol may ask about a model."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "fieldcraft_onnx",
        "inputs": [
            {"name": name, "datatype": DATATYPE_BY_JSON_TYPE.get(datatype, "BYTES"), "shape": [-1]}
            for name, datatype in model.json_types.items()
        ],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": [-1]}
            for name, datatype in get_outputs(model)
        ],
    }

"""The Open Inference Protocol, version 2, over HTTP with JSON tensors.

https://github.com/kserve/open-inference-protocol. Every column is an input tensor of shape (rows,)
or (rows, 1), with null for missing values. Outputs are tensors of shape (rows,).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

from fieldcraft.core.types import Json
from fieldcraft.serving.errors import ErrorDetail, RequestError
from fieldcraft.serving.json_body import RequestRow, parse_json
from fieldcraft.serving.model import ServedModel

NAME = "open_inference"
# Some clients, such as Triton's, send no content type.
CONTENT_TYPES: tuple[bytes, ...] = (b"application/json", b"")
DATATYPE_BY_JSON_TYPE = {"number": "FP64", "boolean": "BOOL"}  # BYTES for all others
MAX_LISTED_OUTPUTS = 20  # names of outputs in an error
TENSOR_FIELDS = {"name": str, "shape": list, "datatype": str, "data": list}
TYPE_DESCRIPTIONS = {str: "a string", list: "a list"}
DATATYPES = ("BOOL", "BYTES", "FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64",
             "UINT8", "UINT16", "UINT32", "UINT64")  # fmt: skip


def parse_request(body: bytes, model: ServedModel) -> tuple[list[RequestRow], Any]:
    """Return the rows of a request, with its id and the requested outputs as context.

    Raises:
        RequestError: the body is not a request of this protocol.
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
            raise RequestError("bad_request", "an input occurs twice", [detail])
        columns[name] = cells
    row_counts = {len(cells) for cells in columns.values()}
    if len(row_counts) > 1:
        raise RequestError("bad_request", "the inputs do not have the same number of rows")
    n_rows = row_counts.pop() if row_counts else 0
    if n_rows > model.policy.max_rows:
        raise RequestError(
            "payload_too_large", f"a request may hold {model.policy.max_rows:,} rows"
        )
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return rows, (get_request_id(document), get_requested_outputs(document, model))


def get_request_id(document: Json) -> str | None:
    """Return the id of a request, if it has one.

    Raises:
        RequestError: the id is not a string.
    """
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestError("bad_request", "the id of a request is a string")
    return request_id


def get_requested_outputs(document: Json, model: ServedModel) -> list[str]:
    """Return the names of the outputs that a request selects; all outputs by default.

    Raises:
        RequestError: an output does not exist.
    """
    outputs = document.get("outputs")
    output_names = [name for name, _ in get_outputs(model)]
    # Anything but a list becomes an item without a name, which is refused below.
    items = [] if outputs is None else outputs if isinstance(outputs, list) else [None]
    requested = [
        item["name"]
        for item in items
        if isinstance(item, dict) and item.get("name") in output_names
    ]
    if len(requested) < len(items):
        raise RequestError(
            "bad_request",
            'outputs are [{"name": ...}] with names of the model\'s outputs',
            [ErrorDetail(f"it has {', '.join(output_names[:MAX_LISTED_OUTPUTS])}")],
        )
    return requested or output_names


def parse_tensor(tensor: Any) -> tuple[str, list[Any]]:
    """Return the name and the values of an input, one value per row.

    Raises:
        RequestError: it is not a tensor of one value per row.
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
        raise RequestError("bad_request", "the datatype of an input is unknown", [detail])
    values = data
    if data and all(isinstance(row, list) for row in data):
        values = list(chain.from_iterable(data))
    # `type(...) is int`, because booleans are integers in Python, and true is no size.
    has_valid_shape = bool(shape) and all(type(size) is int for size in shape)
    if not has_valid_shape or shape not in ([len(values)], [len(values), 1]):
        raise RequestError(
            "bad_request",
            "an input does not match its shape, or does not have one value per row",
            [ErrorDetail(f"shape {shape} with {len(values)} values", column=name)],
        )
    return name, values


def format_response(
    answers: list[Json], context: Any, model: ServedModel, request_id: str
) -> bytes:
    """Return the answers to the rows of a request as a response body."""
    client_id, output_names = context
    outputs = [tensor for tensor in to_tensors(answers, model) if tensor["name"] in output_names]
    document = {
        "model_name": model.name, "model_version": model.version, "id": client_id or request_id,
        "outputs": outputs,
    }  # fmt: skip
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def format_error(error: RequestError, redact: bool, request_id: str) -> bytes:
    """Return an error as a response body; the protocol has a single string for it."""
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
    """Convert answers from rows to one tensor per output."""
    n_rows = len(answers)
    output_tensors = []
    for name, datatype in get_outputs(model):
        # At the first dot only: names of classes may have dots.
        field, _, class_name = name.partition(".")
        data = [
            join_labels(answer[field][class_name] if class_name else answer[field])
            for answer in answers
        ]
        output_tensors.append({"name": name, "shape": [n_rows], "datatype": datatype, "data": data})
    return output_tensors


def join_labels(value: Any) -> Any:
    """Join several labels by ``|``, because a tensor has one value per row."""
    return "|".join(map(str, value)) if isinstance(value, list) else value


def get_outputs(model: ServedModel) -> list[tuple[str, str]]:
    """Return names and datatypes of the outputs."""
    target_spec, output = model.bundle.target_spec, model.bundle.task.output
    if output == "value":
        return [("prediction", "FP64"), ("ood", "BOOL")]
    names = target_spec["classes" if output == "probabilities" else "labels"]
    probabilities = [(f"probabilities.{name}", "FP64") for name in names]
    return [("prediction", "BYTES"), *probabilities, ("ood", "BOOL")]


def get_model_metadata(model: ServedModel) -> Json:
    """Return the metadata of a model as the protocol defines it."""
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

"""What requests for predictions look like, for the description of the server (OpenAPI)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fieldcraft.data.parse import FALSE_WORDS, TRUE_WORDS
from fieldcraft.serving.served import Served
from fieldcraft.serving.v2 import ALL_TYPES

DIGITS = r"^\s*([+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})([eE][+-]?\d{1,2})?)?\s*$"
TRUTHS = "|".join(
    "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else re.escape(c) for c in word)
    for word in sorted(TRUE_WORDS | FALSE_WORDS)
)
NULL = {"type": "null"}
TYPES = {  # what a column takes, by what its cells are; of some texts it can only be told whether
    "number": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": DIGITS}, NULL]},
    "boolean": {
        "anyOf": [
            {"type": "boolean"}, {"enum": [0, 1]},
            {"type": "string", "pattern": rf"^\s*({TRUTHS})?\s*$"}, NULL,
        ]
    },
    "date": {"anyOf": [{"type": "string", "format": "date"}, {"const": ""}, NULL]},
    "moment": {"anyOf": [{"type": "string"}, NULL]},
}  # fmt: skip
ANY = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "details": {"type": "array", "items": {"type": "object"}},
                "request_id": {"type": "string"},
            },
        }
    },
}
REFUSALS = {
    "400": "no JSON, or no rows", "401": "the token is missing", "405": "not POST",
    "408": "too slow", "413": "too large", "415": "not JSON", "422": "rows do not fit the model",
    "500": "the model failed", "503": "too busy, or closing", "504": "not ready in time",
}  # fmt: skip


def of_rows(name: str, model: Served) -> dict[str, Any]:
    """The description of a plain prediction route."""
    columns = {column: TYPES.get(kind, ANY) for column, kind in model.about["columns"].items()}
    row = {"type": "object", "properties": columns, "required": list(columns)}
    rows = {
        "type": "object", "required": ["rows"], "additionalProperties": False,
        "properties": {"rows": {"type": "array", "items": row}},
    }  # fmt: skip
    return {
        "summary": f"Predict with the model {name}",
        "operationId": f"predict_{name}",
        "requestBody": body({"anyOf": [rows, row, {"type": "array", "items": row}]}),
        "responses": answers({"type": "object"}, ERROR),
    }


def of_tensors(name: str, model: Served) -> dict[str, Any]:
    """The description of a prediction route of the Open Inference Protocol."""
    inputs, outputs = model.metadata["inputs"], model.metadata["outputs"]
    kinds = sorted({one["datatype"] for one in outputs})
    example = [{**one, "shape": [1], "data": [None]} for one in inputs]
    request = {
        "type": "object", "required": ["inputs"], "example": {"inputs": example},
        "properties": {
            "id": {"type": ["string", "null"]},
            "inputs": tensors(inputs, ALL_TYPES),
            "outputs": {"type": ["array", "null"], "items": {"type": "object", "required": ["name"],
                        "properties": {"name": {"enum": [one["name"] for one in outputs]}}}},
        },
    }  # fmt: skip
    answer = {
        "type": "object", "required": ["model_name", "model_version", "id", "outputs"],
        "properties": {
            "model_name": {"const": name}, "model_version": {"type": "string"},
            "id": {"type": "string"}, "outputs": tensors(outputs, kinds),
        },
    }  # fmt: skip
    refusal = {
        "type": "object", "required": ["error"],
        "properties": {"error": {"type": "string"}, "id": {"type": "string"}},
    }  # fmt: skip
    return {
        "summary": f"Open Inference Protocol: predict with the model {name}",
        "operationId": f"infer_{name}",
        "requestBody": body(request),
        "responses": answers(answer, refusal),
    }


def tensors(known: Sequence[Mapping[str, Any]], types: Sequence[str]) -> dict[str, Any]:
    """Columns as tensors of one value a row."""
    size = {"type": "integer", "minimum": 0}
    properties = {
        "name": {"enum": [one["name"] for one in known]},
        "shape": {"type": "array", "items": size, "minItems": 1, "maxItems": 2,
                  "description": "The number of rows, or that and 1."},
        "datatype": {"enum": list(types)},
        "data": {"type": "array", "description": "A value for each row; null where it is missing."},
    }  # fmt: skip
    tensor = {"type": "object", "required": list(properties), "properties": properties}
    return {"type": "array", "items": tensor}


def body(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A body that a request must have."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def answers(answer: Mapping[str, Any], refusal: Mapping[str, Any]) -> dict[str, Any]:
    """Every answer to a request for predictions, by status."""
    told = {"200": ("Predictions in the order of the rows.", answer)}
    told |= {code: (text, refusal) for code, text in REFUSALS.items()}
    return {
        code: {"description": text, "content": {"application/json": {"schema": schema}}}
        for code, (text, schema) in told.items()
    }

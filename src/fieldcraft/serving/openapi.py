"""What requests for predictions look like, for the description of the server (OpenAPI)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fieldcraft.data.cell_parser import FALSE_WORDS, TRUE_WORDS
from fieldcraft.serving.deployed_model import DeployedModel
from fieldcraft.serving.protocols.open_inference import DATATYPES

NUMBER_PATTERN = r"^\s*([+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})([eE][+-]?\d{1,2})?)?\s*$"
BOOLEAN_PATTERN = "|".join(
    "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else re.escape(c) for c in word)
    for word in sorted(TRUE_WORDS | FALSE_WORDS)
)
NULL_SCHEMA = {"type": "null"}
SCHEMA_BY_JSON_TYPE = {  # what a column takes, by what its cells are; of some texts it can only be told whether
    "number": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": NUMBER_PATTERN}, NULL_SCHEMA]},
    "boolean": {
        "anyOf": [
            {"type": "boolean"}, {"enum": [0, 1]},
            {"type": "string", "pattern": rf"^\s*({BOOLEAN_PATTERN})?\s*$"}, NULL_SCHEMA,
        ]
    },
    "date": {"anyOf": [{"type": "string", "format": "date"}, {"const": ""}, NULL_SCHEMA]},
    "moment": {"anyOf": [{"type": "string"}, NULL_SCHEMA]},
}  # fmt: skip
ANY_VALUE_SCHEMA = {
    "anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]
}
ERROR_SCHEMA = {
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
ERROR_DESCRIPTIONS = {
    "400": "no JSON, or no rows", "401": "the token is missing", "405": "not POST",
    "408": "too slow", "413": "too large", "415": "not JSON", "422": "rows do not fit the model",
    "500": "the model failed", "503": "too busy, or closing", "504": "not ready in time",
}  # fmt: skip


def json_route_schema(name: str, model: DeployedModel) -> dict[str, Any]:
    """The description of a plain prediction route."""
    columns = {
        column: SCHEMA_BY_JSON_TYPE.get(json_type, ANY_VALUE_SCHEMA)
        for column, json_type in model.info["columns"].items()
    }
    row_schema = {"type": "object", "properties": columns, "required": list(columns)}
    rows_schema = {
        "type": "object", "required": ["rows"], "additionalProperties": False,
        "properties": {"rows": {"type": "array", "items": row_schema}},
    }  # fmt: skip
    return {
        "summary": f"Predict with the model {name}",
        "operationId": f"predict_{name}",
        "requestBody": request_body_schema(
            {"anyOf": [rows_schema, row_schema, {"type": "array", "items": row_schema}]}
        ),
        "responses": response_schemas({"type": "object"}, ERROR_SCHEMA),
    }


def open_inference_route_schema(name: str, model: DeployedModel) -> dict[str, Any]:
    """The description of a prediction route of the Open Inference Protocol."""
    inputs, outputs = model.metadata["inputs"], model.metadata["outputs"]
    datatypes = sorted({tensor["datatype"] for tensor in outputs})
    example = [{**tensor, "shape": [1], "data": [None]} for tensor in inputs]
    request_schema = {
        "type": "object", "required": ["inputs"], "example": {"inputs": example},
        "properties": {
            "id": {"type": ["string", "null"]},
            "inputs": tensor_list_schema(inputs, DATATYPES),
            "outputs": {"type": ["array", "null"], "items": {"type": "object", "required": ["name"],
                        "properties": {"name": {"enum": [tensor["name"] for tensor in outputs]}}}},
        },
    }  # fmt: skip
    response_schema = {
        "type": "object", "required": ["model_name", "model_version", "id", "outputs"],
        "properties": {
            "model_name": {"const": name}, "model_version": {"type": "string"},
            "id": {"type": "string"}, "outputs": tensor_list_schema(outputs, datatypes),
        },
    }  # fmt: skip
    error_schema = {
        "type": "object", "required": ["error"],
        "properties": {"error": {"type": "string"}, "id": {"type": "string"}},
    }  # fmt: skip
    return {
        "summary": f"Open Inference Protocol: predict with the model {name}",
        "operationId": f"infer_{name}",
        "requestBody": request_body_schema(request_schema),
        "responses": response_schemas(response_schema, error_schema),
    }


def tensor_list_schema(
    known_tensors: Sequence[Mapping[str, Any]], datatypes: Sequence[str]
) -> dict[str, Any]:
    """Columns as tensors of one value a row."""
    size = {"type": "integer", "minimum": 0}
    properties = {
        "name": {"enum": [known_tensor["name"] for known_tensor in known_tensors]},
        "shape": {"type": "array", "items": size, "minItems": 1, "maxItems": 2,
                  "description": "The number of rows, or that and 1."},
        "datatype": {"enum": list(datatypes)},
        "data": {"type": "array", "description": "A value for each row; null where it is missing."},
    }  # fmt: skip
    tensor = {"type": "object", "required": list(properties), "properties": properties}
    return {"type": "array", "items": tensor}


def request_body_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A body that a request must have."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def response_schemas(
    success_schema: Mapping[str, Any], error_schema: Mapping[str, Any]
) -> dict[str, Any]:
    """Every answer to a request for predictions, by status."""
    descriptions = {"200": ("Predictions in the order of the rows.", success_schema)}
    descriptions |= {code: (text, error_schema) for code, text in ERROR_DESCRIPTIONS.items()}
    return {
        code: {"description": text, "content": {"application/json": {"schema": schema}}}
        for code, (text, schema) in descriptions.items()
    }

"""OpenAPI schemas of the prediction routes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fieldcraft.data.cell_parser import FALSE_WORDS, TRUE_WORDS
from fieldcraft.serving.deployed_model import DeployedModel
from fieldcraft.serving.protocols.open_inference import DATATYPES

NUMBER_PATTERN = r"^\s*([+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})([eE][+-]?\d{1,2})?)?\s*$"
# JSON Schema has no flag to ignore case, so each letter becomes a character class of two.
BOOLEAN_PATTERN = "|".join(
    "".join(
        f"[{char.lower()}{char.upper()}]" if char.isalpha() else re.escape(char) for char in word
    )
    for word in sorted(TRUE_WORDS | FALSE_WORDS)
)
NULL_SCHEMA = {"type": "null"}
# A schema cannot express the date format of a column, so it allows every string for a moment.
SCHEMA_BY_JSON_TYPE = {
    "number": {
        "anyOf": [{"type": "number"}, {"type": "string", "pattern": NUMBER_PATTERN}, NULL_SCHEMA]
    },
    "boolean": {
        "anyOf": [
            {"type": "boolean"},
            {"enum": [0, 1]},
            {"type": "string", "pattern": rf"^\s*({BOOLEAN_PATTERN})?\s*$"},
            NULL_SCHEMA,
        ]
    },
    "date": {"anyOf": [{"type": "string", "format": "date"}, {"const": ""}, NULL_SCHEMA]},
    "moment": {"anyOf": [{"type": "string"}, NULL_SCHEMA]},
}
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
                "n_more_details": {"type": "integer"},
                "request_id": {"type": "string"},
            },
        }
    },
}
ERROR_DESCRIPTIONS = {
    "400": "Invalid JSON, or no rows.", "401": "The token is missing.", "405": "Not POST.",
    "408": "The request was too slow.", "413": "The request is too large.", "415": "Not JSON.",
    "422": "Rows do not fit the model.", "500": "The model failed.",
    "503": "Too busy, or closing.", "504": "The answer was not ready in time.",
}  # fmt: skip


def json_route_schema(name: str, model: DeployedModel) -> dict[str, Any]:
    """Return the schema of a prediction route of the JSON protocol."""
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
    """Return the schema of a prediction route of the Open Inference Protocol."""
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
    """Return the schema of a list of tensors, each a column with one value per row."""
    size = {"type": "integer", "minimum": 0}
    properties = {
        "name": {"enum": [known_tensor["name"] for known_tensor in known_tensors]},
        "shape": {"type": "array", "items": size, "minItems": 1, "maxItems": 2,
                  "description": "(rows,) or (rows, 1)"},
        "datatype": {"enum": list(datatypes)},
        "data": {"type": "array", "description": "One value per row; null if missing."},
    }  # fmt: skip
    tensor = {"type": "object", "required": list(properties), "properties": properties}
    return {"type": "array", "items": tensor}


def request_body_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a required request body."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def response_schemas(
    success_schema: Mapping[str, Any], error_schema: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the schemas of all responses to prediction requests, by status."""
    descriptions = {"200": ("Predictions in the order of the rows.", success_schema)}
    descriptions |= {code: (text, error_schema) for code, text in ERROR_DESCRIPTIONS.items()}
    return {
        code: {"description": text, "content": {"application/json": {"schema": schema}}}
        for code, (text, schema) in descriptions.items()
    }

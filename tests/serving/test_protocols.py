"""Each protocol parses rows up to the limit and formats answers and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fieldcraft.project.folder import ProjectFolder
from fieldcraft.serving.errors import ErrorDetail, RequestError
from fieldcraft.serving.model import RequestPolicy, ServedModel, load_served_model
from fieldcraft.serving.protocols import PROTOCOLS

ROW = {"age": 39, "city": "Bern", "member": None, "seen": "2024-05-06"}
DATATYPES = {"age": "FP64", "city": "BYTES", "member": "BYTES", "seen": "BYTES"}
ERROR = RequestError("invalid_input", "why", [ErrorDetail("'x' is not a valid number", 0, "age")])


@pytest.fixture(scope="module")
def model(finished_project_folder: Path) -> ServedModel:
    return load_served_model(
        ProjectFolder(finished_project_folder / "project").bundle_path,
        RequestPolicy(max_rows=3),
        "shop",
    )


def request_body(protocol: str, rows: int) -> bytes:
    """Return the body of a request with some rows."""
    tensors = [
        {"name": name, "shape": [rows], "datatype": DATATYPES[name], "data": [value] * rows}
        for name, value in ROW.items()
    ]
    return json.dumps(
        {"json": {"rows": [ROW] * rows}, "vertex": {"instances": [ROW] * rows}}.get(
            protocol, {"inputs": tensors}
        )
    ).encode()


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_rows_are_read_up_to_the_limit(model: ServedModel, protocol: str) -> None:
    parse_request = PROTOCOLS[protocol].parse_request
    for count in (0, 1, 3):
        rows, _ = parse_request(request_body(protocol, count), model)
        assert rows == [ROW] * count
    with pytest.raises(RequestError, match="may hold 3 rows") as caught:
        parse_request(request_body(protocol, 4), model)
    assert caught.value.status == 413


def test_a_request_without_columns_has_no_rows(model: ServedModel) -> None:
    rows, _ = PROTOCOLS["open_inference"].parse_request(b'{"inputs": []}', model)
    assert rows == []


def request_and_answers(protocol: str, body: bytes, model: ServedModel) -> Any:
    """Return the response to a request as JSON, and the answers in it."""
    rows, keep = PROTOCOLS[protocol].parse_request(body, model)
    (answers,) = model.predict_requests([rows]).answers
    assert not isinstance(answers, RequestError)
    return json.loads(
        PROTOCOLS[protocol].format_response(answers, keep, model, "client-1")
    ), answers


@pytest.mark.parametrize("protocol", ["json", "vertex"])
def test_rows_are_answered_in_a_list(model: ServedModel, protocol: str) -> None:
    response, answers = request_and_answers(protocol, request_body(protocol, 2), model)
    metadata = {"model_version": model.version, "request_id": "client-1"}
    assert response == {"predictions": answers, **metadata}
    if protocol == "json":
        single, (answer,) = request_and_answers(protocol, json.dumps(ROW).encode(), model)
        assert single == {**answer, **metadata}


def test_open_inference_answers_in_columns(model: ServedModel) -> None:
    response, answers = request_and_answers(
        "open_inference", request_body("open_inference", 2), model
    )
    assert {name: response[name] for name in ("model_name", "model_version", "id")} == {
        "model_name": "shop", "model_version": model.version, "id": "client-1",
    }  # fmt: skip
    assert response["outputs"] == [
        {"name": "prediction", "shape": [2], "datatype": "BYTES",
         "data": [answer["prediction"] for answer in answers]},
        *({"name": f"probabilities.{name}", "shape": [2], "datatype": "FP64",
           "data": [answer["probabilities"][name] for answer in answers]}
          for name in ("no", "yes")),
        {"name": "ood", "shape": [2], "datatype": "BOOL", "data": [False, False]},
    ]  # fmt: skip
    request = json.loads(request_body("open_inference", 1)) | {
        "id": "7",
        "outputs": [{"name": "ood"}],
    }
    response, _ = request_and_answers("open_inference", json.dumps(request).encode(), model)
    assert (response["id"], [tensor["name"] for tensor in response["outputs"]]) == ("7", ["ood"])


def test_errors_have_the_format_of_their_protocol() -> None:
    for protocol in ("json", "vertex"):
        assert json.loads(PROTOCOLS[protocol].format_error(ERROR, False, "client-1")) == {
            "error": {
                "code": "invalid_input", "message": "why", "request_id": "client-1",
                "details": [{"row": 0, "column": "age", "message": "'x' is not a valid number"}],
            }
        }  # fmt: skip
        assert b"number" not in PROTOCOLS[protocol].format_error(ERROR, True, "client-1")
    assert json.loads(PROTOCOLS["open_inference"].format_error(ERROR, False, "client-1")) == {
        "error": "invalid_input: why; age: 'x' is not a valid number", "id": "client-1",
    }  # fmt: skip
    assert json.loads(PROTOCOLS["open_inference"].format_error(ERROR, True, "client-1")) == {
        "error": "invalid_input: why; the value does not fit", "id": "client-1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "why"),
    [(b"[]", "send"), (b'{"rows": []}', "send"), (b'{"instances": {}}', "send"),
     (b'{"instances": [1]}', "not objects")],
)  # fmt: skip
def test_vertex_requires_a_list_of_instances(model: ServedModel, body: bytes, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        PROTOCOLS["vertex"].parse_request(body, model)
    assert caught.value.code == "bad_request"


def test_only_open_inference_accepts_bodies_without_a_content_type() -> None:
    assert {name: b"" in module.CONTENT_TYPES for name, module in PROTOCOLS.items()} == {
        "json": False, "vertex": False, "open_inference": True,
    }  # fmt: skip

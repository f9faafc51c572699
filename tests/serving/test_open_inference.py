"""Valid tensors become rows; invalid ones fail only their own request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fieldcraft.project.folder import ProjectFolder
from fieldcraft.serving import protocols
from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.model import ServedModel, load_served_model
from fieldcraft.serving.protocols import open_inference
from fieldcraft.serving.worker import process_batch

CELLS = {"age": 39, "city": "Bern", "member": True, "seen": "2024-05-06"}


@pytest.fixture(scope="module")
def model(finished_project_folder: Path) -> ServedModel:
    return load_served_model(
        ProjectFolder(finished_project_folder / "project").bundle_path, name="shop"
    )


def tensor(name: str, **changes: Any) -> dict[str, Any]:
    kind = {"age": "FP32", "member": "BOOL"}.get(name, "BYTES")
    return {"name": name, "shape": [1], "datatype": kind, "data": [CELLS[name]]} | changes


def request_body(*others: Any, **further: Any) -> bytes:
    names = [other["name"] for other in others if isinstance(other, dict) and "name" in other]
    rest = [tensor(name) for name in CELLS if name not in names]
    return json.dumps({"inputs": [*others, *rest], **further}).encode()


def test_tensors_become_rows(model: ServedModel) -> None:
    wide = tensor("age", shape=[1, 1], data=[[39]])
    for body in (
        request_body(),
        request_body(wide),
        request_body(tensor("age", shape=[1, 1])),
        request_body(parameters={}),
    ):
        rows, (request_id, output_names) = open_inference.parse_request(body, model)
        assert (rows, request_id) == ([CELLS], None)
        assert output_names[0] == "prediction"
        assert output_names[-1] == "ood"
    _, (request_id, output_names) = open_inference.parse_request(
        request_body(id="7", outputs=[{"name": "ood"}]), model
    )
    assert (request_id, output_names) == ("7", ["ood"])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (
            request_body(tensor("age", data=[[39], 40], shape=[2])),
            "not have the same number of rows",
        ),
        (request_body(tensor("age", data=[[39, 40], -1])), "not match its shape"),
        (request_body(tensor("age", shape=[1.0])), "not match its shape"),
        (request_body(tensor("age", shape=[True])), "not match its shape"),
        (request_body(tensor("age", shape=[])), "not match its shape"),
        (request_body(tensor("age", shape=[1, 2])), "not match its shape"),
        (request_body(tensor("age", shape=[1, 1, 1])), "not match its shape"),
        (request_body(tensor("age", data=39)), "an input has"),
        (request_body(tensor("age", shape="1")), "an input has"),
        (request_body(tensor("age") | {"name": 7}), "an input has"),
        (request_body({"name": "age"}), "an input has"),
        (request_body("age"), "an input has"),
        (request_body(tensor("age", datatype="float")), "datatype"),
        (request_body(tensor("age"), tensor("age")), "occurs twice"),
        (request_body(id=7), "id of a request"),
        (request_body(outputs=[{"name": {}}]), "outputs are"),
        (request_body(outputs=["ood"]), "outputs are"),
        (request_body(outputs={"name": "ood"}), "outputs are"),
        (request_body(outputs=[{"name": "nothing"}]), "outputs are"),
        (b'{"inputs": {}}', "a request has"),
        (b"[]", "a request has"),
    ],
)
def test_invalid_tensors_are_rejected(model: ServedModel, body: bytes, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        open_inference.parse_request(body, model)
    assert caught.value.status == 400


def test_an_unexpected_exception_fails_only_its_own_request(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd:
        format_response = open_inference.format_response
        format_error = open_inference.format_error

        @staticmethod
        def parse_request(body: bytes, model: ServedModel) -> Any:
            if body == b"odd":
                raise TypeError(body)
            return open_inference.parse_request(body, model)

    monkeypatch.setitem(protocols.PROTOCOLS, "open_inference", Odd)
    batches = process_batch(
        model,
        [
            ("open_inference", "a", request_body()),
            ("open_inference", "b", b"odd"),
            ("open_inference", "c", request_body()),
        ],
    )
    replies = [reply for batch in batches for reply in batch.replies]
    assert [code for code, _ in replies] == ["", "model_error", ""]
    assert json.loads(replies[1][1]) == {
        "error": "model_error: the request could not be read: TypeError", "id": "b"
    }  # fmt: skip
    assert [batch.request_ids for batch in batches] == [["a"], [], ["c"]]
    assert (
        len(
            process_batch(
                model,
                [("open_inference", "a", request_body()), ("open_inference", "c", request_body())],
            )
        )
        == 1
    )

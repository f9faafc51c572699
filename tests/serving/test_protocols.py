"""Each protocol reads rows, keeps to the limit of rows, and answers and refuses in its form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fieldcraft.project.folder import Folder
from fieldcraft.serving.model import Manners, Model, load_model
from fieldcraft.serving.protocols import PROTOCOLS
from fieldcraft.serving.trouble import Fault, Trouble

ROW = {"age": 39, "city": "Bern", "member": None, "seen": "2024-05-06"}
DATATYPES = {"age": "FP64", "city": "BYTES", "member": "BYTES", "seen": "BYTES"}
TROUBLE = Trouble("bad_rows", "why", [Fault("'x' is no number", 0, "age")])


@pytest.fixture(scope="module")
def model(finished_once: Path) -> Model:
    return load_model(Folder(finished_once / "project").bundle, Manners(rows=3), "shop")


def asked(protocol: str, rows: int) -> bytes:
    """A request of some rows."""
    tensors = [
        {"name": name, "shape": [rows], "datatype": DATATYPES[name], "data": [value] * rows}
        for name, value in ROW.items()
    ]
    return json.dumps(
        {"plain": {"rows": [ROW] * rows}, "vertex": {"instances": [ROW] * rows}}.get(
            protocol, {"inputs": tensors}
        )
    ).encode()


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_rows_are_read_up_to_the_limit(model: Model, protocol: str) -> None:
    read = PROTOCOLS[protocol].read
    for count in (0, 1, 3):
        rows, _ = read(asked(protocol, count), model)
        assert rows == [ROW] * count
    with pytest.raises(Trouble, match="may hold 3 rows") as caught:
        read(asked(protocol, 4), model)
    assert caught.value.status == 413


def test_a_request_of_no_columns_has_no_rows(model: Model) -> None:
    rows, _ = PROTOCOLS["v2"].read(b'{"inputs": []}', model)
    assert rows == []


def answered(protocol: str, body: bytes, model: Model) -> Any:
    """The answer to a request, as JSON."""
    rows, keep = PROTOCOLS[protocol].read(body, model)
    (answers,) = model.answer([rows]).answers
    return json.loads(PROTOCOLS[protocol].write(answers, keep, model, "mine")), answers


@pytest.mark.parametrize("protocol", ["plain", "vertex"])
def test_rows_are_answered_in_a_list(model: Model, protocol: str) -> None:
    found, answers = answered(protocol, asked(protocol, 2), model)
    about = {"model_version": model.version, "request_id": "mine"}
    assert found == {"predictions": answers, **about}
    if protocol == "plain":
        single, (answer,) = answered(protocol, json.dumps(ROW).encode(), model)
        assert single == {**answer, **about}


def test_the_open_protocol_answers_in_columns(model: Model) -> None:
    found, answers = answered("v2", asked("v2", 2), model)
    assert {name: found[name] for name in ("model_name", "model_version", "id")} == {
        "model_name": "shop", "model_version": model.version, "id": "mine",
    }  # fmt: skip
    assert found["outputs"] == [
        {"name": "prediction", "shape": [2], "datatype": "BYTES",
         "data": [answer["prediction"] for answer in answers]},
        *({"name": f"probabilities.{name}", "shape": [2], "datatype": "FP64",
           "data": [answer["probabilities"][name] for answer in answers]}
          for name in ("no", "yes")),
        {"name": "ood", "shape": [2], "datatype": "BOOL", "data": [False, False]},
    ]  # fmt: skip
    given = json.loads(asked("v2", 1)) | {"id": "7", "outputs": [{"name": "ood"}]}
    found, _ = answered("v2", json.dumps(given).encode(), model)
    assert (found["id"], [tensor["name"] for tensor in found["outputs"]]) == ("7", ["ood"])


def test_refusals_have_the_form_of_their_protocol() -> None:
    for protocol in ("plain", "vertex"):
        assert json.loads(PROTOCOLS[protocol].refuse(TROUBLE, False, "mine")) == {
            "error": {
                "code": "bad_rows", "message": "why", "request_id": "mine",
                "details": [{"row": 0, "column": "age", "message": "'x' is no number"}],
            }
        }  # fmt: skip
        assert b"number" not in PROTOCOLS[protocol].refuse(TROUBLE, True, "mine")
    assert json.loads(PROTOCOLS["v2"].refuse(TROUBLE, False, "mine")) == {
        "error": "bad_rows: why; age: 'x' is no number", "id": "mine",
    }  # fmt: skip
    assert json.loads(PROTOCOLS["v2"].refuse(TROUBLE, True, "mine")) == {
        "error": "bad_rows: why; the value does not fit", "id": "mine",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "why"),
    [(b"[]", "send"), (b'{"rows": []}', "send"), (b'{"instances": {}}', "send"),
     (b'{"instances": [1]}', "not objects")],
)  # fmt: skip
def test_vertex_wants_a_list_of_instances(model: Model, body: bytes, why: str) -> None:
    with pytest.raises(Trouble, match=why) as caught:
        PROTOCOLS["vertex"].read(body, model)
    assert caught.value.code == "bad_request"


def test_only_the_open_protocol_takes_bodies_of_no_stated_type() -> None:
    assert {name: b"" in module.TYPES for name, module in PROTOCOLS.items()} == {
        "plain": False, "vertex": False, "v2": True,
    }  # fmt: skip

"""Tensors that fit each other are rows; all else is refused, and harms no request beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fieldcraft.project.folder import Folder
from fieldcraft.serving import protocols, v2
from fieldcraft.serving.model import Model, load_model
from fieldcraft.serving.trouble import Trouble
from fieldcraft.serving.worker import work

CELLS = {"age": 39, "city": "Bern", "member": True, "seen": "2024-05-06"}


@pytest.fixture(scope="module")
def model(finished_once: Path) -> Model:
    return load_model(Folder(finished_once / "project").bundle, name="shop")


def tensor(name: str, **changes: Any) -> dict[str, Any]:
    kind = {"age": "FP32", "member": "BOOL"}.get(name, "BYTES")
    return {"name": name, "shape": [1], "datatype": kind, "data": [CELLS[name]]} | changes


def asked(*others: Any, **further: Any) -> bytes:
    names = [other["name"] for other in others if isinstance(other, dict) and "name" in other]
    rest = [tensor(name) for name in CELLS if name not in names]
    return json.dumps({"inputs": [*others, *rest], **further}).encode()


def test_tensors_become_rows(model: Model) -> None:
    wide = tensor("age", shape=[1, 1], data=[[39]])
    for body in (asked(), asked(wide), asked(tensor("age", shape=[1, 1])), asked(parameters={})):
        rows, (given, wanted) = v2.read(body, model)
        assert (rows, given) == ([CELLS], None)
        assert wanted[0] == "prediction"
        assert wanted[-1] == "ood"
    _, (given, wanted) = v2.read(asked(id="7", outputs=[{"name": "ood"}]), model)
    assert (given, wanted) == ("7", ["ood"])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (asked(tensor("age", data=[[39], 40], shape=[2])), "not have the same number of rows"),
        (asked(tensor("age", data=[[39, 40], -1])), "not have its shape"),
        (asked(tensor("age", shape=[1.0])), "not have its shape"),
        (asked(tensor("age", shape=[True])), "not have its shape"),
        (asked(tensor("age", shape=[])), "not have its shape"),
        (asked(tensor("age", shape=[1, 2])), "not have its shape"),
        (asked(tensor("age", shape=[1, 1, 1])), "not have its shape"),
        (asked(tensor("age", data=39)), "an input has"),
        (asked(tensor("age", shape="1")), "an input has"),
        (asked(tensor("age") | {"name": 7}), "an input has"),
        (asked({"name": "age"}), "an input has"),
        (asked("age"), "an input has"),
        (asked(tensor("age", datatype="float")), "datatype"),
        (asked(tensor("age"), tensor("age")), "stands twice"),
        (asked(id=7), "id of a request"),
        (asked(outputs=[{"name": {}}]), "outputs are"),
        (asked(outputs=["ood"]), "outputs are"),
        (asked(outputs={"name": "ood"}), "outputs are"),
        (asked(outputs=[{"name": "nothing"}]), "outputs are"),
        (b'{"inputs": {}}', "a request has"),
        (b"[]", "a request has"),
    ],
)
def test_what_does_not_fit_is_refused(model: Model, body: bytes, why: str) -> None:
    with pytest.raises(Trouble, match=why) as caught:
        v2.read(body, model)
    assert caught.value.status == 400


def test_a_request_that_nobody_foresaw_harms_no_other(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd:
        write, refuse = v2.write, v2.refuse

        @staticmethod
        def read(body: bytes, model: Model) -> Any:
            if body == b"odd":
                raise TypeError(body)
            return v2.read(body, model)

    monkeypatch.setitem(protocols.PROTOCOLS, "v2", Odd)
    found = work(model, [("v2", "a", asked()), ("v2", "b", b"odd"), ("v2", "c", asked())])
    replies = [reply for done in found for reply in done.replies]
    assert [code for code, _ in replies] == ["", "model_error", ""]
    assert json.loads(replies[1][1]) == {
        "error": "model_error: the request could not be read: TypeError", "id": "b"
    }  # fmt: skip
    assert [done.requests for done in found] == [["a"], [], ["c"]]
    assert len(work(model, [("v2", "a", asked()), ("v2", "c", asked())])) == 1

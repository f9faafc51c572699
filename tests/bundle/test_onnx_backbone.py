"""Backbones run each item alone, and the same content is loaded once."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fieldcraft.bundle.onnx_backbone import load_backbone
from fieldcraft.core.errors import BundleError
from fieldcraft.core.types import Array


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backbone that returns the sum of its input times one, two and three."""
    monkeypatch.setattr("fieldcraft.bundle.onnx_backbone.loaded_backbones", {})
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [1, 3], [1.0, 2.0, 3.0])
    nodes = [
        helper.make_node("ReduceSum", ["items"], ["sum"], keepdims=1),
        helper.make_node("Reshape", ["sum", "shape"], ["one"]),
        helper.make_node("Mul", ["one", "weights"], ["outputs"]),
    ]
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, 1])
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info("items", TensorProto.FLOAT, ["rows", "length"])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["rows", 3])],
        [weights, shape],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, tmp_path / "network.onnx")
    return tmp_path / "network.onnx"


def test_items_of_any_length_give_embeddings_in_order(network: Path) -> None:
    backbone = load_backbone(network)
    assert backbone.embedding_size == 3
    items = [np.ones(count, dtype=np.float32) for count in (4, 1, 4, 2)]
    assert backbone.embed(items).tolist() == [[4, 8, 12], [1, 2, 3], [4, 8, 12], [2, 4, 6]]
    assert backbone.embed([]).shape == (0, 3)
    assert not backbone.cache


def test_embeddings_are_cached_for_training(network: Path) -> None:
    backbone = load_backbone(network)
    backbone.caches_embeddings = True
    items = [np.ones(2, dtype=np.float32), np.ones(5, dtype=np.float32)]
    first = backbone.embed(items)
    assert len(backbone.cache) == 2
    backbone.session = None
    np.testing.assert_array_equal(backbone.embed(items[::-1]), first[::-1])


def test_equal_items_run_once(network: Path) -> None:
    backbone = load_backbone(network)
    session, runs = backbone.session, list[int]()

    def run(names: None, inputs: dict[str, Array]) -> Any:
        runs.append(inputs["items"].shape[1])
        return session.run(names, inputs)

    backbone.session = SimpleNamespace(run=run, get_outputs=session.get_outputs)
    items = [np.ones(count, dtype=np.float32) for count in (4, 1, 4, 4)]
    assert backbone.embed(items)[:, 0].tolist() == [4, 1, 4, 4]
    assert sorted(runs) == [1, 4]


def test_the_cache_is_limited_in_bytes(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_backbone(network)
    backbone.caches_embeddings = True
    monkeypatch.setattr(
        "fieldcraft.bundle.onnx_backbone.MAX_CACHED_BYTES", 2 * 3 * 4
    )  # bytes of two vectors
    for count in (1, 2, 3):
        backbone.embed([np.ones(count, dtype=np.float32)])
    assert len(backbone.cache) == 2


def test_the_same_content_is_loaded_once(network: Path, tmp_path: Path) -> None:
    first = load_backbone(network)
    copy = Path(shutil.copy(network, tmp_path / "copy.onnx"))
    assert load_backbone(copy) is first
    assert first.path == copy


def test_the_four_most_recently_used_backbones_stay_loaded(network: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.onnx" for number in range(5)]
    for number, path in enumerate(paths):
        model = onnx.load(network)
        model.doc_string = str(number)
        onnx.save(model, path)
    loaded = [load_backbone(path) for path in paths[:4]]
    assert load_backbone(paths[0]) is loaded[0]
    load_backbone(paths[4])
    assert load_backbone(paths[0]) is loaded[0]
    assert load_backbone(paths[2]) is loaded[2]
    assert load_backbone(paths[1]) is not loaded[1]


def test_a_file_that_is_no_onnx_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(BundleError, match="cannot be loaded as an ONNX model"):
        load_backbone(path)

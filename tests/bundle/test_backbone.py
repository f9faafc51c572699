"""Pretrained networks run each item alone, and the same content is loaded once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fieldcraft.bundle.backbone import load_backbone
from fieldcraft.core.errors import BundleError


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network that adds up what it reads, times one, two and three."""
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


def test_items_of_any_length_give_vectors_in_their_order(network: Path) -> None:
    backbone = load_backbone(network)
    assert backbone.width == 3
    items = [np.ones(count, dtype=np.float32) for count in (4, 1, 4, 2)]
    assert backbone.vectors(items).tolist() == [[4, 8, 12], [1, 2, 3], [4, 8, 12], [2, 4, 6]]
    assert backbone.vectors([]).shape == (0, 3)
    assert not backbone.kept


def test_vectors_are_kept_where_training_asks_again(network: Path) -> None:
    backbone = load_backbone(network)
    backbone.keeps = True
    items = [np.ones(2, dtype=np.float32), np.ones(5, dtype=np.float32)]
    first = backbone.vectors(items)
    assert len(backbone.kept) == 2
    backbone.session = None
    np.testing.assert_array_equal(backbone.vectors(items[::-1]), first[::-1])


def test_the_same_content_is_loaded_once(network: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.onnx"
    shutil.copy(network, copy)
    assert load_backbone(network) is load_backbone(copy)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(BundleError, match="cannot be loaded as an ONNX model"):
        load_backbone(path)

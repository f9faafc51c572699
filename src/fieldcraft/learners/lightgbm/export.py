"""Export boosted trees to ONNX, in double precision, in which LightGBM compares and sums too."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import lightgbm
import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from fieldcraft.contracts import Output
from fieldcraft.core.types import Json
from fieldcraft.learners._onnx import build_onnx_model

# LightGBM writes an infinite threshold as 1e300, and sends infinity left, as `inf <= inf` does.
INFINITE_THRESHOLD = 1e300


class TreeNode(NamedTuple):
    """A node of a tree, with its attributes in ONNX's `TreeEnsembleRegressor`."""

    tree: int
    node: int
    feature: int = 0
    mode: str = "LEAF"
    value: float = 0.0
    true_node: int = 0
    false_node: int = 0
    is_missing_true: bool = False  # a missing value takes the true branch


class TreeLeaf(NamedTuple):
    """The value that a leaf adds to one output."""

    tree: int
    node: int
    output_index: int
    weight: float


def build_trees_onnx(boosters: Sequence[lightgbm.Booster], n_columns: int, output: Output) -> bytes:
    """Build a graph from a matrix to outputs, shape (rows, n_outputs)."""
    roots: list[tuple[Json, int]] = []
    n_targets = 0
    for booster in boosters:
        dump = booster.dump_model()
        trees_per_iteration = dump["num_tree_per_iteration"]
        trees = enumerate(dump["tree_info"])
        roots += [
            (tree["tree_structure"], n_targets + i % trees_per_iteration) for i, tree in trees
        ]
        n_targets += trees_per_iteration
    nodes = [
        # Thresholds are doubles: compared with a rounded threshold, a value could take another
        # branch than it does in LightGBM.
        helper.make_node("Cast", ["matrix"], ["matrix_double"], to=TensorProto.DOUBLE),
        build_tree_ensemble(roots, n_targets),
        *build_link_nodes(output, n_targets),
    ]
    n_outputs = 2 if output == "probabilities" and n_targets == 1 else n_targets
    initializers = {"one": np.ones(1, dtype=np.float32)}
    return build_onnx_model("trees", nodes, initializers, n_outputs, n_columns)


def flatten_tree(root: Json, tree: int, output_index: int) -> tuple[list[TreeNode], list[TreeLeaf]]:
    """List the nodes of one tree, root first, and its leaves.

    ONNX trees cannot test whether a category is in a set, so such a split becomes a chain of
    equality tests, whose true branches all lead to the same node.
    """
    nodes: list[TreeNode] = []
    leaves: list[TreeLeaf] = []
    queue = deque([(0, root)])
    next_id = 1
    while queue:
        node_id, subtree = queue.popleft()
        if "leaf_value" in subtree:
            nodes.append(TreeNode(tree, node_id))
            leaves.append(TreeLeaf(tree, node_id, output_index, subtree["leaf_value"]))
            continue
        true_id, false_id, next_id = next_id, next_id + 1, next_id + 2
        queue += [(true_id, subtree["left_child"]), (false_id, subtree["right_child"])]
        feature, threshold = subtree["split_feature"], subtree["threshold"]
        if subtree["decision_type"] == "<=":
            # With the missing type NaN the tree has learned a branch for missing values. Otherwise
            # the column had none in training, and LightGBM treats NaN as 0: it goes where 0 goes.
            is_missing_true = (
                subtree["default_left"] if subtree["missing_type"] == "NaN" else threshold >= 0
            )
            threshold = threshold if threshold < INFINITE_THRESHOLD else np.inf
            nodes.append(
                TreeNode(
                    tree,
                    node_id,
                    feature,
                    "BRANCH_LEQ",
                    threshold,
                    true_id,
                    false_id,
                    is_missing_true,
                )
            )
            continue
        codes = [float(code) for code in str(threshold).split("||")]
        # The false branch of each test leads to the next test, that of the last one to the right.
        chain = [node_id, *range(next_id, next_id + len(codes) - 1), false_id]
        next_id += len(codes) - 1
        nodes += [
            TreeNode(tree, current, feature, "BRANCH_EQ", code, true_id, following)
            for current, following, code in zip(chain, chain[1:], codes, strict=False)
        ]
    return nodes, leaves


def build_tree_ensemble(roots: Sequence[tuple[Json, int]], n_targets: int) -> NodeProto:
    """Return the operator that sums, for each output, the leaves that a row falls into."""
    flattened = [
        flatten_tree(root, tree, output_index) for tree, (root, output_index) in enumerate(roots)
    ]
    nodes = [node for parts, _ in flattened for node in parts]
    leaves = [leaf for _, parts in flattened for leaf in parts]
    tree, node, feature, mode, value, true_ids, false_ids, is_missing_true = zip(
        *nodes, strict=True
    )
    leaf_tree_ids, leaf_node_ids, output_index, weight = zip(*leaves, strict=True)
    return helper.make_node(
        "TreeEnsembleRegressor",
        ["matrix_double"],
        ["raw"],
        domain="ai.onnx.ml",
        n_targets=n_targets,
        nodes_treeids=tree,
        nodes_nodeids=node,
        nodes_featureids=feature,
        nodes_modes=mode,
        nodes_values_as_tensor=numpy_helper.from_array(np.array(value, dtype=np.float64)),
        nodes_truenodeids=true_ids,
        nodes_falsenodeids=false_ids,
        nodes_missing_value_tracks_true=[int(flag) for flag in is_missing_true],
        target_treeids=leaf_tree_ids,
        target_nodeids=leaf_node_ids,
        target_ids=output_index,
        target_weights_as_tensor=numpy_helper.from_array(np.array(weight, dtype=np.float64)),
    )


def build_link_nodes(output: Output, n_targets: int) -> list[NodeProto]:
    """Return the operators of the link function, from sums of leaves to outputs."""
    make_node = helper.make_node
    if output == "value":
        return [make_node("Identity", ["raw"], ["outputs"])]
    if output == "labels":
        return [make_node("Sigmoid", ["raw"], ["outputs"])]
    if n_targets > 1:
        return [
            # In double precision: with many classes, float32 probabilities add up to less than 1.
            make_node("Cast", ["raw"], ["raw_double"], to=TensorProto.DOUBLE),
            make_node("Softmax", ["raw_double"], ["probabilities"], axis=1),
            make_node("Cast", ["probabilities"], ["outputs"], to=TensorProto.FLOAT),
        ]
    return [
        make_node("Sigmoid", ["raw"], ["positive"]),
        make_node("Sub", ["one", "positive"], ["negative"]),
        make_node("Concat", ["negative", "positive"], ["outputs"], axis=1),
    ]

"""Boosted trees as ONNX, in double precision as LightGBM itself decides and adds up."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import lightgbm
import numpy as np
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

from fieldcraft.contracts import Json, Output

OPSETS = {"": 17, "ai.onnx.ml": 3}
ENDLESS = 1e300  # what LightGBM writes for a limit that all numbers keep, infinite ones too


class Node(NamedTuple):
    """A node of a tree as ONNX lists it."""

    tree: int
    node: int
    column: int = 0
    mode: str = "LEAF"
    value: float = 0.0
    yes: int = 0
    no: int = 0
    missing: bool = False  # whether a missing value goes to yes


class Leaf(NamedTuple):
    """What a leaf adds to which output."""

    tree: int
    node: int
    target: int
    weight: float


def trees_onnx(boosters: Sequence[lightgbm.Booster], columns: int, output: Output) -> bytes:
    """A graph from a matrix to outputs of shape (rows, width)."""
    roots: list[tuple[Json, int]] = []
    targets = 0
    for booster in boosters:
        told = booster.dump_model()
        each = told["num_tree_per_iteration"]
        trees = enumerate(told["tree_info"])
        roots += [(tree["tree_structure"], targets + i % each) for i, tree in trees]
        targets += each
    steps = [
        helper.make_node("Cast", ["matrix"], ["exact"], to=TensorProto.DOUBLE),
        ensemble(roots, targets),
        *finish(output, targets),
    ]
    width = 2 if output == "probabilities" and targets == 1 else targets
    graph = helper.make_graph(
        steps,
        "trees",
        [helper.make_tensor_value_info("matrix", TensorProto.FLOAT, ["rows", columns])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["rows", width])],
        [numpy_helper.from_array(np.ones(1, dtype=np.float32), "one")],
    )
    opsets = [helper.make_opsetid(name, version) for name, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def list_tree(root: Json, tree: int, target: int) -> tuple[list[Node], list[Leaf]]:
    """The nodes of one tree, root first, and its leaves.

    A set of categories becomes a chain of comparisons that all lead to the same place.
    """
    nodes: list[Node] = []
    leaves: list[Leaf] = []
    waiting = deque([(0, root)])
    free = 1
    while waiting:
        place, part = waiting.popleft()
        if "leaf_value" in part:
            nodes.append(Node(tree, place))
            leaves.append(Leaf(tree, place, target, part["leaf_value"]))
            continue
        yes, no, free = free, free + 1, free + 2
        waiting += [(yes, part["left_child"]), (no, part["right_child"])]
        column, limit = part["split_feature"], part["threshold"]
        if part["decision_type"] == "<=":
            missing = part["default_left"] if part["missing_type"] == "NaN" else limit >= 0
            limit = limit if limit < ENDLESS else np.inf
            nodes.append(Node(tree, place, column, "BRANCH_LEQ", limit, yes, no, missing))
            continue
        codes = [float(code) for code in str(limit).split("||")]
        chain = [place, *range(free, free + len(codes) - 1), no]
        free += len(codes) - 1
        nodes += [
            Node(tree, here, column, "BRANCH_EQ", code, yes, after)
            for here, after, code in zip(chain, chain[1:], codes, strict=False)
        ]
    return nodes, leaves


def ensemble(roots: Sequence[tuple[Json, int]], targets: int) -> NodeProto:
    """The operator that sums the leaves which a row falls into, by the target of each tree."""
    listed = [list_tree(root, tree, target) for tree, (root, target) in enumerate(roots)]
    nodes = [node for found, _ in listed for node in found]
    leaves = [leaf for _, found in listed for leaf in found]
    tree, node, column, mode, value, yes, no, missing = zip(*nodes, strict=True)
    of_tree, of_node, target, weight = zip(*leaves, strict=True)
    return helper.make_node(
        "TreeEnsembleRegressor",
        ["exact"],
        ["raw"],
        domain="ai.onnx.ml",
        n_targets=targets,
        nodes_treeids=tree,
        nodes_nodeids=node,
        nodes_featureids=column,
        nodes_modes=mode,
        nodes_values_as_tensor=numpy_helper.from_array(np.array(value, dtype=np.float64)),
        nodes_truenodeids=yes,
        nodes_falsenodeids=no,
        nodes_missing_value_tracks_true=[int(goes) for goes in missing],
        target_treeids=of_tree,
        target_nodeids=of_node,
        target_ids=target,
        target_weights_as_tensor=numpy_helper.from_array(np.array(weight, dtype=np.float64)),
    )


def finish(output: Output, targets: int) -> list[NodeProto]:
    """From sums of leaves to outputs."""
    node = helper.make_node
    if output == "value":
        return [node("Identity", ["raw"], ["outputs"])]
    if output == "labels":
        return [node("Sigmoid", ["raw"], ["outputs"])]
    if targets > 1:
        return [
            node("Cast", ["raw"], ["wide"], to=TensorProto.DOUBLE),  # there may be many classes
            node("Softmax", ["wide"], ["shares"], axis=1),
            node("Cast", ["shares"], ["outputs"], to=TensorProto.FLOAT),
        ]
    return [
        node("Sigmoid", ["raw"], ["yes"]),
        node("Sub", ["one", "yes"], ["no"]),
        node("Concat", ["no", "yes"], ["outputs"], axis=1),
    ]

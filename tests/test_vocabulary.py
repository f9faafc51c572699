"""Names can be found by grep: one name, one thing, in the field's own words."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "fieldcraft"
MODULES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")}
# Say nothing of what they hold.
EMPTY_LOCALS = {"found", "said", "told", "mine", "theirs"}
# Fine where two things are compared, and nowhere else.
COMPARED_LOCALS = {"one", "other"}
# Leave out whose limit it is, and in which unit.
VAGUE_PREFIXES = ("MOST_", "LEAST", "FEW", "MANY", "SOME")
DEFINED_ONCE = ("Array", "Json", "ProgressCallback")
# A module-level function of a plug-in that its contract names.
CONTRACT_FUNCTIONS = {"parse_request", "format_response"}  # serving.protocols.RequestProtocol


def module_name(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").as_posix()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def local_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    arguments = function.args
    names = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def assigned_constants(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_no_class_name_is_defined_in_two_modules() -> None:
    homes = defaultdict(set)
    for path, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].add(module_name(path))
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_a_public_function_name_stands_in_two_modules_at_most() -> None:
    homes = defaultdict(set)
    for path, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                homes[node.name].add(module_name(path))
    shared = {
        name: where
        for name, where in homes.items()
        if len(where) > 2 and not name.startswith("_") and name not in CONTRACT_FUNCTIONS
    }
    assert shared == {}


@pytest.mark.parametrize("folder", ["bench", "examples", "tests"])
def test_locals_of_tests_and_scripts_say_what_they_hold(folder: str) -> None:
    paths = sorted((SOURCE.parents[1] / folder).rglob("*.py"))
    assert paths
    for path in paths:
        for function in functions(ast.parse(path.read_text(encoding="utf-8"))):
            assert not local_names(function) & EMPTY_LOCALS, (path, function.name)


@pytest.mark.parametrize("path", sorted(MODULES), ids=module_name)
def test_locals_say_what_they_hold(path: Path) -> None:
    for function in functions(MODULES[path]):
        names = local_names(function)
        assert not names & EMPTY_LOCALS, function.name
        assert not names & COMPARED_LOCALS or names >= COMPARED_LOCALS, function.name


@pytest.mark.parametrize("path", sorted(MODULES), ids=module_name)
def test_constants_say_whose_limit_they_are(path: Path) -> None:
    assert [n for n in assigned_constants(MODULES[path]) if n.startswith(VAGUE_PREFIXES)] == []


@pytest.mark.parametrize("name", DEFINED_ONCE)
def test_types_used_everywhere_are_defined_once(name: str) -> None:
    homes = [module_name(p) for p, tree in MODULES.items() if name in assigned_constants(tree)]
    assert len(homes) == 1

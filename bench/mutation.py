"""Score the tests by sampled mutants: change one operator, number or condition, run the twin tests.

    python -m venv /tmp/mutation && /tmp/mutation/bin/pip install cosmic-ray
    /tmp/mutation/bin/python bench/mutation.py --mutants 420 --python .venv/bin/python

Mutants come from cosmic-ray's operators, one for each sampled place. Each runs in a copy of the
tree, against the tests that stand beside its module, until the first one fails. Results are kept
line by line, so that a run that is stopped goes on where it was; survivors print as a diff.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path("src/fieldcraft")
# What must not be wrong, with the tests that guard it. The twin of a module runs first.
AREAS: dict[str, tuple[str, ...]] = {
    "statistics": ("tests/statistics",),
    "ledger": ("tests/ledger",),
    "bundle": ("tests/bundle",),
    "fit": ("tests/fit",),
    "data": ("tests/data",),
    "checks": ("tests/checks",),
    "serving": ("tests/serving",),
    "monitoring": ("tests/monitoring",),
    "stages/split.py": ("tests/stages/test_split.py",),
    "core/files.py": ("tests/core",),
}
# Operators that need arguments, or whose mutants say nothing about a test.
LEFT_OUT = {"VariableReplacer", "VariableInserter", "ExceptionReplacer"}
# In place of arithmetic they raise a TypeError on floats, which any test notices.
BIT_OPERATORS = ("LShift", "RShift", "BitOr", "BitAnd", "BitXor")
TIMEOUT = 10.0  # times as long as the unchanged tests of an area may take, and at least
SHORTEST_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    module: str
    operator: str
    occurrence: int
    line: int

    @property
    def name(self) -> str:
        """How results name the mutant."""
        return f"{self.module}:{self.line} {self.operator}#{self.occurrence}"


def annotation_spans(tree: ast.AST) -> list[tuple[int, int, int, int]]:
    """Places of annotations, which no test can notice: they are never evaluated."""
    nodes: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            nodes.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            nodes.append(node.returns)
    return [
        (n.lineno, n.col_offset, n.end_lineno or n.lineno, n.end_col_offset or 0) for n in nodes
    ]


def operators() -> Iterator[tuple[str, Any]]:
    """Cosmic-ray's operators by name, ready to use."""
    from cosmic_ray.plugins import get_operator, operator_names

    for name in operator_names():
        *_, before, after = ("", "", *name.rpartition("/")[2].split("_"))
        is_type_error = after in BIT_OPERATORS and before not in BIT_OPERATORS
        if name.rpartition("/")[2] not in LEFT_OUT and not is_type_error:
            yield name, get_operator(name)()


def mutants_of(module: Path) -> list[Mutant]:
    """All mutants of a module, those of annotations left out."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path

    nodes = list(ast_nodes(get_ast_from_path(module)))
    spans = annotation_spans(ast.parse(module.read_text(encoding="utf-8")))
    mutants = []
    for name, operator in operators():
        starts = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, (line, column) in enumerate(starts):
            if not any((a, b) <= (line, column) < (c, d) for a, b, c, d in spans):
                mutants.append(Mutant(str(module.relative_to(ROOT)), name, occurrence, line))
    return mutants


def modules_of(area: str) -> list[Path]:
    """The modules of an area, a file or a folder."""
    path = ROOT / SOURCE / area
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def by_line(area: str) -> dict[tuple[str, int], list[Mutant]]:
    """All mutants of an area by module and line."""
    mutants: dict[tuple[str, int], list[Mutant]] = defaultdict(list)
    for module in modules_of(area):
        for mutant in mutants_of(module):
            mutants[mutant.module, mutant.line].append(mutant)
    return mutants


def sample(area: str, count: int, seed: int) -> list[Mutant]:
    """Mutants of an area: lines drawn evenly, then one mutant of each."""
    mutants = by_line(area)
    chance = random.Random(f"{seed}/{area}")
    lines = chance.sample(sorted(mutants), min(count, len(mutants)))
    return [chance.choice(mutants[line]) for line in lines]


def mutated(source: str, mutant: Mutant) -> str:
    """The source of a module with the change of a mutant."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    code = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    return source if code is None else str(code)


def copy_tree(folder: Path) -> Path:
    """A copy of what tests need, with the developers' data beside it."""
    tree = folder / "main"
    for name in ("src", "tests", "docs", "examples"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tree / name)
    if (ROOT.parent / "shared").exists():
        (folder / "shared").symlink_to(ROOT.parent / "shared")
    return tree


def test_paths(mutant: Mutant, tests: Sequence[str]) -> list[str]:
    """The twin test and the doctests of a module first, then the other tests of its area."""
    twin = f"test_{Path(mutant.module).name.lstrip('_')}"
    twins = [str(p.relative_to(ROOT)) for t in tests for p in (ROOT / t).rglob(twin)]
    return [*twins, mutant.module, *tests]


def run_tests(tree: Path, paths: Sequence[str], python: str, timeout: float | None) -> str:
    """Run tests in a copy of the tree: `killed`, `timeout` (killed as well) or `survived`."""
    command = [python, "-m", "pytest", "-x", "-q", "-p", "no:randomly", *paths]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, timeout=timeout, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        return "timeout"
    return "survived" if done.returncode == 0 else "killed"


class MutantRunner:
    """Runs mutants, each in one of a few copies of the tree."""

    def __init__(self, python: str, results: Path, trees: Sequence[Path]) -> None:
        self.python, self.results = python, results
        self.free: Queue[Path] = Queue()
        for tree in trees:
            self.free.put(tree)
        self.timeouts: dict[str, float] = {}

    def measure(self, area: str) -> None:
        """Run the unchanged tests of an area, which must pass, and take their time."""
        tree = self.free.get()
        start = time.monotonic()
        if run_tests(tree, AREAS[area], self.python, None) != "survived":
            sys.exit(f"the unchanged tests of {area} fail; mend them first")
        self.timeouts[area] = max(SHORTEST_TIMEOUT, TIMEOUT * (time.monotonic() - start))
        self.free.put(tree)

    def run(self, area: str, mutant: Mutant) -> None:
        """Try one mutant, and write down how it ended."""
        tree = self.free.get()
        path = tree / mutant.module
        source = path.read_text(encoding="utf-8")
        changed = mutated(source, mutant)
        try:
            path.write_text(changed, encoding="utf-8")
            paths = test_paths(mutant, AREAS[area])
            outcome = run_tests(tree, paths, self.python, self.timeouts[area])
        finally:
            path.write_text(source, encoding="utf-8")
            self.free.put(tree)
        lines = difflib.unified_diff(source.splitlines(), changed.splitlines(), n=0, lineterm="")
        diff = "\n".join(line for line in lines if line[:3] not in {"---", "+++"})
        entry = {"area": area, "mutant": mutant.name, "outcome": outcome, "diff": diff}
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        print(
            f"{outcome:9} {mutant.name}" + (f"\n{diff}" if outcome == "survived" else ""),
            flush=True,
        )


def report(results: Path) -> None:
    """Print killed and sampled mutants by area."""
    entries = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    sampled = Counter(entry["area"] for entry in entries)
    killed = Counter(entry["area"] for entry in entries if entry["outcome"] != "survived")
    for area, count in sampled.items():
        print(f"{area:16} {killed[area]:4} of {count:4} killed, {killed[area] / count:.0%}")
    total = sum(sampled.values())
    survived = total - sum(killed.values())
    print(f"{'all':16} {total - survived:4} of {total:4} killed, {1 - survived / total:.1%}")


def main() -> None:
    """Sample mutants, try those that were not tried yet, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=420, help="over all areas")
    parser.add_argument("--areas", nargs="*", default=list(AREAS), help="below src")
    parser.add_argument("--tests", nargs="*", help="tests to run in place of an area's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=90.0, help="no mutant is begun after that")
    parser.add_argument("--python", default=sys.executable, help="the project's own")
    parser.add_argument("--results", type=Path, default=Path("mutation.jsonl"))
    arguments = parser.parse_args()
    for area in arguments.areas:
        if arguments.tests or area not in AREAS:
            AREAS[area] = tuple(arguments.tests or ("tests",))
    sizes = {area: len(by_line(area)) for area in arguments.areas}
    share = arguments.mutants / sum(sizes.values())
    selected = [
        (area, mutant)
        for area, size in sizes.items()
        for mutant in sample(area, max(1, round(share * size)), arguments.seed)
    ]
    arguments.results.touch()
    lines = arguments.results.read_text(encoding="utf-8").splitlines()
    tried = {json.loads(line)["mutant"] for line in lines}
    end = time.monotonic() + 60 * arguments.minutes
    python = str(Path(arguments.python).absolute())
    with tempfile.TemporaryDirectory() as folder:
        trees = [copy_tree(Path(folder) / str(i)) for i in range(arguments.workers)]
        runner = MutantRunner(python, arguments.results, trees)
        for area in dict.fromkeys(area for area, _ in selected):
            runner.measure(area)
        with ThreadPoolExecutor(arguments.workers) as pool:
            for area, mutant in selected:
                if mutant.name not in tried:
                    pool.submit(
                        lambda a=area, m=mutant: time.monotonic() < end and runner.run(a, m)
                    )
    report(arguments.results)


if __name__ == "__main__":
    main()

"""Score the tests by sampled mutants: change one operator, number or condition, run the tests.

    .venv/bin/pip install cosmic-ray
    .venv/bin/python bench/mutation.py --mutants 420 --minutes 60

Mutants come from cosmic-ray's operators, one for each sampled line. Each runs in a forked process
that reads the changed source instead of the file: first against the test file named after the
module and its doctests, then against the other tests of its area, until one fails. No file is
changed. Results are appended line by line, so that a stopped run resumes; survivors are printed as
a diff. Tests that start processes run the unchanged source there.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path("src/fieldcraft")
# Critical code with its tests. The test file named after a module runs first.
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
    "core/files.py": ("tests/core/test_files.py",),
}
# Operators that need arguments, or whose mutants do not measure the quality of tests.
EXCLUDED_OPERATORS = {"VariableReplacer", "VariableInserter", "ExceptionReplacer"}
# In place of arithmetic they raise a TypeError on floats, which any test notices.
BIT_OPERATORS = ("LShift", "RShift", "BitOr", "BitAnd", "BitXor")
# Imported once, before the forks; none of them starts a thread when it is imported.
PRELOADED = ("numpy", "polars", "scipy.stats", "sklearn.linear_model", "pydantic", "torch",
             "hypothesis", "onnxruntime")  # fmt: skip
TIMEOUT_SECONDS = 240.0  # of the tests of one mutant
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    area: str
    module: str
    operator: str
    occurrence: int
    line: int

    @property
    def name(self) -> str:
        """The name in the results."""
        return f"{self.module}:{self.line} {self.operator}#{self.occurrence}"


def annotation_spans(tree: ast.AST) -> list[tuple[int, int, int, int]]:
    """Positions of annotations, which are never evaluated, so that no test can notice them."""
    nodes: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            nodes.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            nodes.append(node.returns)
    return [
        (n.lineno, n.col_offset, n.end_lineno or n.lineno, n.end_col_offset or 0) for n in nodes
    ]


def iter_operators() -> Iterator[tuple[str, Any]]:
    """Yield cosmic-ray's operators by name."""
    from cosmic_ray.plugins import get_operator, operator_names

    for name in operator_names():
        short_name = name.rpartition("/")[2]
        *_, before, after = ("", "", *short_name.split("_"))
        is_type_error = after in BIT_OPERATORS and before not in BIT_OPERATORS
        if short_name not in EXCLUDED_OPERATORS and not is_type_error:
            yield name, get_operator(name)()


def area_modules(area: str) -> list[Path]:
    """Return the modules of an area, which is a file or a folder."""
    path = ROOT / SOURCE / area
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def mutants_by_line(area: str) -> dict[tuple[str, int], list[Mutant]]:
    """Return all mutants of an area by module and line, except those of annotations."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path

    by_line: dict[tuple[str, int], list[Mutant]] = defaultdict(list)
    for path in area_modules(area):
        nodes = list(ast_nodes(get_ast_from_path(path)))
        spans = annotation_spans(ast.parse(path.read_text(encoding="utf-8")))
        module = str(path.relative_to(ROOT))
        for name, operator in iter_operators():
            starts = [start for node in nodes for start, _ in operator.mutation_positions(node)]
            for occurrence, (line, column) in enumerate(starts):
                if not any((a, b) <= (line, column) < (c, d) for a, b, c, d in spans):
                    by_line[module, line].append(Mutant(area, module, name, occurrence, line))
    return by_line


def sample_mutants(areas: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """Sample lines evenly over areas, with one mutant for each, in random order."""
    candidates = {area: mutants_by_line(area) for area in areas}
    fraction = count / sum(len(lines) for lines in candidates.values())
    mutants = []
    for area, by_line in candidates.items():
        rng = random.Random(f"{seed}/{area}")
        n_lines = min(len(by_line), max(1, round(fraction * len(by_line))))
        mutants += [rng.choice(by_line[key]) for key in rng.sample(sorted(by_line), n_lines)]
    random.Random(seed).shuffle(mutants)
    return mutants


def mutate(source: str, mutant: Mutant) -> str:
    """Apply a mutant to the source of its module."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    code = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    return source if code is None else str(code)


def replace_source(path: Path, source: str) -> None:
    """Make imports of a module in this process read `source` instead of its file."""
    get_data, path_stats = SourceFileLoader.get_data, SourceFileLoader.path_stats

    def get_mutated_data(loader: SourceFileLoader, name: str) -> bytes:
        return source.encode() if name == str(path) else get_data(loader, name)

    def refuse_cache(loader: SourceFileLoader, name: str) -> Any:
        if name == str(path):
            raise OSError  # without its times, the bytecode cache is neither read nor written
        return path_stats(loader, name)

    SourceFileLoader.get_data = get_mutated_data  # type: ignore[method-assign, assignment]
    SourceFileLoader.path_stats = refuse_cache  # type: ignore[method-assign]


def run_in_fork(mutant: Mutant | None, source: str, tests: Sequence[str]) -> str:
    """Run tests in a forked process: "killed", "timeout" (counts as killed) or "survived"."""
    child = os.fork()
    if child == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        if mutant is not None:
            replace_source(ROOT / mutant.module, source)
        arguments = ["-x", "-q", "-p", "no:randomly", "-p", "no:xdist", "-W", "ignore", *tests]
        os._exit(int(pytest.main(arguments)))
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end:
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        time.sleep(POLL_SECONDS)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def twin_tests(mutant: Mutant) -> list[str]:
    """Return the test file named after a module, and the module itself for its doctests."""
    twin = f"test_{Path(mutant.module).stem.lstrip('_')}.py"
    twins = [p for tests in AREAS[mutant.area] for p in sorted((ROOT / tests).rglob(twin))]
    return [*(str(path.relative_to(ROOT)) for path in twins), mutant.module]


def try_mutant(mutant: Mutant, results: Path) -> None:
    """Run the tests against one mutant and record the outcome."""
    source = (ROOT / mutant.module).read_text(encoding="utf-8")
    mutated = mutate(source, mutant)
    outcome = run_in_fork(mutant, mutated, twin_tests(mutant))
    if outcome == "survived":
        outcome = run_in_fork(mutant, mutated, AREAS[mutant.area])
    lines = difflib.unified_diff(source.splitlines(), mutated.splitlines(), n=0, lineterm="")
    diff = "\n".join(line for line in lines if line[:3] not in {"---", "+++"})
    entry = {"area": mutant.area, "mutant": mutant.name, "outcome": outcome, "diff": diff}
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    print(f"{outcome:9} {mutant.name}" + (f"\n{diff}" if outcome == "survived" else ""), flush=True)


def print_scores(results: Path) -> None:
    """Print how many of the sampled mutants were killed, by area."""
    entries = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    sampled = Counter(entry["area"] for entry in entries)
    killed = Counter(entry["area"] for entry in entries if entry["outcome"] != "survived")
    for area in (*sorted(sampled), "all"):
        n, k = (c.total() if area == "all" else c[area] for c in (sampled, killed))
        print(f"{area:16} {k:4} of {n:4} killed, {k / n:.1%}")


def main() -> None:
    """Sample mutants, run those without a result yet, and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=420, help="over all areas")
    parser.add_argument("--areas", nargs="*", default=list(AREAS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="no mutant is started after that"
    )
    parser.add_argument("--results", type=Path, default=Path("mutation.jsonl"))
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ["PYTHONPATH"] = str(ROOT / "src")  # of processes that tests start
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    for name in PRELOADED:
        importlib.import_module(name)
    for area in options.areas:
        if run_in_fork(None, "", AREAS[area]) != "survived":
            sys.exit(f"the unchanged tests of {area} fail, or take over {TIMEOUT_SECONDS:.0f} s")
    options.results.touch()
    lines = options.results.read_text(encoding="utf-8").splitlines()
    tried = {json.loads(line)["mutant"] for line in lines}
    end = time.monotonic() + 60 * options.minutes

    def run_if_time_is_left(mutant: Mutant) -> None:
        if time.monotonic() < end:
            try_mutant(mutant, options.results)

    mutants = sample_mutants(options.areas, options.mutants, options.seed)
    with ThreadPoolExecutor(options.workers) as pool:
        list(pool.map(run_if_time_is_left, [m for m in mutants if m.name not in tried]))
    print_scores(options.results)


if __name__ == "__main__":
    main()

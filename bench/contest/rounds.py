"""A round: a method is trained on a split of a table in its own process, and evaluated."""

from __future__ import annotations

import datetime
import functools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from contest import score
from contest.tables import TARGET, BenchmarkTable, TableParts, encode_target, split_table
from contest.venvs import python_of

PEERS = Path(__file__).parents[1] / "peers"
THREADS = 2
OURS = "ours"


@dataclass(frozen=True)
class Method:
    """A script under ``bench/peers`` and its environment; None is the current one."""

    script: str
    venv: str | None


METHODS = {
    OURS: Method("ours.py", None),
    "lightgbm": Method("boosting.py", "trees"),
    "catboost": Method("boosting.py", "trees"),
    "sklearn_mlp": Method("mlp.py", "trees"),
    "keras": Method("keras_net.py", "keras"),
    "ag_nn_torch": Method("autogluon_nets.py", "autogluon"),
    "ag_fastai": Method("autogluon_nets.py", "autogluon"),
    "tabm": Method("pytabkit_nets.py", "pytabkit"),
    "realmlp": Method("pytabkit_nets.py", "pytabkit"),
}
QUICK = (OURS, "lightgbm", "catboost", "sklearn_mlp", "keras")


@dataclass(frozen=True)
class PeerEnvironments:
    """The folder of the environments, and the time limit of a round in seconds."""

    venvs: Path
    limit: float


def run_round(
    table: BenchmarkTable, seed: int, name: str, environments: PeerEnvironments
) -> list[dict[str, Any]]:
    """Run a method on a table and return the lines for the results file."""
    parts = split_table(table, seed)
    common = {
        "table": table.name,
        "seed": seed,
        "run": name,
        "rows": {
            "train": parts.train.height,
            "val": parts.validation.height,
            "test": parts.test.height,
        },
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "threads": THREADS,
        "commit": describe_commit(),
    }
    with tempfile.TemporaryDirectory(prefix="contest-") as temporary_folder:
        folder = Path(temporary_folder)
        write_job(folder, table, parts, seed, name)
        start = time.monotonic()
        error = run_method(folder, METHODS[name], environments)
        wall_seconds = round(time.monotonic() - start, 2)
        if error:
            return [{**common, "method": name, "error": error, "wall": wall_seconds}]
        outcome = json.loads((folder / "done.json").read_text(encoding="utf-8"))
        y = encode_target(parts.test[table.target], parts.labels).to_numpy()
        lines = []
        for model, seconds in outcome["seconds"].items():
            outputs = pl.read_parquet(folder / f"{model}.parquet").to_numpy()
            lines.append({
                **common,
                "method": f"{OURS}:{model}" if name == OURS else model,
                "metrics": score.compute_metrics(table.task, y, outputs),
                "resampled": score.resample_metric(table.task, y, outputs),
                "seconds": round(seconds, 3),
                "wall": wall_seconds,
                "versions": outcome["versions"],
            })  # fmt: skip
        return lines


def write_job(folder: Path, table: BenchmarkTable, parts: TableParts, seed: int, name: str) -> None:
    """Write the job folder that `bench/peers/job.py` reads."""
    for part, frame in (("train", parts.train), ("val", parts.validation)):
        y = encode_target(frame[table.target], parts.labels).alias(TARGET)
        frame.drop(table.target).with_columns(y).write_parquet(folder / f"{part}.parquet")
    parts.training_and_validation.write_parquet(folder / "develop.parquet")
    parts.test.drop(table.target).write_parquet(folder / "test.parquet")
    description = {
        "method": name,
        "task": table.task,
        "target": table.target,
        "labels": parts.labels,
        "categories": parts.categories,
        "seed": seed,
        "threads": THREADS,
    }
    (folder / "job.json").write_text(json.dumps(description), encoding="utf-8")


def run_method(folder: Path, method: Method, environments: PeerEnvironments) -> str:
    """Run the script of a method and return the error, empty on success."""
    python = python_of(environments.venvs, method.venv) if method.venv else Path(sys.executable)
    excluded_prefixes = ("OPENBLAS_", "PYTHONPATH") if method.venv else ("OPENBLAS_",)
    env = {key: value for key, value in os.environ.items() if not key.startswith(excluded_prefixes)}
    env |= {name: str(THREADS) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [str(python), "-W", "ignore", str(PEERS / method.script), str(folder)]
    with (folder / "output.txt").open("w+", encoding="utf-8") as output:
        try:
            code = subprocess.run(
                command, cwd=folder, env=env, stdout=output, stderr=output,
                timeout=environments.limit, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"timed out after {environments.limit:g} seconds"
        output.seek(0)
        output_lines = output.read().strip().splitlines() or ["no output"]
    return f"exit code {code}: {' | '.join(output_lines[-3:])}"[:500] if code else ""


@functools.cache
def describe_machine() -> str:
    """Return the processor and the number of its cores."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


@functools.cache
def describe_commit() -> str:
    """Return the current commit, with a + if files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=10", "--dirty=+", "--exclude=*"]
    completed = subprocess.run(command, cwd=PEERS, capture_output=True, text=True, check=False)
    return completed.stdout.strip()

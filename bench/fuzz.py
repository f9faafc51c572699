"""Fuzz the server with schemathesis, which generates requests from its OpenAPI schema.

    python bench/fuzz.py ST [--examples 1000]

ST: the command of schemathesis (``pip install schemathesis`` in a separate environment). A model of
numbers, categories, booleans and dates is trained and served. Requests that match the schema must
be answered, others refused in the documented format, and no status may be 500 or above. Tensors of
the open inference protocol must be consistent with each other, which a schema cannot express, so
refusing a request that matches the schema is allowed there. Prints the output of schemathesis and
returns its exit code.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from serving import find_free_port, wait_until_open

import fieldcraft as fc

ROWS = 400
TENSORS, POSITIVE_CHECK = "/infer$", "positive_data_acceptance"


def train_bundle(folder: Path) -> Path:
    """Train a small model with every kind of scalar column."""
    rng = np.random.default_rng(0)
    age, city = rng.normal(40, 12, ROWS).round(1), rng.choice(["Bern", "Oslo", "Rome"], ROWS)
    member = rng.choice(["yes", "no"], ROWS)
    seen = np.datetime64("2024-01-01") + rng.integers(0, 700, ROWS)
    score = (age - 40) / 12 + (city == "Rome") - 0.5 * (member == "yes")
    bought = np.where(score + rng.normal(0, 0.5, ROWS) > 0.2, "yes", "no")
    days = seen.astype("datetime64[D]").astype(str)
    table = pl.DataFrame({"age": age, "city": city, "member": member, "seen": days})
    fc.Classifier("linear").fit(table, bought).to_bundle(str(folder / "bundle"))
    return folder / "bundle"


def main() -> None:
    """Serve the model and run schemathesis against it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("st")
    parser.add_argument("--examples", default="1000", help="of each route and phase")
    options = parser.parse_args()
    port = find_free_port()
    with tempfile.TemporaryDirectory() as temporary_folder:
        bundle = train_bundle(Path(temporary_folder))
        serve_command = [
            sys.executable,
            "-m",
            "fieldcraft",
            "serve",
            str(bundle),
            "--port",
            str(port),
        ]
        server = subprocess.Popen(serve_command, stdout=subprocess.DEVNULL)
        try:
            wait_until_open(port)
            address = f"http://127.0.0.1:{port}/openapi.json"
            fuzz_command = [options.st, "run", address, "--max-examples", options.examples,
                            "--seed", "1", "--continue-on-failure", "--no-color"]  # fmt: skip
            route_filters = (["--exclude-path-regex", TENSORS],
                     ["--include-path-regex", TENSORS, "--exclude-checks",
                     POSITIVE_CHECK])  # fmt: skip
            codes = [
                subprocess.run([*fuzz_command, *route_filter], check=False).returncode
                for route_filter in route_filters
            ]
        finally:
            server.terminate()
            server.wait()
    sys.exit(max(codes))


if __name__ == "__main__":
    main()

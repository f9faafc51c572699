"""Send the rows of a table to a server as traffic, and keep what was true for later.

    python examples/replay.py TABLE --target COLUMN --labels FILE [--shift COLUMN=NUMBER ...]

Requests of 50 rows carry ids of their own, so that the labels in FILE can be joined to the
predictions. A shift adds a number to a column, as when a unit changes or people grow older.
"""

from __future__ import annotations

import argparse
import json
import secrets
import time
import urllib.error
import urllib.request

import polars as pl

ROWS = 50  # of a request
PATIENCE = 60.0  # seconds to wait for the server


def wait(address: str) -> None:
    """Wait until every model answers."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health/ready"):
                return
        except (urllib.error.URLError, ConnectionError) as error:
            if time.monotonic() > until:
                raise SystemExit(f"no server answers at {address}: {error}") from error
            time.sleep(0.2)


def ask(address: str, name: str, rows: pl.DataFrame) -> None:
    """Have some rows predicted by one request."""
    body = json.dumps({"rows": rows.to_dicts()}, default=str).encode()
    headers = {"content-type": "application/json", "x-request-id": name}
    request = urllib.request.Request(f"{address}/predict", body, headers)
    with urllib.request.urlopen(request) as answer:
        answer.read()


def main() -> None:
    """Replay the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("table")
    parser.add_argument("--target", required=True)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--shift", action="append", default=[])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--address", default="http://127.0.0.1:8000")
    asked = parser.parse_args()
    table = (
        pl.read_parquet(asked.table)
        if asked.table.endswith("parquet")
        else pl.read_csv(asked.table)
    )
    table = table.head(asked.rows or table.height)
    for column, number in (shift.split("=") for shift in asked.shift):
        table = table.with_columns(pl.col(column) + float(number))
    wait(asked.address)
    mark, labels = secrets.token_hex(4), []
    for number, rows in enumerate(table.iter_slices(ROWS)):
        ask(asked.address, f"{mark}-{number}", rows.drop(asked.target))
        names = [f"{mark}-{number}"] * rows.height
        labels.append(
            pl.DataFrame(
                {"request": names, "row": range(rows.height), asked.target: rows[asked.target]}
            )
        )
    pl.concat(labels).write_csv(asked.labels)
    print(f"{table.height:,} rows were answered; their labels are in {asked.labels}")


if __name__ == "__main__":
    main()

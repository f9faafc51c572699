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

ROWS_PER_REQUEST = 50  # of a request
SERVER_TIMEOUT_SECONDS = 60.0  # seconds to wait for the server


def wait_until_ready(address: str) -> None:
    """Wait until every model answers."""
    until = time.monotonic() + SERVER_TIMEOUT_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health/ready"):
                return
        except (urllib.error.URLError, ConnectionError) as error:
            if time.monotonic() > until:
                raise SystemExit(f"no server answers at {address}: {error}") from error
            time.sleep(0.2)


def send_rows(address: str, name: str, rows: pl.DataFrame) -> None:
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
    arguments = parser.parse_args()
    table = (
        pl.read_parquet(arguments.table)
        if arguments.table.endswith("parquet")
        else pl.read_csv(arguments.table)
    )
    table = table.head(arguments.rows or table.height)
    for column, number in (shift.split("=") for shift in arguments.shift):
        table = table.with_columns(pl.col(column) + float(number))
    wait_until_ready(arguments.address)
    request_prefix, labels = secrets.token_hex(4), []
    for number, rows in enumerate(table.iter_slices(ROWS_PER_REQUEST)):
        send_rows(arguments.address, f"{request_prefix}-{number}", rows.drop(arguments.target))
        names = [f"{request_prefix}-{number}"] * rows.height
        labels.append(
            pl.DataFrame(
                {
                    "request": names,
                    "row": range(rows.height),
                    arguments.target: rows[arguments.target],
                }
            )
        )
    pl.concat(labels).write_csv(arguments.labels)
    print(f"{table.height:,} rows were answered; their labels are in {arguments.labels}")


if __name__ == "__main__":
    main()

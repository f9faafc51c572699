"""Send the rows of a table to a server as traffic, and write their labels for later feedback.

    python examples/replay.py TABLE --target COLUMN --labels FILE [--shift COLUMN=NUMBER ...]

Each request of 50 rows has its own id. `fieldcraft feedback FILE` joins the labels in FILE to the
predictions by this id. A shift adds a number to a column, to simulate drift.
"""

from __future__ import annotations

import argparse
import json
import secrets
import time
import urllib.error
import urllib.request

import polars as pl

ROWS_PER_REQUEST = 50
SERVER_TIMEOUT_SECONDS = 60.0


def wait_until_ready(address: str) -> None:
    """Wait until every model of the server is ready."""
    deadline = time.monotonic() + SERVER_TIMEOUT_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health/ready"):
                return
        except (urllib.error.URLError, ConnectionError) as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"no server at {address}: {error}") from error
            time.sleep(0.2)


def send_rows(address: str, request_id: str, rows: pl.DataFrame) -> None:
    """Send rows for prediction in one request."""
    body = json.dumps({"rows": rows.to_dicts()}, default=str).encode()
    headers = {"content-type": "application/json", "x-request-id": request_id}
    request = urllib.request.Request(f"{address}/predict", body, headers)
    with urllib.request.urlopen(request) as response:
        response.read()


def main() -> None:
    """Send the table in requests, then write the labels with the ids of the requests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("table", help="table with the target: .csv or .parquet")
    parser.add_argument("--target", required=True, help="target column, which is not sent")
    parser.add_argument("--labels", required=True, help="CSV file for the labels")
    parser.add_argument("--shift", action="append", default=[], help="COLUMN=NUMBER to add")
    parser.add_argument("--rows", type=int, help="only the first rows of the table")
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
        request_id = f"{request_prefix}-{number}"
        send_rows(arguments.address, request_id, rows.drop(arguments.target))
        labels.append(
            pl.DataFrame(
                {
                    "request_id": [request_id] * rows.height,
                    "row": range(rows.height),
                    arguments.target: rows[arguments.target],
                }
            )
        )
    pl.concat(labels).write_csv(arguments.labels)
    print(f"sent {table.height:,} rows; their labels are in {arguments.labels}")


if __name__ == "__main__":
    main()

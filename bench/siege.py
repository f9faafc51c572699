"""Stress tests of the server: hostile requests, overload, and a soak test.

    python bench/siege.py [body drip heads crowd soak ...] [--minutes 10] [--share 0.7]

Each case prints what was sent, the responses, how memory and open files of the server and its
workers changed, and the latency of other clients meanwhile. All traffic stays on this machine, and
every loop is bounded. The exit code is 1 if a case does not meet the requirements of
shared/FAULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fuzz import train_bundle
from serving import find_free_port, run_load, wait_until_open

ROW = {"age": 40.5, "city": "Rome", "member": "yes", "seen": "2025-01-31"}
BODY = json.dumps(ROW).encode()
MEGABYTE = 1 << 20
HOSTILE_BODY_BYTES = 20 * MEGABYTE
MAX_GROWTH_MB = 60.0  # for a body of 20 MB
N_CHUNKS = 3_000_000
CALLERS, N_CROWD_CALLERS = 64, 1_500  # more than the queue can hold
REQUEST_HEAD = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@dataclass
class RunningServer:
    """A server in its own process."""

    port: int
    pid: int

    def processes(self) -> list[int]:
        """Return the process ids of the server and its workers."""
        listing = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True,
                               check=False)  # fmt: skip
        return [self.pid, *map(int, listing.stdout.split())]

    def megabytes(self) -> float:
        """Return the memory of all its processes."""
        kilobytes = 0
        for pid in self.processes():
            lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return kilobytes / 1024

    def open_files(self) -> int:
        """Return the number of open files of all its processes."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.processes())


@contextmanager
def start_server(bundle: Path, log: Path) -> Iterator[RunningServer]:
    """Yield a server that is warmed up."""
    port = find_free_port()
    command = [sys.executable, "-m", "fieldcraft", "serve", str(bundle), "--port", str(port)]
    process = subprocess.Popen([*command, "--log", str(log)], stdout=subprocess.DEVNULL)
    try:
        wait_until_open(port)
        run_load(port, BODY, CALLERS, 3.0)
        yield RunningServer(port, process.pid)
    finally:
        process.terminate()
        process.wait(60)


async def send_pieces(port: int, pieces: Iterator[Any]) -> str:
    """Send bytes and pauses until the server responds; return the first line of the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            await asyncio.sleep(piece if isinstance(piece, float) else 0)
            writer.write(piece if isinstance(piece, bytes) else b"")
            await writer.drain()
            if reader.at_eof() or reader._buffer:  # type: ignore[attr-defined]  # there is a response
                break
    except ConnectionError:
        pass
    try:
        line = await asyncio.wait_for(reader.readline(), 60)
    except ConnectionError:
        line = b"(closed)"
    writer.close()
    return line.decode().strip() or "(closed)"


def body_with_length() -> Iterator[bytes]:
    """Yield a body of 20 MB with a content length."""
    yield REQUEST_HEAD + b"content-length: %d\r\n\r\n" % HOSTILE_BODY_BYTES
    for _ in range(HOSTILE_BODY_BYTES // MEGABYTE):
        yield b" " * MEGABYTE


def chunked_body() -> Iterator[bytes]:
    """Yield the same body in chunks, without a content length."""
    yield REQUEST_HEAD + b"transfer-encoding: chunked\r\n\r\n"
    for _ in range(HOSTILE_BODY_BYTES // MEGABYTE):
        yield b"%x\r\n" % MEGABYTE + b" " * MEGABYTE + b"\r\n"


def dripping_body() -> Iterator[bytes]:
    """Yield three million chunks of one byte."""
    yield REQUEST_HEAD + b"transfer-encoding: chunked\r\n\r\n"
    for _ in range(N_CHUNKS // 1_000):
        yield b"1\r\n \r\n" * 1_000


def slow_head() -> Iterator[bytes | float]:
    """Yield the headers byte by byte, with pauses."""
    for byte in REQUEST_HEAD + b"x-slow: " + b"a" * 200:
        yield 0.1
        yield bytes([byte])


def measure_beside(
    server: RunningServer, hostile: Callable[[], Awaitable[object]]
) -> tuple[object, float, float]:
    """Return a hostile client's responses, and the p99 of others before and during it, in ms."""
    before = np.quantile(run_load(server.port, BODY, 4, 5.0), 0.99)

    async def run_both() -> tuple[object, list[float]]:
        others = asyncio.to_thread(run_load, server.port, BODY, 4, 5.0)
        response, latencies = await asyncio.gather(hostile(), others)
        return response, latencies

    response, latencies = asyncio.run(run_both())
    return response, 1e3 * float(before), 1e3 * float(np.quantile(latencies, 0.99))


def check_refused(
    name: str, server: RunningServer, pieces: Callable[[], Iterator[Any]], codes: str
) -> bool:
    """Send hostile requests three times while other clients send requests."""
    start = server.megabytes()

    async def hostile() -> list[str]:
        return [await send_pieces(server.port, pieces()) for _ in range(3)]

    lines, before, during = measure_beside(server, hostile)
    growth = server.megabytes() - start
    print(f"| {name} | {Counter(lines)} | {growth:+.0f} MB | p99 of other clients {before:.1f} ms, "
          f"during it {during:.1f} ms |", flush=True)  # fmt: skip
    return growth < MAX_GROWTH_MB and all(
        any(code in line for code in codes.split()) for line in lines
    )


def check_large_body(server: RunningServer) -> bool:
    """Row 2: bodies that are too large, with and without a content length."""
    has_passed = check_refused("20 MB with a content length", server, body_with_length, "413")
    return check_refused("20 MB in chunks", server, chunked_body, "413 (closed)") and has_passed


def check_dripping_body(server: RunningServer) -> bool:
    """Row 3: three million chunks of one byte."""
    return check_refused(
        "3,000,000 chunks of one byte", server, dripping_body, "413 408 400 (closed)"
    )


def check_slow_heads(server: RunningServer) -> bool:
    """Row 3: slow headers."""
    return check_refused("headers byte by byte", server, slow_head, "408")


async def call_repeatedly(port: int, until: float, codes: Counter[str]) -> None:
    """Send requests one after the other on a new connection."""
    request = REQUEST_HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        await reader.readexactly(length)
        code = head.split()[1]
        status = code + (" with retry-after" if "retry-after" in head else "")
        codes[status] += 1
        if code == "503":
            await asyncio.sleep(0.2)  # respect retry-after, shortened
    writer.close()


def check_crowd(server: RunningServer) -> bool:
    """Row 18: far more clients than the queue can hold."""
    capacity = len(run_load(server.port, BODY, CALLERS, 10.0)) / 10.0
    codes: Counter[str] = Counter()

    async def run_callers(seconds: float) -> None:
        until = time.monotonic() + seconds
        await asyncio.gather(
            *(call_repeatedly(server.port, until, codes) for _ in range(N_CROWD_CALLERS))
        )

    asyncio.run(run_callers(20.0))
    served = codes["200"] / 20.0
    print(f"| {N_CROWD_CALLERS} clients at once | {dict(codes)} "
          f"| {served:,.0f} responses/s of {capacity:,.0f} "
          f"({served / capacity:.0%}) | |", flush=True)  # fmt: skip
    return set(codes) <= {"200", "503 with retry-after"}


async def call_at_rate(port: int, rate: float, seconds: float) -> None:
    """Send requests at a constant rate."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = REQUEST_HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
    start = time.monotonic()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(start + number / rate - time.monotonic(), 0))
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length:")[2].split("\r\n")[0]))
    writer.close()


def check_soak(server: RunningServer, minutes: float, load_fraction: float) -> bool:
    """Row 24: under sustained load, memory and open files must not grow."""
    rate = load_fraction * len(run_load(server.port, BODY, 8, 5.0)) / 5.0

    async def run_callers(seconds: float) -> None:
        await asyncio.gather(*(call_at_rate(server.port, rate / 8, seconds) for _ in range(8)))

    asyncio.run(run_callers(60.0))  # fills caches and buffers
    samples = [(server.megabytes(), server.open_files())]
    for _ in range(4):
        asyncio.run(run_callers(15.0 * minutes))
        samples.append((server.megabytes(), server.open_files()))
    samples_text = ", ".join(f"{memory:.0f} MB and {files} files" for memory, files in samples)
    print(f"| {minutes:g} minutes at {rate:,.0f} requests/s | {samples_text} | | |", flush=True)
    return samples[-1][0] < samples[0][0] * 1.1 + 10 and samples[-1][1] <= samples[0][1] + 2


CASES = {
    "body": check_large_body,
    "drip": check_dripping_body,
    "heads": check_slow_heads,
    "crowd": check_crowd,
}


def main() -> None:
    """Run the cases, each with its own server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cases", nargs="*", default=[])
    parser.add_argument("--minutes", type=float, default=10.0, help="duration of the soak test")
    parser.add_argument(
        "--share", type=float, default=0.7, help="fraction of the capacity, in the soak test"
    )
    options = parser.parse_args()
    cases = {
        **CASES,
        "soak": partial(check_soak, minutes=options.minutes, load_fraction=options.share),
    }
    failed = []
    with tempfile.TemporaryDirectory() as temporary_folder:
        bundle = train_bundle(Path(temporary_folder))
        for name in options.cases or cases:
            with start_server(bundle, Path(temporary_folder) / f"log-{name}") as server:
                if not cases[name](server):
                    failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all cases passed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()

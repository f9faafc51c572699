"""A server under hostile and heavy callers: bodies that never end, ten times the load, a soak.

    python bench/siege.py [body drip heads crowd soak ...] [--minutes 10] [--share 0.7]

Each case prints what was sent, what came back, how memory and open files of the server and its
workers changed, and how other callers fared meanwhile. All traffic stays on this machine, and
every loop is bounded. The exit code is 1 if a case did not go as shared/FAULTS.md wants it.
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
from fuzz import pack
from serving import called, free_port, wait_until_open

ROW = {"age": 40.5, "city": "Rome", "member": "yes", "seen": "2025-01-31"}
BODY = json.dumps(ROW).encode()
MEGABYTE = 1 << 20
HOSTILE = 20 * MEGABYTE
MOST_GROWTH = 60.0  # megabytes, of a body of 20
CHUNKS = 3_000_000
CALLERS, CROWD = 64, 1_500  # more than may wait
HEAD = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@dataclass
class Running:
    """A server in a process of its own."""

    port: int
    pid: int

    def processes(self) -> list[int]:
        """The server and its workers."""
        found = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True,
                               check=False)  # fmt: skip
        return [self.pid, *map(int, found.stdout.split())]

    def megabytes(self) -> float:
        """Memory of all its processes."""
        kilobytes = 0
        for pid in self.processes():
            lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return kilobytes / 1024

    def files(self) -> int:
        """Open files of all its processes."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.processes())


@contextmanager
def serving(bundle: Path, log: Path) -> Iterator[Running]:
    """A server that has warmed up."""
    port = free_port()
    words = [sys.executable, "-m", "fieldcraft", "serve", str(bundle), "--port", str(port)]
    process = subprocess.Popen([*words, "--log", str(log)], stdout=subprocess.DEVNULL)
    try:
        wait_until_open(port)
        called(port, BODY, CALLERS, 3.0)
        yield Running(port, process.pid)
    finally:
        process.terminate()
        process.wait(60)


async def sent(port: int, pieces: Iterator[Any]) -> str:
    """Send bytes, or wait, until nobody takes them; the first line that came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            await asyncio.sleep(piece if isinstance(piece, float) else 0)
            writer.write(piece if isinstance(piece, bytes) else b"")
            await writer.drain()
            if reader.at_eof() or reader._buffer:  # type: ignore[attr-defined]  # it has answered
                break
    except ConnectionError:
        pass
    try:
        line = await asyncio.wait_for(reader.readline(), 60)
    except ConnectionError:
        line = b"(closed)"
    writer.close()
    return line.decode().strip() or "(closed)"


def whole() -> Iterator[bytes]:
    """A body of 20 MB that says how long it is."""
    yield HEAD + b"content-length: %d\r\n\r\n" % HOSTILE
    for _ in range(HOSTILE // MEGABYTE):
        yield b" " * MEGABYTE


def chunked() -> Iterator[bytes]:
    """The same in chunks, without a word on its length."""
    yield HEAD + b"transfer-encoding: chunked\r\n\r\n"
    for _ in range(HOSTILE // MEGABYTE):
        yield b"%x\r\n" % MEGABYTE + b" " * MEGABYTE + b"\r\n"


def dripping() -> Iterator[bytes]:
    """Three million chunks of a byte."""
    yield HEAD + b"transfer-encoding: chunked\r\n\r\n"
    for _ in range(CHUNKS // 1_000):
        yield b"1\r\n \r\n" * 1_000


def dawdling() -> Iterator[bytes | float]:
    """A head that comes byte by byte."""
    for byte in HEAD + b"x-slow: " + b"a" * 200:
        yield 0.1
        yield bytes([byte])


def beside(
    server: Running, hostile: Callable[[], Awaitable[object]]
) -> tuple[object, float, float]:
    """What a hostile caller got, and the 99th percentile of others before and meanwhile, in ms."""
    before = np.quantile(called(server.port, BODY, 4, 5.0), 0.99)

    async def both() -> tuple[object, list[float]]:
        others = asyncio.to_thread(called, server.port, BODY, 4, 5.0)
        found, taken = await asyncio.gather(hostile(), others)
        return found, taken

    found, taken = asyncio.run(both())
    return found, 1e3 * float(before), 1e3 * float(np.quantile(taken, 0.99))


def refused(name: str, server: Running, pieces: Callable[[], Iterator[Any]], codes: str) -> bool:
    """Send something hostile ten times while others call."""
    start = server.megabytes()

    async def hostile() -> list[str]:
        return [await sent(server.port, pieces()) for _ in range(3)]

    lines, before, during = beside(server, hostile)
    growth = server.megabytes() - start
    print(f"| {name} | {Counter(lines)} | {growth:+.0f} MB | p99 of others {before:.1f} ms, "
          f"meanwhile {during:.1f} ms |", flush=True)  # fmt: skip
    return growth < MOST_GROWTH and all(
        any(code in line for code in codes.split()) for line in lines
    )


def body(server: Running) -> bool:
    """Rows 2: too large, with and without a length."""
    told = refused("20 MB with a length", server, whole, "413")
    return refused("20 MB in chunks", server, chunked, "413 (closed)") and told


def drip(server: Running) -> bool:
    """Row 3: three million chunks of a byte."""
    return refused("3,000,000 chunks of a byte", server, dripping, "413 408 400 (closed)")


def heads(server: Running) -> bool:
    """Row 3: slow headers."""
    return refused("a head byte by byte", server, dawdling, "408")


async def answered(port: int, until: float, codes: Counter[str]) -> None:
    """A caller that asks again at once, on a connection of its own."""
    request = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        await reader.readexactly(length)
        code = head.split()[1]
        told = code + (" with retry-after" if "retry-after" in head else "")
        codes[told] += 1
        if code == "503":
            await asyncio.sleep(0.2)  # a caller that came back at once would only heat the door
    writer.close()


def crowd(server: Running) -> bool:
    """Row 18: far more callers than can wait."""
    capacity = len(called(server.port, BODY, CALLERS, 10.0)) / 10.0
    codes: Counter[str] = Counter()

    async def all_of_them(seconds: float) -> None:
        until = time.monotonic() + seconds
        await asyncio.gather(*(answered(server.port, until, codes) for _ in range(CROWD)))

    asyncio.run(all_of_them(20.0))
    served = codes["200"] / 20.0
    print(f"| {CROWD} callers at once | {dict(codes)} | {served:,.0f} a second of {capacity:,.0f} "
          f"({served / capacity:.0%}) | |", flush=True)  # fmt: skip
    return set(codes) <= {"200", "503 with retry-after"}


async def steadily(port: int, rate: float, seconds: float) -> None:
    """So many requests a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
    start = time.monotonic()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(start + number / rate - time.monotonic(), 0))
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length:")[2].split("\r\n")[0]))
    writer.close()


def soak(server: Running, minutes: float, share: float) -> bool:
    """Row 24: for some time at a share of what it can; memory and open files stay flat."""
    rate = share * len(called(server.port, BODY, 8, 5.0)) / 5.0

    async def some(seconds: float) -> None:
        await asyncio.gather(*(steadily(server.port, rate / 8, seconds) for _ in range(8)))

    asyncio.run(some(60.0))  # caches fill, buffers grow to their size
    found = [(server.megabytes(), server.files())]
    for _ in range(4):
        asyncio.run(some(15.0 * minutes))
        found.append((server.megabytes(), server.files()))
    said = ", ".join(f"{memory:.0f} MB and {files} files" for memory, files in found)
    print(f"| {minutes:g} minutes at {rate:,.0f} a second | {said} | | |", flush=True)
    return found[-1][0] < found[0][0] * 1.1 + 10 and found[-1][1] <= found[0][1] + 2


CASES = {"body": body, "drip": drip, "heads": heads, "crowd": crowd}


def main() -> None:
    """Play the cases, each with a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cases", nargs="*", default=[])
    parser.add_argument("--minutes", type=float, default=10.0, help="of the soak")
    parser.add_argument(
        "--share", type=float, default=0.7, help="of its most requests, in the soak"
    )
    options = parser.parse_args()
    cases = {**CASES, "soak": partial(soak, minutes=options.minutes, share=options.share)}
    failed = []
    with tempfile.TemporaryDirectory() as aside:
        bundle = pack(Path(aside))
        for name in options.cases or cases:
            with serving(bundle, Path(aside) / f"log-{name}") as server:
                if not cases[name](server):
                    failed.append(name)
    print(f"not as wanted: {', '.join(failed)}" if failed else "all as wanted")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()

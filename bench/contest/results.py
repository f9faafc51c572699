"""The results file: one JSON line per result, appended as soon as there is one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Line = Mapping[str, Any]


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read all complete lines; a truncated one is ignored."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def append_results(path: Path, lines: Sequence[Line]) -> None:
    """Append lines atomically and sync them to disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            text = "\n" + text  # after a truncated line
        os.write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def finished_rounds(lines: Iterable[Line], retry: bool = False) -> set[tuple[str, int, str]]:
    """Return table, seed and method of finished rounds; failed ones too, unless `retry` is set."""
    return {
        (line["table"], line["seed"], line["run"])
        for line in lines
        if not (retry and "error" in line)
    }

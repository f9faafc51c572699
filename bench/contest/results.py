"""The file of results: one JSON line each, added as soon as it is known."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Line = Mapping[str, Any]


def read_results(path: Path) -> list[dict[str, Any]]:
    """All whole lines; one that a kill cut short is left out."""
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
    """Add lines in one piece and bring them to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            text = "\n" + text  # after a line that was cut short
        os.write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def finished_rounds(lines: Iterable[Line], retry: bool = False) -> set[tuple[str, int, str]]:
    """Table, seed and method of what need not be run; failures too, unless they are tried again."""
    return {
        (line["table"], line["seed"], line["run"])
        for line in lines
        if not (retry and "error" in line)
    }

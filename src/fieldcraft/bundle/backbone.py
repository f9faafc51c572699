"""Pretrained networks that turn a text or a photo into a vector, each one by itself.

A network is one ONNX file, made once, that training and prediction run alike. As each item runs
alone, its vector never depends on what else is asked for; several run at a time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np

from fieldcraft.bundle.session import open_session
from fieldcraft.contracts import Array
from fieldcraft.core import digest

MOST_KEPT = 1 << 28  # bytes of vectors that training keeps, for other folds and other learners
MOST_LOADED = 4
LOADED: dict[str, Backbone] = {}  # by content, the one asked for last at the end


class Backbone:
    """A pretrained network ready to run.

    Attributes:
        path: of its ONNX file.
        keeps: whether vectors are kept for whoever asks again, as training does.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        """Load a network.

        Raises:
            BundleError: the file is not an ONNX model that runs here.
        """
        self.path = path
        self.keeps = False
        self.kept: dict[bytes, Array] = {}
        # One thread each: items share the processors, not their layers.
        self.session = open_session(path.name, data, threads=1)
        self.input = self.session.get_inputs()[0].name

    @cached_property
    def width(self) -> int:
        """Numbers of a vector."""
        return int(self.session.get_outputs()[0].shape[-1])

    def vectors(self, items: Sequence[Array]) -> Array:
        """The vector of each item, shape (items, width), 32-bit floats.

        Args:
            items: what the network reads of each, without an axis for rows.
        """
        keys = [hashlib.blake2b(i.tobytes(), digest_size=16).digest() for i in items]
        fresh = {k: i for k, i in zip(keys, items, strict=True) if k not in self.kept}
        found = dict(zip(fresh, self._run(list(fresh.values())), strict=True))
        if self.keeps and len(self.kept) * 4 * self.width < MOST_KEPT:
            self.kept.update(found)
        every = [found[key] if key in found else self.kept[key] for key in keys]
        return np.stack(every) if every else np.zeros((0, self.width), np.float32)

    def _run(self, items: list[Array]) -> list[Array]:
        if len(items) == 1:
            return [self._alone(items[0])]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return list(pool.map(self._alone, items))

    def _alone(self, item: Array) -> Array:
        return np.asarray(self.session.run(None, {self.input: item[None]})[0][0])


def load_backbone(path: Path) -> Backbone:
    """The network in a file; the same content is loaded once for a process.

    Raises:
        BundleError: the file is not an ONNX model that runs here.
    """
    data = path.read_bytes()
    content = digest.of_bytes(data)
    found = LOADED.pop(content, None) or Backbone(path, data)
    found.path = path  # where it was before may be gone
    LOADED[content] = found
    while len(LOADED) > MOST_LOADED:
        del LOADED[next(iter(LOADED))]
    return found

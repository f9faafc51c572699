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

from fieldcraft.bundle.onnx_session import open_onnx_session
from fieldcraft.core import digest
from fieldcraft.core.types import Array

MAX_CACHED_BYTES = (
    1 << 28
)  # bytes of vectors that training keeps, for other folds and other learners
MAX_LOADED_BACKBONES = 4
loaded_backbones: dict[str, Backbone] = {}  # by content, the one asked for last at the end


class Backbone:
    """A pretrained network ready to run.

    Attributes:
        path: of its ONNX file.
        caches_embeddings: whether vectors are kept for whoever asks again, as training does.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        """Load a network.

        Raises:
            BundleError: the file is not an ONNX model that runs here.
        """
        self.path = path
        self.caches_embeddings = False
        self.cache: dict[bytes, Array] = {}
        # One thread each: items share the processors, not their layers.
        self.session = open_onnx_session(path.name, data, n_threads=1)
        self.input_name = self.session.get_inputs()[0].name

    @cached_property
    def embedding_size(self) -> int:
        """Numbers of a vector."""
        return int(self.session.get_outputs()[0].shape[-1])

    def embed(self, items: Sequence[Array]) -> Array:
        """The vector of each item, shape (items, width), 32-bit floats.

        Args:
            items: what the network reads of each, without an axis for rows.
        """
        item_digests = [hashlib.blake2b(item.tobytes(), digest_size=16).digest() for item in items]
        uncached = {
            item_digest: item
            for item_digest, item in zip(item_digests, items, strict=True)
            if item_digest not in self.cache
        }
        embeddings = dict(zip(uncached, self._embed_items(list(uncached.values())), strict=True))
        if self.caches_embeddings and len(self.cache) * 4 * self.embedding_size < MAX_CACHED_BYTES:
            self.cache.update(embeddings)
        ordered = [
            embeddings[key] if key in embeddings else self.cache[key] for key in item_digests
        ]
        return np.stack(ordered) if ordered else np.zeros((0, self.embedding_size), np.float32)

    def _embed_items(self, items: list[Array]) -> list[Array]:
        if len(items) == 1:
            return [self._embed_item(items[0])]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return list(pool.map(self._embed_item, items))

    def _embed_item(self, item: Array) -> Array:
        return np.asarray(self.session.run(None, {self.input_name: item[None]})[0][0])


def load_backbone(path: Path) -> Backbone:
    """The network in a file; the same content is loaded once for a process.

    Raises:
        BundleError: the file is not an ONNX model that runs here.
    """
    data = path.read_bytes()
    content_digest = digest.of_bytes(data)
    backbone = loaded_backbones.pop(content_digest, None) or Backbone(path, data)
    backbone.path = path  # where it was before may be gone
    loaded_backbones[content_digest] = backbone
    while len(loaded_backbones) > MAX_LOADED_BACKBONES:
        del loaded_backbones[next(iter(loaded_backbones))]
    return backbone

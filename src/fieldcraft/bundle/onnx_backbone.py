"""Pretrained backbones that embed texts or images, one item at a time.

A backbone is one ONNX file that training and prediction both run. Each item is a batch of its own,
so that its embedding never depends on the other items of a request; several run in parallel.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np

from fieldcraft.bundle.formats.onnx import open_onnx_session
from fieldcraft.core import digest
from fieldcraft.core.types import Array

MAX_CACHED_BYTES = 1 << 28  # of embeddings kept during training, for other folds and models
MAX_LOADED_BACKBONES = 4
loaded_backbones: dict[str, Backbone] = {}  # by digest of the file, the last used at the end


class Backbone:
    """A pretrained network ready to run.

    Attributes:
        path: of its ONNX file.
        caches_embeddings: whether embeddings are kept for later calls; training sets it.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        """Load a backbone from the bytes of its ONNX file.

        Raises:
            BundleError: the file is not an ONNX model, or this onnxruntime does not run it.
        """
        self.path = path
        self.caches_embeddings = False
        self.cache: dict[bytes, Array] = {}
        # One thread each: several items run side by side, which splits the work better than the
        # layers of one item do.
        self.session = open_onnx_session(path.name, data, n_threads=1)
        self.input_name = self.session.get_inputs()[0].name

    @cached_property
    def embedding_size(self) -> int:
        """Length of an embedding."""
        return int(self.session.get_outputs()[0].shape[-1])

    def embed(self, items: Sequence[Array]) -> Array:
        """The embedding of each item, shape (items, embedding size), 32-bit floats.

        Args:
            items: the input of the network for each item, without the batch axis.
        """
        # Equal items (the same default image, the same short text) are computed once.
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
    """The backbone in a file; a process loads the same content once.

    Raises:
        BundleError: the file is not an ONNX model, or this onnxruntime does not run it.
    """
    data = path.read_bytes()
    content_digest = digest.of_bytes(data)
    backbone = loaded_backbones.pop(content_digest, None) or Backbone(path, data)
    backbone.path = path  # the file of the first load may be gone
    loaded_backbones[content_digest] = backbone
    while len(loaded_backbones) > MAX_LOADED_BACKBONES:
        del loaded_backbones[next(iter(loaded_backbones))]
    return backbone

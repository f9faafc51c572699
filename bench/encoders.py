"""Encoding for serving: our texts and photos beside the bare libraries, in interleaved rounds.

    python bench/encoders.py

Texts: the packaged MiniLM through `Pretrained.vectors`, and `tokenizers` with onnxruntime on as
many threads, one text at a time in both. Photos: a network for photos of 32 pixels as a bundle
runs it, from file names to outputs, and Pillow with onnxruntime on the same files and the same
graph. Prints items a second and the ratio; the aim is 0.8. Needs the developers' data.
"""

from __future__ import annotations

import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from fieldcraft.bundle.encoders import EncoderSet
from fieldcraft.bundle.session import open_session
from fieldcraft.contracts import Brief
from fieldcraft.core import catalogue
from fieldcraft.data.table import Column, Schema
from fieldcraft.kinds.text.pretrained import open_pretrained
from fieldcraft.learners.network.fit import NetworkModel, Size, build
from fieldcraft.learners.network.options import NetworkOptions

DATA = Path(__file__).parents[2] / "shared" / "data"
TEXTS, PHOTOS, ROUNDS = 600, 2_000, 5
SIDE = 32
Work = Callable[[], object]


def rates(items: int, ours: Work, bare: Work) -> tuple[float, float]:
    """Items a second of both, the best of interleaved rounds."""
    taken: dict[Work, list[float]] = {ours: [], bare: []}
    for _ in range(ROUNDS):
        for work, found in taken.items():
            start = time.perf_counter()
            work()
            found.append(time.perf_counter() - start)
    return items / min(taken[ours]), items / min(taken[bare])


def texts() -> tuple[float, float]:
    """Texts a second: ours and bare."""
    source = DATA / "text" / "banking77" / "banking77_test.csv.gz"
    cells = pl.read_csv(source)["text"].head(TEXTS)
    pretrained = open_pretrained("minilm")
    backbone, tokenizer = pretrained.backbone, pretrained.tokens.tokenizer
    backbone.keeps = False
    session = open_session("minilm", backbone.path.read_bytes(), threads=1)

    def bare() -> list[object]:
        ids = [np.array([part.ids]) for part in tokenizer.encode_batch(cells.to_list())]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return list(pool.map(lambda one: session.run(None, {"tokens": one}), ids))

    return rates(TEXTS, lambda: pretrained.vectors(cells), bare)


def photos(folder: Path) -> tuple[float, float]:
    """Photos a second: ours and bare."""
    archive = next((DATA / "image").glob("cifar10*/*.zip"))
    with zipfile.ZipFile(archive) as source:
        names = [n for n in source.namelist() if n.lower().endswith((".png", ".jpg"))][:PHOTOS]
        paths = [folder / f"{i}{Path(name).suffix}" for i, name in enumerate(names)]
        for path, name in zip(paths, names, strict=True):
            path.write_bytes(source.read(name))
    cells = pl.DataFrame({"photo": [str(path) for path in paths]})
    schema = Schema((Column("photo", "image", {"size": SIDE}),))
    encoders = EncoderSet(schema)
    encoders.fit_transform(encoders.read(schema.apply(cells)), np.zeros((len(paths), 0)))
    task = catalogue.load("tasks", "multiclass")
    brief = Brief(task, {"classes": list("abcdefghij")}, NetworkOptions(), encoders.nets)
    inputs = {"image": ["uint8", 1, SIDE, SIDE, 3]}
    model = NetworkModel(build(brief, Size(1, 1, 1)).eval(), {"inputs": inputs}).onnx()
    session = open_session("photos", model)

    def run(pixels: np.ndarray) -> object:  # type: ignore[type-arg]
        return session.run(["outputs"], {"image": pixels})[0]

    def ours() -> list[object]:
        from fieldcraft.kinds.image import store

        store.store_for.cache_clear()  # nothing of an earlier round is remembered
        store.glance_at.cache_clear()
        values = schema.apply(cells)
        return [
            run(encoders.transform(encoders.read(piece)).tensors()["image"])
            for piece in values.iter_slices(256)
        ]

    def square(path: Path) -> np.ndarray:  # type: ignore[type-arg]
        image = Image.open(BytesIO(path.read_bytes())).convert("RGB")
        return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))

    def bare() -> list[object]:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return [
                run(np.stack(list(pool.map(square, paths[start : start + 256])))[:, None])
                for start in range(0, len(paths), 256)
            ]

    return rates(len(paths), ours, bare)


def main() -> None:
    """Print a row each."""
    print("| what | ours, a second | bare | ratio |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (ours, bare) in (("texts", texts()), ("photos", photos(Path(folder)))):
            print(f"| {name} | {ours:,.0f} | {bare:,.0f} | {ours / bare:.2f} |", flush=True)


if __name__ == "__main__":
    main()

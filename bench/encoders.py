"""Encoding of texts and images for serving, compared with the bare libraries.

    python bench/encoders.py

Texts: the packaged MiniLM through `load_text_encoder`, and `tokenizers` with onnxruntime on the
same number of threads, one text at a time in both. Images: a network for images of 32 pixels as a
bundle runs it, from file names to outputs, and Pillow with onnxruntime on the same files and the
same graph. Rounds are interleaved. Prints items per second and the ratio; the goal is 0.8. Needs
the developers' data.
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

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.bundle.formats.onnx import open_onnx_session
from fieldcraft.contracts import ModelSpec
from fieldcraft.core import catalog
from fieldcraft.data.schema import Column, Schema
from fieldcraft.kinds.text.pretrained import load_text_encoder
from fieldcraft.learners.network.fit import NetworkModel, TabmSize, build_network
from fieldcraft.learners.network.options import NetworkOptions

DATA = Path(os.environ.get("FIELDCRAFT_DATA", Path(__file__).parents[2] / "shared" / "data"))
TEXTS, PHOTOS, ROUNDS = 600, 2_000, 5
SIDE_PIXELS = 32
Work = Callable[[], object]


def measure_rates(items: int, fieldcraft: Work, library: Work) -> tuple[float, float]:
    """Return items per second of both, the best of interleaved rounds."""
    times: dict[Work, list[float]] = {fieldcraft: [], library: []}
    for _ in range(ROUNDS):
        for work, work_times in times.items():
            start = time.perf_counter()
            work()
            work_times.append(time.perf_counter() - start)
    return items / min(times[fieldcraft]), items / min(times[library])


def measure_texts() -> tuple[float, float]:
    """Return texts per second of fieldcraft and of the bare libraries."""
    source = DATA / "text" / "banking77" / "banking77_test.csv.gz"
    cells = pl.read_csv(source)["text"].head(TEXTS)
    pretrained = load_text_encoder("minilm")
    backbone, tokenizer = pretrained.backbone, pretrained.tokenizer.backend_tokenizer
    backbone.caches_embeddings = False
    session = open_onnx_session("minilm", backbone.path.read_bytes(), n_threads=1)

    def run_bare() -> list[object]:
        ids = [np.array([part.ids]) for part in tokenizer.encode_batch(cells.to_list())]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return list(pool.map(lambda token_ids: session.run(None, {"tokens": token_ids}), ids))

    return measure_rates(TEXTS, lambda: pretrained.embed(cells), run_bare)


def measure_photos(folder: Path) -> tuple[float, float]:
    """Return images per second of fieldcraft and of the bare libraries."""
    archive = next((DATA / "image").glob("cifar10*/*.zip"))
    with zipfile.ZipFile(archive) as source:
        names = [n for n in source.namelist() if n.lower().endswith((".png", ".jpg"))][:PHOTOS]
        paths = [folder / f"{i}{Path(name).suffix}" for i, name in enumerate(names)]
        for path, name in zip(paths, names, strict=True):
            path.write_bytes(source.read(name))
    cells = pl.DataFrame({"photo": [str(path) for path in paths]})
    schema = Schema((Column("photo", "image", {"size": SIDE_PIXELS}),))
    encoders = EncoderSet(schema)
    encoders.fit_transform(encoders.precompute(schema.apply(cells)), np.zeros((len(paths), 0)))
    task = catalog.load_plugin("tasks", "multiclass")
    model_spec = ModelSpec(
        task, {"classes": list("abcdefghij")}, NetworkOptions(), encoders.build_nets
    )
    inputs = {"image": ["uint8", 1, SIDE_PIXELS, SIDE_PIXELS, 3]}
    model = NetworkModel(
        build_network(model_spec, TabmSize(1, 1, 1)).eval(), {"inputs": inputs}
    ).to_onnx()
    session = open_onnx_session("photos", model)

    def run(pixels: np.ndarray) -> object:  # type: ignore[type-arg]
        return session.run(["outputs"], {"image": pixels})[0]

    def run_fieldcraft() -> list[object]:
        from fieldcraft.kinds.image import pixel_cache

        pixel_cache.get_pixel_cache.cache_clear()  # drop what earlier rounds cached
        pixel_cache.read_cached_header.cache_clear()
        values = schema.apply(cells)
        return [
            run(encoders.transform(encoders.precompute(batch)).tensors()["image"])
            for batch in values.iter_slices(256)
        ]

    def read_square(path: Path) -> np.ndarray:  # type: ignore[type-arg]
        image = Image.open(BytesIO(path.read_bytes())).convert("RGB")
        return np.asarray(image.resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.BILINEAR))

    def run_bare() -> list[object]:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return [
                run(np.stack(list(pool.map(read_square, paths[start : start + 256])))[:, None])
                for start in range(0, len(paths), 256)
            ]

    return measure_rates(len(paths), run_fieldcraft, run_bare)


def main() -> None:
    """Print a row for each kind of data."""
    print("| data | fieldcraft, items/s | bare libraries, items/s | ratio |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (fieldcraft, bare) in (
            ("texts", measure_texts()),
            ("images", measure_photos(Path(folder))),
        ):
            print(
                f"| {name} | {fieldcraft:,.0f} | {bare:,.0f} | {fieldcraft / bare:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

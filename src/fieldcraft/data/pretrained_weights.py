"""Folders of pretrained networks: in a package, on this machine, or from the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from fieldcraft.core import digest, files
from fieldcraft.core.errors import DataError

CONFIG_FILE = "config.json"  # a folder with this file is a pretrained network
# A folder with this file is a bundle; the file lists the digests of all others.
MANIFEST_FILE = "manifest.json"
# The folder that relative paths start from.
BASE_FOLDER: ContextVar[Path] = ContextVar("base_folder", default=Path())
HEAD_LAYER_PREFIXES = ("classifier", "head", "fc")  # layers after the backbone, which are not used
# Safetensors only: pickled weights (*.bin, *.pt) can run arbitrary code when they are loaded.
DOWNLOAD_PATTERNS = ["*.json", "*.txt", "*.safetensors", "*.model"]

FileStamps = tuple[tuple[str, int, int], ...]  # path, size in bytes, modification time in ns


@contextmanager
def use_base_folder(folder: Path) -> Iterator[None]:
    """Resolve paths of networks relative to a folder while the block runs."""
    token = BASE_FOLDER.set(folder)
    try:
        yield
    finally:
        BASE_FOLDER.reset(token)


def resolve_path(name: str) -> Path:
    """Return the name of a network or bundle as a path, which need not exist."""
    return BASE_FOLDER.get() / Path(name).expanduser()


def packaged_folder(package: str, subfolder: str) -> Path | None:
    """Return the folder of a network in a package, or None; the package is not imported."""
    spec = find_spec(package)
    package_folders = list(spec.submodule_search_locations or ()) if spec else []
    folder = Path(package_folders[0]) / subfolder if package_folders else None
    return folder if folder and (folder / CONFIG_FILE).is_file() else None


def find_backbone_folder(name: str, packaged: Mapping[str, tuple[str, str]]) -> Path:
    """Return the folder of a pretrained network.

    Args:
        name: name of a packaged network, a folder (see `use_base_folder`), or a repository of the
            Hugging Face Hub, which is downloaded once; with ``HF_HUB_OFFLINE=1`` only copies on
            this machine are used.
        packaged: package and subfolder of the packaged networks, by name.

    Raises:
        DataError: there is no such network, or the hub cannot be reached.
    """
    if name in packaged:
        package_folder = packaged_folder(*packaged[name])
        if package_folder is None:
            raise unavailable_error(
                name, f"the package {packaged[name][0]} is not installed", packaged
            )
        return package_folder
    folder = resolve_path(name)
    if folder.is_dir():
        if not (folder / CONFIG_FILE).is_file():
            raise unavailable_error(name, f"the folder holds no {CONFIG_FILE}", packaged)
        return folder
    # Names on the hub are OWNER/NAME; a mistyped path must not become a request to the hub.
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise unavailable_error(name, "no such folder", packaged)
    return download_backbone(name, packaged)


def download_backbone(name: str, packaged: Mapping[str, tuple[str, str]]) -> Path:
    """Return the folder of a network from the hub, cached by huggingface_hub.

    Raises:
        DataError: it does not exist, or the hub cannot be reached and there is no local copy.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise unavailable_error(name, "huggingface_hub is not installed", packaged) from None
    try:
        return download_once(snapshot_download, name)
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise unavailable_error(
            name, f"not on this machine, and not available from the hub: {reason}", packaged
        ) from error


# Cached: huggingface_hub asks the hub for the newest revision even if the local copy is complete.
@lru_cache(maxsize=16)
def download_once(fetch: Callable[..., str], name: str) -> Path:
    """Download a network and return its folder; later calls send no request."""
    return Path(fetch(name, allow_patterns=DOWNLOAD_PATTERNS))


def unavailable_error(name: str, reason: str, packaged: Mapping[str, tuple[str, str]]) -> DataError:
    """Return the error for a pretrained network that is not available."""
    available_names = [
        packaged_name
        for packaged_name, package_and_folder in packaged.items()
        if packaged_folder(*package_and_folder)
    ]
    available_hint = (
        f"use {' or '.join(available_names)}, which is installed, or " if available_names else ""
    )
    return DataError(
        f"there is no pretrained network {name!r}",
        detail=reason,
        hint=f"{available_hint}give a folder with {CONFIG_FILE} and weights as safetensors",
    )


def weights_digest(folder: Path) -> str:
    """Return the digest of the files of a pretrained network."""
    return digest.of_json(
        {
            path.relative_to(folder).as_posix(): digest.of_file(path)
            for path in weights_files(folder)
        }
    )


def weights_files(folder: Path) -> list[Path]:
    """Return the files of a pretrained network."""
    # Subfolders hold, for example, the pooling configuration of sentence-transformers.
    patterns = [*DOWNLOAD_PATTERNS, "*/*.json"]
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def weights_stamps(folder: Path) -> FileStamps:
    """Return path, size and modification time of each file, which change if the network does."""
    return tuple((str(path), *files.file_stamp(path)) for path in weights_files(folder))


def content_digest(name: str) -> str | None:
    """Return the digest of the file, network or bundle at a path; None if there is none."""
    path = resolve_path(name)
    if path.is_file():
        return digest.of_file(path)
    if (path / CONFIG_FILE).is_file():
        return weights_digest(path)
    bundle_folder = next(
        (folder for folder in (path, path / "bundle") if (folder / MANIFEST_FILE).is_file()), None
    )
    return digest.of_file(bundle_folder / MANIFEST_FILE) if bundle_folder else None


def has_linear_layers(folder: Path) -> bool:
    """Return whether the backbone of a network has linear layers, whose weights are matrices."""
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy") as weights:
                shapes = {key: weights.get_slice(key).get_shape() for key in weights.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            return True  # loading the network raises the error that explains this
        backbone_shapes = [
            shape for key, shape in shapes.items() if not key.startswith(HEAD_LAYER_PREFIXES)
        ]
        # LoRA adapts linear layers; a purely convolutional network has none.
        if any(len(shape) == 2 for shape in backbone_shapes):
            return True
    return False

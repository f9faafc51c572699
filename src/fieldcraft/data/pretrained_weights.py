"""Folders of pretrained networks: brought by a package, on this machine, or at a hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from fieldcraft.core import digest
from fieldcraft.core.errors import DataError

CONFIG_FILE = "config.json"  # what makes a folder that of a pretrained network
MANIFEST_FILE = "manifest.json"  # ... and that of a bundle; it names the content of the others
BASE_FOLDER: ContextVar[Path] = ContextVar("starts", default=Path())  # where relative folders start
HEAD_LAYER_PREFIXES = ("classifier", "head", "fc")  # layers after the body, which are left out
DOWNLOAD_PATTERNS = [
    "*.json",
    "*.txt",
    "*.safetensors",
    "*.model",
]  # weights as data: never pickles


FileStamps = tuple[tuple[str, int, int], ...]  # names of files, their sizes, when they were changed


@contextmanager
def use_base_folder(folder: Path) -> Iterator[None]:
    """While it lasts relative names of networks start at a folder, such as that of a project."""
    token = BASE_FOLDER.set(folder)
    try:
        yield
    finally:
        BASE_FOLDER.reset(token)


def resolve_path(name: str) -> Path:
    """Where the name of a network, or of a bundle, leads to if it is a path."""
    return BASE_FOLDER.get() / Path(name).expanduser()


def packaged_folder(package: str, subfolder: str) -> Path | None:
    """The folder of a pretrained network that an installed package brings; nothing is imported."""
    spec = find_spec(package)
    package_folders = list(spec.submodule_search_locations or ()) if spec else []
    folder = Path(package_folders[0]) / subfolder if package_folders else None
    return folder if folder and (folder / CONFIG_FILE).is_file() else None


def find_backbone_folder(name: str, packaged: Mapping[str, tuple[str, str]]) -> Path:
    """The folder of a pretrained network.

    Args:
        name: one of those that packages bring, a folder (see `starting_at`), or a name at the
            Hugging Face hub, of which a copy is kept; with ``HF_HUB_OFFLINE=1`` the hub is not
            asked.
        packaged: name, package and folder inside it of those that packages bring.

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
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise unavailable_error(name, "no such folder", packaged)
    return download_backbone(name, packaged)


def download_backbone(name: str, packaged: Mapping[str, tuple[str, str]]) -> Path:
    """The folder of a network from the hub, kept by the hub's own library.

    Raises:
        DataError: it is not there, or the hub cannot be reached and no copy is kept.
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
            name, f"not at hand, and not from the hub: {reason}", packaged
        ) from error


@lru_cache(maxsize=16)
def download_once(fetch: Callable[..., str], name: str) -> Path:
    """Where a hub's library keeps its copy; the hub is asked once for a process."""
    return Path(fetch(name, allow_patterns=DOWNLOAD_PATTERNS))


def unavailable_error(name: str, reason: str, packaged: Mapping[str, tuple[str, str]]) -> DataError:
    """The error for a pretrained network that cannot be had."""
    available_names = [
        known
        for known, package_and_folder in packaged.items()
        if packaged_folder(*package_and_folder)
    ]
    available_hint = (
        f"use {' or '.join(available_names)}, which is at hand, or " if available_names else ""
    )
    return DataError(
        f"there is no pretrained network {name!r}",
        detail=reason,
        hint=f"{available_hint}give the folder of one, with {CONFIG_FILE} and its weights as safetensors",
    )


def weights_digest(folder: Path) -> str:
    """Digest of the files that make up a pretrained network."""
    return digest.of_json(
        {
            path.relative_to(folder).as_posix(): digest.of_file(path)
            for path in weights_files(folder)
        }
    )


def weights_files(folder: Path) -> list[Path]:
    """The files that make up a pretrained network."""
    patterns = [*DOWNLOAD_PATTERNS, "*/*.json"]  # such as how vectors of tokens are pooled
    return sorted({path for p in patterns for path in folder.glob(p) if path.is_file()})


def weights_stamps(folder: Path) -> FileStamps:
    """What tells cheaply whether the files of a pretrained network were changed."""
    stats = ((str(path), path.stat()) for path in weights_files(folder))
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def content_digest(name: str) -> str | None:
    """Digest of what lies where a name leads to: a network, or a bundle; None if nothing does."""
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
    """Whether a pretrained network has linear layers: weights of two dimensions in its body."""
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy") as weights:
                shapes = {key: weights.get_slice(key).get_shape() for key in weights.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            return True  # loading it says what is wrong
        body = [shape for key, shape in shapes.items() if not key.startswith(HEAD_LAYER_PREFIXES)]
        if any(len(shape) == 2 for shape in body):
            return True
    return False

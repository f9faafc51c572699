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

CONFIG = "config.json"  # what makes a folder that of a pretrained network
MANIFEST = "manifest.json"  # ... and that of a bundle; it names the content of the others
STARTS: ContextVar[Path] = ContextVar("starts", default=Path())  # where relative folders start
HEADS = ("classifier", "head", "fc")  # layers after the body, which are left out
WANTED = ["*.json", "*.txt", "*.safetensors", "*.model"]  # weights as data: never pickles


Stamp = tuple[tuple[str, int, int], ...]  # names of files, their sizes, when they were changed


@contextmanager
def starting_at(folder: Path) -> Iterator[None]:
    """While it lasts relative names of networks start at a folder, such as that of a project."""
    token = STARTS.set(folder)
    try:
        yield
    finally:
        STARTS.reset(token)


def place_of(name: str) -> Path:
    """Where the name of a network, or of a bundle, leads to if it is a path."""
    return STARTS.get() / Path(name).expanduser()


def packaged_folder(package: str, inside: str) -> Path | None:
    """The folder of a pretrained network that an installed package brings; nothing is imported."""
    found = find_spec(package)
    places = list(found.submodule_search_locations or ()) if found else []
    folder = Path(places[0]) / inside if places else None
    return folder if folder and (folder / CONFIG).is_file() else None


def weights_folder(name: str, packaged: Mapping[str, tuple[str, str]]) -> Path:
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
        found = packaged_folder(*packaged[name])
        if found is None:
            raise unavailable(name, f"the package {packaged[name][0]} is not installed", packaged)
        return found
    folder = place_of(name)
    if folder.is_dir():
        if not (folder / CONFIG).is_file():
            raise unavailable(name, f"the folder holds no {CONFIG}", packaged)
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise unavailable(name, "no such folder", packaged)
    return fetched_folder(name, packaged)


def fetched_folder(name: str, packaged: Mapping[str, tuple[str, str]]) -> Path:
    """The folder of a network from the hub, kept by the hub's own library.

    Raises:
        DataError: it is not there, or the hub cannot be reached and no copy is kept.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise unavailable(name, "huggingface_hub is not installed", packaged) from None
    try:
        return asked_once(snapshot_download, name)
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        why = str(error).strip().splitlines()[0][:200]
        raise unavailable(name, f"not at hand, and not from the hub: {why}", packaged) from error


@lru_cache(maxsize=16)
def asked_once(fetch: Callable[..., str], name: str) -> Path:
    """Where a hub's library keeps its copy; the hub is asked once for a process."""
    return Path(fetch(name, allow_patterns=WANTED))


def unavailable(name: str, why: str, packaged: Mapping[str, tuple[str, str]]) -> DataError:
    """The error for a pretrained network that cannot be had."""
    there = [known for known, place in packaged.items() if packaged_folder(*place)]
    here = f"use {' or '.join(there)}, which is at hand, or " if there else ""
    return DataError(
        f"there is no pretrained network {name!r}",
        seen=why,
        way_out=f"{here}give the folder of one, with {CONFIG} and its weights as safetensors",
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
    patterns = [*WANTED, "*/*.json"]  # such as how vectors of tokens are pooled
    return sorted({path for p in patterns for path in folder.glob(p) if path.is_file()})


def stamp_of(folder: Path) -> Stamp:
    """What tells cheaply whether the files of a pretrained network were changed."""
    found = ((str(path), path.stat()) for path in weights_files(folder))
    return tuple((name, about.st_size, about.st_mtime_ns) for name, about in found)


def content_digest(name: str) -> str | None:
    """Digest of what lies where a name leads to: a network, or a bundle; None if nothing does."""
    place = place_of(name)
    if place.is_file():
        return digest.of_file(place)
    if (place / CONFIG).is_file():
        return weights_digest(place)
    bundle = next((f for f in (place, place / "bundle") if (f / MANIFEST).is_file()), None)
    return digest.of_file(bundle / MANIFEST) if bundle else None


def has_linear_layers(folder: Path) -> bool:
    """Whether a pretrained network has linear layers: weights of two dimensions in its body."""
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy") as weights:
                shapes = {key: weights.get_slice(key).get_shape() for key in weights.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            return True  # loading it says what is wrong
        body = [shape for key, shape in shapes.items() if not key.startswith(HEADS)]
        if any(len(shape) == 2 for shape in body):
            return True
    return False

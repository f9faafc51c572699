"""Folders of pretrained networks: brought by a package, on this machine, or at a hub."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from fieldcraft.core import digest
from fieldcraft.core.errors import DataError

CONFIG = "config.json"  # what makes a folder that of a pretrained network
HEADS = ("classifier", "head", "fc")  # layers after the body, which are left out
WANTED = ["*.json", "*.txt", "*.safetensors", "*.model"]  # weights as data: never pickles


def packaged_folder(package: str, inside: str) -> Path | None:
    """The folder of a pretrained network that an installed package brings; nothing is imported."""
    found = find_spec(package)
    places = list(found.submodule_search_locations or ()) if found else []
    folder = Path(places[0]) / inside if places else None
    return folder if folder and (folder / CONFIG).is_file() else None


def weights_folder(name: str, packaged: Mapping[str, tuple[str, str]]) -> Path:
    """The folder of a pretrained network.

    Args:
        name: one of those that packages bring, a folder, or a name at the Hugging Face hub, of
            which a copy is kept; with ``HF_HUB_OFFLINE=1`` the hub is not asked.
        packaged: name, package and folder inside it of those that packages bring.

    Raises:
        DataError: there is no such network, or the hub cannot be reached.
    """
    if name in packaged:
        found = packaged_folder(*packaged[name])
        if found is None:
            raise unavailable(name, f"the package {packaged[name][0]} is not installed", packaged)
        return found
    folder = Path(name).expanduser()
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
        return Path(snapshot_download(name, allow_patterns=WANTED))
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        why = str(error).strip().splitlines()[0][:200]
        raise unavailable(name, f"not at hand, and not from the hub: {why}", packaged) from error


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
    names = {path for pattern in WANTED for path in folder.glob(pattern)}
    return digest.of_json({path.name: digest.of_file(path) for path in sorted(names)})


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

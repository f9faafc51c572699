"""The manifest of a bundle: what the model is, and the checksum of every file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldcraft.core import digest, files
from fieldcraft.core.errors import BundleError

NAME = "manifest.json"
FORMAT = 3  # raised when older runtimes could not read the bundle
PREDICTING = ("members/", "tables/")  # folders of what decides about predictions
SUFFIXES = frozenset(
    {".json", ".safetensors", ".onnx", ".html", ".md", ".parquet"}
)  # data, never code


def write_manifest(folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest of a folder whose other files are all there.

    The model's id is the digest of what predicts: the members' files and the decision. A new
    model card leaves it as it is.
    """
    sums = {name: found for name, found in digest.of_folder(folder).items() if name != NAME}
    members = {name: found for name, found in sums.items() if name.startswith(PREDICTING)}
    decides = {key: about[key] for key in ("task", "about", "schema", "calibration", "members")}
    manifest = {
        "format": FORMAT,
        "model_id": digest.of_json([members, decides]),
        **about,
        "files": sums,
    }
    manifest["digest"] = digest.of_json(manifest)
    files.write_json(folder / NAME, manifest)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, after every file has been checked against it.

    Raises:
        BundleError: there is no bundle, or it is of another format, changed, short of a file, or
            holds a file that does not belong to it.
    """
    path = folder / NAME
    if not path.is_file() or path.is_symlink():
        raise BundleError(
            "there is no bundle here",
            seen=f"no {NAME} in {folder}",
            way_out="give the path of a bundle (folder or .zip file); `fieldcraft run` makes one",
        )
    try:
        manifest: dict[str, Any] = files.read_json(path)
        stated = manifest.pop("digest")
        intact = stated == digest.of_json(manifest)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        intact, manifest = False, {}
    check_format(manifest.get("format"))
    if not intact or "format" not in manifest:
        raise changed(NAME, "its own checksum does not fit its content")
    try:
        sums = dict(manifest["files"])
        named = [f"{member['folder']}/encoders.json" for member in manifest["members"]]
        named += [table["file"] for table in manifest["tables"]]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise changed(NAME, f"it does not say what a manifest says: {error!r}") from error
    check_files(folder, sums)
    for name in named:
        if name not in sums:
            raise changed(NAME, f"it names a file outside the bundle: {name}")
    return manifest


def check_format(found: Any) -> None:
    """Make sure that a bundle is of the one format that this version reads.

    Raises:
        BundleError: it is of an older or a newer one.
    """
    if not isinstance(found, int) or found == FORMAT:
        return
    newer = found > FORMAT
    raise BundleError(
        f"the bundle has {'a newer' if newer else 'an older'} format than this version reads",
        seen=f"format {found}, known: {FORMAT}",
        way_out="install the version of fieldcraft that made it, or a newer one"
        if newer
        else "package its project again: fieldcraft run; or install the version that made it",
    )


def check_files(folder: Path, sums: Mapping[str, str]) -> None:
    """Compare the files of a bundle with their checksums.

    Raises:
        BundleError: a file is changed, missing, of a kind that could hold code, or extra.
    """
    there = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    for name in sorted(there.keys() - sums.keys() - {NAME}):
        raise changed(name, "the file does not belong to the bundle")
    for name, expected in sums.items():
        path = there.get(name)
        if path is None:
            raise changed(name, "the file is missing")
        if path.is_symlink() or not path.is_file() or path.suffix not in SUFFIXES:
            raise changed(name, "bundles hold plain files of data only")
        if digest.of_file(path) != expected:
            raise changed(name, "its checksum is not the one in the manifest")


def changed(name: str, how: str) -> BundleError:
    """The error for a bundle that is not what was packaged."""
    return BundleError(
        f"the bundle cannot be trusted: {name}",
        seen=how,
        way_out="use an untouched copy of the bundle, or package the project again: fieldcraft run",
    )

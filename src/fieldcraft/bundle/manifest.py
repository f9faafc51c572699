"""The manifest of a bundle: what the model is, and the checksum of every file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldcraft.core import digest, files
from fieldcraft.core.errors import BundleError

MANIFEST_FILE = "manifest.json"
FORMAT_VERSION = 3  # raised when older runtimes could not read the bundle
MODEL_FOLDERS = ("members/", "tables/")  # folders of what decides about predictions
ALLOWED_SUFFIXES = frozenset(
    {".json", ".safetensors", ".onnx", ".html", ".md", ".parquet"}
)  # data, never code


def write_manifest(folder: Path, body: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest of a folder whose other files are all there.

    The model's id is the digest of what predicts: the members' files and the decision. A new
    model card leaves it as it is.
    """
    checksums = {
        name: checksum
        for name, checksum in digest.of_folder(folder).items()
        if name != MANIFEST_FILE
    }
    model_checksums = {
        name: checksum for name, checksum in checksums.items() if name.startswith(MODEL_FOLDERS)
    }
    model_body = {key: body[key] for key in ("task", "about", "schema", "calibration", "members")}
    manifest = {
        "format": FORMAT_VERSION,
        "model_id": digest.of_json([model_checksums, model_body]),
        **body,
        "files": checksums,
    }
    manifest["digest"] = digest.of_json(manifest)
    files.atomic_write_json(folder / MANIFEST_FILE, manifest)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, after every file has been checked against it.

    Raises:
        BundleError: there is no bundle, or it is of another format, changed, short of a file, or
            holds a file that does not belong to it.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file() or path.is_symlink():
        raise BundleError(
            "there is no bundle here",
            detail=f"no {MANIFEST_FILE} in {folder}",
            hint="give the path of a bundle (folder or .zip file); `fieldcraft run` makes one",
        )
    try:
        manifest: dict[str, Any] = files.read_json(path)
        stated_digest = manifest.pop("digest")
        is_intact = stated_digest == digest.of_json(manifest)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        is_intact, manifest = False, {}
    check_format_version(manifest.get("format"))
    if not is_intact or "format" not in manifest:
        raise untrusted_bundle_error(MANIFEST_FILE, "its own checksum does not fit its content")
    try:
        checksums = dict(manifest["files"])
        required_files = [f"{member['folder']}/encoders.json" for member in manifest["members"]]
        required_files += [table["file"] for table in manifest["tables"]]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise untrusted_bundle_error(
            MANIFEST_FILE, f"it does not say what a manifest says: {error!r}"
        ) from error
    verify_checksums(folder, checksums)
    for name in required_files:
        if name not in checksums:
            raise untrusted_bundle_error(
                MANIFEST_FILE, f"it names a file outside the bundle: {name}"
            )
    return manifest


def check_format_version(version: Any) -> None:
    """Make sure that a bundle is of the one format that this version reads.

    Raises:
        BundleError: it is of an older or a newer one.
    """
    if not isinstance(version, int) or version == FORMAT_VERSION:
        return
    is_newer = version > FORMAT_VERSION
    raise BundleError(
        f"the bundle has {'a newer' if is_newer else 'an older'} format than this version reads",
        detail=f"format {version}, known: {FORMAT_VERSION}",
        hint="install the version of fieldcraft that made it, or a newer one"
        if is_newer
        else "package its project again: fieldcraft run; or install the version that made it",
    )


def verify_checksums(folder: Path, checksums: Mapping[str, str]) -> None:
    """Compare the files of a bundle with their checksums.

    Raises:
        BundleError: a file is changed, missing, of a kind that could hold code, or extra.
    """
    present = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    for name in sorted(present.keys() - checksums.keys() - {MANIFEST_FILE}):
        raise untrusted_bundle_error(name, "the file does not belong to the bundle")
    for name, expected in checksums.items():
        path = present.get(name)
        if path is None:
            raise untrusted_bundle_error(name, "the file is missing")
        if path.is_symlink() or not path.is_file() or path.suffix not in ALLOWED_SUFFIXES:
            raise untrusted_bundle_error(name, "bundles hold plain files of data only")
        if digest.of_file(path) != expected:
            raise untrusted_bundle_error(name, "its checksum is not the one in the manifest")


def untrusted_bundle_error(name: str, reason: str) -> BundleError:
    """The error for a bundle that is not what was packaged."""
    return BundleError(
        f"the bundle cannot be trusted: {name}",
        detail=reason,
        hint="use an untouched copy of the bundle, or package the project again: fieldcraft run",
    )

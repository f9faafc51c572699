"""The manifest of a bundle: a description of the model, and the checksum of every file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldcraft.core import digest, files
from fieldcraft.core.errors import BundleError

MANIFEST_FILE = "manifest.json"
FORMAT_VERSION = 4  # raised when older runtimes cannot read the bundle
MODEL_FOLDERS = ("members/", "tables/")  # folders of files that predictions depend on
# Formats of data only: loading none of them can run code, as a pickle could.
ALLOWED_SUFFIXES = frozenset({".json", ".safetensors", ".onnx", ".html", ".md", ".parquet"})


def write_manifest(folder: Path, body: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest of a folder, after all its other files, and return it.

    The id of the model is the digest of what predictions depend on: the files of the members, the
    lookup tables, the schema and the calibration. A new model card does not change it.
    """
    checksums = {
        name: checksum
        for name, checksum in digest.of_folder(folder).items()
        if name != MANIFEST_FILE
    }
    model_checksums = {
        name: checksum for name, checksum in checksums.items() if name.startswith(MODEL_FOLDERS)
    }
    model_body = {
        key: body[key] for key in ("task", "target_spec", "schema", "calibration", "members")
    }
    manifest = {
        "format": FORMAT_VERSION,
        "model_id": digest.of_json([model_checksums, model_body]),
        **body,
        "files": checksums,
    }
    manifest["digest"] = digest.of_json(manifest)
    # Last of all files: a crash before this line leaves a folder without a manifest, which no
    # reader takes for a bundle.
    files.atomic_write_json(folder / MANIFEST_FILE, manifest)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, after every file has been checked against it.

    Raises:
        BundleError: there is no bundle, it has another format, or a file is changed, missing or
            unknown.
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
    # Before the checksum, so that an old bundle is reported as old, not as damaged.
    check_format_version(manifest.get("format"))
    if not is_intact or "format" not in manifest:
        raise untrusted_bundle_error(MANIFEST_FILE, "its checksum does not match its content")
    verify_files(folder, manifest)
    return manifest


def verify_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Check that the files of a bundle are those of its manifest.

    Raises:
        BundleError: an entry is missing, or a file is changed, missing or unknown.
    """
    try:
        checksums = dict(manifest["files"])
        required_files = [f"{member['folder']}/encoders.json" for member in manifest["members"]]
        required_files += [table["file"] for table in manifest["tables"]]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise untrusted_bundle_error(
            MANIFEST_FILE, f"an entry is missing or invalid: {error!r}"
        ) from error
    verify_checksums(folder, checksums)
    for name in required_files:
        if name not in checksums:
            raise untrusted_bundle_error(
                MANIFEST_FILE, f"it names a file outside the bundle: {name}"
            )


def check_format_version(version: Any) -> None:
    """Check that a bundle has the one format that this version reads.

    Raises:
        BundleError: it has an older or a newer one.
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
        BundleError: a file is changed, missing, unknown, or of a type that could hold code.
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
            raise untrusted_bundle_error(name, "bundles hold regular data files only")
        if digest.of_file(path) != expected:
            raise untrusted_bundle_error(name, "its checksum differs from the one in the manifest")


def untrusted_bundle_error(name: str, reason: str) -> BundleError:
    """The error for a bundle that is not what was packaged."""
    return BundleError(
        f"the bundle cannot be trusted: {name}",
        detail=reason,
        hint="use an untouched copy of the bundle, or package the project again: fieldcraft run",
    )

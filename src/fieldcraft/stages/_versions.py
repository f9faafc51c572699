"""Publish bundles, list the published versions, and roll back to one of them."""

from __future__ import annotations

import getpass
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from fieldcraft.bundle.manifest import MANIFEST_FILE, read_manifest
from fieldcraft.core import files
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import BundleError, ProjectError
from fieldcraft.core.types import Json
from fieldcraft.ledger.store import Ledger, LedgerEntry
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import DataSettings

CARD_FILES = ("card.html", "card.md")
MODEL_ID_CHARS = 12  # of a model id where it is shown


def publish(
    project: ProjectFolder, folders: Mapping[str, Path], command: str, reason: str = ""
) -> bool:
    """Make a packaged bundle the current one and record it.

    The same model is published again if anything else in its bundle has changed, such as the
    settings of serving. The old bundle stays in place until the new one is complete.

    Args:
        project: the project.
        folders: folders of the steps that made the bundle.
        command: the command that publishes.
        reason: the reason, for the ledger.

    Returns:
        False if the bundle was already the current one.
    """
    source = folders["package"] / "bundle"
    manifest = read_manifest(source)
    current_bundle, key = load_current_manifest(project), folders["package"].name
    if current_bundle is None or not is_same_bundle(current_bundle, manifest):
        install_bundle(project, source)
    elif (published := list_versions(project)) and published[-1].body["steps"]["package"] == key:
        return False
    # A process killed between installing and recording leaves the bundle without an entry: the next
    # call then installs nothing, and adds the entry here.
    body = {
        "decision": "published", "model_id": manifest["model_id"], "command": command,
        "user": get_user(), "reason": reason,
        "previous_model_id": current_bundle["model_id"] if current_bundle else None,
        "steps": {name: folder.name for name, folder in folders.items()},
        "data_source": get_source_settings(project.load_settings().data),
    }  # fmt: skip
    Ledger(project.ledger_path).append([("decision", command, key, body)])
    return True


def load_current_manifest(project: ProjectFolder) -> Json | None:
    """The manifest of the current bundle; None if there is none, or it is damaged."""
    try:
        return read_manifest(project.bundle_path)
    except BundleError:
        return None


def install_bundle(project: ProjectFolder, source: Path) -> None:
    """Replace the current bundle atomically.

    Raises:
        BundleError: it could not be installed.
    """
    with files.atomic_folder(project.bundle_path) as staging:
        shutil.copytree(source, staging, dirs_exist_ok=True)
    if not (project.bundle_path / MANIFEST_FILE).exists():
        raise BundleError(
            "the bundle could not be installed",
            detail=f"no {MANIFEST_FILE} in {project.bundle_path}",
            hint="free disk space if the disk is full, then run again",
        )


def is_same_bundle(first: Json, second: Json) -> bool:
    """Whether two manifests are equal, apart from the model card written after publishing."""

    def without_card(manifest: Json) -> Json:
        checksums = {
            name: checksum for name, checksum in manifest["files"].items() if name not in CARD_FILES
        }
        lineage = {
            name: value for name, value in manifest["lineage"].items() if name != "ledger_head"
        }
        return {**manifest, "files": checksums, "lineage": lineage}

    return without_card(first) == without_card(second)


def list_versions(project: ProjectFolder) -> list[LedgerEntry]:
    """The ledger entries of published bundles, oldest first."""
    entries = Ledger(project.ledger_path).entries(kind="decision")
    return [entry for entry in entries if entry.body.get("decision") == "published"]


def rollback(project: ProjectFolder, id_prefix: str | None, reason: str) -> Json:
    """Make an earlier bundle the current one again, with its data source in the project file.

    Args:
        project: the project.
        id_prefix: prefix of the model id; the version before the current one if None.
        reason: the reason.

    Returns:
        ``model_id``, ``previous_model_id``, the ``folders`` of its steps and the ``seconds``.

    Raises:
        ProjectError: there is no such version, or its run folder is gone.
    """
    start = time.perf_counter()
    current_bundle = load_current_manifest(project)
    current_id = str(current_bundle["model_id"]) if current_bundle else ""
    entry = select_version(list_versions(project), current_id, id_prefix)
    folders = {name: project.run_folder(name, key) for name, key in entry.body["steps"].items()}
    missing = [str(folder.relative_to(project.root)) for folder in folders.values()
            if not folder.exists()]  # fmt: skip
    if missing:
        raise ProjectError(
            "the run folders of that version are missing",
            detail=", ".join(missing[:3]),
            hint="restore the folder from a backup, or choose another version: "
            "fieldcraft rollback --list",
        )
    read_manifest(folders["package"] / "bundle")  # raises if the bundle is damaged
    # The project file before the bundle: the other way round, a crash in between would leave the
    # old bundle with the new data source, and the next run would publish the new model again.
    restore_source_settings(project, entry.body["data_source"])
    publish(project, folders, "rollback", reason)
    return {
        "model_id": entry.body["model_id"], "previous_model_id": current_id, "folders": folders,
        "seconds": time.perf_counter() - start,
    }  # fmt: skip


def select_version(
    entries: list[LedgerEntry], current_id: str, id_prefix: str | None
) -> LedgerEntry:
    """The last published version with a prefix of the model id, other than the current one.

    Raises:
        ProjectError: there is none, or the prefix is ambiguous.
    """
    earlier_entries = [entry for entry in entries if entry.body["model_id"] != current_id]
    matches = [
        entry
        for entry in earlier_entries
        if id_prefix is None or entry.body["model_id"].startswith(id_prefix)
    ]
    model_ids = dict.fromkeys(entry.body["model_id"] for entry in matches)
    if not matches or (id_prefix is not None and len(model_ids) > 1):
        known_ids = dict.fromkeys(
            str(entry.body["model_id"])[:MODEL_ID_CHARS] for entry in earlier_entries
        )
        raise ProjectError(
            "there is no earlier version to go back to" if id_prefix is None
            else "there is no such version" if not matches else "several versions have that prefix",
            detail=f"{id_prefix or 'the current one'}; "
            f"earlier ones: {', '.join(known_ids) or 'none'}",
            hint="list the versions with: fieldcraft rollback --list",
        )  # fmt: skip
    return matches[-1]


def get_source_settings(data: DataSettings) -> Json:
    """The settings under ``data`` that a retraining changes."""
    return {name: data.model_dump(mode="json")[name] for name in ("source", "column_names")}


def restore_source_settings(project: ProjectFolder, source_settings: Json) -> None:
    """Restore the data source in the project file if it has changed."""
    current_settings = get_source_settings(project.load_settings().data)
    edits = [
        ConfigEdit(("data", name), value)
        for name, value in source_settings.items()
        if value != current_settings[name]
    ]
    if edits:
        project_file.apply_edits(project.file_path, edits)


def get_user() -> str:
    """The name of the user, or their numeric id if there is no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # containers often have no entry for the user
        return str(os.getuid())

"""Which bundle is the current one, which were before, and the way back to them."""

from __future__ import annotations

import getpass
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from fieldcraft.bundle.manifest import NAME, read_manifest
from fieldcraft.contracts import Json
from fieldcraft.core import files
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import BundleError, ProjectError
from fieldcraft.evidence.ledger import Entry, Ledger
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Data

CARD = ("card.html", "card.md")
SHOWN = 12  # characters of a model's id


def publish(project: Folder, folders: Mapping[str, Path], by: str, why: str = "") -> bool:
    """Make a packaged bundle the project's current one, on the record, unless it is already.

    The same model is published again where something else of its bundle is new, such as how it is
    served. The old bundle stays in place until the new one is whole.

    Args:
        project: the project.
        folders: of the steps that made the bundle.
        by: the command that publishes.
        why: the reason.
    """
    source = folders["package"] / "bundle"
    new = read_manifest(source)
    before, key = current(project), folders["package"].name
    if before is None or not same(before, new):
        put(project, source)
    elif (last := versions(project)) and last[-1].body["steps"]["package"] == key:
        return False  # else whoever put it there was killed before it was on the record
    body = {
        "decision": "published", "model_id": new["model_id"], "by": by, "who": user(), "why": why,
        "before": before["model_id"] if before else None,
        "steps": {name: folder.name for name, folder in folders.items()},
        "data": source_of(project.settings().data),
    }  # fmt: skip
    Ledger(project.ledger).append([("decision", by, key, body)])
    return True


def current(project: Folder) -> Json | None:
    """The manifest of the current bundle; None if there is none, or it is damaged."""
    try:
        return read_manifest(project.bundle)
    except BundleError:
        return None


def put(project: Folder, source: Path) -> None:
    """Put a bundle in the place of the current one, in one step.

    Raises:
        BundleError: it could not be put there.
    """
    with files.whole_folder(project.bundle) as aside:
        shutil.copytree(source, aside, dirs_exist_ok=True)
    if not (project.bundle / NAME).exists():
        raise BundleError(
            "the bundle could not be put in its place",
            seen=str(project.bundle),
            way_out="make sure the disk is not full, then run again",
        )


def same(one: Json, other: Json) -> bool:
    """Whether two manifests say the same but for the model card, which is written afterwards."""

    def kept(manifest: Json) -> Json:
        sums = {name: found for name, found in manifest["files"].items() if name not in CARD}
        lineage = {name: said for name, said in manifest["lineage"].items() if name != "ledger"}
        return {**manifest, "files": sums, "lineage": lineage}

    return kept(one) == kept(other)


def versions(project: Folder) -> list[Entry]:
    """Each time that a bundle became the current one, oldest first."""
    entries = Ledger(project.ledger).entries(kind="decision")
    return [entry for entry in entries if entry.body.get("decision") == "published"]


def rollback(project: Folder, to: str | None, why: str) -> Json:
    """Make an earlier bundle the current one again, and its rows those of the project.

    Args:
        project: the project.
        to: how the model's id begins; the one before the current one if left out.
        why: the reason.

    Returns:
        The ``model_id``, that ``before``, the ``folders`` of its steps and the ``seconds`` it took.

    Raises:
        ProjectError: there is no such version, or its run folder is gone.
    """
    begun = time.perf_counter()
    now = current(project)
    model = str(now["model_id"]) if now else ""
    entry = chosen(versions(project), model, to)
    folders = {name: project.run(name, key) for name, key in entry.body["steps"].items()}
    gone = [str(folder.relative_to(project.root)) for folder in folders.values()
            if not folder.exists()]  # fmt: skip
    if gone:
        raise ProjectError(
            "what made that version is not there any more",
            seen=", ".join(gone[:3]),
            way_out="restore the folder from a copy, or go back to another: "
            "fieldcraft rollback --list",
        )
    read_manifest(folders["package"] / "bundle")
    set_source(project, entry.body["data"])
    publish(project, folders, "rollback", why)
    return {
        "model_id": entry.body["model_id"], "before": model, "folders": folders,
        "seconds": time.perf_counter() - begun,
    }  # fmt: skip


def chosen(entries: list[Entry], model: str, to: str | None) -> Entry:
    """The version that is meant.

    Raises:
        ProjectError: none is, or several are.
    """
    others = [entry for entry in entries if entry.body["model_id"] != model]
    fitting = [entry for entry in others if to is None or entry.body["model_id"].startswith(to)]
    ids = dict.fromkeys(entry.body["model_id"] for entry in fitting)
    if not fitting or (to is not None and len(ids) > 1):
        known = dict.fromkeys(str(entry.body["model_id"])[:SHOWN] for entry in others)
        raise ProjectError(
            "there is no earlier version to go back to" if to is None
            else "there is no such version" if not fitting else "several versions begin like that",
            seen=f"{to or 'the current one'}; earlier ones: {', '.join(known) or 'none'}",
            way_out="versions come with fieldcraft run and fieldcraft retrain; "
            "fieldcraft rollback --list shows them",
        )  # fmt: skip
    return fitting[-1]


def source_of(data: Data) -> Json:
    """What the project file says of its rows that a retraining changes."""
    return {name: data.model_dump(mode="json")[name] for name in ("source", "names")}


def set_source(project: Folder, wanted: Json) -> None:
    """Let the project file name its rows as it did, if it names others."""
    now = source_of(project.settings().data)
    edits = [Edit(("data", name), value) for name, value in wanted.items() if value != now[name]]
    if edits:
        file.edit(project.file, edits)


def user() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name, as in some containers
        return str(os.getuid())

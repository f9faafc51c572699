"""Put the champion into a bundle that predicts without PyTorch and without the project."""

from __future__ import annotations

import shutil

from fieldcraft.bundle.manifest import NAME, read_manifest
from fieldcraft.bundle.rows import load_development
from fieldcraft.bundle.write import check_parity, write_bundle
from fieldcraft.contracts import Json, Stage
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError
from fieldcraft.project.folder import Folder
from fieldcraft.project.work import Work


def package(work: Work) -> Json:
    """Export the champion, prove its parity, and make it the current bundle."""
    rows = load_development(work.inputs["split"], work.settings)
    evaluation = files.read_json(work.inputs["evaluate"] / "evaluation.json")
    champion = evaluation["champion"]
    model = next(
        folder / champion
        for folder in (work.inputs["train"], work.inputs["baseline"])
        if (folder / champion).is_dir()
    )
    bundle = work.out / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir()
    settings = work.settings
    manifest = write_bundle(
        bundle,
        model,
        rows,
        {
            "target": settings.problem.target,
            "question": settings.problem.question,
            "names": list(settings.data.columns) if settings.data.names else [],
            "calibration": evaluation["calibration"],
            "lineage": {"data": rows.digest, "evaluation": work.inputs["evaluate"].name},
        },
        work.progress,
    )
    work.progress("comparing predictions with the trained model", None)
    difference = check_parity(bundle, model, rows)
    work.record("decision", {
        "decision": "packaged", "learner": champion, "model_id": manifest["model_id"],
        "parity": difference,
    })  # fmt: skip
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    return {"model_id": manifest["model_id"], "parity": difference, "bytes": size}


def publish(folder: Folder, packaged: Json, source: str) -> None:
    """Make a packaged bundle the project's current one, unless it is already.

    The old bundle stays in place until the new one is whole.
    """
    try:
        if read_manifest(folder.bundle)["model_id"] == packaged["model_id"]:
            return
    except BundleError:
        pass  # none yet, or damaged: it is replaced
    with files.whole_folder(folder.bundle) as aside:
        shutil.copytree(source, aside, dirs_exist_ok=True)
    if not (folder.bundle / NAME).exists():
        raise BundleError(
            "the bundle could not be put in its place",
            seen=str(folder.bundle),
            way_out="make sure the disk is not full, then run again",
        )


STAGE = Stage(
    "package",
    "Put the champion into a bundle that predicts without PyTorch.",
    package,
    sections=("problem", "data", "clean"),
)

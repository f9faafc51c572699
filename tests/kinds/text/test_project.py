"""A project with a pretrained text encoder runs, and its bundle contains the encoder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import fieldcraft as fc
from fieldcraft.bundle.archive import pack_bundle
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.project import project_file
from fieldcraft.stages.init import InitRequest, init
from tests.kinds.text.sentences import make_texts
from tests.kinds.text.tiny_backbone import write_tiny_backbone

ROWS = 120


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished project of notes, after the folder of the encoder was moved away."""
    root = tmp_path_factory.mktemp("notes")
    texts = make_texts(ROWS, 2, seed=1)
    label = ["broke" if "broke" in text else "held" for text in texts]
    pl.DataFrame({"note": texts, "label": label}).write_csv(root / "notes.csv")
    encoder = write_tiny_backbone(root / "encoder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELDCRAFT_CACHE", str(root / "cache"))
        init(InitRequest(root / "p", str(root / "notes.csv"), ("label",)))
        edits = [
            ConfigEdit(("model", "text"), {"encoder": "../encoder"}),
            ConfigEdit(("model", "trunk"), "mlp"), ConfigEdit(("model", "epochs"), 2),
            ConfigEdit(("data", "columns", "note"), {"kind": "text"}),
            ConfigEdit(("problem", "reject_fraction"), 0.1),
        ]  # fmt: skip
        project_file.apply_edits(root / "p" / project_file.PROJECT_FILE_NAME, edits)
        fc.Project(root / "p").run(fix=True)
    (root / "cache").rename(root / "gone")
    encoder.rename(root / "moved")
    return root


def test_bundle_holds_the_encoder_once(project: Path) -> None:
    bundle = project / "p" / "bundle"
    members = [path.name for path in (bundle / "members").iterdir()]
    assert len(members) > 2
    assert len(list(bundle.rglob("shared/*.onnx"))) == 1


def test_bundle_needs_neither_the_folder_nor_the_libraries(project: Path) -> None:
    program = """
import sys
import polars as pl
import fieldcraft as fc
predictions = fc.load_bundle(sys.argv[1]).predict(pl.DataFrame({"note": ["The lamp broke.", None]}))
assert predictions["prediction"].null_count() == 0, predictions
assert "confident" in predictions.columns
print(sorted({"torch", "transformers", "peft"} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", program, str(project / "p" / "bundle")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.strip() == "[]"


def test_packed_bundle_gives_the_same_predictions(project: Path) -> None:
    pack_bundle(project / "p" / "bundle", project / "notes.zip")
    rows = pl.DataFrame({"note": make_texts(5, 2, seed=9)})
    packed, folder = (fc.load_bundle(path).predict(rows)
                      for path in (project / "notes.zip", project / "p" / "bundle"))  # fmt: skip
    assert packed.equals(folder)

"""The model card of a bundle, from the records.

Mitchell et al., *Model Cards for Model Reporting*, FAT* 2019.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from fieldcraft.bundle.manifest import read_manifest, write_manifest
from fieldcraft.core import files
from fieldcraft.report import checklist
from fieldcraft.report.html import columns, intervals, main_measure
from fieldcraft.report.render import fill
from fieldcraft.report.story import Story, seal_state

OWN = ("format", "model_id", "files", "digest")  # entries that the manifest computes itself


def refresh(bundle: Path, story: Story) -> None:
    """Write the card into a bundle if it says something new; the model's id stays as it is."""
    manifest = read_manifest(bundle)
    texts = {
        "card.html": text(story, manifest["model_id"], "card.html.j2"),
        "card.md": text(story, manifest["model_id"], "card.md.j2"),
    }
    old = {name: (bundle / name) for name in texts}
    if all(p.exists() and p.read_text(encoding="utf-8") == texts[n] for n, p in old.items()):
        return
    about = {key: value for key, value in manifest.items() if key not in OWN}
    about["lineage"] = {**about["lineage"], "ledger": story.head}
    with files.whole_folder(bundle) as aside:
        shutil.copytree(bundle, aside, dirs_exist_ok=True)
        for name, content in texts.items():
            files.write_text(aside / name, content)
        write_manifest(aside, about)


def text(story: Story, model_id: str, template: str) -> str:
    """The card in one of its forms."""
    serious = [f for f in story.findings if f.severity != "tip"]
    return fill(
        template,
        story=story,
        model_id=model_id,
        seal=seal_state(story),
        main=main_measure(story),
        columns=columns(story),
        findings=serious,
        items=checklist.items(story),
        intervals=intervals(story),
    )

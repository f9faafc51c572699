"""Change a bundle together with its checksums, as an attacker would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fieldcraft.bundle.manifest import MANIFEST_FILE, write_manifest

GENERATED_KEYS = ("format", "model_id", "files", "digest")  # added by `write_manifest`


def rewrite_manifest(folder: Path, **changes: Any) -> None:
    """Write the manifest again for the present files."""
    manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    write_manifest(
        folder, {**{k: v for k, v in manifest.items() if k not in GENERATED_KEYS}, **changes}
    )

"""Change a bundle together with its checksums, as someone would who wants it trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fieldcraft.bundle.manifest import MANIFEST_FILE, write_manifest

GENERATED_KEYS = ("format", "model_id", "files", "digest")  # entries that writing a manifest makes


def rewrite_manifest(folder: Path, **changes: Any) -> None:
    """Write the manifest anew for the files that are there now."""
    about = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    write_manifest(
        folder, {**{k: v for k, v in about.items() if k not in GENERATED_KEYS}, **changes}
    )

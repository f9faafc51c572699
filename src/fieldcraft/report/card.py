"""The model card (Mitchell et al., *Model Cards for Model Reporting*, 2019), from the records."""

from __future__ import annotations

from pathlib import Path


def refresh(bundle: Path, story: object) -> None:
    """X"""

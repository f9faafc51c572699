"""The report."""
from pathlib import Path


def write(path: Path, story: object) -> None:
    """X"""

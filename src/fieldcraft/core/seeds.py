"""Seeds come from one place: the project's seed and the name of what wants one."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed below 2**31 for one use, the same whenever seed and names are the same.

    >>> derive(0, "split") == derive(0, "split")
    True
    >>> derive(0, "split") == derive(0, "train")
    False
    """
    seed_path = "/".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(seed_path.encode()).digest()[:4], "big") >> 1

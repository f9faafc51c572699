"""Random seeds, all derived from the project's seed and the purpose of the stream."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Derive a seed below 2**31 that depends on the project's seed and the purpose alone.

    >>> derive_seed(0, "split") == derive_seed(0, "split")
    True
    >>> derive_seed(0, "split") == derive_seed(0, "train")
    False
    """
    # A hash rather than seed + n: neighboring project seeds would share streams. `hash()` is
    # salted in each process, and 31 bits fit LightGBM, which takes a signed 32-bit integer.
    seed_path = "/".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(seed_path.encode()).digest()[:4], "big") >> 1

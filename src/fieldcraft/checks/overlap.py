"""The same row on both sides of the split."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import Sight, View
from fieldcraft.evidence.records import Finding, Severity

MANY = 0.01


class Overlap:
    """Reports rows of judge and test that stand among the training rows too."""

    code = "overlap"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare the digests of feature cells across parts; no cell of another part is read."""
        if view.digests is None:
            return
        train = set(view.digests.get("train", ()))
        for part, digests in view.digests.items():
            shared = sum(digest in train for digest in digests)
            if part == "train" or not shared:
                continue
            share = shared / len(digests)
            severity: Severity = "warn" if share >= MANY else "tip"
            yield Finding(
                self.code,
                severity,
                f"{shared:,} of {len(digests):,} {part} rows ({share:.1%}) also stand "
                "among the training rows",
                None,
                {"part": part, "shared": shared, "rows": len(digests)},
                "figures on these rows are too good; remove them from one of the given files, "
                "or let the tool split one file",
            )


CHECK = Overlap()

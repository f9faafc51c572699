"""Letters spelt as escapes of a programming language: \\u2019 for an apostrophe."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import Sight, View
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.text.audit.written import share, texts_of

MANY = 0.01  # of the texts; a few may be about programs
# As JSON and Python write what is no ASCII, and line ends; C:\temp and a line of C are none.
ESCAPE = r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\r\\n|\\n\\n|[.,;:!?]\\n"


class Escapes:
    r"""Texts in which letters stand as escapes, such as \u2019, that nobody turned back."""

    code = "escapes"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Count the texts of each column that hold any."""
        for written in texts_of(view):
            held = written.of(written.texts.str.contains(ESCAPE).to_numpy())
            if not len(held) or len(held) < MANY * len(written):
                continue
            found = held.texts.str.extract_all(ESCAPE).explode().value_counts(name="count")
            commonest = found.sort(["count", held.name], descending=[True, False])[held.name][0]
            yield Finding(
                self.code,
                "warn",
                f"{written.name}: {share(len(held), len(written))} "
                f"{'has' if len(held) == 1 else 'have'} escapes such as {commonest} in place of "
                f"letters, {held.where()}",
                written.name,
                {"texts": len(held), "rows": held.rows(), "commonest": commonest},
                "turn them back into letters where the table is written (read it as JSON, or "
                "decode it once more); texts to predict will have the letters, and a model would "
                "not know them again",
            )

"""Print how challenger and champion compare, and which versions there were, for 80 columns."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TextIO

from fieldcraft.core.types import Json

LINE_WIDTH = 80
MODEL_ID_CHARS = 12  # characters of a model's id
OUTCOME_HEADLINES = {
    "promoted": "promoted: the challenger is the champion now",
    "refused": "refused: the champion stays",
    "blocked": "blocked: nothing was trained",
    "waiting": "nothing to do yet",
    "running": "nothing done",
}


def print_retraining(result: Json, as_json: bool, stream: TextIO | None = None) -> None:
    """What came of a retraining, gate by gate."""
    with redirect_stdout(stream or sys.stdout):
        print(json.dumps(result)) if as_json else print_gates(result)


def print_gates(result: Json) -> None:
    """The same for a person."""
    print(OUTCOME_HEADLINES[result["outcome"]])
    for gate in result["gates"]:
        print_wrapped(f"{'ok ' if gate['passed'] else 'NOT'} {gate['gate']}: {gate['text']}")
    if not result["gates"]:
        for reason in result["reasons"]:
            print_wrapped(reason)
    if "judge_rows" in result:
        print_wrapped(f"{result['new']:,} new rows, {result['rows']:,} in all; the judge rows were used "
             f"for the {format_ordinal(result['judge_rows']['use'])} time")  # fmt: skip
    if result["outcome"] == "promoted":
        print_wrapped("back to the old one: fieldcraft rollback")


def print_rollback(result: Json, as_json: bool) -> None:
    """Which version is the current one again."""
    if as_json:
        print(json.dumps(result))
        return
    print(f"{result['model_id'][:MODEL_ID_CHARS]} is the current bundle again, {result['before'][:MODEL_ID_CHARS]} "
          f"no more; it took {1e3 * result['seconds']:.0f} ms")  # fmt: skip


def print_versions(versions: Sequence[Json], as_json: bool) -> None:
    """Each time that a bundle became the current one."""
    if as_json:
        print(json.dumps(versions))
        return
    if not versions:
        print("no version yet: fieldcraft run makes one")
    for version in versions:
        origin = f"by {version['by']}, {version['who']}" + (
            f", {version['why']}" if version["why"] else ""
        )
        print_wrapped(f"{version['at'][:16]}  {version['model_id'][:MODEL_ID_CHARS]}  {origin}")


def print_wrapped(text: str) -> None:
    """A line that is told below another."""
    print(textwrap.fill(text, LINE_WIDTH, initial_indent="  ", subsequent_indent="      "))


def format_ordinal(number: int) -> str:
    """A number as it counts things.

    >>> ordinal(1), ordinal(2), ordinal(12), ordinal(23)
    ('1st', '2nd', '12th', '23rd')
    """
    is_teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if is_teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"

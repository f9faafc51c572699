"""The worst errors as the report shows them: cells, photos, and why the champion said it."""

from __future__ import annotations

from typing import Any

from fieldcraft.contracts import Json
from fieldcraft.core.words import plural
from fieldcraft.report.story import Story

ROWS_SHOWN = 8
CELLS_SHOWN = 8
MOST_SIGNS = 600  # of a text; of longer ones the parts that weigh most
MOST_OF_A_PART, MOST_OF_A_CELL = 120, 120
FAINT = 0.15  # weight below which a part is not coloured
NOTHING = 0.01  # of the unit: what moves a prediction by less is not worth a colour
CUT = "…"


def worst_rows(story: Story) -> list[Json]:
    """The rows that the champion got most wrong, ready to be shown."""
    why = {item["position"]: item for item in story.explained}
    rows = story.evaluation.get("worst", [])[:ROWS_SHOWN]
    return [shown(row, why.get(row.get("position"), {}), story) for row in rows]


def shown(row: Json, why: Json, story: Story) -> Json:
    """A badly predicted row: what fits on a line, its photos and its texts."""
    targets = story.settings.problem.targets
    found = why.get("columns", {})
    texts = {name: text(item, why["unit"]) for name, item in found.items() if "spans" in item}
    drawn = row.get("pictures", {})
    cells = {k: v for k, v in row["cells"].items() if k not in targets and k not in texts}
    for name in drawn:  # the name of the file is enough beside the photo
        cells[name] = str(cells[name]).rpartition("/")[2]
    few = {name: cut(value, MOST_OF_A_CELL) for name, value in list(cells.items())[:CELLS_SHOWN]}
    return {
        "line": row["line"],
        "prediction": row["prediction"],
        "score": why.get("score"),
        "of": why.get("of"),
        "true": ", ".join(str(row["cells"].get(target)) for target in targets),
        "photos": [photo(name, src, found.get(name), why) for name, src in drawn.items()],
        "texts": texts,
        "traces": [how for item in texts.values() for how in item["network"]],
        "shown": few,
        "more": len(cells) - len(few),
    }


def photo(name: str, source: str, found: Json | None, why: Json) -> Json:
    """A photo, and beside it its map if some place of it matters."""
    moved = found["most"] if found and "picture" in found else None
    return {
        "name": name,
        "source": source,
        "map": found["picture"] if found and moved and moved >= NOTHING * why["unit"] else None,
        "moved": moved,
        "network": {
            how: drawn["picture"] for how, drawn in (found or {}).get("network", {}).items()
        },
    }


def text(found: Json, unit: float) -> Json:
    """A text in parts, each with a side, for or against, and a strength from 0 to 1.

    Args:
        found: its ``spans``, by how much the heaviest moves the prediction, and spans by name that
            the network traced, each coloured by itself.
        unit: what counts as a large difference.
    """
    matters = found["most"] >= NOTHING * unit
    parts: list[Json] = []
    signs = left_out = 0
    kept = heaviest(found["spans"])
    for number, (piece, weight) in enumerate(found["spans"]):
        if number not in kept:
            signs += len(piece)
            left_out += 1
            continue
        if left_out:
            marked = parts and parts[-1]["core"].endswith(CUT)
            parts.append(part(" " if marked else f" {CUT} ", 0.0))
            left_out = 0
        signs += max(len(piece) - MOST_OF_A_PART, 0)
        parts.append(part(piece, weight if matters else 0.0))
    if left_out and not parts[-1]["core"].endswith(CUT):
        parts.append(part(f" {CUT}", 0.0))
    return {
        "parts": parts,
        "cut": plural(signs, "sign") if signs else "",
        "most": found["most"],
        "matters": matters,
        "network": {
            how: text({**traced, "most": unit}, unit)
            for how, traced in found.get("network", {}).items()
        },
    }


def heaviest(spans: list[Any]) -> set[int]:
    """The numbers of the spans that are shown: all of them, or of a long text the heaviest."""
    order = sorted(range(len(spans)), key=lambda i: (-abs(spans[i][1]), i))
    kept: set[int] = set()
    room = MOST_SIGNS
    for number in order:
        room -= min(len(spans[number][0]), MOST_OF_A_PART)
        if room < 0 and kept:
            break
        kept.add(number)
    return kept


def part(piece: str, weight: float) -> Json:
    """A part of a text: its core is coloured, the blanks around it are not."""
    core = piece.strip()
    before, _, after = piece.partition(core) if core else (piece, "", "")
    side = "" if abs(weight) < FAINT else "for" if weight > 0 else "against"
    return {
        "before": before, "core": cut(core, MOST_OF_A_PART), "after": after,
        "side": side, "strength": abs(weight),
    }  # fmt: skip


def cut(value: str | None, most: int) -> str | None:
    """A text that is not too long, with a mark where it was cut."""
    if value is None or len(value) <= most:
        return value
    whole = value[: most + 1].rpartition(" ")[0].rstrip()  # words
    return (whole if len(whole) > most / 2 else value[:most]) + CUT

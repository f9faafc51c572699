"""The report: one HTML file that works offline, in light and dark, and on paper."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from fieldcraft.contracts import Json
from fieldcraft.core import files
from fieldcraft.core.words import figure, joined
from fieldcraft.report import charts
from fieldcraft.report.doubts import doubtful
from fieldcraft.report.render import fill
from fieldcraft.report.rule import rule_in_words
from fieldcraft.report.story import Story, fixes_of, headline, next_steps, seal_state
from fieldcraft.report.worst import worst_rows

MOST_MEASURES = 5  # of each learner in the comparison; the champion has them all
MOST_CLASSES = 30  # shown in a confusion table, and one by one
OFTEN = 2  # rows of one class taken for another that are worth a word
MOST_NAMED = 8  # columns in a sentence
WORTH = {
    "better": "reading them is worth its trouble",
    "level": "nothing shows that reading them is worth its trouble",
    "worse": "reading them does harm",
}
MOST_COLUMNS = 20  # in the chart of importance
EVEN = 0.5  # the threshold where none is set
WIDTHS = ("set_size", "width", "open_labels")  # how narrow predicted sets and intervals are


def write(path: Path, story: Story) -> None:
    """Write the report of a project, whole or not at all."""
    files.write_text(path, page(story))


def page(story: Story) -> str:
    """The report as HTML text."""
    evaluation = story.evaluation
    return fill(
        "report.html.j2",
        story=story,
        headline=headline(story),
        seal=seal_state(story),
        steps=next_steps(story),
        findings=story.open_findings(),
        fixes_of=fixes_of,
        main=main_measure(story),
        columns=columns(story),
        shown=shown_measures(story),
        pictures=pictures(story),
        confusion=confusion(evaluation.get("evidence", {})),
        classes=classes(evaluation.get("evidence", {})),
        intervals=intervals(story),
        decision=decision(story),
        rejection=rejection(story),
        rule=rule(story),
        blend=blend(story),
        kinds=kinds(story),
        files_verdict=files_verdict(story),
        worst=worst_rows(story),
        doubtful=doubtful(story),
    )


def main_measure(story: Story) -> Json:
    """The champion's figure by the declared metric, or nothing."""
    if not story.evaluation:
        return {}
    found: Json = story.champion["measures"][story.evaluation["metric"]]
    return found


def shown_measures(story: Story) -> list[Json]:
    """The measures that stand side by side for all learners: the declared one and a few more."""
    if not story.evaluation:
        return []
    main, measures = story.evaluation["metric"], story.champion["measures"]
    names = [main, *(name for name in measures if name != main)][:MOST_MEASURES]
    return [{"name": name, "title": measures[name]["title"]} for name in names]


def columns(story: Story) -> list[Json]:
    """What is known of each column, in table order."""
    settings = story.settings
    data, found = settings.data, []
    roles = ("entity", "weight", "id", "split")
    own = {name: role for role in roles if (name := getattr(data, role))}
    own |= dict.fromkeys(data.drop, "dropped") | dict.fromkeys(settings.problem.targets, "target")
    for name, seen in story.profile.get("columns", {}).items():
        column = data.columns.get(name)
        role = own.get(name) or (column.kind if column else "-")
        found.append({"name": name, "role": role, **seen})
    return found


def pictures(story: Story) -> dict[str, Markup]:
    """The charts that the records allow, by name."""
    found: dict[str, str] = {}
    if story.split:
        found["parts"] = charts.parts(story.split["counts"])
    if story.curves:
        found["curves"] = charts.curves(story.curves)
    if story.evaluation:
        seen = story.evaluation
        found["learners"] = charts.learners(seen["learners"], seen["metric"], seen["champion"])
        evidence = seen["evidence"]
        if "reliability" in evidence:
            found["reliability"] = charts.reliability(evidence["reliability"])
        if "roc" in evidence:
            found["roc"] = charts.roc(evidence["roc"])
        if evidence.get("thresholds"):
            chosen = seen["calibration"].get("threshold") or EVEN
            found["thresholds"] = charts.thresholds(evidence["thresholds"], chosen)
        if "scatter" in evidence:
            found["scatter"] = charts.scatter(
                evidence["scatter"], str(story.settings.problem.target)
            )
    if story.importance:
        title = story.champion["measures"][story.evaluation["metric"]]["title"]
        found["importance"] = charts.importance(story.importance[:MOST_COLUMNS], title)
    return {name: Markup(svg) for name, svg in found.items()}


def kinds(story: Story) -> list[Json]:
    """What each kind of column contributes, with a verdict that minds the interval."""
    return [{**item, "verdict": verdict(item)} for item in story.kinds]


def files_verdict(story: Story) -> str:
    """Whether columns that name files, such as photos, are worth their trouble."""
    found = story.evaluation.get("without_files") if story.evaluation else None
    if not found or found["low"] is None:
        return ""
    title = story.champion["measures"][story.evaluation["metric"]]["title"]
    named = joined(found["left_out"][:MOST_NAMED])
    gap = f"{figure(found['difference'])} ({figure(found['low'])} to {figure(found['high'])})"
    return (
        f"The best model that reads {named} is the {found['with']}, the best that does not is the "
        f"{found['without']}. The first is better in {title} by {gap}: {WORTH[found['verdict']]}."
    )


def verdict(item: Json) -> str:
    """What may be said of a kind of column.

    >>> verdict({"low": -0.01, "high": 0.03}), verdict({"low": 0.02, "high": 0.05})
    ('adds nothing that is surely there', 'adds something')
    """
    if item["low"] is None:
        return "cannot be told"
    if item["low"] > 0:
        return "adds something"
    return "adds nothing that is surely there" if item["high"] >= 0 else "harms"


def blend(story: Story) -> str:
    """What the blend is made of, if there is one."""
    learners = story.evaluation.get("learners", [])
    titles = {learner["name"]: learner["title"] for learner in learners}
    parts: Json = next((learner["parts"] for learner in learners if "parts" in learner), {})
    return joined([f"{weight:.0%} {titles[name]}" for name, weight in parts.items()])


def rule(story: Story) -> str:
    """What the one-rule baseline says, if there is one."""
    model = story.folders["baseline"] / "rule" if "baseline" in story.folders else None
    if model is None or not (model / "0").is_dir():
        return ""
    return rule_in_words(model, story.settings.problem.task, story.split["target"])


def intervals(story: Story) -> str:
    """How well the predicted sets or intervals hold what they promise, in a sentence."""
    if not story.evaluation:
        return ""
    measures, asked = story.champion["measures"], story.settings.problem.coverage
    held = measures["coverage"]
    text = (
        f"Asked to hold the truth for {asked:.0%} of the rows, they hold it for "
        f"{held['value']:.1%} of the judge rows ({held['low']:.1%} to {held['high']:.1%})"
    )
    wide = next((measures[name] for name in WIDTHS if name in measures), None)
    return text + (f"; {wide['title']}: {figure(wide['value'])} on average." if wide else ".")


def decision(story: Story) -> str:
    """By what rule rows are decided, in a sentence."""
    problem = story.settings.problem
    if problem.costs:
        return "Rows are decided so that mistakes cost the least, by problem.costs."
    chosen = story.evaluation.get("calibration", {}).get("threshold")
    if chosen is None:
        return "Rows are decided for the likeliest class."
    how = f"where {problem.threshold} is best on tune rows" if problem.threshold else "as asked"
    return f"Rows are decided positive from a probability of {figure(chosen)} on, {how}."


def rejection(story: Story) -> str:
    """How often decisions are right without the least sure ones, in a sentence."""
    found = story.evaluation.get("evidence", {}).get("rejection")
    if not found:
        return ""
    right = {item["rejected"]: f"{item['right']:.1%}" for item in found}
    asked = story.settings.problem.reject
    how = (
        f"accepted: false marks those below the limit that {asked:.0%} of tune rows fall below."
        if asked
        else "problem.reject would mark them."
    )
    return (
        f"{right[0.0]} of all decisions are right, {right[0.05]} without the least sure twentieth, "
        f"{right[0.2]} without the least sure fifth; {how}"
    )


def confusion(evidence: Json) -> Json:
    """The confusion table with the share of each row, or the commonest mix-ups if it is large."""
    if "confusion" not in evidence:
        return {}
    table, classes = evidence["confusion"], evidence["classes"]
    mixed = [
        {"true": classes[i], "decided": classes[j], "rows": n}
        for i, row in enumerate(table)
        for j, n in enumerate(row)
        if i != j and n >= OFTEN
    ]
    mixed.sort(key=lambda item: -item["rows"])
    shares = [[n / max(sum(row), 1) for n in row] for row in table]
    small = len(classes) <= MOST_CLASSES
    return {
        "classes": classes,
        "table": table if small else [],
        "shares": shares,
        "mixed": mixed[:8],
    }


def classes(evidence: Json) -> list[Json]:
    """Figures of each class or label; of very many, those that are found least."""
    found: list[Json] = evidence.get("per_class", [])
    if len(found) <= MOST_CLASSES:
        return found
    there = [item for item in found if item["recall"] is not None]
    return sorted(there, key=lambda item: item["recall"])[:MOST_CLASSES]

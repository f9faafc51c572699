"""Train a challenger on old and new rows; it takes the champion's place only if it is better."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.contracts import Json, Stage
from fieldcraft.core import digest, files, seeds
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import DataError, HeldError, ProjectError
from fieldcraft.core.words import joined
from fieldcraft.data.media import base_of, named_in
from fieldcraft.data.read import located, read_table
from fieldcraft.data.table import row_digests
from fieldcraft.develop.challenge import Gate, Pair, gate_schema, gates, matched
from fieldcraft.develop.contest import main_metric
from fieldcraft.develop.fresh import Known, assembled, beside, fitted, lay_out, unknown
from fieldcraft.develop.rows import (
    SOURCE,
    column_for,
    file_columns,
    load_development,
    read_rows,
    target_columns,
)
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Settings
from fieldcraft.serving.harvest import TAKEN, labelled, untaken
from fieldcraft.serving.windows import log_in

RETRAIN = "retrain"  # folder of the rows of challengers
TAKEN_FILE = "taken.parquet"  # which labels rows were made of
BEFORE = "before.json"  # where the rows before them are
Folders = Mapping[str, Path]


@dataclass(frozen=True)
class Request:
    """What a challenger is to learn from, and why.

    Attributes:
        project: whose champion is challenged.
        train: runs a project to its end and tells the folders of its steps.
        publish: makes what lies in such folders the current bundle; gets the reason.
        who: who asks.
        log: folder of the prediction log; that which is watched if left out.
        rows: a table of labelled rows instead.
        why: the reason.
        anyway: train also where there are too few new rows, or columns are broken.
    """

    project: Folder
    train: Callable[[Folder], Folders]
    publish: Callable[[Folders, str], object]
    who: str
    log: str | None = None
    rows: str | None = None
    why: str = ""
    anyway: bool = False


@dataclass(frozen=True)
class New:
    """Labelled rows that the champion does not know.

    Attributes:
        rows: in the form of the project's table.
        taken: which labels they were made of, if they come from the log.
    """

    rows: pl.DataFrame
    taken: pl.DataFrame | None = None


def retrain(request: Request) -> Json:
    """Train a challenger and compare; promote it, or refuse it with the reasons, on the record.

    Returns:
        ``outcome``: ``promoted``, ``refused``, ``blocked`` (columns are broken), ``waiting`` (too
        few new rows) or ``running`` (another retraining is at work); ``reasons`` and ``gates``.

    Raises:
        BundleError: there is no champion.
        DataError: the rows cannot be read, or do not fit.
        ProjectError: the champion's rows are not there any more, or a run is at work.
    """
    with files.lock(request.project.root / RETRAIN / ".lock") as free:
        if not free:
            return {"outcome": "running", "reasons": ["another retraining is at work"], "gates": []}
        return challenged(request)


def challenged(request: Request) -> Json:
    """The same, alone at work."""
    project, settings = request.project, request.project.settings()
    champion = read_manifest(project.bundle)
    broken = [] if request.anyway else broken_columns(project, champion["model_id"])
    if broken:
        reasons = [f"the watch finds broken: {joined(broken)}; mend the data first"]
        return recorded(request, champion, "blocked", reasons)
    known = champion_rows(project, champion)
    new = new_rows(request, known, settings)
    least = 1 if request.anyway else settings.deploy.retrain.least
    if new.rows.height < least:
        reasons = [f"{new.rows.height:,} new labelled rows; {least:,} are wanted"]
        return {"outcome": "waiting", "reasons": reasons, "gates": [], "new": new.rows.height}
    rows = assembled(new.rows, known, settings, settings.deploy.retrain)
    place, edits = placed(request, rows, new, known, settings)
    try:
        folders = request.train(trial_of(project, place, edits))
    except HeldError as error:
        reasons = [f"{error.what}: {error.seen}"]
        return recorded(request, champion, "refused", reasons, new=new.rows.height)
    found = judged(project, folders, known, settings)
    challenger = read_manifest(folders["package"] / "bundle")["model_id"]
    about = {
        "challenger": challenger, "new": new.rows.height, "rows": rows.height,
        "policy": settings.deploy.retrain.policy, "gates": [gate.as_json() for gate in found],
        "steps": {name: folder.name for name, folder in folders.items()},
        "judge_rows": {"of": folders["split"].name, "use": uses(project) + 1},
    }  # fmt: skip
    reasons = [gate.text for gate in found if not gate.passed]
    if reasons:
        return recorded(request, champion, "refused", reasons, **about)
    result = recorded(request, champion, "promoted", [], **about)
    file.edit(project.file, edits)  # first: a run would else bring the old champion back
    request.publish(folders, request.why)
    return result


def recorded(request: Request, champion: Json, outcome: str, reasons: Sequence[str],
             **about: object) -> Json:  # fmt: skip
    """Put what came of a retraining into the ledger."""
    body: Json = {
        "decision": outcome, "champion": champion["model_id"], "reasons": list(reasons),
        "who": request.who, "why": request.why, "gates": [], **about,
    }  # fmt: skip
    Ledger(request.project.ledger).append([("decision", "retrain", "", body)])
    return {"outcome": outcome, **body}


def uses(project: Folder) -> int:
    """How often challengers were judged before; each time a lucky one has another chance."""
    entries = Ledger(project.ledger).entries(kind="decision", stage="retrain")
    return sum("judge_rows" in entry.body for entry in entries)


def broken_columns(project: Folder, model: str) -> list[str]:
    """What the project's watch finds broken in rows of this model."""
    path = project.root / "watch" / "state.json"
    if not path.exists():
        return []
    state = files.read_json(path)
    alerts = state.get("watcher", {}).get("alerts", {}) if state.get("model") == model else {}
    return [alert["text"] for alert in alerts.values() if alert["kind"] == "broken"]


def champion_rows(project: Folder, champion: Json) -> Known:
    """The rows that the champion was developed on, without the sealed ones.

    Raises:
        ProjectError: they are not there any more.
    """
    name = champion["lineage"].get("split")
    folder = project.root / "runs" / "split" / str(name)
    if name is None or not folder.is_dir():
        raise ProjectError(
            "the rows of the champion are not in this project",
            seen=f"no runs/split/{name} in {project.root}",
            way_out="make the champion here: fieldcraft run",
        )
    return Known.of(folder)


def new_rows(request: Request, known: Known, settings: Settings) -> New:
    """Labelled rows from a table; else those of the prediction log, and of the project's own table.

    Raises:
        DataError: there are none to be found, or they do not fit.
    """
    project = request.project
    if request.rows is not None:
        frame = read_table(request.rows, settings.data.names).frame
        frame = named_in(frame, file_columns(settings), base_of(request.rows))
        whole = beside(frame, project, settings)
        return New(unknown(fitted(whole, known, settings), known, settings))
    own = read_rows(project, settings).filter(pl.col(SOURCE) == 0)
    grown = unknown(fitted(own, known, settings), known, settings)
    if not (project.root / "watch" / "labels.parquet").exists():
        return New(grown)
    logged, taken = logged_rows(request, settings)
    if not logged.height:
        return New(grown)
    return New(pl.concat([grown, fitted(logged, known, settings)]), taken)


def logged_rows(request: Request, settings: Settings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of the prediction log whose labels are known and new, and which labels those are.

    Raises:
        DataError: there is no log, or it does not hold what is needed.
    """
    folder = request.project.root / "watch"
    bundle = load_bundle(request.project.bundle)
    log = log_in(request.log or watched(folder), bundle.model_id)
    if log is None:
        raise DataError(
            "there is no prediction log of this model",
            seen=request.log or watched(folder) or "none was watched",
            way_out="pass the folder that `fieldcraft serve --log` writes to with --log",
        )
    labels = untaken(pl.read_parquet(folder / "labels.parquet"), taken_before(request.project))
    time = settings.data.time
    moments = column_for(settings, time) if time is not None else None
    rows = labelled(log, labels, bundle.schema, target_columns(settings)[0], moments)
    keys = [key for wanted in settings.data.join for key in wanted.keys]
    absent = [key for key in keys if rows.height and key not in rows.columns]
    if absent:
        raise DataError(
            "the prediction log does not hold the columns by which tables are joined",
            seen=joined(absent),
            way_out="give the labelled rows as a table: fieldcraft retrain --rows FILE",
        )
    return rows.drop(TAKEN), rows.select(TAKEN)


def watched(folder: Path) -> str:
    """The log that was watched last."""
    path = folder / "state.json"
    return str(files.read_json(path).get("source", "")) if path.exists() else ""


def taken_before(project: Folder) -> list[Path]:
    """Which labels the rows of the project were made of, retraining by retraining."""
    found = []
    folder = Path(located(project.settings().data.sources().train, project.root)).parent
    while (folder / BEFORE).exists():
        if (folder / TAKEN_FILE).exists():
            found.append(folder / TAKEN_FILE)
        source = files.read_json(folder / BEFORE)["source"]
        folder = Path(located(source, project.root)).parent
    return found


def placed(
    request: Request, rows: pl.DataFrame, new: New, known: Known, settings: Settings
) -> tuple[Path, list[Edit]]:
    """Lay the rows out in a folder named by what is in it; how the project file names them."""
    project = request.project
    told = [digest.of_bytes(b"".join(row_digests(rows))), project.file.read_text("utf-8")]
    place = project.root / RETRAIN / digest.of_json(told)[:16]
    aside, inside = place.with_name(".next"), f"{RETRAIN}/{place.name}"
    shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
    edits = lay_out(aside, inside, rows, new.rows.height, known, project, settings)
    if new.taken is not None:
        new.taken.write_parquet(aside / TAKEN_FILE)
    files.write_json(aside / BEFORE, {"source": settings.data.sources().train})
    files.commit_folder(aside, place)
    return place, edits


def trial_of(project: Folder, place: Path, edits: Sequence[Edit]) -> Folder:
    """The project with a file of its own, in which the rows are the new ones."""
    trial = place / file.NAME
    files.write_text(trial, project.file.read_text(encoding="utf-8"))
    file.edit(trial, edits)
    return replace(project, trial=trial)


def judged(project: Folder, folders: Folders, known: Known, settings: Settings) -> list[Gate]:
    """All gates, or that of the schema alone where the models cannot be compared."""
    places = (project.bundle, folders["package"] / "bundle")
    pair = Pair(load_bundle(places[0]), load_bundle(places[1]), places)
    schema = gate_schema(pair.champion, pair.challenger)
    if not schema.passed:
        return [schema]
    rows = load_development(folders["split"], settings)
    digests = Known.of(folders["split"]).parts["digest"].to_list()
    match = matched(rows, digests, known, pair)
    if match is None:
        text = "no judge row is left that the champion has not learned from; wait for more new rows"
        return [schema, Gate("better", False, text, {})]
    metric = main_metric(rows, settings.problem.metric)
    seed = seeds.derive(settings.train.seed, "challenge")
    return [schema, *gates(match, pair, metric, settings, seed)]


STAGE = Stage("retrain", "Train a challenger; it is promoted only if it is better.", retrain)  # type: ignore[arg-type]

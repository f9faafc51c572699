"""Train a challenger on old and new rows; it takes the champion's place only if it is better."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.contracts import Stage
from fieldcraft.core import digest, files, seeds
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import BlockedByFindingsError, DataError, ProjectError
from fieldcraft.core.formatting import join_names
from fieldcraft.core.types import Json
from fieldcraft.data.file_cells import base_folder, resolve_file_columns
from fieldcraft.data.location import resolve_address
from fieldcraft.data.read import read_table
from fieldcraft.data.schema import row_digests
from fieldcraft.ledger.store import Ledger
from fieldcraft.modeling.dataset import (
    SOURCE_COLUMN,
    file_columns,
    load_dataset,
    make_column,
    read_joined_rows,
    target_columns,
)
from fieldcraft.modeling.model_comparison import choose_metric
from fieldcraft.modeling.promotion_gates import (
    GateResult,
    ModelPair,
    check_schema,
    evaluate_challenger,
    run_gates,
)
from fieldcraft.modeling.retraining_data import (
    ChampionDataset,
    conform_to_champion,
    drop_known_rows,
    join_tables,
    merge_rows,
    write_sources,
)
from fieldcraft.monitoring.feedback_dataset import USED_ROW_KEYS, exclude_used, join_logged_rows
from fieldcraft.monitoring.windows import find_prediction_log
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import ProjectSettings

RETRAIN_FOLDER = "retrain"  # folder of the rows of challengers
USED_LABELS_FILE = "taken.parquet"  # which labels rows were made of
PREVIOUS_SOURCE_FILE = "before.json"  # where the rows before them are
StepFolders = Mapping[str, Path]


@dataclass(frozen=True)
class RetrainRequest:
    """What a challenger is to learn from, and why.

    Attributes:
        project: whose champion is challenged.
        train: runs a project to its end and tells the folders of its steps.
        publish: makes what lies in such folders the current bundle; gets the reason.
        user: who asks.
        log: folder of the prediction log; that which is watched if left out.
        data: a table of labelled rows instead.
        reason: the reason.
        force: train also where there are too few new rows, or columns are broken.
    """

    project: ProjectFolder
    train: Callable[[ProjectFolder], StepFolders]
    publish: Callable[[StepFolders, str], object]
    user: str
    log: str | None = None
    data: str | None = None
    reason: str = ""
    force: bool = False


@dataclass(frozen=True)
class NewRows:
    """Labelled rows that the champion does not know.

    Attributes:
        rows: in the form of the project's table.
        used_labels: which labels they were made of, if they come from the log.
    """

    rows: pl.DataFrame
    used_labels: pl.DataFrame | None = None


def retrain(request: RetrainRequest) -> Json:
    """Train a challenger and compare; promote it, or refuse it with the reasons, on the record.

    Returns:
        ``outcome``: ``promoted``, ``refused``, ``blocked`` (columns are broken), ``waiting`` (too
        few new rows) or ``running`` (another retraining is at work); ``reasons`` and ``gates``.

    Raises:
        BundleError: there is no champion.
        DataError: the rows cannot be read, or do not fit.
        ProjectError: the champion's rows are not there any more, or a run is at work.
    """
    with files.try_lock(request.project.root / RETRAIN_FOLDER / ".lock") as is_acquired:
        if not is_acquired:
            return {"outcome": "running", "reasons": ["another retraining is at work"], "gates": []}
        return train_challenger(request)


def train_challenger(request: RetrainRequest) -> Json:
    """The same, alone at work."""
    project, settings = request.project, request.project.load_settings()
    champion = read_manifest(project.bundle_path)
    broken_columns_found = (
        [] if request.force else find_broken_columns(project, champion["model_id"])
    )
    if broken_columns_found:
        reasons = [
            f"the watch finds broken: {join_names(broken_columns_found)}; mend the data first"
        ]
        return record_outcome(request, champion, "blocked", reasons)
    champion_dataset = load_champion_dataset(project, champion)
    new_data = collect_new_rows(request, champion_dataset, settings)
    min_rows = 1 if request.force else settings.deploy.retrain.min_new_rows
    if new_data.rows.height < min_rows:
        reasons = [f"{new_data.rows.height:,} new labelled rows; {min_rows:,} are wanted"]
        return {"outcome": "waiting", "reasons": reasons, "gates": [], "new": new_data.rows.height}
    rows = merge_rows(new_data.rows, champion_dataset, settings, settings.deploy.retrain)
    source_folder, edits = write_training_sources(
        request, rows, new_data, champion_dataset, settings
    )
    try:
        folders = request.train(create_trial_project(project, source_folder, edits))
    except BlockedByFindingsError as error:
        reasons = [f"{error.what}: {error.detail}"]
        return record_outcome(request, champion, "refused", reasons, new=new_data.rows.height)
    gate_results = evaluate_gates(project, folders, champion_dataset, settings)
    challenger = read_manifest(folders["package"] / "bundle")["model_id"]
    details = {
        "challenger": challenger, "new": new_data.rows.height, "rows": rows.height,
        "policy": settings.deploy.retrain.policy, "gates": [gate.to_json() for gate in gate_results],
        "steps": {name: folder.name for name, folder in folders.items()},
        "judge_rows": {"of": folders["split"].name, "use": count_evaluation_uses(project) + 1},
    }  # fmt: skip
    reasons = [gate.message for gate in gate_results if not gate.passed]
    if reasons:
        return record_outcome(request, champion, "refused", reasons, **details)
    result = record_outcome(request, champion, "promoted", [], **details)
    project_file.apply_edits(
        project.file_path, edits
    )  # first: a run would else bring the old champion back
    request.publish(folders, request.reason)
    return result


def record_outcome(request: RetrainRequest, champion: Json, outcome: str, reasons: Sequence[str],
             **details: object) -> Json:  # fmt: skip
    """Put what came of a retraining into the ledger."""
    body: Json = {
        "decision": outcome, "champion": champion["model_id"], "reasons": list(reasons),
        "who": request.user, "why": request.reason, "gates": [], **details,
    }  # fmt: skip
    Ledger(request.project.ledger_path).append([("decision", "retrain", "", body)])
    return {"outcome": outcome, **body}


def count_evaluation_uses(project: ProjectFolder) -> int:
    """How often challengers were judged before; each time a lucky one has another chance."""
    entries = Ledger(project.ledger_path).entries(kind="decision", stage="retrain")
    return sum("judge_rows" in entry.body for entry in entries)


def find_broken_columns(project: ProjectFolder, model_id: str) -> list[str]:
    """What the project's watch finds broken in rows of this model."""
    path = project.root / "watch" / "state.json"
    if not path.exists():
        return []
    state = files.read_json(path)
    alerts = state.get("watcher", {}).get("alerts", {}) if state.get("model") == model_id else {}
    return [alert["text"] for alert in alerts.values() if alert["kind"] == "broken"]


def load_champion_dataset(project: ProjectFolder, champion: Json) -> ChampionDataset:
    """The rows that the champion was developed on, without the sealed ones.

    Raises:
        ProjectError: they are not there any more.
    """
    split_key = champion["lineage"].get("split")
    folder = project.root / "runs" / "split" / str(split_key)
    if split_key is None or not folder.is_dir():
        raise ProjectError(
            "the rows of the champion are not in this project",
            detail=f"no runs/split/{split_key} in {project.root}",
            hint="make the champion here: fieldcraft run",
        )
    return ChampionDataset.load(folder)


def collect_new_rows(
    request: RetrainRequest, champion_dataset: ChampionDataset, settings: ProjectSettings
) -> NewRows:
    """Labelled rows from a table; else those of the prediction log, and of the project's own table.

    Raises:
        DataError: there are none to be found, or they do not fit.
    """
    project = request.project
    if request.data is not None:
        frame = read_table(request.data, settings.data.column_names).frame
        frame = resolve_file_columns(frame, file_columns(settings), base_folder(request.data))
        joined_rows = join_tables(frame, project, settings)
        return NewRows(
            drop_known_rows(
                conform_to_champion(joined_rows, champion_dataset, settings),
                champion_dataset,
                settings,
            )
        )
    project_rows = read_joined_rows(project, settings).filter(pl.col(SOURCE_COLUMN) == 0)
    added_rows = drop_known_rows(
        conform_to_champion(project_rows, champion_dataset, settings), champion_dataset, settings
    )
    if not (project.root / "watch" / "labels.parquet").exists():
        return NewRows(added_rows)
    logged, used_labels = collect_logged_rows(request, settings)
    if not logged.height:
        return NewRows(added_rows)
    return NewRows(
        pl.concat([added_rows, conform_to_champion(logged, champion_dataset, settings)]),
        used_labels,
    )


def collect_logged_rows(
    request: RetrainRequest, settings: ProjectSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of the prediction log whose labels are known and new, and which labels those are.

    Raises:
        DataError: there is no log, or it does not hold what is needed.
    """
    folder = request.project.root / "watch"
    bundle = load_bundle(request.project.bundle_path)
    log = find_prediction_log(request.log or last_monitored_source(folder), bundle.model_id)
    if log is None:
        raise DataError(
            "there is no prediction log of this model",
            detail=request.log or last_monitored_source(folder) or "none was watched",
            hint="pass the folder that `fieldcraft serve --log` writes to with --log",
        )
    labels = exclude_used(
        pl.read_parquet(folder / "labels.parquet"), list_used_label_files(request.project)
    )
    time = settings.data.time_column
    time_column = make_column(settings, time) if time is not None else None
    rows = join_logged_rows(log, labels, bundle.schema, target_columns(settings)[0], time_column)
    keys = [key for join in settings.data.join for key in join.keys]
    absent = [key for key in keys if rows.height and key not in rows.columns]
    if absent:
        raise DataError(
            "the prediction log does not hold the columns by which tables are joined",
            detail=join_names(absent),
            hint="give the labelled rows as a table: fieldcraft retrain --rows FILE",
        )
    return rows.drop(USED_ROW_KEYS), rows.select(USED_ROW_KEYS)


def last_monitored_source(folder: Path) -> str:
    """The log that was watched last."""
    path = folder / "state.json"
    return str(files.read_json(path).get("source", "")) if path.exists() else ""


def list_used_label_files(project: ProjectFolder) -> list[Path]:
    """Which labels the rows of the project were made of, retraining by retraining."""
    paths = []
    folder = Path(
        resolve_address(project.load_settings().data.source_files().train, project.root)
    ).parent
    while (folder / PREVIOUS_SOURCE_FILE).exists():
        if (folder / USED_LABELS_FILE).exists():
            paths.append(folder / USED_LABELS_FILE)
        source = files.read_json(folder / PREVIOUS_SOURCE_FILE)["source"]
        folder = Path(resolve_address(source, project.root)).parent
    return paths


def write_training_sources(
    request: RetrainRequest,
    rows: pl.DataFrame,
    new_data: NewRows,
    champion_dataset: ChampionDataset,
    settings: ProjectSettings,
) -> tuple[Path, list[ConfigEdit]]:
    """Lay the rows out in a folder named by what is in it; how the project file names them."""
    project = request.project
    key_parts = [digest.of_bytes(b"".join(row_digests(rows))), project.file_path.read_text("utf-8")]
    source_folder = project.root / RETRAIN_FOLDER / digest.of_json(key_parts)[:16]
    staging, relative_folder = (
        source_folder.with_name(".next"),
        f"{RETRAIN_FOLDER}/{source_folder.name}",
    )
    shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
    edits = write_sources(
        staging, relative_folder, rows, new_data.rows.height, champion_dataset, project, settings
    )
    if new_data.used_labels is not None:
        new_data.used_labels.write_parquet(staging / USED_LABELS_FILE)
    files.atomic_write_json(
        staging / PREVIOUS_SOURCE_FILE, {"source": settings.data.source_files().train}
    )
    files.replace_folder(staging, source_folder)
    return source_folder, edits


def create_trial_project(
    project: ProjectFolder, folder: Path, edits: Sequence[ConfigEdit]
) -> ProjectFolder:
    """The project with a file of its own, in which the rows are the new ones."""
    trial_file = folder / project_file.PROJECT_FILE_NAME
    files.atomic_write_text(trial_file, project.file_path.read_text(encoding="utf-8"))
    project_file.apply_edits(trial_file, edits)
    return replace(project, trial_file=trial_file)


def evaluate_gates(
    project: ProjectFolder,
    folders: StepFolders,
    champion_dataset: ChampionDataset,
    settings: ProjectSettings,
) -> list[GateResult]:
    """All gates, or that of the schema alone where the models cannot be compared."""
    bundle_folders = (project.bundle_path, folders["package"] / "bundle")
    pair = ModelPair(load_bundle(bundle_folders[0]), load_bundle(bundle_folders[1]), bundle_folders)
    schema_gate = check_schema(pair.champion, pair.challenger)
    if not schema_gate.passed:
        return [schema_gate]
    dataset = load_dataset(folders["split"], settings)
    digests = ChampionDataset.load(folders["split"]).parts["digest"].to_list()
    evaluation = evaluate_challenger(dataset, digests, champion_dataset, pair)
    if evaluation is None:
        message = (
            "no judge row is left that the champion has not learned from; wait for more new rows"
        )
        return [schema_gate, GateResult("better", False, message, {})]
    metric = choose_metric(dataset, settings.problem.metric)
    seed = seeds.derive_seed(settings.train.seed, "challenge")
    return [schema_gate, *run_gates(evaluation, pair, metric, settings, seed)]


STAGE = Stage("retrain", "Train a challenger; it is promoted only if it is better.", retrain)  # type: ignore[arg-type]

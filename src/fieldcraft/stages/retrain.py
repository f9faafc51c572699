"""Train a challenger on old and new rows; promote it only if it is better."""

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

RETRAIN_FOLDER = "retrain"  # training data of challengers
MONITORING_FOLDER = "monitoring"
USED_LABELS_FILE = "used_labels.parquet"  # keys of the labels in the training data
PREVIOUS_SOURCE_FILE = "previous_source.json"  # the data source before the retraining
StepFolders = Mapping[str, Path]


@dataclass(frozen=True)
class RetrainRequest:
    """The arguments of ``fieldcraft retrain``.

    Attributes:
        project: the project of the champion.
        train: runs the pipeline of a project and returns the folders of its steps.
        publish: publishes the bundle in such folders; also gets the reason.
        user: name of the user, for the ledger.
        log: folder of the prediction log; the one that was monitored last if None.
        data: a table of labeled rows to use instead of the log.
        reason: the reason, for the ledger.
        force: train even if there are too few new rows, or data-quality alerts.
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
    """Labeled rows that the champion was not trained on.

    Attributes:
        rows: the rows, with the columns of the project's table.
        used_labels: keys of their labels, if they come from the prediction log.
    """

    rows: pl.DataFrame
    used_labels: pl.DataFrame | None = None


def retrain(request: RetrainRequest) -> Json:
    """Train a challenger, compare it with the champion, and promote it if it passes all gates.

    Returns:
        ``outcome``: ``promoted``, ``not_promoted``, ``blocked`` (data-quality alerts),
        ``too_few_rows`` or ``already_running``; ``reasons`` and ``gates``.

    Raises:
        BundleError: there is no champion.
        DataError: the rows cannot be read, or do not fit.
        ProjectError: the rows of the champion are missing, or a run is in progress.
    """
    with files.try_lock(request.project.root / RETRAIN_FOLDER / ".lock") as is_acquired:
        if not is_acquired:
            reasons = ["another retraining is in progress"]
            return {"outcome": "already_running", "reasons": reasons, "gates": []}
        return train_challenger(request)


def train_challenger(request: RetrainRequest) -> Json:
    """Train and compare a challenger; the caller holds the lock of the folder."""
    project, settings = request.project, request.project.load_settings()
    champion = read_manifest(project.bundle_path)
    quality_issues = (
        [] if request.force else find_data_quality_alerts(project, champion["model_id"])
    )
    if quality_issues:
        reasons = [f"data-quality alerts: {join_names(quality_issues)}; fix the data first"]
        return record_outcome(request, champion, "blocked", reasons)
    champion_dataset = load_champion_dataset(project, champion)
    new_data = collect_new_rows(request, champion_dataset, settings)
    min_rows = 1 if request.force else settings.deploy.retrain.min_new_rows
    if new_data.rows.height < min_rows:
        reasons = [f"{new_data.rows.height:,} new labeled rows; at least {min_rows:,} are needed"]
        return {
            "outcome": "too_few_rows",
            "reasons": reasons,
            "gates": [],
            "new_rows": new_data.rows.height,
        }
    rows = merge_rows(new_data.rows, champion_dataset, settings, settings.deploy.retrain)
    source_folder, edits = write_training_sources(
        request, rows, new_data, champion_dataset, settings
    )
    try:
        folders = request.train(create_trial_project(project, source_folder, edits))
    except BlockedByFindingsError as error:
        reasons = [f"{error.what}: {error.detail}"]
        return record_outcome(
            request, champion, "not_promoted", reasons, new_rows=new_data.rows.height
        )
    gate_results = evaluate_gates(project, folders, champion_dataset, settings)
    challenger = read_manifest(folders["package"] / "bundle")["model_id"]
    details = {
        "challenger_model_id": challenger,
        "new_rows": new_data.rows.height, "total_rows": rows.height,
        "policy": settings.deploy.retrain.policy,
        "gates": [gate.to_json() for gate in gate_results],
        "steps": {name: folder.name for name, folder in folders.items()},
        "evaluation_rows": {
            "split_key": folders["split"].name, "n_uses": count_evaluation_uses(project) + 1,
        },
    }  # fmt: skip
    reasons = [gate.message for gate in gate_results if not gate.passed]
    if reasons:
        return record_outcome(request, champion, "not_promoted", reasons, **details)
    # A crash between this entry and the edits below leaves an outcome without a published bundle;
    # the next retraining compares the same challenger again, whose steps are up to date.
    result = record_outcome(request, champion, "promoted", [], **details)
    # The project file before the bundle: the other way round, a crash in between would leave a
    # project file with the old rows, and the next run would publish the old champion again.
    project_file.apply_edits(project.file_path, edits)
    request.publish(folders, request.reason)
    return result


def record_outcome(request: RetrainRequest, champion: Json, outcome: str, reasons: Sequence[str],
             **details: object) -> Json:  # fmt: skip
    """Record the outcome of a retraining in the ledger."""
    body: Json = {
        "decision": outcome, "champion_model_id": champion["model_id"], "reasons": list(reasons),
        "user": request.user, "reason": request.reason, "gates": [], **details,
    }  # fmt: skip
    Ledger(request.project.ledger_path).append([("decision", "retrain", "", body)])
    return {"outcome": outcome, **body}


def count_evaluation_uses(project: ProjectFolder) -> int:
    """The number of times that evaluation rows were used to compare challengers.

    Each comparison is another chance to promote a challenger by luck, so the number is recorded.
    """
    entries = Ledger(project.ledger_path).entries(kind="decision", stage="retrain")
    return sum("evaluation_rows" in entry.body for entry in entries)


def find_data_quality_alerts(project: ProjectFolder, model_id: str) -> list[str]:
    """The active data-quality alerts of a model."""
    path = project.root / MONITORING_FOLDER / "state.json"
    if not path.exists():
        return []
    state = files.read_json(path)
    monitor = state.get("monitor", {}) if state.get("model_id") == model_id else {}
    alerts = monitor.get("alerts", {}).values()
    return [alert["message"] for alert in alerts if alert["type"] == "data_quality"]


def load_champion_dataset(project: ProjectFolder, champion: Json) -> ChampionDataset:
    """Load the rows of the champion's split, without the sealed ones.

    Raises:
        ProjectError: the run folder of the split is missing.
    """
    split_key = champion["lineage"].get("split_key")
    folder = project.root / "runs" / "split" / str(split_key)
    if split_key is None or not folder.is_dir():
        raise ProjectError(
            "the rows of the champion are not in this project",
            detail=f"no runs/split/{split_key} in {project.root}",
            hint="train the champion in this project: fieldcraft run",
        )
    return ChampionDataset.load(folder)


def collect_new_rows(
    request: RetrainRequest, champion_dataset: ChampionDataset, settings: ProjectSettings
) -> NewRows:
    """New labeled rows: of a table, or of the prediction log and the project's training file.

    Raises:
        DataError: there is no prediction log, or rows do not fit.
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
    if not (project.root / MONITORING_FOLDER / "feedback.parquet").exists():
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
    """Rows of the prediction log with unused labels, and the keys of those labels.

    Raises:
        DataError: there is no log, or it lacks a column that is needed.
    """
    folder = request.project.root / MONITORING_FOLDER
    bundle = load_bundle(request.project.bundle_path)
    log = find_prediction_log(request.log or last_monitored_source(folder), bundle.model_id)
    if log is None:
        raise DataError(
            "there is no prediction log of this model",
            detail=request.log or last_monitored_source(folder) or "none was monitored",
            hint="set --log to the folder that `fieldcraft serve --log` writes to",
        )
    labels = exclude_used(
        pl.read_parquet(folder / "feedback.parquet"), list_used_label_files(request.project)
    )
    time = settings.data.time_column
    time_column = make_column(settings, time) if time is not None else None
    rows = join_logged_rows(log, labels, bundle.schema, target_columns(settings)[0], time_column)
    if rows.height:
        require_join_keys(rows, settings)
    return rows.drop(USED_ROW_KEYS), rows.select(USED_ROW_KEYS)


def require_join_keys(rows: pl.DataFrame, settings: ProjectSettings) -> None:
    """Require the key columns of joined tables in the rows of the log.

    Raises:
        DataError: a key column is missing.
    """
    keys = [key for join in settings.data.join for key in join.keys]
    missing_keys = [key for key in keys if key not in rows.columns]
    if missing_keys:
        raise DataError(
            "the prediction log lacks key columns of joined tables",
            detail=join_names(missing_keys),
            hint="pass the labeled rows as a table: fieldcraft retrain --data FILE",
        )


def last_monitored_source(folder: Path) -> str:
    """The log that was monitored last; empty if there is none."""
    path = folder / "state.json"
    return str(files.read_json(path).get("source", "")) if path.exists() else ""


def list_used_label_files(project: ProjectFolder) -> list[Path]:
    """The files of used labels of all retrainings that led to the current rows, newest first."""
    # Each retraining names the data source before it, so these files form a chain. A rollback
    # shortens it: labels that only a dropped retraining used are unused again.
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
    """Write the training data into a folder named by its digest; returns it and the edits."""
    project = request.project
    # The same rows and settings give the same folder, so the steps of a repeated retraining are up
    # to date.
    key_parts = [digest.of_bytes(b"".join(row_digests(rows))), project.file_path.read_text("utf-8")]
    source_folder = project.root / RETRAIN_FOLDER / digest.of_json(key_parts)[:16]
    staging, relative_folder = (
        source_folder.with_name(".next"),
        f"{RETRAIN_FOLDER}/{source_folder.name}",
    )
    shutil.rmtree(staging, ignore_errors=True)  # of an interrupted run
    edits = write_sources(
        staging, relative_folder, rows, new_data.rows.height, champion_dataset, project, settings
    )
    if new_data.used_labels is not None:
        new_data.used_labels.write_parquet(staging / USED_LABELS_FILE)
    files.atomic_write_json(
        staging / PREVIOUS_SOURCE_FILE, {"source": settings.data.source_files().train}
    )
    # Renamed when complete: a folder with the final name always holds all its files.
    files.replace_folder(staging, source_folder)
    return source_folder, edits


def create_trial_project(
    project: ProjectFolder, folder: Path, edits: Sequence[ConfigEdit]
) -> ProjectFolder:
    """The project with a trial project file that uses the new data source."""
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
    """Run all gates; only the schema gate if it fails, as the models are then not comparable."""
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
            "there are no evaluation rows that the champion was not trained on; "
            "wait for more new rows"
        )
        return [schema_gate, GateResult("performance", False, message, {})]
    metric = choose_metric(dataset, settings.problem.metric)
    seed = seeds.derive_seed(settings.train.seed, "challenge")
    return [schema_gate, *run_gates(evaluation, pair, metric, settings, seed)]


STAGE = Stage("retrain", "Train a challenger; promote it only if it is better.", retrain)  # type: ignore[arg-type]

"""Labels are joined once, late, twice, contradictory or unknown as they come; harm is told once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core.errors import DataError
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Watch
from fieldcraft.serving.record import Batch, Log, Recorder
from fieldcraft.stages.labels import Request, labels
from tests.conftest import mixed_table

ROWS = 400


@pytest.fixture
def bundle(finished: Folder) -> Bundle:
    return load_bundle(finished.bundle)


@pytest.fixture
def truth(bundle: Bundle, tmp_path: Path) -> pl.DataFrame:
    """A log of predictions, and the labels of them."""
    rows = mixed_table(ROWS, seed=300)
    cells = rows.cast(pl.String)
    log = Recorder(Log(tmp_path / "log"), bundle.model_id, bundle.task, bundle.about)
    requests = [f"r{number // 2}" for number in range(ROWS)]
    values = bundle.schema.apply(cells)
    at = datetime.now(UTC).timestamp()
    log.add(Batch(at, requests, [n % 2 for n in range(ROWS)], values, bundle.read(cells)))
    log.stop()
    return pl.DataFrame(
        {"request": requests, "row": [n % 2 for n in range(ROWS)], "bought": rows["bought"]}
    )


def told(project: Folder, tmp_path: Path, table: pl.DataFrame, **tell: Any) -> dict[str, Any]:
    table.write_csv(tmp_path / "labels.csv")
    asked = Request(
        project.bundle, str(tmp_path / "labels.csv"), str(tmp_path / "log"), tmp_path / "out",
        Watch(**tell),
    )  # fmt: skip
    found = labels(asked)
    json.dumps(found, allow_nan=False)
    return found


def test_labels_are_joined_once_and_coverage_is_shown(
    finished: Folder, tmp_path: Path, truth: pl.DataFrame
) -> None:
    first = told(finished, tmp_path, truth.head(100))
    assert (first["new_labels"], first["rows"], first["coverage"]) == (100, 100, 0.25)
    assert first["enough"]
    again = told(finished, tmp_path, truth.head(150))
    assert (again["new_labels"], again["known"], again["rows"]) == (50, 100, 150)
    assert again["loss"] is not None
    assert 0.5 < again["right"] <= 1
    assert not again["alarmed"]


def test_odd_labels_are_counted_and_left_out(
    finished: Folder, tmp_path: Path, truth: pl.DataFrame
) -> None:
    told(finished, tmp_path, truth.head(3))
    other = pl.col("bought").replace({"yes": "no", "no": "yes"})
    odd = pl.concat([
        truth[3:10],
        truth[3:5],  # twice
        truth[5:7].with_columns(other),  # contradictory among themselves
        truth[0:1].with_columns(other),  # contradicts what is known
        truth[7:8].with_columns(request=pl.lit("nobody")),
        truth[20:21].with_columns(bought=pl.lit("perhaps")),
    ])  # fmt: skip
    found = told(finished, tmp_path, odd)
    names = ("new_labels", "twice", "contradictory", "unknown", "unread", "rows")
    assert [found[name] for name in names] == [5, 2, 5, 1, 1, 8]
    assert not found["enough"]
    kept = pl.read_parquet(tmp_path / "out" / "labels.parquet")
    assert kept.head(1)["label"].to_list() == truth.head(1)["bought"].to_list()


def test_harm_is_told_once(finished: Folder, tmp_path: Path, truth: pl.DataFrame) -> None:
    wrong = truth.with_columns(pl.col("bought").replace({"yes": "no", "no": "yes"}))
    file = tmp_path / "alerts.jsonl"
    found = told(finished, tmp_path, wrong, file=str(file))
    assert found["alarmed"]
    assert found["new"]
    again = told(finished, tmp_path, wrong, file=str(file))
    assert again["alarmed"]
    assert not again["new"]
    [line] = file.read_text(encoding="utf-8").splitlines()
    assert "predictions have become worse" in json.loads(line)["text"]


def test_what_cannot_be_joined_is_told(
    finished: Folder, tmp_path: Path, truth: pl.DataFrame
) -> None:
    with pytest.raises(DataError, match="no column 'request'"):
        told(finished, tmp_path, truth.rename({"request": "requests"}))
    with pytest.raises(DataError, match="no column 'bought'"):
        told(finished, tmp_path, truth.drop("bought"))
    (tmp_path / "log").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="there is no prediction log"):
        told(finished, tmp_path, truth)

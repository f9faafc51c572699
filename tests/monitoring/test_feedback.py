"""Labels are joined to predictions once: the first is final, invalid ones are counted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core.errors import DataError
from fieldcraft.monitoring import feedback
from fieldcraft.monitoring.feedback import FEEDBACK_SCHEMA, join_labels
from fieldcraft.project.folder import ProjectFolder

START = datetime(2026, 11, 28, 10, tzinfo=UTC)
NONE_YET = pl.DataFrame(schema=FEEDBACK_SCHEMA)
COUNTS = ("new_labels", "already_known", "duplicates", "contradictory", "unmatched", "unparseable")
CHANCES = {"a": 0.75, "b": 0.25, "c": 0.5}  # of yes


@pytest.fixture(scope="module")
def bundle(finished_project_folder: Path) -> Bundle:
    return load_bundle(ProjectFolder(finished_project_folder / "project").bundle_path)


def write_part(folder: Path, number: int, rows: list[tuple[str, int]], model: str) -> None:
    """Write a file of a log, with rows given by request id and row number."""
    chances = [CHANCES.get(request[:1], 0.5) for request, _ in rows]
    table = pl.DataFrame(
        {
            "time": [START + timedelta(minutes=number, seconds=i) for i in range(len(rows))],
            "request_id": [request for request, _ in rows], "row": [row for _, row in rows],
            "model_id": [model] * len(rows), "input.city": ["Bern"] * len(rows),
            "output.prediction": ["yes" if chance > 0.5 else "no" for chance in chances],
            "output.probability_no": [1 - chance for chance in chances],
            "output.probability_yes": chances,
        },
        schema_overrides={"time": pl.Datetime("us", "UTC"), "row": pl.Int64},
    )  # fmt: skip
    path = folder / "2026-11-28" / f"10{number:02}00-1-{number}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path)


@pytest.fixture(scope="module")
def log(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of three requests to this model, one with two rows, and one to another model."""
    folder = tmp_path_factory.mktemp("log")
    write_part(folder, 0, [("a", 0), ("a", 1), ("b", 0)], bundle.model_id)
    write_part(folder, 1, [("other", 0)], "another")
    write_part(folder, 2, [("c", 0), ("b", 0)], bundle.model_id)  # b is logged twice
    return folder


def table(*rows: tuple[Any, ...], **names: str) -> pl.DataFrame:
    schema = {"request_id": pl.String, "row": pl.Int64, "bought": pl.String}
    return pl.DataFrame(list(rows), schema=schema, orient="row").rename(names)


def test_losses_and_correctness_are_those_of_the_predictions(bundle: Bundle, log: Path) -> None:
    given_rows = table(("c", 0, "no"), ("a", 1, "no"), ("a", 0, "yes"), ("b", 0, "yes"))
    feedback_result = join_labels(given_rows, log, bundle, NONE_YET)
    rows = feedback_result.rows.select("request_id", "row", "label", "loss", "is_correct").rows()
    assert rows == [  # in the order of their predictions; half the Brier score is (1 - p)^2
        ("a", 0, "yes", 0.0625, True), ("a", 1, "no", 0.5625, False),
        ("b", 0, "yes", 0.5625, False), ("c", 0, "no", 0.25, True),
    ]  # fmt: skip
    assert feedback_result.rows["time"].to_list() == [
        START, START + timedelta(seconds=1), START + timedelta(seconds=2),
        START + timedelta(minutes=2),
    ]  # fmt: skip
    assert set(feedback_result.rows["model_id"]) == {bundle.model_id}
    assert feedback_result.counts["predictions"] == 5  # of this model
    assert feedback_result.rows.schema == pl.Schema(FEEDBACK_SCHEMA)


def test_of_a_retried_request_the_first_prediction_counts_within_a_part(
    bundle: Bundle, tmp_path: Path
) -> None:
    n_requests = 50
    rows = [(f"{letter}{i}", 0) for letter in "ab" for i in range(n_requests)]
    write_part(tmp_path, 0, rows, bundle.model_id)
    (part,) = tmp_path.rglob("*.parquet")
    pl.read_parquet(part).with_columns(pl.col("request_id").str.slice(1)).write_parquet(part)
    labels = table(*((f"{i}", 0, "yes") for i in range(n_requests)))
    joined = join_labels(labels, tmp_path, bundle, NONE_YET).rows
    assert joined["loss"].to_list() == [0.0625] * n_requests  # those of a, which came first


keys = st.sampled_from([("a", 0), ("a", 1), ("b", 0), ("c", 0), ("other", 0), ("x", 0), ("a", 2)])
tables = st.lists(st.tuples(keys, st.sampled_from(["yes", "no", "perhaps", None])), max_size=7)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(tables, min_size=1, max_size=3))
def test_late_duplicate_contradictory_and_unmatched_labels_are_counted(
    bundle: Bundle, log: Path, rounds: list[list[tuple[tuple[str, int], str | None]]]
) -> None:
    logged = {("a", 0), ("a", 1), ("b", 0), ("c", 0)}
    known: dict[tuple[str, int], str] = {}
    before = NONE_YET
    for rows in rounds:
        expected = Counter(dict.fromkeys(COUNTS, 0))
        read = [(key, label) for key, label in rows if label in ("yes", "no")]
        expected["unparseable"] = len(rows) - len(read)
        expected["duplicates"] = len(read) - len(set(read))
        fresh = {}
        for key in {key for key, _ in read}:
            (label, *more) = {label for place, label in read if place == key}
            if more:
                expected["contradictory"] += 2
            elif key in known:
                expected["already_known" if known[key] == label else "contradictory"] += 1
            elif key in logged:
                expected["new_labels"] += 1
                fresh[key] = str(label)
            else:
                expected["unmatched"] += 1
        feedback_result = join_labels(
            table(*((*key, label) for key, label in rows)), log, bundle, before
        )
        assert {name: feedback_result.counts[name] for name in COUNTS} == dict(expected)
        known |= fresh
        before = feedback_result.rows
        joined = {(row["request_id"], row["row"]): row["label"] for row in before.to_dicts()}
        assert joined == known
        assert before.height == len(known)


def test_earlier_labels_stay_first_and_unchanged(bundle: Bundle, log: Path) -> None:
    first = join_labels(table(("c", 0, "yes")), log, bundle, NONE_YET).rows
    second = join_labels(table(("a", 0, "yes"), ("c", 0, "no")), log, bundle, first).rows
    assert second["request_id"].to_list() == ["c", "a"]
    assert second.head(1).equals(first)


def test_an_unmatched_label_is_joined_once_the_log_has_its_prediction(
    bundle: Bundle, tmp_path: Path
) -> None:
    write_part(tmp_path, 0, [("a", 0)], bundle.model_id)
    early = join_labels(table(("b", 0, "yes")), tmp_path, bundle, NONE_YET)
    assert (early.counts["unmatched"], early.rows.height) == (1, 0)
    write_part(tmp_path, 1, [("b", 0)], bundle.model_id)
    late = join_labels(table(("b", 0, "yes")), tmp_path, bundle, early.rows)
    assert (late.counts["unmatched"], late.counts["new_labels"]) == (0, 1)


@pytest.mark.parametrize(
    ("label", "read"),
    [("yes", "yes"), (" yes ", "yes"), ("yes.", "yes"), ("Yes", None), ("", None), ("yes..", None)],
)
def test_labels_are_parsed_like_the_target(
    bundle: Bundle, log: Path, label: str, read: str | None
) -> None:
    feedback_result = join_labels(table(("a", 0, label)), log, bundle, NONE_YET)
    assert feedback_result.rows["label"].to_list() == ([read] if read else [])
    assert feedback_result.counts["unparseable"] == (read is None)


def test_the_column_may_be_called_label_and_the_row_defaults_to_zero(
    bundle: Bundle, log: Path
) -> None:
    short = table(("a", 7, "no"), ("c", 7, "yes"), bought="label").drop("row")
    feedback_result = join_labels(short, log, bundle, NONE_YET)
    assert feedback_result.rows.select("request_id", "row", "label").rows() == [
        ("a", 0, "no"),
        ("c", 0, "yes"),
    ]
    both = table(("a", 0, "no")).with_columns(label=pl.lit("yes"))
    assert join_labels(both, log, bundle, NONE_YET).rows["label"].to_list() == [
        "no"
    ]  # the target's name


@pytest.mark.parametrize("number", ["x", None, "1.5"])
def test_an_invalid_row_number_is_unparseable(
    bundle: Bundle, log: Path, number: str | None
) -> None:
    rows = table(("a", 0, "yes")).with_columns(row=pl.lit(number, pl.String))
    assert join_labels(rows, log, bundle, NONE_YET).counts["unparseable"] == 1


@pytest.mark.parametrize(
    ("names", "why"),
    [({"request_id": "requests"}, "'request_id'"), ({"bought": "sold"}, "'bought'")],
)
def test_a_table_without_keys_or_labels_is_an_error(
    bundle: Bundle, log: Path, names: dict[str, str], why: str
) -> None:
    with pytest.raises(DataError, match=f"no column {why}"):
        join_labels(table(("a", 0, "yes"), **names), log, bundle, NONE_YET)


def test_models_with_several_targets_are_an_error(
    bundle: Bundle, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bundle.manifest, "targets", ["one", "two"])
    with pytest.raises(DataError, match="several targets"):
        join_labels(table(("a", 0, "yes")), log, bundle, NONE_YET)


def test_groups_in_the_labels_take_precedence_over_the_log(
    bundle: Bundle, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = {"kind": "category", "options": {}}
    known = {"city": {"column": column, "bin_edges": None, "groups": {}}}
    performance = {**bundle.manifest["reference_loss"], "groups": known}
    monkeypatch.setitem(bundle.manifest, "reference_loss", performance)
    plain = join_labels(table(("a", 0, "yes")), log, bundle, NONE_YET).rows["groups"]
    given_too = table(("a", 0, "yes")).with_columns(city=pl.lit("Oslo"))
    own = join_labels(given_too, log, bundle, NONE_YET).rows["groups"]
    assert (plain.to_list(), own.to_list()) == (['{"city": "Bern"}'], ['{"city": "Oslo"}'])
    monkeypatch.setitem(performance, "groups", {})
    assert feedback.encode_groups(given_too, bundle).to_list() == [None]

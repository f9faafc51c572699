"""Requests in a batch get their own answers and do not affect each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcraft.bundle.input_anomalies import VALUE_STATISTIC
from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.model import (
    OutOfRangeDetector,
    RequestPolicy,
    ServedModel,
    load_served_model,
)

ROW = {"age": 38.5, "city": "Rome", "member": "yes", "seen": "2025-11-15"}


@pytest.fixture(scope="module")
def bundle(finished_project_folder: Path) -> Path:
    return ProjectFolder(finished_project_folder / "project").bundle_path


@pytest.fixture(scope="module")
def model(bundle: Path) -> ServedModel:
    return load_served_model(bundle)


def test_answers_equal_the_predictions_of_the_bundle(model: ServedModel, bundle: Path) -> None:
    rows = [{**ROW, "age": age} for age in (20, 38.5, None, "44")]
    result = model.predict_requests([rows[:1], rows[1:]])
    answers = [answer for request_answers in result.answers for answer in request_answers]  # type: ignore[union-attr]
    frame = pl.DataFrame([{**row, "age": row["age"] and str(row["age"])} for row in rows])
    expected = load_bundle(bundle).predict(frame)
    assert [answer["prediction"] for answer in answers] == expected["prediction"].to_list()
    chances = [answer["probabilities"]["yes"] for answer in answers]
    assert chances == pytest.approx(expected["probability_yes"].to_list(), abs=1e-6)
    sets = ["|".join(answer["prediction_set"]) for answer in answers]
    assert sets == expected["prediction_set"].to_list()
    assert result.tally["rows",] == 4


def test_values_outside_the_training_data_are_predicted_counted_and_flagged(
    model: ServedModel,
) -> None:
    far, fresh = {**ROW, "age": 1e6}, {**ROW, "city": "Atlantis"}
    result = model.predict_requests([[ROW, far], [fresh]])
    flags = [[answer["ood"] for answer in request_answers] for request_answers in result.answers]  # type: ignore[union-attr]
    assert flags == [[False, True], [True]]
    assert result.tally["out_of_range", "age"] == 1
    assert result.tally["unseen_category", "city"] == 1
    assert result.tally["ood",] == 2


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        ({k: v for k, v in ROW.items() if k != "age"}, "age", "missing"),
        ({**ROW, "age": "old"}, "age", "'old' is not a valid number"),
        ({**ROW, "age": [1]}, "age", "a single value"),
        ({**ROW, "age": False}, "age", "'false' is not a valid number"),
        ({**ROW, "seen": {"a": 1}}, "seen", "a single value"),
        ({**ROW, "city": {}}, "city", "a single value"),
        ({**ROW, "seen": 3}, "seen", "'3' is not a valid datetime"),
    ],
)
def test_an_invalid_row_fails_only_its_own_request(
    model: ServedModel, row: dict[str, Any], column: str, message: str
) -> None:
    result = model.predict_requests([[ROW], [ROW, row], [ROW]])
    error = result.answers[1]
    assert isinstance(error, RequestError)
    assert error.status == 422
    assert error.details[0].row == 1
    assert error.details[0].column == column
    assert message in error.details[0].message
    alone = model.predict_requests([[ROW]]).answers[0]
    assert result.answers[0] == result.answers[2] == alone


CELLS: dict[str, list[Any]] = {
    "age": [39, 39.0, "39", " 39 ", "", True, 2**60, 1e16, "x", None],
    "city": [39, 39.0, "39", True, "true", "", "Rome", None],
    "member": [True, 1, 1.0, "1", "yes", 0.5, "", "x", False, None],
    "seen": ["2025-11-15", 20251115, True, "", None],
}


@pytest.mark.parametrize("column", CELLS)
def test_a_cell_is_parsed_independently_of_the_other_requests(
    model: ServedModel, column: str
) -> None:
    def answers_or_codes(cells: list[Any]) -> list[Any]:
        result = model.predict_requests([[{**ROW, column: cell}] for cell in cells])
        return [
            answer.code if isinstance(answer, RequestError) else answer for answer in result.answers
        ]

    cells = CELLS[column]
    alone = [answers_or_codes([cell])[0] for cell in cells]
    for together, single in zip(answers_or_codes(cells), alone, strict=True):
        assert isinstance(together, str) == isinstance(single, str)
        if not isinstance(single, str):
            [one], [other] = together, single
            chances = [list(answer["probabilities"].values()) for answer in (one, other)]
            assert chances[0] == pytest.approx(chances[1], abs=1e-6)


def test_extra_columns_are_counted_or_forbidden(bundle: Path) -> None:
    more = {**ROW, "shoe": 44}
    ignoring, refusing = (
        load_served_model(bundle, RequestPolicy(extra_columns=extra))
        for extra in ("ignore", "forbid")
    )
    result = ignoring.predict_requests([[more]])
    assert result.answers == ignoring.predict_requests([[ROW]]).answers
    assert result.tally["extra_columns",] == 1
    refused = refusing.predict_requests([[more]]).answers[0]
    assert isinstance(refused, RequestError)
    assert refused.details[0].column == "shoe"


def test_a_row_that_makes_the_model_fail_fails_only_its_own_request(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = model.bundle.outputs_from_values

    def poisoned(values: pl.DataFrame) -> Any:
        if (values["age"] == 13).any():
            raise RuntimeError("a library gave up")
        poisoned_outputs = outputs(values)
        poisoned_outputs[(values["age"] == 14).to_numpy()] = np.nan
        return poisoned_outputs[: 1 if (values["age"] == 15).any() else None]

    monkeypatch.setattr(model.bundle, "outputs_from_values", poisoned)
    bad = [{**ROW, "age": age} for age in (13, 14)]
    result = model.predict_requests([[ROW], [bad[0]], [ROW], [bad[1]], [ROW, {**ROW, "age": 15}]])
    codes = [reply.code if isinstance(reply, RequestError) else "" for reply in result.answers]
    assert codes == ["", "model_error", "", "nonfinite_output", "invalid_output_shape"]
    assert result.answers[0] == result.answers[2]


def test_no_rows_have_no_answers(model: ServedModel) -> None:
    assert model.predict_requests([[], []]).answers == [[], []]
    assert model.predict_requests([]).answers == []


OOD_PROFILES: dict[str, Any] = {
    "age": {VALUE_STATISTIC: {"type": "numeric", "min": 18.0, "max": 65.0}},
    "pay": {VALUE_STATISTIC: {"type": "numeric", "min": -1.0, "max": 1.0}},
    "city": {VALUE_STATISTIC: {"type": "categorical", "known_categories": ["Bern", "Oslo"]}},
    "street": {
        VALUE_STATISTIC: {"type": "categorical", "known_categories": None}
    },  # too many to keep
    "seen": {VALUE_STATISTIC: {"type": "temporal"}},
    "text": {"length": {"type": "numeric", "min": 0.0, "max": 1.0}},
}
ood_numbers = st.none() | st.sampled_from([17.999, 18.0, 40.0, 65.0, 65.001, -1.0, 1.0, 0.0])
ood_words = st.sampled_from([None, "Bern", "Oslo", "Rome", ""])


@given(st.lists(st.tuples(ood_numbers, ood_numbers, ood_words, ood_words), max_size=6))
def test_values_outside_the_training_data_are_counted_by_row_and_column(
    rows: list[tuple[Any, ...]],
) -> None:
    names = {"age": pl.Float64, "pay": pl.Float64, "city": pl.String, "street": pl.String}
    values = pl.DataFrame(rows, schema=names, orient="row")
    new, beyond, unseen = OutOfRangeDetector(OOD_PROFILES).detect(values)
    age = [a is not None and not 18 <= a <= 65 for a, *_ in rows]
    pay = [p is not None and not -1 <= p <= 1 for _, p, *_ in rows]
    city = [c is not None and c not in ("Bern", "Oslo") for *_, c, _ in rows]
    assert new.tolist() == [any(odd) for odd in zip(age, pay, city, strict=True)]
    assert beyond == {n: sum(odd) for n, odd in {"age": age, "pay": pay}.items() if sum(odd)}
    assert unseen == ({"city": sum(city)} if sum(city) else {})

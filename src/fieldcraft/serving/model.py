"""A bundle at work: many requests at once become one batch, and each gets its own answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core import files
from fieldcraft.core.types import Array, Json
from fieldcraft.data.dataframes import build_typed_column, common_dtype
from fieldcraft.serving.errors import ErrorDetail, RequestError
from fieldcraft.serving.ood import OutOfRangeDetector
from fieldcraft.serving.json_body import RequestRow
from fieldcraft.serving.response import to_json
from fieldcraft.statistics.metrics import Predictions

MAX_SHOWN_VALUE_LENGTH = 60  # characters of a value in an error
ISO_DATE_FORMAT = "%Y-%m-%d"
NATIVE_TYPES = {"number": frozenset({int, float}), "boolean": frozenset({bool})}
VERSION_LENGTH = 16  # characters of the model's id that name it


@dataclass(frozen=True)
class RequestPolicy:
    """How a model deals with callers.

    Attributes:
        extra_columns: what happens to columns that the model does not know.
        redact_errors: whether errors keep names of columns and values to themselves.
        max_rows: that one request may hold.
        allow_file_paths: whether cells may name files and addresses that this machine can read; otherwise
            photos come in the request, as ``data:`` addresses.
    """

    extra_columns: str = "ignore"
    redact_errors: bool = False
    max_rows: int = 10_000
    allow_file_paths: bool = False


@dataclass
class BatchResult:
    """What a batch of requests came to.

    Attributes:
        answers: of each request, in order: answers of its rows, or what is wrong with it.
        tally: what is to be counted: rows, unseen words, numbers out of range, and more.
        predictions: the rows that were predicted, for the log: places in the batch, and what was said.
        rows: all rows of the batch that could be read, parsed.
        request_of_row: the request of each of them.
    """

    answers: list[list[Json] | RequestError]
    tally: Counter[tuple[str, ...]] = field(default_factory=Counter)
    predictions: list[tuple[Array, Predictions]] = field(default_factory=list)
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)
    request_of_row: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


class ServedModel:
    """A bundle with what it takes to answer requests."""

    def __init__(
        self,
        bundle: Bundle,
        profile: Json,
        policy: RequestPolicy | None = None,
        name: str = "model",
    ) -> None:
        """Put a model to work; `load_model` is the usual way to one."""
        self.bundle = bundle
        self.name = name
        self.policy = policy or RequestPolicy()
        self.version = bundle.model_id[:VERSION_LENGTH]
        self.columns = bundle.required_columns
        self.column_set = frozenset(self.columns)
        self.out_of_range_detector = OutOfRangeDetector(profile["columns"])
        self.input_columns = {column.name: column for column in bundle.schema.input_columns}
        self.json_types = {name: self.json_type(name) for name in self.columns}

    def json_type(self, name: str) -> str:
        """What the cells of a column are: number, boolean, date (an ISO day), moment or string."""
        if name not in self.input_columns:
            return "string"  # the key of a table that the bundle joins
        column = self.input_columns[name]
        dtype = self.bundle.schema.dtype_of(column)
        if dtype.is_temporal():
            return (
                "date"
                if column.options.get("format", ISO_DATE_FORMAT) == ISO_DATE_FORMAT
                else "moment"
            )
        return "boolean" if dtype == pl.Boolean else "number" if dtype.is_numeric() else "string"

    def predict_requests(self, requests: Sequence[Sequence[RequestRow]]) -> BatchResult:
        """Answer requests of several rows each, together; what is wrong with one harms no other."""
        result = BatchResult([[] for _ in requests])
        valid_requests = [
            request
            for request, rows in enumerate(requests)
            if self.check_columns(rows, request, result)
        ]
        rows = [row for request in valid_requests for row in requests[request]]
        if not rows:
            return result
        request_of_row = np.repeat(
            valid_requests, [len(requests[request]) for request in valid_requests]
        )
        frame, nested_cells = self.build_frame(rows)
        parsed = self.bundle.schema.apply(self.bundle.join_tables(frame))
        for request in self.find_unparseable_requests(
            frame, parsed, request_of_row, nested_cells, result
        ):
            is_valid = request_of_row != request
            parsed, request_of_row, frame = (
                parsed.filter(is_valid),
                request_of_row[is_valid],
                frame.filter(is_valid),
            )
        if len(request_of_row):
            self.predict_rows(parsed, request_of_row, result)
        return result

    def check_columns(self, rows: Sequence[RequestRow], request: int, result: BatchResult) -> bool:
        """Whether the rows of a request have the model's columns; if not, it is told so."""
        details = []
        for row_number, row in enumerate(rows):
            if row.keys() == self.column_set:
                continue
            missing = [name for name in self.columns if name not in row]
            details += [ErrorDetail(f"the column {column!r} is missing; send null for no value", row_number, column)
                       for column in missing]  # fmt: skip
            extra = [name for name in row if name not in self.column_set]
            result.tally["extra_columns",] += len(extra)
            if self.policy.extra_columns == "refuse":
                details += [
                    ErrorDetail("the model does not know this column", row_number, column)
                    for column in extra
                ]
        if details:
            result.answers[request] = RequestError(
                "bad_rows", "some rows do not fit the model", details
            )
        return not details

    def build_frame(self, rows: Sequence[RequestRow]) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
        """The cells of rows; those that are lists or objects are missing, and named beside.

        Columns of one type are made in one piece, as each call of Polars takes time.
        """
        nested_cells: list[tuple[int, str]] = []
        columns_by_dtype: dict[pl.DataType, list[tuple[str, list[Any]]]] = {}
        for name in self.columns:
            cells = [row[name] for row in rows]
            if any(map(is_nested, cells)):
                nested_cells += [(row, name) for row, cell in enumerate(cells) if is_nested(cell)]
                cells = [None if is_nested(cell) else cell for cell in cells]
            dtype = self.choose_dtype(name, cells)
            columns_by_dtype.setdefault(dtype, []).append((name, cells))
        series_by_name = {}
        for dtype, columns in columns_by_dtype.items():
            stacked = build_typed_column(
                "", list(chain.from_iterable(column_cells for _, column_cells in columns)), dtype
            )
            for position, (name, _) in enumerate(columns):
                series_by_name[name] = stacked.slice(position * len(rows), len(rows)).rename(name)
        return pl.DataFrame([series_by_name[name] for name in self.columns]), nested_cells

    def choose_dtype(self, name: str, cells: Sequence[Any]) -> pl.DataType:
        """The type in which cells are read: what one means must not depend on those beside it.

        Numbers and truth values are read as such where all cells of their column are, else as
        text, which is read the same; all other columns are text.
        """
        types = set(map(type, cells)) - {type(None)}
        if not types <= NATIVE_TYPES.get(self.json_types[name], frozenset()):
            return pl.String()
        magnitudes = (abs(cell) for cell in cells if type(cell) is int) if int in types else ()
        return common_dtype(types, max(magnitudes, default=0))

    def find_unparseable_requests(
        self,
        frame: pl.DataFrame,
        parsed: pl.DataFrame,
        request_of_row: Array,
        nested_cells: Sequence[tuple[int, str]],
        result: BatchResult,
    ) -> list[int]:
        """The requests with a value that its column cannot hold; they are told so."""
        details_by_request: dict[int, list[ErrorDetail]] = {}
        for row, name in nested_cells:
            request, row_in_request = locate_row(row, request_of_row)
            detail = ErrorDetail(
                "send a single value, not a list or an object", row_in_request, name
            )
            details_by_request.setdefault(request, []).append(detail)
        for name, column in self.input_columns.items():
            if name not in frame.columns or name not in parsed.columns:
                continue
            if parsed[name].null_count() == frame[name].null_count():
                continue
            stripped = self.bundle.schema.normalize_missing(frame[name])
            unparseable_rows = (
                (parsed[name].is_null() & stripped.is_not_null()).arg_true().to_list()
            )
            for row in unparseable_rows:
                request, row_in_request = locate_row(row, request_of_row)
                shown_value = str(stripped[row])[:MAX_SHOWN_VALUE_LENGTH]
                detail = ErrorDetail(f"{shown_value!r} is no {column.kind}", row_in_request, name)
                details_by_request.setdefault(request, []).append(detail)
        for request, details in details_by_request.items():
            result.answers[request] = RequestError(
                "bad_rows", "some values do not fit the model", details
            )
        return list(details_by_request)

    def predict_rows(
        self, values: pl.DataFrame, request_of_row: Array, result: BatchResult
    ) -> None:
        """Fill in the answers of requests whose rows are fine."""
        is_ood, n_out_of_range, n_unseen = self.out_of_range_detector.detect(values)
        for code, counts in (("out_of_range", n_out_of_range), ("unseen", n_unseen)):
            result.tally.update({(code, name): count for name, count in counts.items()})
        result.tally["ood",] += int(is_ood.sum())
        result.rows, result.request_of_row, result.predictions = (
            values,
            request_of_row,
            self.predict_isolating_failures(values, request_of_row, result),
        )
        for positions, predictions in result.predictions:
            answers_of_rows = to_json(self.bundle.task, predictions, self.bundle.target_spec)
            for position, answer in zip(positions.tolist(), answers_of_rows, strict=True):
                answer["ood"] = bool(is_ood[position])
                result.answers[int(request_of_row[position])].append(answer)  # type: ignore[union-attr]
            result.tally["rows",] += len(answers_of_rows)

    def predict_isolating_failures(
        self, values: pl.DataFrame, request_of_row: Array, result: BatchResult
    ) -> list[tuple[Array, Predictions]]:
        """What the model says of rows, all at once; if that fails, of each request by itself."""
        positions = np.arange(len(request_of_row))
        try:
            return [(positions, self.predict_checked(values))]
        except Exception:  # noqa: BLE001  whatever one poisoned row makes a library raise
            predictions = []
            for request in np.unique(request_of_row):
                request_positions = positions[request_of_row == request]
                try:
                    predictions.append(
                        (
                            request_positions,
                            self.predict_checked(values[request_positions.tolist()]),
                        )
                    )
                except RequestError as request_error:
                    result.answers[int(request)] = request_error
                except Exception as error:  # noqa: BLE001
                    result.answers[int(request)] = RequestError(
                        "model_error", f"the model failed on these rows: {type(error).__name__}"
                    )
            return predictions

    def predict_checked(self, values: pl.DataFrame) -> Predictions:
        """What the model says of parsed rows, if that is sound.

        Raises:
            Trouble: it says something that is no number, or not something of each row.
        """
        outputs = self.bundle.outputs_from_values(values)
        if len(outputs) != values.height:
            raise RequestError("bad_shape", "the model did not answer for every row")
        if not np.isfinite(outputs).all():
            raise RequestError(
                "nonfinite_output", "the model answered with something that is no number"
            )
        return self.bundle.predictions_from_outputs(outputs)


def is_nested(value: Any) -> bool:
    """Whether a value of JSON is not a single one."""
    return isinstance(value, (list, dict))


def locate_row(row: int, request_of_row: Array) -> tuple[int, int]:
    """The request of a row of a batch, and its place there."""
    request = int(request_of_row[row])
    return request, row - int(np.searchsorted(request_of_row, request))


def load_served_model(
    folder: Path, policy: RequestPolicy | None = None, name: str = "model"
) -> ServedModel:
    """Load a bundle and put it to work.

    Raises:
        BundleError: it cannot be trusted or run.
    """
    bundle = load_bundle(folder)
    return ServedModel(bundle, files.read_json(folder / "profile.json"), policy, name)

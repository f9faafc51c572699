"""The tables of the benchmark, and their splits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

DATA = Path(os.environ.get("FIELDCRAFT_DATA", Path(__file__).parents[3] / "shared" / "data"))
DIGITS = "scikit-learn: digits"
TARGET = "__target__"  # class number or value, for the peers


@dataclass(frozen=True)
class BenchmarkTable:
    """A table and its prediction task.

    Attributes:
        name: a short name.
        target: the column to predict.
        task: binary, multiclass or regression.
        files: files under ``shared/data`` whose rows make up the table.
        test: file with the test rows of every seed; without one they are drawn.
        drop: row numbers, and columns written after the outcome.
        keep: the only columns to use; empty for all.
        missing: markers of missing values besides blanks.
    """

    name: str
    target: str
    task: str
    files: tuple[str, ...]
    test: str | None = None
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


COMPAS_COLUMNS = (
    "sex", "age", "race", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count",
    "c_charge_degree", "c_charge_desc", "days_b_screening_arrest", "c_days_from_compas",
)  # fmt: skip
WINE = ("tabular/wine_quality.parquet",)
HIGGS = ("tabular/higgs_small/higgs_small_train.parquet",
         "tabular/higgs_small/higgs_small_test.parquet")  # fmt: skip
LETTER = ("tabular/letter/letter_train.parquet", "tabular/letter/letter_test.parquet")

# All tables of more than 1,000 rows. Two are time series, electricity and Beijing's air, which are
# split at random, as in the literature on tables.
TABLES = (
    BenchmarkTable("insurance", "charges", "regression", ("tabular/insurance_charges.parquet",)),
    BenchmarkTable("digits", "digit", "multiclass", (DIGITS,)),
    BenchmarkTable("ames", "SalePrice", "regression", ("tabular/ames_housing_raw.csv.gz",),
          drop=("Order", "PID")),
    BenchmarkTable("abalone", "rings", "regression", ("tabular/abalone.parquet",)),
    BenchmarkTable("wine_value", "quality", "regression", WINE),
    BenchmarkTable("wine_class", "quality", "multiclass", WINE),
    BenchmarkTable("telco", "Churn", "binary", ("tabular/telco_churn_raw.csv.gz",),
    drop=("customerID",)),
    BenchmarkTable("compas", "two_year_recid", "binary", ("tabular/compas_two_years.csv.gz",),
          keep=COMPAS_COLUMNS),
    BenchmarkTable("higgs", "label", "binary", HIGGS),
    BenchmarkTable("mammography", "label", "binary", ("tabular/mammography.parquet",)),
    BenchmarkTable("bean", "class", "multiclass", ("tabular/dry_bean/dry_bean.parquet",)),
    BenchmarkTable("california", "median_house_value", "regression",
          ("tabular/california_housing.csv.gz",)),
    BenchmarkTable("letter", "letter", "multiclass", LETTER),
    BenchmarkTable("credit", "default_next_month", "binary", ("tabular/credit_default.parquet",),
          drop=("id",)),
    BenchmarkTable("adult", "income", "binary", ("tabular/adult/adult_train.parquet",),
          test="tabular/adult/adult_test.parquet"),
    BenchmarkTable("electricity", "class", "binary", ("tabular/electricity_elec2.csv.gz",)),
    BenchmarkTable("air", "pm2.5", "regression", ("timeseries/beijing_pm25_raw.csv.gz",),
          drop=("No",), missing=("NA",)),
)  # fmt: skip


@dataclass(frozen=True)
class TableParts:
    """The parts of a table for one seed, with targets as in the table.

    Attributes:
        train: four fifths of the rows that are not test rows.
        validation: the remaining fifth of them, for early stopping.
        test: one fifth of all rows, or the published test file.
        labels: the classes as text, in the order of their numbers; empty for regression.
        categories: the names of text columns.
    """

    train: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame
    labels: tuple[str, ...]
    categories: tuple[str, ...]

    @property
    def training_and_validation(self) -> pl.DataFrame:
        """Return all rows that are not test rows."""
        return pl.concat([self.train, self.validation])


def read_table_file(table: BenchmarkTable, path: str) -> pl.DataFrame:
    """Read the used columns of a file, with blanks and missing markers as nulls.

    A text column in which every cell is a number becomes numeric.
    """
    if path == DIGITS:
        from sklearn.datasets import load_digits

        digits: pl.DataFrame = pl.from_pandas(load_digits(as_frame=True).frame)
        return digits.rename({"target": "digit"})
    source = DATA / path
    if source.suffix == ".parquet":
        frame = pl.read_parquet(source)
    else:
        frame = pl.read_csv(source, infer_schema_length=None)
    frame = frame.select([*table.keep, table.target]) if table.keep else frame.drop(table.drop)
    missing_markers = ("", *table.missing)
    text = pl.col(pl.String).str.strip_chars()
    frame = frame.with_columns(pl.when(~text.is_in(missing_markers)).then(text).name.keep())
    texts = frame.select(pl.col(pl.String))
    parsed = texts.select(pl.all().cast(pl.Float64, strict=False))
    numeric = [c for c in texts.columns if parsed[c].null_count() == texts[c].null_count()]
    return frame.with_columns(parsed[name] for name in numeric).drop_nulls(table.target)


def split_table(table: BenchmarkTable, seed: int) -> TableParts:
    """Read a table and split its rows at random, stratified by class."""
    frame = pl.concat([read_table_file(table, path) for path in table.files])
    if table.test is None:
        is_test = every_fifth(frame, table, seed)
        development, test = frame.filter(~is_test), frame.filter(is_test)
    else:
        development, test = frame, read_table_file(table, table.test)
    is_validation = every_fifth(development, table, seed + 1_000_000)
    labels = () if table.task == "regression" else frame[table.target].unique().sort()
    features = frame.drop(table.target)
    return TableParts(
        train=development.filter(~is_validation),
        validation=development.filter(is_validation),
        test=test,
        labels=tuple(str(label) for label in labels),
        categories=tuple(features.select(pl.col(pl.String)).columns),
    )


def every_fifth(frame: pl.DataFrame, table: BenchmarkTable, seed: int) -> pl.Series:
    """Mark one in five rows: of every class, or of all rows for regression."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(frame.height)
    if table.task != "regression":
        classes = frame[table.target].rank("dense").to_numpy()
        order = order[np.argsort(classes[order], kind="stable")]
    is_drawn = np.zeros(frame.height, dtype=bool)
    is_drawn[order[int(rng.integers(5)) :: 5]] = True
    return pl.Series(is_drawn)


def encode_target(target: pl.Series, labels: tuple[str, ...]) -> pl.Series:
    """Return the target as class numbers, or as values for regression."""
    if not labels:
        return target.cast(pl.Float64)
    return target.cast(pl.String).replace_strict(list(labels), range(len(labels)))

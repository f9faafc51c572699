"""The tables of the contest, and how their rows are divided."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

DATA = Path(__file__).parents[3] / "shared" / "data"
DIGITS = "scikit-learn: digits"
TARGET = "__target__"  # class number or value, as the peers see it


@dataclass(frozen=True)
class Table:
    """A table and its natural question.

    Attributes:
        name: short.
        target: column to predict.
        task: binary, multiclass or regression.
        files: whose rows together are the table, under ``shared/data``.
        test: file whose rows are the test rows of every seed; else they are drawn.
        drop: columns that number rows, or that come from after the fact.
        keep: the only columns to use, if not all are.
        missing: words that stand for a missing value, beside a blank.
    """

    name: str
    target: str
    task: str
    files: tuple[str, ...]
    test: str | None = None
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


KNOWN_BEFORE = (
    "sex", "age", "race", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count",
    "c_charge_degree", "c_charge_desc", "days_b_screening_arrest", "c_days_from_compas",
)  # fmt: skip
WINE = ("tabular/wine_quality.parquet",)
HIGGS = ("tabular/higgs_small/higgs_small_train.parquet",
         "tabular/higgs_small/higgs_small_test.parquet")  # fmt: skip
LETTER = ("tabular/letter/letter_train.parquet", "tabular/letter/letter_test.parquet")

# All tables of more than 1,000 rows. Two are in order of time, which is left aside here:
# electricity and Beijing's air are divided at random as in the literature on tables.
TABLES = (
    Table("insurance", "charges", "regression", ("tabular/insurance_charges.parquet",)),
    Table("digits", "digit", "multiclass", (DIGITS,)),
    Table("ames", "SalePrice", "regression", ("tabular/ames_housing_raw.csv.gz",),
          drop=("Order", "PID")),
    Table("abalone", "rings", "regression", ("tabular/abalone.parquet",)),
    Table("wine_value", "quality", "regression", WINE),
    Table("wine_class", "quality", "multiclass", WINE),
    Table("telco", "Churn", "binary", ("tabular/telco_churn_raw.csv.gz",), drop=("customerID",)),
    Table("compas", "two_year_recid", "binary", ("tabular/compas_two_years.csv.gz",),
          keep=KNOWN_BEFORE),
    Table("higgs", "label", "binary", HIGGS),
    Table("mammography", "label", "binary", ("tabular/mammography.parquet",)),
    Table("bean", "class", "multiclass", ("tabular/dry_bean/dry_bean.parquet",)),
    Table("california", "median_house_value", "regression",
          ("tabular/california_housing.csv.gz",)),
    Table("letter", "letter", "multiclass", LETTER),
    Table("credit", "default_next_month", "binary", ("tabular/credit_default.parquet",),
          drop=("id",)),
    Table("adult", "income", "binary", ("tabular/adult/adult_train.parquet",),
          test="tabular/adult/adult_test.parquet"),
    Table("electricity", "class", "binary", ("tabular/electricity_elec2.csv.gz",)),
    Table("air", "pm2.5", "regression", ("timeseries/beijing_pm25_raw.csv.gz",),
          drop=("No",), missing=("NA",)),
)  # fmt: skip


@dataclass(frozen=True)
class Parts:
    """The rows of a table for one seed; targets as they are in the table.

    Attributes:
        train: four fifths of what is not test.
        val: the rest of it, for early stopping.
        test: one fifth of all, or the published test file.
        labels: the classes as text, in the order of their numbers; none for a number as target.
        categories: the columns that hold words.
    """

    train: pl.DataFrame
    val: pl.DataFrame
    test: pl.DataFrame
    labels: tuple[str, ...]
    categories: tuple[str, ...]

    @property
    def develop(self) -> pl.DataFrame:
        """All rows that are not test rows."""
        return pl.concat([self.train, self.val])


def read(table: Table, path: str) -> pl.DataFrame:
    """One file of a table, less what is not to be used; blanks and other marks as missing.

    A column of text in which every word is a number becomes one of numbers.
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
    blank = ("", *table.missing)
    text = pl.col(pl.String).str.strip_chars()
    frame = frame.with_columns(pl.when(~text.is_in(blank)).then(text).name.keep())
    words = frame.select(pl.col(pl.String))
    read_as = words.select(pl.all().cast(pl.Float64, strict=False))
    numeric = [c for c in words.columns if read_as[c].null_count() == words[c].null_count()]
    return frame.with_columns(read_as[name] for name in numeric).drop_nulls(table.target)


def divide(table: Table, seed: int) -> Parts:
    """Read a table and divide its rows at random, classes evenly."""
    frame = pl.concat([read(table, path) for path in table.files])
    if table.test is None:
        drawn = every_fifth(frame, table, seed)
        develop, test = frame.filter(~drawn), frame.filter(drawn)
    else:
        develop, test = frame, read(table, table.test)
    held = every_fifth(develop, table, seed + 1_000_000)
    labels = () if table.task == "regression" else frame[table.target].unique().sort()
    features = frame.drop(table.target)
    return Parts(
        train=develop.filter(~held),
        val=develop.filter(held),
        test=test,
        labels=tuple(str(label) for label in labels),
        categories=tuple(features.select(pl.col(pl.String)).columns),
    )


def every_fifth(frame: pl.DataFrame, table: Table, seed: int) -> pl.Series:
    """Which rows are drawn: one in five of every class, or of all if the target is a number."""
    random = np.random.default_rng(seed)
    order = random.permutation(frame.height)
    if table.task != "regression":
        classes = frame[table.target].rank("dense").to_numpy()
        order = order[np.argsort(classes[order], kind="stable")]
    drawn = np.zeros(frame.height, dtype=bool)
    drawn[order[int(random.integers(5)) :: 5]] = True
    return pl.Series(drawn)


def numbered(target: pl.Series, labels: tuple[str, ...]) -> pl.Series:
    """The target as class numbers, or as the values that it has."""
    if not labels:
        return target.cast(pl.Float64)
    return target.cast(pl.String).replace_strict(list(labels), range(len(labels)))

"""Texts: a project run unattended beside a linear model over n-grams, on published test rows.

    python bench/texts.py [NAME ...] [--encoder NAME] [--finetune] [--keep FOLDER]

The peer is scikit-learn's: words and pairs of words, runs of two to five characters, a linear
support vector machine, learned from all training texts. Ours keeps some of them to tune and to
judge. Where there are no published test rows, every fifth row is one. The difference of accuracies
comes with its interval over paired resamples of the test rows. Of rows
that belong to no class the last column says how many are rejected where one in twenty of the tune
rows is. Needs the developers' data.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

from fieldcraft import load_bundle
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.project import project_file

DATA = Path(__file__).parents[2] / "shared" / "data" / "text"
RESAMPLES = 1_000
REJECT = 0.05  # of the rows that belong to a class
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TextDataset:
    """Files of texts with their label, and what to leave out."""

    train: str
    test: str | None = None
    label: str = "label"
    unknown_label: str | None = (
        None  # rows of this label belong to no class, and are to be rejected
    )


SETS = {
    "banking77": TextDataset("banking77/banking77_train.csv.gz", "banking77/banking77_test.csv.gz"),
    "clinc150": TextDataset("clinc150/clinc150_train.csv.gz", "clinc150/clinc150_test.csv.gz",
                      unknown_label="oos"),
    "rotten": TextDataset("rotten_tomatoes/rotten_tomatoes.csv.gz"),
    "spam": TextDataset("sms_spam/sms_spam.csv.gz"),
    "newsgroups": TextDataset("newsgroups20/newsgroups20_train.parquet",
                        "newsgroups20/newsgroups20_test.parquet"),
    "hate": TextDataset("hate_offensive.parquet"),
    **{
        language: TextDataset(f"tweets_sentiment_multilingual/{language}_train.csv.gz",
                        f"tweets_sentiment_multilingual/{language}_test.csv.gz")
        for language in ("english", "french", "german", "spanish")
    },
}  # fmt: skip


def read_dataset(texts: TextDataset) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and test rows: text and label."""
    frames = [read_file(name, texts) for name in (texts.train, texts.test) if name]
    if len(frames) == 2:
        return frames[0], frames[1]
    draw = np.random.default_rng(0).permutation(frames[0].height)
    held = np.isin(np.arange(frames[0].height), draw[::5])
    return frames[0].filter(~held), frames[0].filter(held)


def read_file(name: str, texts: TextDataset) -> pl.DataFrame:
    """One file."""
    path = DATA / name
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    frame = frame.select("text", pl.col(texts.label).cast(pl.String).alias("label"))
    return frame.filter(pl.col("label") != texts.unknown_label) if texts.unknown_label else frame


def predict_with_linear_model(train: pl.DataFrame, test: pl.DataFrame) -> list[str]:
    """What the linear model over n-grams says."""
    terms = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    model = make_pipeline(terms, LinearSVC())
    model.fit(train["text"].to_list(), train["label"].to_list())
    return [str(label) for label in model.predict(test["text"].to_list())]


def run_fieldcraft(*words: str) -> dict[str, Any]:
    """What a command says, as JSON."""
    command = [sys.executable, "-m", "fieldcraft", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    output: dict[str, Any] = json.loads(done.stdout)
    return output


def predict_with_project(
    train: pl.DataFrame, test: pl.DataFrame, folder: Path, edits: Sequence[ConfigEdit]
) -> tuple[pl.DataFrame, str]:
    """What the champion of a project says, and which it is."""
    source, sealed, place = folder / "train.parquet", folder / "test.parquet", folder / "project"
    train.write_parquet(source)
    test.write_parquet(sealed)
    begin = ("init", str(source), "--test", str(sealed), "--target", "label", "--dir", str(place))
    run_fieldcraft(*begin)
    project_file.apply_edits(place / project_file.PROJECT_FILE_NAME, edits)
    done = run_fieldcraft("run", "--dir", str(place), "--fix")
    predictions = load_bundle(place / "bundle").predict(test)
    return predictions, str(done["champion"])


def difference_interval(right: Array, others: Array) -> tuple[float, float]:
    """Ends of the 95 % interval of a difference of accuracies."""
    draw = np.random.default_rng(0)
    rows = draw.integers(len(right), size=(RESAMPLES, len(right)))
    low, high = np.quantile((right - others)[rows].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def compare_on_dataset(name: str, folder: Path, encoder: dict[str, Any]) -> str:
    """A row about one set."""
    texts = SETS[name]
    train, test = read_dataset(texts)
    edits = [ConfigEdit(("data", "columns", "text", key), value) for key, value in encoder.items()]
    if texts.unknown_label:
        edits.append(ConfigEdit(("problem", "reject_fraction"), REJECT))
    start = time.monotonic()
    answers = predict_with_linear_model(train, test)
    middle = time.monotonic()
    predictions, champion = predict_with_project(train, test, folder, edits)
    end = time.monotonic()
    truth = test["label"].to_list()
    right, others = (
        np.array([a == b for a, b in zip(given, truth, strict=True)], dtype=float)
        for given in (predictions["prediction"].to_list(), answers)
    )
    low, high = difference_interval(right, others)
    return (
        f"| {name} | {train.height:,} / {test.height:,} | {others.mean():.4f} | {right.mean():.4f} "
        f"| {low:+.4f} to {high:+.4f} | {champion} | {middle - start:.0f} | {end - middle:.0f} "
        f"| {count_rejected(texts, folder)} |"
    )


def count_rejected(texts: TextDataset, folder: Path) -> str:
    """How many of the rows of no class are rejected."""
    if not (texts.unknown_label and texts.test):
        return ""
    strange = pl.read_csv(DATA / texts.test).filter(pl.col("label") == texts.unknown_label)
    predictions = load_bundle(folder / "project" / "bundle").predict(strange.select("text"))
    return f"{1 - predictions['accepted'].mean():.3f}"  # type: ignore[operator]


def main() -> None:
    """Print a header and a row for each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--keep", type=Path, help="folder for the projects")
    parser.add_argument("--encoder", help="of the texts, in place of the project's own choice")
    parser.add_argument("--augment", action="store_true", help="change training texts a little")
    parser.add_argument(
        "--finetune", action="store_true", help="train the pretrained encoder further"
    )
    options = parser.parse_args()
    encoder = {"encoder": options.encoder} if options.encoder else {}
    encoder |= {name: True for name in ("finetune", "augment") if getattr(options, name)}
    print("| set | texts | n-grams | ours | difference | champion | seconds | ours | rejected |")
    print("|---|---:|---:|---:|---:|---|---:|---:|---:|")
    for name in options.names or SETS:
        with tempfile.TemporaryDirectory() as aside:
            place = (options.keep or Path(aside)) / name
            place.mkdir(parents=True, exist_ok=True)
            print(compare_on_dataset(name, place, encoder), flush=True)


if __name__ == "__main__":
    main()

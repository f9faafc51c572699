"""Texts: a project run unattended, compared with a linear n-gram model on published test rows.

    python bench/texts.py [NAME ...] [--encoder NAME] [--finetune] [--keep FOLDER]

The peer is a linear support vector machine of scikit-learn over word and character n-grams, trained
on all training texts. Fieldcraft uses some of them for validation and evaluation. Without published
test rows, every fifth row is a test row. The difference of accuracies has an interval over paired
resamples of the test rows. The last column is the fraction of rejected out-of-scope rows, with a
threshold that rejects one in twenty validation rows. Needs the developers' data.
"""

from __future__ import annotations

import argparse
import json
import os
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

DATA = (
    Path(os.environ.get("FIELDCRAFT_DATA", Path(__file__).parents[2] / "shared" / "data")) / "text"
)
RESAMPLES = 1_000
REJECT_FRACTION = 0.05  # of the in-scope rows
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TextDataset:
    """Files of texts with their label, and the label of out-of-scope rows."""

    train: str
    test: str | None = None
    label: str = "label"
    unknown_label: str | None = None  # out-of-scope rows, which should be rejected


DATASETS = {
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
    """Return training and test rows with text and label."""
    frames = [read_file(name, texts) for name in (texts.train, texts.test) if name]
    if len(frames) == 2:
        return frames[0], frames[1]
    order = np.random.default_rng(0).permutation(frames[0].height)
    is_test = np.isin(np.arange(frames[0].height), order[::5])
    return frames[0].filter(~is_test), frames[0].filter(is_test)


def read_file(name: str, texts: TextDataset) -> pl.DataFrame:
    """Read one file."""
    path = DATA / name
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    frame = frame.select("text", pl.col(texts.label).cast(pl.String).alias("label"))
    return frame.filter(pl.col("label") != texts.unknown_label) if texts.unknown_label else frame


def predict_with_linear_model(train: pl.DataFrame, test: pl.DataFrame) -> list[str]:
    """Return the predictions of the linear n-gram model."""
    terms = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    model = make_pipeline(terms, LinearSVC())
    model.fit(train["text"].to_list(), train["label"].to_list())
    return [str(label) for label in model.predict(test["text"].to_list())]


def run_fieldcraft(*arguments: str) -> dict[str, Any]:
    """Run a command and return its JSON output."""
    command = [sys.executable, "-m", "fieldcraft", *arguments, "--json"]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.returncode:
        raise SystemExit(completed.stderr)
    output: dict[str, Any] = json.loads(completed.stdout)
    return output


def predict_with_project(
    train: pl.DataFrame, test: pl.DataFrame, folder: Path, edits: Sequence[ConfigEdit]
) -> tuple[pl.DataFrame, str]:
    """Return the predictions of a project's champion, and its name."""
    train_path, test_path, project_folder = (
        folder / "train.parquet",
        folder / "test.parquet",
        folder / "project",
    )
    train.write_parquet(train_path)
    test.write_parquet(test_path)
    arguments = (
        "init",
        str(train_path),
        "--test",
        str(test_path),
        "--target",
        "label",
        "--dir",
        str(project_folder),
    )
    run_fieldcraft(*arguments)
    project_file.apply_edits(project_folder / project_file.PROJECT_FILE_NAME, edits)
    result = run_fieldcraft("run", "--dir", str(project_folder), "--fix")
    predictions = load_bundle(project_folder / "bundle").predict(test)
    return predictions, str(result["champion"])


def difference_interval(correct: Array, peer_correct: Array) -> tuple[float, float]:
    """Return the 95% interval of a difference of accuracies."""
    rng = np.random.default_rng(0)
    rows = rng.integers(len(correct), size=(RESAMPLES, len(correct)))
    low, high = np.quantile((correct - peer_correct)[rows].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def compare_on_dataset(name: str, folder: Path, encoder: dict[str, Any]) -> str:
    """Run one dataset and return its row of the table."""
    texts = DATASETS[name]
    train, test = read_dataset(texts)
    edits = [ConfigEdit(("data", "columns", "text", key), value) for key, value in encoder.items()]
    if texts.unknown_label:
        edits.append(ConfigEdit(("problem", "reject_fraction"), REJECT_FRACTION))
    start = time.monotonic()
    peer_predictions = predict_with_linear_model(train, test)
    peer_end = time.monotonic()
    predictions, champion = predict_with_project(train, test, folder, edits)
    end = time.monotonic()
    truth = test["label"].to_list()
    correct, peer_correct = (
        np.array([a == b for a, b in zip(labels, truth, strict=True)], dtype=float)
        for labels in (predictions["prediction"].to_list(), peer_predictions)
    )
    low, high = difference_interval(correct, peer_correct)
    return (
        f"| {name} | {train.height:,} / {test.height:,} "
        f"| {peer_correct.mean():.4f} | {correct.mean():.4f} "
        f"| {low:+.4f} to {high:+.4f} | {champion} | {peer_end - start:.0f} | {end - peer_end:.0f} "
        f"| {count_rejected(texts, folder)} |"
    )


def count_rejected(texts: TextDataset, folder: Path) -> str:
    """Return the fraction of rejected out-of-scope rows."""
    if not (texts.unknown_label and texts.test):
        return ""
    out_of_scope = pl.read_csv(DATA / texts.test).filter(pl.col("label") == texts.unknown_label)
    predictions = load_bundle(folder / "project" / "bundle").predict(out_of_scope.select("text"))
    return f"{1 - predictions['confident'].mean():.3f}"  # type: ignore[operator]


def main() -> None:
    """Print a header and a row for each dataset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--keep", type=Path, help="folder for the projects")
    parser.add_argument("--encoder", help="text encoder, instead of the default one")
    parser.add_argument("--augment", action="store_true", help="augment the training texts")
    parser.add_argument("--finetune", action="store_true", help="finetune the pretrained encoder")
    options = parser.parse_args()
    encoder = {"encoder": options.encoder} if options.encoder else {}
    encoder |= {name: True for name in ("finetune", "augment") if getattr(options, name)}
    print(
        "| dataset | texts | n-grams | fieldcraft | difference | champion "
        "| n-grams, s | fieldcraft, s | rejected |"
    )
    print("|---|---:|---:|---:|---:|---|---:|---:|---:|")
    for name in options.names or DATASETS:
        with tempfile.TemporaryDirectory() as temporary_folder:
            folder = (options.keep or Path(temporary_folder)) / name
            folder.mkdir(parents=True, exist_ok=True)
            print(compare_on_dataset(name, folder, encoder), flush=True)


if __name__ == "__main__":
    main()

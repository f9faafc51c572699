"""The page about a model at work says what stands, and needs nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Watch
from fieldcraft.report import watched
from fieldcraft.serving.watcher import Watcher
from fieldcraft.serving.windows import predicted
from tests.conftest import mixed_table
from tests.report.test_html import words


@pytest.fixture(scope="module")
def bundle(finished_once: Path) -> Bundle:
    return load_bundle(Folder(finished_once / "project").bundle)


def result(watcher: Watcher, **more: Any) -> dict[str, Any]:
    return {
        "model_id": watcher.bundle.model_id, "windows": watcher.windows, "new": [],
        "stand": list(watcher.alerts.values()), "reference": 204, "not_watched": [],
        "expected": watcher.expects(), **more,
    }  # fmt: skip


def test_a_quiet_page_is_whole(bundle: Bundle) -> None:
    watcher = Watcher(bundle, Watch())
    text = words(watched.page(watcher, result(watcher)))
    assert "Quiet: nothing is broken" in text
    watcher.look(predicted(mixed_table(9).cast(pl.String), bundle))
    assert "not enough rows" in words(watched.page(watcher, result(watcher)))


def test_alerts_and_charts_are_there_and_names_are_harmless(bundle: Bundle) -> None:
    watcher = Watcher(bundle, Watch())
    for seed in range(5):
        rows = mixed_table(300, seed=seed).with_columns(
            city=pl.lit("<script>alert(1)</script>"), age=pl.col("age") + 8
        )
        watcher.look(predicted(rows.cast(pl.String), bundle))
    page = watched.page(watcher, result(watcher, not_watched=["<b>"]))
    text = words(page)
    assert "1 column broken" in text
    assert "city: 100% of the rows are words that training did not show" in text
    assert "age: distance" in text
    assert page.count("<svg") >= 2
    assert "<script" not in page
    assert "<b>&lt;" not in page
    assert "&lt;b&gt;" in page
    assert not re.findall(r'(?:src|href)="(?!#)[^"]+"', page)


def test_labels_and_what_is_expected_without_them_are_told(bundle: Bundle) -> None:
    watcher = Watcher(bundle, Watch())
    watcher.look(predicted(mixed_table(300, seed=5).cast(pl.String), bundle))
    known = {"rows": 120, "coverage": 0.4, "loss": 0.1, "low": 0.05, "high": 0.2,
             "reference": 0.09, "allowed": 0.12, "right": 0.8, "alarmed": True}  # fmt: skip
    text = words(watched.page(watcher, result(watcher, performance=known)))
    assert "120 labels, of 40.0% of the predictions" in text
    assert "Predictions have become worse." in text
    assert "right decisions expected" in text
    group = {"column": "sex", "group": "Female", "rows": 60, "loss": 0.2, "reference": 0.1,
             "allowed": 0.13, "alarmed": True}  # fmt: skip
    text = words(watched.page(watcher, result(watcher, performance={**known, "groups": [group]})))
    assert "sex: Female 60 0.2000 0.1000 0.1300 worse" in " ".join(text.split())


def test_of_very_many_bins_the_fullest_are_drawn_in_their_order() -> None:
    levels = [f"a rather long name of a level, number {i}" for i in range(40)]
    about = {"form": "word", "levels": levels}
    counts = pl.Series([0, 0, 0, *range(40)]).to_numpy()
    shown = watched.fullest(about, counts[::-1].copy(), counts)
    assert len(shown) == watched.MOST_BINS
    assert len({item["bin"] for item in shown}) == watched.MOST_BINS
    assert all(len(item["bin"]) < 36 for item in shown)

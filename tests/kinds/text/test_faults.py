"""Unusual texts in training and prediction: empty, huge, lone surrogates, cells of other types."""

from __future__ import annotations

import json
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import fieldcraft as fc
from fieldcraft.bundle.runtime import Bundle
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import DataError
from fieldcraft.project import project_file
from fieldcraft.stages.init import InitRequest, init
from tests.kinds.text.sentences import make_texts

ROWS = 160
HUGE_TEXT = "The lamp broke after a week. " * 350_000  # 10 MB
UNUSUAL_TEXTS = ["", "   \n\t", "\x00", "\u202e \ufeff", "💥" * 400, "灯" * 3_000, "e\u0301" * 500]


@pytest.fixture(scope="module", params=["ngrams", "cnn"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of a project with unusual texts among its training rows."""
    root = tmp_path_factory.mktemp("odd")
    texts: list[str | None] = [*make_texts(ROWS, 2, seed=1)]
    label = ["broke" if "broke" in str(text) else "held" for text in texts]
    texts[3], texts[4:11] = HUGE_TEXT, UNUSUAL_TEXTS
    texts[20] = None
    lines = [json.dumps({"note": t, "label": y}) for t, y in zip(texts, label, strict=True)]
    lines[30] = '{"note": "half a character: \\ud83d", "label": "held"}'  # rejected when it is read
    (root / "notes.jsonl").write_text("\n".join(lines), "utf-8")
    init(InitRequest(root / "p", str(root / "notes.jsonl"), ("label",)))
    edits = [
        ConfigEdit(("data", "columns", "note"), {"kind": "text", "encoder": request.param}),
        ConfigEdit(("model", "trunk"), "mlp"), ConfigEdit(("model", "epochs"), 2),
    ]  # fmt: skip
    project_file.apply_edits(root / "p" / project_file.PROJECT_FILE_NAME, edits)
    fc.Project(root / "p").run(fix=True)
    return fc.load_bundle(root / "p" / "bundle")


def test_unusual_texts_are_predicted_alike_alone_and_in_a_batch(bundle: Bundle) -> None:
    texts = [*UNUSUAL_TEXTS, None, "The lamp broke.", HUGE_TEXT]
    together = bundle.outputs(pl.DataFrame({"note": texts}))
    assert np.isfinite(together).all()
    for row, text in enumerate(texts):
        alone = bundle.outputs(pl.DataFrame({"note": [text]}, schema={"note": pl.String}))
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


def test_empty_and_whitespace_texts_are_equal(bundle: Bundle) -> None:
    outputs = bundle.outputs(pl.DataFrame({"note": ["", " ", "  \n\t "]}))
    np.testing.assert_allclose(outputs, outputs[[0, 0, 0]], atol=1e-5)


def test_very_long_text_takes_no_longer_than_its_start(bundle: Bundle) -> None:
    bundle.outputs(pl.DataFrame({"note": ["The lamp broke."]}))
    start = time.perf_counter()
    bundle.outputs(pl.DataFrame({"note": [HUGE_TEXT] * 3}))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    "cells",
    [
        [1, 2],
        [1.5, None],
        [True, False],
        [None, None],
        [date(2026, 1, 1), None],
        pl.Series(["a", "b"], dtype=pl.Categorical),
    ],
    ids=["integers", "floats", "booleans", "nulls", "dates", "categories"],
)
def test_cells_of_other_types_are_read_as_text(bundle: Bundle, cells: Any) -> None:
    predictions = bundle.predict(pl.DataFrame({"note": cells}))
    assert predictions["prediction"].null_count() == 0


@pytest.mark.parametrize(
    "cells", [[["a"], ["b"]], [{"a": 1}, {"a": 2}], [b"a", b"b"]], ids=["lists", "structs", "bytes"]
)
def test_nested_cells_are_rejected(bundle: Bundle, cells: Any) -> None:
    with pytest.raises(DataError, match="do not hold single values") as error:
        bundle.predict(pl.DataFrame({"note": cells}))
    assert "note" in error.value.detail


def test_lone_surrogates_and_mixed_cells_are_rejected(bundle: Bundle) -> None:
    for cells in (["good", "half \ud83d"], ["good", 3]):
        with pytest.raises(DataError, match="cannot be converted to typed columns"):
            bundle.predict(pd.DataFrame({"note": cells}, dtype=object))


def test_no_rows_and_missing_column(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.predict(pl.DataFrame({"note": []}, schema={"note": pl.String})).height == 0
    with pytest.raises(DataError, match="missing from these rows"):
        bundle.predict(pl.DataFrame({"nota": ["a lamp"]}))

"""Networks that read texts token by token: trained, kept, restored, exported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.encoders import EncoderSet
from fieldcraft.contracts import Array, Fitted, Job
from fieldcraft.core import catalogue
from fieldcraft.core.errors import DataError
from fieldcraft.data.table import Column, Schema
from fieldcraft.kinds.text.deep import PAD, SCRATCH, learn_reading, train_tokenizer
from tests.encoding import encode, fit_encode
from tests.kinds.text.prose import prose
from tests.kinds.text.tiny import tiny_encoder
from tests.networks import fit_column, keep_and_restore, run_onnx

ROWS = 160


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Exported encoders go to a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELDCRAFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a small pretrained encoder."""
    return str(tiny_encoder(tmp_path_factory.mktemp("tiny")))


def texts() -> tuple[pl.DataFrame, Array]:
    """Texts, and whether they say the word lamp before the word broke or after it."""
    found = prose(ROWS, 2, seed=3)
    y = np.array([i % 2 for i in range(ROWS)])
    said = [f"{('The lamp broke.', 'What broke is no lamp.')[y[i]]} {t}"
            for i, t in enumerate(found)]  # fmt: skip
    return pl.DataFrame({"note": [None if i == 7 else t for i, t in enumerate(said)]}), y


def fitted(options: dict[str, Any]) -> tuple[EncoderSet, Fitted, pl.DataFrame, Job]:
    """A network trained for two epochs on texts that are encoded as the options say."""
    return fit_column(Column("note", "text", options), *texts())


def assert_kept_and_exported(options: dict[str, Any], folder: Path) -> None:
    """What was trained comes back from disk, and says the same as ONNX, alone and together."""
    encoders, model, values, job = fitted(options)
    expected = model.outputs(encode(encoders, values))
    again, restored = keep_and_restore(encoders, model, job, folder)
    np.testing.assert_allclose(restored.outputs(encode(again, values)), expected, atol=1e-6)
    data = restored.onnx()
    np.testing.assert_allclose(run_onnx(data, encode(again, values)), expected, atol=1e-5)
    for row in (0, 7, 12):
        alone = run_onnx(data, encode(again, values[row : row + 1]))
        np.testing.assert_allclose(alone[0], expected[row], atol=1e-5)


@pytest.mark.parametrize("name", SCRATCH)
def test_a_network_from_the_ground_up(name: str, tmp_path: Path) -> None:
    assert_kept_and_exported({"encoder": name}, tmp_path)


@pytest.mark.parametrize("tune", [None, True, "lora"])
def test_a_pretrained_encoder(tune: Any, tiny: str, tmp_path: Path) -> None:
    assert_kept_and_exported({"encoder": tiny, "tune": tune}, tmp_path)
    kept = [path.suffix for path in tmp_path.glob("shared/*")]
    assert kept == ([] if tune else [".onnx"])  # one that is tuned lies in the network itself


def test_trees_read_the_vectors_of_an_encoder_that_a_network_tunes(
    tiny: str, tmp_path: Path
) -> None:
    encoders, _, values, _ = fitted({"encoder": tiny, "tune": True})
    encoders.save(tmp_path / "trees", "matrix")
    encoders.save(tmp_path / "network", "tensors")
    trees, network = (EncoderSet.load(tmp_path / name) for name in ("trees", "network"))
    expected = encode(encoders, values)
    np.testing.assert_array_equal(encode(trees, values).matrix().values, expected.matrix().values)
    for name, array in expected.tensors().items():
        np.testing.assert_array_equal(encode(network, values).tensors()[name], array)


def test_a_frozen_encoder_gives_each_text_the_same_vector_in_any_company(tiny: str) -> None:
    encoders, _, values, _ = fitted({"encoder": tiny})
    together = encode(encoders, values).matrix().values
    alone = np.vstack([encode(encoders, values[i : i + 1]).matrix().values for i in range(20)])
    np.testing.assert_array_equal(together[:20], alone)


def test_a_long_text_is_read_in_windows(tiny: str) -> None:
    from fieldcraft.kinds.text.pretrained import open_pretrained

    pretrained = open_pretrained(tiny, 16)
    long = " ".join(prose(1, 6))
    windows = pretrained.tokens([long])[0]
    assert len(windows) == 4
    assert all(len(window) <= 16 for window in windows)
    first = pretrained.vectors(pl.Series([long]))
    changed = pretrained.vectors(pl.Series([long[: len(long) // 2]]))
    assert not np.allclose(first, changed)
    assert np.isnan(pretrained.vectors(pl.Series([None], dtype=pl.String))).all()


def test_rows_of_tokens_are_padded_behind_their_end() -> None:
    column = pl.Series(["a lamp", None, "", "the lamp broke " * 90])
    reading = learn_reading([column], train_tokenizer([column]), 64, whole=False)
    rows = reading.encode([column])
    assert rows.shape[1] == 1
    assert 8 < rows.shape[2] <= 64
    assert (rows[1:3, 0, 1:] == PAD).all()
    assert (rows[1:3, 0, 0] == 0).all()
    assert (rows[3] != PAD).all()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"encoder": "no/such/folder"}, "no such folder"),
        ({"encoder": "cnn", "tune": True}, "tune"),
        ({"encoder": "minilm", "tune": "some"}, "tune"),
        ({"encoder": "cnn", "augment": "yes"}, "augment"),
        ({"encoder": "minilm", "augment": True}, "augment"),
        ({"encoder": "cnn", "augment": ["drop", "typo"]}, "augment: .*typo"),
        ({"encoder": "cnn", "augment": ["synonyms"]}, "augment"),
        ({"encoder": "cnn", "augment": ["drop", 3]}, "augment"),
        ({"encoder": "cnn", "augment": "some text:of mine"}, "augment"),
        ({"encoder": "cnn", "augment": "no.such.module:ways"}, "cannot be imported"),
        ({"encoder": "cnn", "augment": "json:ways"}, "cannot be imported"),
        ({"encoder": "cnn", "length": "long"}, "length"),
        ({"encoder": "cnn", "length": 2}, "length"),
        ({"encoder": "cnn", "length": [64]}, "length"),
        ({"encoder": ["cnn"]}, "encoder"),
    ],
)
def test_options_that_do_not_fit_are_told(options: dict[str, Any], named: str) -> None:
    with pytest.raises(DataError, match="way out") as told:
        fitted(options)
    assert re.search(named, str(told.value))


def test_two_columns_share_one_encoder() -> None:
    with pytest.raises(DataError, match="different encoders"):
        EncoderSet(Schema((Column("a", "text", {"encoder": "cnn"}),
                           Column("b", "text", {"encoder": "gru"}))))  # fmt: skip


def test_where_little_is_to_be_told_of_many_short_texts_an_encoder_is_tuned(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tuned(classes: int, texts: int, **options: Any) -> bool:
        encoder = catalogue.load("kinds", "text").encoder((Column("a", "text", options),))
        rows = pl.DataFrame({"a": prose(texts)})
        target = np.eye(classes)[np.arange(texts) % classes][:, 1:]
        fit_encode(encoder, rows, target)
        return encoder.reading is not None

    monkeypatch.setattr("fieldcraft.kinds.text.encode.ENOUGH", 40)
    monkeypatch.setattr("fieldcraft.kinds.text.encode.MOST_LETTERS", 20_000)
    assert tuned(2, 50, encoder=tiny)
    assert not tuned(2, 50, encoder=tiny, tune=False)
    assert not tuned(2, 30, encoder=tiny)
    assert not tuned(2, 200, encoder=tiny)
    assert not tuned(12, 50, encoder=tiny)
    assert not tuned(2, 50)

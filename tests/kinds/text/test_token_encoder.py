"""Networks that read texts token by token: trained, kept, restored, exported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.contracts import FittedModel, TrainingJob
from fieldcraft.core import catalog
from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column, Schema
from fieldcraft.kinds.text.token_encoder import (
    PAD_ID,
    TEXT_NETWORKS_FROM_SCRATCH,
    fit_token_encoder,
    train_tokenizer,
)
from tests.column_networks import fit_column, run_onnx, save_and_restore
from tests.encoding import encode, fit_and_encode
from tests.kinds.text.sentences import make_texts
from tests.kinds.text.tiny_backbone import write_tiny_backbone

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
    return str(write_tiny_backbone(tmp_path_factory.mktemp("tiny")))


def build_texts() -> tuple[pl.DataFrame, Array]:
    """Texts, and whether they say the word lamp before the word broke or after it."""
    endings = make_texts(ROWS, 2, seed=3)
    y = np.array([i % 2 for i in range(ROWS)])
    sentences = [f"{('The lamp broke.', 'What broke is no lamp.')[y[i]]} {t}"
            for i, t in enumerate(endings)]  # fmt: skip
    return pl.DataFrame({"note": [None if i == 7 else t for i, t in enumerate(sentences)]}), y


def fit_network(
    options: dict[str, Any],
) -> tuple[EncoderSet, FittedModel, pl.DataFrame, TrainingJob]:
    """A network trained for two epochs on texts that are encoded as the options say."""
    return fit_column(Column("note", "text", options), *build_texts())


def assert_restored_and_exported(options: dict[str, Any], folder: Path) -> None:
    """What was trained comes back from disk, and says the same as ONNX, alone and together."""
    encoders, model, values, job = fit_network(options)
    expected = model.outputs(encode(encoders, values))
    restored_encoders, restored = save_and_restore(encoders, model, job, folder)
    np.testing.assert_allclose(
        restored.outputs(encode(restored_encoders, values)), expected, atol=1e-6
    )
    data = restored.to_onnx()
    np.testing.assert_allclose(
        run_onnx(data, encode(restored_encoders, values)), expected, atol=1e-5
    )
    for row in (0, 7, 12):
        alone = run_onnx(data, encode(restored_encoders, values[row : row + 1]))
        np.testing.assert_allclose(alone[0], expected[row], atol=1e-5)


@pytest.mark.parametrize("name", TEXT_NETWORKS_FROM_SCRATCH)
def test_a_network_from_the_ground_up(name: str, tmp_path: Path) -> None:
    assert_restored_and_exported({"encoder": name}, tmp_path)


@pytest.mark.parametrize("tune", [None, True, "lora"])
def test_a_pretrained_encoder(tune: Any, tiny: str, tmp_path: Path) -> None:
    assert_restored_and_exported({"encoder": tiny, "tune": tune}, tmp_path)
    kept = [path.suffix for path in tmp_path.glob("shared/*")]
    assert kept == ([] if tune else [".onnx"])  # one that is tuned lies in the network itself


def test_trees_read_the_vectors_of_an_encoder_that_a_network_tunes(
    tiny: str, tmp_path: Path
) -> None:
    encoders, _, values, _ = fit_network({"encoder": tiny, "tune": True})
    encoders.save(tmp_path / "trees", "matrix")
    encoders.save(tmp_path / "network", "tensors")
    trees, network = (EncoderSet.load(tmp_path / name) for name in ("trees", "network"))
    expected = encode(encoders, values)
    np.testing.assert_array_equal(encode(trees, values).matrix().values, expected.matrix().values)
    for name, array in expected.tensors().items():
        np.testing.assert_array_equal(encode(network, values).tensors()[name], array)


def test_a_frozen_encoder_gives_each_text_the_same_vector_in_any_company(tiny: str) -> None:
    encoders, _, values, _ = fit_network({"encoder": tiny})
    together = encode(encoders, values).matrix().values
    alone = np.vstack([encode(encoders, values[i : i + 1]).matrix().values for i in range(20)])
    np.testing.assert_array_equal(together[:20], alone)


def test_a_long_text_is_read_in_windows(tiny: str) -> None:
    from fieldcraft.kinds.text.pretrained import load_text_encoder

    pretrained = load_text_encoder(tiny, 16)
    long = " ".join(make_texts(1, 6))
    windows = pretrained.tokenizer([long])[0]
    assert len(windows) == 4
    assert all(len(window) <= 16 for window in windows)
    first = pretrained.embed(pl.Series([long]))
    changed = pretrained.embed(pl.Series([long[: len(long) // 2]]))
    assert not np.allclose(first, changed)
    assert np.isnan(pretrained.embed(pl.Series([None], dtype=pl.String))).all()


def test_rows_of_tokens_are_padded_behind_their_end() -> None:
    column = pl.Series(["a lamp", None, "", "the lamp broke " * 90])
    reading = fit_token_encoder([column], train_tokenizer([column]), 64, has_fixed_length=False)
    rows = reading.encode([column])
    assert rows.shape[1] == 1
    assert 8 < rows.shape[2] <= 64
    assert (rows[1:3, 0, 1:] == PAD_ID).all()
    assert (rows[1:3, 0, 0] == 0).all()
    assert (rows[3] != PAD_ID).all()


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
        fit_network(options)
    assert re.search(named, str(told.value))


def test_two_columns_share_one_encoder() -> None:
    with pytest.raises(DataError, match="different encoders"):
        EncoderSet(Schema((Column("a", "text", {"encoder": "cnn"}),
                           Column("b", "text", {"encoder": "gru"}))))  # fmt: skip


def test_where_little_is_to_be_told_of_many_short_texts_an_encoder_is_tuned(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tuned(classes: int, texts: int, **options: Any) -> bool:
        encoder = catalog.load_plugin("kinds", "text").encoder((Column("a", "text", options),))
        rows = pl.DataFrame({"a": make_texts(texts)})
        target = np.eye(classes)[np.arange(texts) % classes][:, 1:]
        fit_and_encode(encoder, rows, target)
        return encoder.reading is not None

    monkeypatch.setattr("fieldcraft.kinds.text.encode.MIN_TEXTS_TO_FINETUNE", 40)
    monkeypatch.setattr("fieldcraft.kinds.text.encode.MAX_CHARACTERS_TO_FINETUNE", 20_000)
    assert tuned(2, 50, encoder=tiny)
    assert not tuned(2, 50, encoder=tiny, tune=False)
    assert not tuned(2, 30, encoder=tiny)
    assert not tuned(2, 200, encoder=tiny)
    assert not tuned(12, 50, encoder=tiny)
    assert not tuned(2, 50)

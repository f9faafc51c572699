"""Token-level networks are trained, saved, restored and exported."""

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
from fieldcraft.kinds.text.options import TEXT_NETWORKS_FROM_SCRATCH
from fieldcraft.kinds.text.tokenization import (
    PAD_ID,
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
    """Cache exported encoders in a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELDCRAFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a small pretrained encoder."""
    return str(write_tiny_backbone(tmp_path_factory.mktemp("tiny")))


def build_texts() -> tuple[pl.DataFrame, Array]:
    """Return texts, and whether "lamp" comes before "broke" in them or after it."""
    endings = make_texts(ROWS, 2, seed=3)
    y = np.array([i % 2 for i in range(ROWS)])
    sentences = [f"{('The lamp broke.', 'What broke is no lamp.')[y[i]]} {t}"
            for i, t in enumerate(endings)]  # fmt: skip
    return pl.DataFrame({"note": [None if i == 7 else t for i, t in enumerate(sentences)]}), y


def fit_network(
    options: dict[str, Any],
) -> tuple[EncoderSet, FittedModel, pl.DataFrame, TrainingJob]:
    """Train a network for two epochs on texts with the given options."""
    return fit_column(Column("note", "text", options), *build_texts())


def assert_restored_and_exported(options: dict[str, Any], folder: Path) -> None:
    """Restored and exported models give the same outputs, for single rows and batches."""
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
def test_network_from_scratch_is_restored_and_exported(name: str, tmp_path: Path) -> None:
    assert_restored_and_exported({"encoder": name}, tmp_path)


@pytest.mark.parametrize("finetune", [None, True, "lora"])
def test_pretrained_encoder_is_restored_and_exported(
    finetune: Any, tiny: str, tmp_path: Path
) -> None:
    assert_restored_and_exported({"encoder": tiny, "finetune": finetune}, tmp_path)
    suffixes = [path.suffix for path in tmp_path.glob("shared/*")]
    assert suffixes == ([] if finetune else [".onnx"])  # the network holds its fine-tuned weights


def test_trees_read_embeddings_of_an_encoder_that_a_network_finetunes(
    tiny: str, tmp_path: Path
) -> None:
    encoders, _, values, _ = fit_network({"encoder": tiny, "finetune": True})
    encoders.save(tmp_path / "trees", "matrix")
    encoders.save(tmp_path / "network", "tensors")
    trees, network = (EncoderSet.load(tmp_path / name) for name in ("trees", "network"))
    expected = encode(encoders, values)
    np.testing.assert_array_equal(encode(trees, values).matrix().values, expected.matrix().values)
    for name, array in expected.tensors().items():
        np.testing.assert_array_equal(encode(network, values).tensors()[name], array)


def test_frozen_embeddings_do_not_depend_on_other_rows(tiny: str) -> None:
    encoders, _, values, _ = fit_network({"encoder": tiny})
    together = encode(encoders, values).matrix().values
    alone = np.vstack([encode(encoders, values[i : i + 1]).matrix().values for i in range(20)])
    np.testing.assert_array_equal(together[:20], alone)


def test_long_text_is_read_in_windows(tiny: str) -> None:
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


def test_token_ids_are_padded_at_the_end() -> None:
    column = pl.Series(["a lamp", None, "", "the lamp broke " * 90])
    token_encoder = fit_token_encoder(
        [column], train_tokenizer([column]), 64, has_fixed_length=False
    )
    rows = token_encoder.encode([column])
    assert rows.shape[1] == 1
    assert 8 < rows.shape[2] <= 64
    assert (rows[1:3, 0, 1:] == PAD_ID).all()
    assert (rows[1:3, 0, 0] == 0).all()
    assert (rows[3] != PAD_ID).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "no/such/folder"}, "no such folder"),
        ({"encoder": "cnn", "finetune": True}, "finetune"),
        ({"encoder": "minilm", "finetune": "some"}, "finetune"),
        ({"encoder": "cnn", "augment": "yes"}, "augment"),
        ({"encoder": "minilm", "augment": True}, "augment"),
        ({"encoder": "cnn", "augment": ["token_dropout", "typo"]}, "augment: .*typo"),
        ({"encoder": "cnn", "augment": ["synonyms"]}, "augment"),
        ({"encoder": "cnn", "augment": ["token_dropout", 3]}, "augment"),
        ({"encoder": "cnn", "augment": "some text:function"}, "augment"),
        ({"encoder": "cnn", "augment": "no.such.module:function"}, "cannot be imported"),
        ({"encoder": "cnn", "augment": "json:function"}, "cannot be imported"),
        ({"encoder": "cnn", "max_tokens": "long"}, "max_tokens"),
        ({"encoder": "cnn", "max_tokens": 2}, "max_tokens"),
        ({"encoder": "cnn", "max_tokens": [64]}, "max_tokens"),
        ({"encoder": ["cnn"]}, "encoder"),
    ],
)
def test_invalid_options_are_rejected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match="hint") as error:
        fit_network(options)
    assert re.search(message, str(error.value))


def test_columns_with_different_encoders_are_rejected() -> None:
    with pytest.raises(DataError, match="different encoders"):
        EncoderSet(Schema((Column("a", "text", {"encoder": "cnn"}),
                           Column("b", "text", {"encoder": "gru"}))))  # fmt: skip


def test_encoder_is_finetuned_for_few_classes_and_many_short_texts(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_finetuned(classes: int, texts: int, **options: Any) -> bool:
        encoder = catalog.load_plugin("kinds", "text").encoder((Column("a", "text", options),))
        rows = pl.DataFrame({"a": make_texts(texts)})
        target = np.eye(classes)[np.arange(texts) % classes][:, 1:]
        fit_and_encode(encoder, rows, target)
        return encoder.token_encoder is not None

    monkeypatch.setattr("fieldcraft.kinds.text.encode.MIN_TEXTS_TO_FINETUNE", 40)
    monkeypatch.setattr("fieldcraft.kinds.text.encode.MAX_CHARACTERS_TO_FINETUNE", 20_000)
    assert is_finetuned(2, 50, encoder=tiny)
    assert not is_finetuned(2, 50, encoder=tiny, finetune=False)
    assert not is_finetuned(2, 30, encoder=tiny)
    assert not is_finetuned(2, 200, encoder=tiny)
    assert not is_finetuned(12, 50, encoder=tiny)
    assert not is_finetuned(2, 50)

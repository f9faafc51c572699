"""Encode text columns: n-gram topics and scores, length, embeddings, and tokens for networks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import polars as pl

from fieldcraft.bundle.embedding_scaler import EmbeddingScaler, fit_embedding_scaler
from fieldcraft.bundle.encoder_set import MATRIX_ONLY_PREFIX, LazyEncodedRows
from fieldcraft.bundle.onnx_backbone import load_backbone
from fieldcraft.contracts import Matrix, State
from fieldcraft.core.extras import require_extra
from fieldcraft.core.types import Array, Json
from fieldcraft.data.schema import Column
from fieldcraft.kinds.text.augment.paraphrases import (
    Paraphraser,
    build_typo_paraphraser,
    encode_paraphrases,
    load_paraphraser,
)
from fieldcraft.kinds.text.linear_scores import build_score_targets
from fieldcraft.kinds.text.ngram_encoder import (
    LENGTH_FEATURES,
    NgramEncoder,
    NgramVocabulary,
    TextColumn,
    fit_ngram_encoder,
)
from fieldcraft.kinds.text.options import parse_text_options
from fieldcraft.kinds.text.pretrained import PretrainedTextEncoder, load_text_encoder
from fieldcraft.kinds.text.tokenization import (
    MAX_LENGTH_TOKENS,
    TokenEncoder,
    WindowTokenizer,
    fit_token_encoder,
    train_tokenizer,
)

NGRAM_ENCODER_ARRAYS = ("buckets", "weights", "directions", "center", "scale")
BACKBONE_FILE = "backbone"  # the pretrained network, as ONNX
# Fine-tuning gained .045 accuracy with 2 classes (Rotten Tomatoes) and lost .013 with 77
# (Banking77), see docs/log.md. The limit of characters bounds it to some minutes on two cores.
MAX_SCORES_TO_FINETUNE, MIN_TEXTS_TO_FINETUNE = 10, 4_000
MAX_CHARACTERS_TO_FINETUNE = 1_600_000
MAX_BATCH_TOKENS = 1 << 14  # of a batch of a network that reads tokens


class TextEncoder:
    """Encodes all text columns of a table.

    A text is a bag of words and pairs of words, and a word is a bag of its character n-grams (2 to
    5) and itself: TF-IDF weights, hashed into 262,144 buckets, normalized to unit length. The
    features of a column are, all standardized:

    - topics: leading singular directions (latent semantic analysis, Deerwester et al. 1990), one
      per 1,000 rows (100 where there are no scores), at most 32;
    - scores: a linear model over the n-grams for each class, label or number to predict, out of
      fold on training rows;
    - the logarithms of characters and words, and a missing indicator.

    Characters after the first 5,000 count for the length only. The embedding of a pretrained
    encoder follows these features. If that encoder is fine-tuned, or a network is trained from
    scratch, networks get token IDs instead of the embedding.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        """Create an unfitted encoder of some columns."""
        self.column_names = [column.name for column in columns]
        self.options = parse_text_options(columns)
        self.pretrained: PretrainedTextEncoder | None = None
        self.token_encoder: TokenEncoder | None = None  # where a network reads tokens
        self.backbone_config: Json = {}  # of the fine-tuned network
        self.ngram_encoders: list[NgramEncoder] = []
        self.embedding_scalers: dict[str, EmbeddingScaler] = {}
        self.n_scores = 0

    @property
    def n_features(self) -> int:
        """Features per row for networks; a token-level network replaces the embeddings."""
        n_ngram_features = sum(len(ngram_encoder.mean) for ngram_encoder in self.ngram_encoders)
        if self.token_encoder is not None:
            return n_ngram_features
        return n_ngram_features + sum(
            len(scaler.mean) for scaler in self.embedding_scalers.values()
        )

    @property
    def max_batch_rows(self) -> int:
        """Maximum number of rows in a batch of a network."""
        # Activations grow with rows times tokens, attention with the square of the tokens.
        return MAX_BATCH_TOKENS // (
            self.token_encoder.tokenizer.window_length if self.token_encoder else 1
        )

    def precompute(self, rows: pl.DataFrame) -> list[TextColumn]:
        """Return the texts of each column, with the pretrained encoder of those that use it."""
        # A restored encoder must not look for the folder or hub of the training machine.
        is_unfitted = self.pretrained is None and self.token_encoder is None
        if is_unfitted and self.options and self.options.is_pretrained:
            self.pretrained = load_text_encoder(self.options.encoder, self.options.max_tokens)
        embedded_columns = self.options.columns if self.options else ()
        return [
            TextColumn(rows[name], self.pretrained if name in embedded_columns else None)
            for name in self.column_names
        ]

    def fit_transform(self, columns: list[TextColumn], target: Array) -> LazyEncodedRows:
        """Fit to training rows and return them encoded, with out-of-fold scores."""
        score_targets = build_score_targets(target)
        self.n_scores = score_targets.shape[1]
        fitted = [fit_ngram_encoder(texts, score_targets) for texts in columns]
        self.ngram_encoders = [ngram_encoder for ngram_encoder, _ in fitted]
        self.embedding_scalers = {
            name: fit_embedding_scaler(texts.embeddings)
            for name, texts in zip(self.column_names, columns, strict=True)
            if texts.embeddings is not None
        }
        cells = [texts.cells for texts in self._select_encoder_columns(columns)]
        if self.options and (
            self.options.is_token_level
            or (self.options.finetune is None and self._should_finetune(cells))
        ):
            self._fit_token_encoder(cells)
        encoded = self._lazy_rows([values for _, values in fitted], columns)
        paraphrasers = self._build_paraphrasers()
        if self.token_encoder is None or not paraphrasers:
            return encoded
        token_encoder = self.token_encoder

        # Only training rows have paraphrases: `transform` never adds them.
        def build_tensors() -> dict[str, Array]:
            return {
                **encoded.tensors(),
                "variants": encode_paraphrases(token_encoder, cells, paraphrasers),
            }

        return LazyEncodedRows(build_tensors, encoded.make_matrix)

    def _build_paraphrasers(self) -> list[Paraphraser]:
        """Return the sources of paraphrases that the project file asks for."""
        augmentations = self.options.augmentations if self.options and self.token_encoder else ()
        paraphrasers = [load_paraphraser(name) for name in augmentations if ":" in name]
        if self.token_encoder is not None and "typos" in augmentations:
            paraphrasers.append(build_typo_paraphraser(self.token_encoder))
        return paraphrasers

    def _select_encoder_columns(self, columns: list[TextColumn]) -> list[TextColumn]:
        """Return the columns that use an encoder beside n-grams."""
        encoder_columns = self.options.columns if self.options else ()
        return [
            texts
            for name, texts in zip(self.column_names, columns, strict=True)
            if name in encoder_columns
        ]

    def _should_finetune(self, cells: list[pl.Series]) -> bool:
        """Whether to fine-tune a pretrained encoder if the project file does not set `finetune`.

        It pays with few targets and enough texts: the target then lies along a few directions
        that the frozen encoder may not separate (docs/log.md).
        """
        if (
            self.pretrained is None
            or self.n_scores > MAX_SCORES_TO_FINETUNE
            or len(cells[0]) < MIN_TEXTS_TO_FINETUNE
        ):
            return False
        n_characters = sum(int(column.str.len_chars().sum()) for column in cells)
        return n_characters < MAX_CHARACTERS_TO_FINETUNE

    def _fit_token_encoder(self, cells: list[pl.Series]) -> None:
        """Fit the token encoder, with the tokenizer of the pretrained encoder if there is one."""
        assert self.options is not None
        max_length = self.options.max_tokens or MAX_LENGTH_TOKENS
        if self.pretrained is not None:
            tokenizer_json = self.pretrained.tokenizer.tokenizer_json
            max_length = min(max_length, self.pretrained.tokenizer.window_length)
            self.backbone_config = self.pretrained.config
        else:
            require_extra("text")
            tokenizer_json = train_tokenizer(cells)
        # The plain RNN is exported to ONNX with a fixed length: see `sequence_inputs` in net.py.
        self.token_encoder = fit_token_encoder(
            cells, tokenizer_json, max_length, has_fixed_length=self.options.encoder == "rnn"
        )

    def transform(self, columns: list[TextColumn]) -> LazyEncodedRows:
        """Encode rows with the fitted encoders."""
        pairs = zip(self.ngram_encoders, columns, strict=True)
        return self._lazy_rows(
            [ngram_encoder.encode(texts) for ngram_encoder, texts in pairs], columns
        )

    def _lazy_rows(self, ngram_features: list[Array], columns: list[TextColumn]) -> LazyEncodedRows:
        texts_by_name = dict(zip(self.column_names, columns, strict=True))
        names: list[str] = []
        for name, ngram_encoder in zip(self.column_names, self.ngram_encoders, strict=True):
            n_topics = len(ngram_encoder.mean) - self.n_scores - len(LENGTH_FEATURES)
            names += [f"{name} (topic {i + 1})" for i in range(n_topics)]
            names += [f"{name} (score {i + 1})" for i in range(self.n_scores)]
            names += [f"{name} ({part})" for part in LENGTH_FEATURES]
        for name, scaler in self.embedding_scalers.items():
            names += [f"{name} (meaning {i + 1})" for i in range(len(scaler.mean))]
        # Feature names are shown in reports and stored in models of trees.
        ngram_table = np.hstack(ngram_features).astype(np.float32)

        # Embeddings are computed only where needed: a token-level network does not read them.
        @cache
        def build_table() -> Array:
            embeddings = [
                scaler.transform(texts_by_name[name].embeddings)
                for name, scaler in self.embedding_scalers.items()
            ]
            return np.hstack([ngram_table, *embeddings]).astype(np.float32)

        def build_tensors() -> dict[str, Array]:
            if self.token_encoder is None:
                return {"text": build_table()}
            cells = [part.cells for part in self._select_encoder_columns(columns)]
            return {"text": ngram_table, "tokens": self.token_encoder.encode(cells)}

        return LazyEncodedRows(
            build_tensors, lambda: Matrix(build_table(), tuple(names), (0,) * len(names))
        )

    def state(self) -> State:
        """Return the fitted state; a pretrained network is a file of it.

        The model with a fine-tuned network has its own copy of the weights, so only models that
        read the matrix need that file: its name then begins with `MATRIX_ONLY_PREFIX`.
        """
        arrays: dict[str, Array] = {}
        for i, ngram_encoder in enumerate(self.ngram_encoders):
            arrays[f"buckets.{i}"] = ngram_encoder.vocabulary.buckets
            arrays[f"weights.{i}"] = ngram_encoder.vocabulary.idf
            arrays[f"directions.{i}"] = ngram_encoder.projection.astype(np.float32)
            arrays[f"center.{i}"], arrays[f"scale.{i}"] = ngram_encoder.mean, ngram_encoder.std
        values: Json = {"ngram_encoders": len(self.ngram_encoders), "n_scores": self.n_scores}
        if self.token_encoder is not None:
            tokenizer = self.token_encoder.tokenizer
            arrays["tokenizer"] = np.frombuffer(tokenizer.tokenizer_json.encode(), dtype=np.uint8)
            values |= {
                "max_tokens": tokenizer.window_length,
                "has_fixed_length": self.token_encoder.has_fixed_length,
                "config": self.backbone_config,
            }
        if self.pretrained is None:
            return State(values, arrays)
        for i, scaler in enumerate(self.embedding_scalers.values()):
            arrays[f"embedding_scaler.{i}"] = np.stack([scaler.mean, scaler.std])
        tokenizer = self.pretrained.tokenizer
        arrays["tokens"] = np.frombuffer(tokenizer.tokenizer_json.encode(), dtype=np.uint8)
        values |= {
            "scaled_embeddings": list(self.embedding_scalers),
            "length": tokenizer.window_length,
            "windows": tokenizer.max_windows,
        }
        name = BACKBONE_FILE if self.token_encoder is None else MATRIX_ONLY_PREFIX + BACKBONE_FILE
        return State(values, arrays, {name: self.pretrained.backbone.path})

    def restore(self, state: State) -> None:
        """Restore a fitted state; without embeddings if the file of the network was left out."""
        self.n_scores, self.ngram_encoders = state.values["n_scores"], []
        for i in range(state.values["ngram_encoders"]):
            arrays = {name: state.arrays[f"{name}.{i}"] for name in NGRAM_ENCODER_ARRAYS}
            vocabulary = NgramVocabulary(arrays["buckets"], arrays["weights"])
            directions = np.asfortranarray(arrays["directions"], dtype=np.float64)
            self.ngram_encoders.append(
                NgramEncoder(vocabulary, directions, arrays["center"], arrays["scale"])
            )
        if "tokenizer" in state.arrays:
            tokenizer = WindowTokenizer(
                state.arrays["tokenizer"].tobytes().decode(), state.values["max_tokens"], 1
            )
            self.token_encoder = TokenEncoder(tokenizer, state.values["has_fixed_length"])
            self.backbone_config = state.values["config"]
        path = state.files.get(BACKBONE_FILE) or state.files.get(MATRIX_ONLY_PREFIX + BACKBONE_FILE)
        if path is not None:
            tokenizer_json = state.arrays["tokens"].tobytes().decode()
            tokenizer = WindowTokenizer(
                tokenizer_json, state.values["length"], state.values["windows"]
            )
            self.pretrained = PretrainedTextEncoder(tokenizer, load_backbone(path))
        self.embedding_scalers = {
            name: EmbeddingScaler(*state.arrays[f"embedding_scaler.{i}"])
            for i, name in enumerate(state.values.get("scaled_embeddings", ()))
        }

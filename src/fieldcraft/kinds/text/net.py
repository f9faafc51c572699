"""Networks that read texts token by token, trained from the ground up or pretrained and tuned."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fieldcraft.fit.finetuning import (
    MAX_FINETUNING_EPOCHS,
    MIN_FINETUNING_EPOCHS,
    add_lora_adapters,
    finetuning_settings,
    linear_decay_settings,
    set_layer_lr,
)
from fieldcraft.fit.settings import TrainingRecipe
from fieldcraft.kinds.text.augment.token_noise import (
    apply_token_noise,
    find_nearest_tokens,
    sample_paraphrases,
)
from fieldcraft.kinds.text.encode import TextEncoder
from fieldcraft.kinds.text.hf_backbone import (
    PooledTextBackbone,
    build_text_backbone,
    load_text_backbone,
)
from fieldcraft.kinds.text.token_encoder import PAD_ID

EMBEDDING_DIM = 128  # of the vectors of tokens that are trained here
EVAL_BATCH_TEXTS, TRAIN_BATCH_TEXTS = (
    64,
    16,
)  # texts that are read together, of about the same length
KERNEL_SIZES = (3, 4, 5)  # tokens that a convolution sees at once
N_BIGRAM_BUCKETS = 1 << 15  # hashed pairs of neighbouring tokens
POSITION_EMBEDDING_NAME = (
    "place"  # the table of vectors that tell where a token stands, not which it is
)
DROPOUT = 0.2
TRAIN_STEPS, FINETUNE_STEPS = 2_000, 700  # of a training, of 32 texts each; of one that tunes
BATCH_SIZE_BELOW_ROWS, MAX_BATCH_SIZE = ((20_000, 64),), 128  # rows a step below a number of rows


class TextNet(nn.Module):
    """What n-grams tell of texts as it is, and beside it what a network reads token by token.

    One network reads all columns that ask for it.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        """Set up for what an encoder gives: the inputs ``text`` and ``tokens``."""
        super().__init__()
        assert encoder.token_encoder is not None
        assert encoder.options is not None
        self.inputs = ("text", "tokens")
        self.sequence_inputs = () if encoder.token_encoder.has_fixed_length else ("tokens",)
        self.body, width = build_encoder_body(encoder)
        self.embedding_width = width * len(encoder.options.columns)
        self.tokenizer_json = (
            encoder.token_encoder.tokenizer.tokenizer_json
        )  # so that tokens can be told as text
        self.n_columns = len(encoder.column_names)
        self.column_indices = [encoder.column_names.index(name) for name in encoder.options.columns]
        self.is_pretrained = encoder.options.is_pretrained
        self.feature_widths = (1,) * (encoder.n_features + self.embedding_width)
        self.dropout = nn.Dropout(DROPOUT)
        self.augmentations = encoder.options.augmentations
        self.neighbor_ids: Tensor | None = None  # of each token, found when training begins
        self.keep_order = False  # whether texts are read in their order, whatever their length

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Numbers of each row, shape (rows, sum of chunks)."""
        tokens = (
            self.augment_tokens(tensors)
            if self.training
            else tensors["tokens"].flatten(0, 1).long()
        )
        embeddings = self.encode_texts(tokens)
        embeddings = functional.layer_norm(embeddings, embeddings.shape[-1:])
        embeddings = self.dropout(embeddings).view(-1, self.embedding_width)
        return torch.cat([tensors["text"], embeddings], dim=1)

    def augment_tokens(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Tokens as they are read in training: said in other ways, and changed a little."""
        tokens = tensors["tokens"].flatten(0, 1).long()
        if "variants" in tensors:
            tokens = sample_paraphrases(tokens, tensors["variants"].flatten(0, 1).long())
        return apply_token_noise(tokens, self.augmentations, self.find_neighbors(tokens.device))

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """Vectors of texts; those of about the same length are read together."""
        if torch.compiler.is_exporting() or self.keep_order:
            return self.encode_padded(tokens)
        lengths = (tokens != PAD_ID).sum(1)
        order = lengths.argsort()
        batch_size = TRAIN_BATCH_TEXTS if self.training else EVAL_BATCH_TEXTS
        parts = [
            self.encode_padded(tokens[indices, : int(lengths[indices].max())])
            for indices in torch.split(order, batch_size)
        ]
        return torch.cat(parts)[order.argsort()]

    def find_neighbors(self, device: torch.device) -> Tensor | None:
        """For each token those that may stand for it, where its vectors were pretrained."""
        if self.neighbor_ids is None and "synonyms" in self.augmentations:
            embedding_weights = (
                module.weight for module in self.body.modules() if isinstance(module, nn.Embedding)
            )
            self.neighbor_ids = find_nearest_tokens(max(embedding_weights, key=len))
        return None if self.neighbor_ids is None else self.neighbor_ids.to(device)

    def encode_padded(self, tokens: Tensor) -> Tensor:
        """Vectors of texts that are padded to one length."""
        embeddings: Tensor = self.body(tokens.clamp(min=0), (tokens != PAD_ID).long())
        return embeddings.float()

    def recipe(self, rows: int) -> TrainingRecipe:
        """AdamW in few epochs; less far where the network is pretrained."""
        if self.is_pretrained:
            return TrainingRecipe(finetuning_settings(rows, FINETUNE_STEPS))
        batch_size = next(
            (batch_size for max_rows, batch_size in BATCH_SIZE_BELOW_ROWS if rows < max_rows),
            MAX_BATCH_SIZE,
        )
        epochs = min(
            max(
                round(TRAIN_STEPS * 32 / batch_size / math.ceil(rows / batch_size)),
                MIN_FINETUNING_EPOCHS,
            ),
            MAX_FINETUNING_EPOCHS,
        )
        return TrainingRecipe(
            linear_decay_settings(epochs, learning_rate=2e-3, batch_size=batch_size)
        )


def build_encoder_body(encoder: TextEncoder) -> tuple[nn.Module, int]:
    """The network that reads tokens, and how wide its vector of a text is."""
    assert encoder.token_encoder is not None
    assert encoder.options is not None
    if encoder.options.is_pretrained:
        return build_finetuned_body(encoder)
    vocabulary_size = encoder.token_encoder.tokenizer.backend_tokenizer.get_vocab_size()
    builders: dict[str, Any] = {
        "bag": BagOfTokens, "cnn": TextCnn, "transformer": TextTransformer,
        "rnn": lambda n: BidirectionalRnn(n, nn.RNN), "lstm": lambda n: BidirectionalRnn(n, nn.LSTM),
        "gru": lambda n: BidirectionalRnn(n, nn.GRU),
    }  # fmt: skip
    body = builders[encoder.options.encoder](vocabulary_size)
    return body, body.width


def build_finetuned_body(encoder: TextEncoder) -> tuple[nn.Module, int]:
    """A pretrained encoder whose layers learn less the deeper they lie, or by LoRA.

    Vectors of tokens stay as they are.
    """
    assert encoder.options is not None
    folder = encoder.pretrained.folder if encoder.pretrained else None
    backbone = (
        load_text_backbone(folder) if folder else build_text_backbone(encoder.backbone_config)
    )
    config: Any = backbone.body.config
    if encoder.options.finetune == "lora":
        add_lora_adapters(backbone)
        return backbone, config.hidden_size
    depth = config.num_hidden_layers
    for name, parameter in backbone.named_parameters():
        if "embeddings" in name or "pooler" in name:
            parameter.requires_grad_(False)
        else:
            set_layer_lr(parameter, depth - 1 - parse_layer_index(name, depth))
    return backbone, config.hidden_size


def find_embedding_layers(body: nn.Module) -> list[nn.Module]:
    """The tables of a network that hold the vectors of its tokens."""
    if isinstance(body, PooledTextBackbone):
        inner: Any = body.body
        return [inner.get_input_embeddings()]
    tables = (
        (name, module) for name, module in body.named_children() if name != POSITION_EMBEDDING_NAME
    )
    return [module for _, module in tables if isinstance(module, nn.Embedding)]


def parse_layer_index(name: str, depth: int) -> int:
    """The number of the layer that a parameter belongs to, from its name; the last if none.

    >>> layer_of("body.encoder.layer.3.output.dense.weight", 6), layer_of("body.norm.weight", 6)
    (3, 5)
    """
    numbers = [int(part) for part in name.split(".") if part.isdigit()]
    return min(numbers[0], depth - 1) if numbers else depth - 1


class BagOfTokens(nn.Module):
    """The mean of the vectors of tokens and of pairs of neighbours, hashed.

    Joulin et al., *Bag of Tricks for Efficient Text Classification*, 2017.
    """

    def __init__(self, vocabulary_size: int) -> None:
        """Set up for tokens of some number."""
        super().__init__()
        self.width = EMBEDDING_DIM
        self.unigram_embedding = nn.Embedding(vocabulary_size, EMBEDDING_DIM)
        self.bigram_embedding = nn.Embedding(N_BIGRAM_BUCKETS, EMBEDDING_DIM)
        nn.init.normal_(self.unigram_embedding.weight, std=0.1)
        nn.init.zeros_(self.bigram_embedding.weight)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Vectors of texts."""
        bigram_ids = (tokens * 36_313 + functional.pad(tokens[:, :-1], (1, 0))) % N_BIGRAM_BUCKETS
        vectors = self.unigram_embedding(tokens) + self.bigram_embedding(bigram_ids)
        return masked_mean(vectors, mask)


class TextCnn(nn.Module):
    """Convolutions over three, four and five tokens, and the largest value of each channel.

    Kim, *Convolutional Neural Networks for Sentence Classification*, 2014.
    """

    def __init__(self, vocabulary_size: int) -> None:
        """Set up for tokens of some number."""
        super().__init__()
        channels = 100
        self.width = 3 * channels
        self.embedding = nn.Embedding(vocabulary_size, EMBEDDING_DIM)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(EMBEDDING_DIM, channels, kernel_size, padding=kernel_size - 1)
            for kernel_size in KERNEL_SIZES
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Vectors of texts."""
        x = (self.embedding(tokens) * mask[..., None]).transpose(1, 2)
        features = []
        for layer, kernel_size in zip(self.convolutions, KERNEL_SIZES, strict=True):
            activations = functional.relu(layer(x))
            has_token = functional.pad(mask, (kernel_size - 1, 0))  # windows with a token in them
            features.append((activations * has_token[:, None, :]).amax(2))
        return torch.cat(features, dim=1)


class BidirectionalRnn(nn.Module):
    """A recurrent network that reads in both directions, with attention over its states.

    Yang et al., *Hierarchical Attention Networks for Document Classification*, 2016, for the
    attention. The second direction reads each text from its own end, whatever stands behind it.
    """

    def __init__(self, vocabulary_size: int, layer: Callable[..., nn.Module]) -> None:
        """Set up for tokens of some number."""
        super().__init__()
        self.width = 2 * EMBEDDING_DIM
        self.embedding = nn.Embedding(vocabulary_size, EMBEDDING_DIM)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.forward_rnn = layer(EMBEDDING_DIM, EMBEDDING_DIM, batch_first=True)
        self.backward_rnn = layer(EMBEDDING_DIM, EMBEDDING_DIM, batch_first=True)
        self.attention_scores = nn.Sequential(
            nn.Linear(2 * EMBEDDING_DIM, EMBEDDING_DIM), nn.Tanh(), nn.Linear(EMBEDDING_DIM, 1)
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Vectors of texts."""
        hidden_states = self.compute_hidden_states(tokens, mask)
        embeddings: Tensor = (
            hidden_states * self.compute_attention_weights(hidden_states, mask)[..., None]
        ).sum(1)
        return embeddings

    def attention(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """How much the state at each token counts, shape (texts, length)."""
        return self.compute_attention_weights(self.compute_hidden_states(tokens, mask), mask)

    def compute_attention_weights(self, hidden_states: Tensor, mask: Tensor) -> Tensor:
        """How much each state counts; all those of a text together 1."""
        weights: Tensor = (
            self.attention_scores(hidden_states)[..., 0].masked_fill(mask == 0, -1e9).softmax(1)
        )
        return weights

    def compute_hidden_states(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """What both directions know at each token, shape (texts, length, width)."""
        x = self.embedding(tokens)
        reversed_positions = reverse_positions(mask)
        forward_states = self.forward_rnn(x)[0]
        gather_index = reversed_positions[..., None].expand(-1, -1, EMBEDDING_DIM)
        backward_states = self.backward_rnn(x.gather(1, gather_index))[0].gather(1, gather_index)
        return torch.cat([forward_states, backward_states], dim=2)


def reverse_positions(mask: Tensor) -> Tensor:
    """Where each token stands when texts are read from their ends; what is behind stays there."""
    position = torch.arange(mask.shape[1], device=mask.device)[None, :]
    length = mask.sum(1, keepdim=True)
    return torch.where(position < length, length - 1 - position, position)


class TextTransformer(nn.Module):
    """A small Transformer: two layers of attention with four heads, normalised first.

    Vaswani et al., *Attention Is All You Need*, 2017; order by rotation-free learned positions.
    """

    def __init__(self, count: int) -> None:
        """Set up for tokens of some number."""
        super().__init__()
        self.width = EMBEDDING_DIM
        self.embedding = nn.Embedding(count, EMBEDDING_DIM)
        self.position_embedding = nn.Embedding(512, EMBEDDING_DIM)
        for table in (self.embedding, self.position_embedding):
            nn.init.normal_(table.weight, std=0.02)
        self.layers = nn.ModuleList(TransformerLayer(EMBEDDING_DIM, heads=4) for _ in range(2))
        self.norm = nn.LayerNorm(EMBEDDING_DIM)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Vectors of texts."""
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, mask)
        return masked_mean(self.norm(x), mask)

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Vectors of tokens that tell where they stand."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        embeddings: Tensor = self.embedding(tokens) + self.position_embedding(positions)[None]
        return embeddings

    def attention(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Where the tokens of a text look in the last layer, shape (texts, length)."""
        x = self.embed_tokens(tokens)
        layers: list[Any] = list(self.layers)
        for layer in layers[:-1]:
            x = layer(x, mask)
        return masked_mean(layers[-1].looks(x, mask)[0].mean(1), mask)


class TransformerLayer(nn.Module):
    """Attention among the tokens of a text, then two dense layers for each."""

    def __init__(self, width: int, heads: int) -> None:
        """Set up with the width of the vectors."""
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Vectors of tokens that know of each other."""
        weights, value = self.compute_attention(x, mask)
        attended = (weights @ value).transpose(1, 2).reshape(x.shape)
        x = x + self.dropout(self.out_proj(attended))
        outputs: Tensor = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return outputs

    def compute_attention(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """How much each token looks at each other, and what it finds there, by head.

        Returns:
            Shapes (texts, heads, length, length) and (texts, heads, length, width of a head).
        """
        rows, length, width = x.shape
        projections = self.qkv(self.attention_norm(x)).view(
            rows, length, 3, self.heads, width // self.heads
        )
        query, key, value = projections.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(2, 3) / math.sqrt(width // self.heads)
        scores = scores.masked_fill(mask[:, None, None, :] == 0, -1e9)
        return scores.softmax(3), value


def masked_mean(vectors: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens that are there."""
    mask_weights = mask[..., None].to(vectors.dtype)
    return (vectors * mask_weights).sum(1) / mask_weights.sum(1).clamp_min(1)

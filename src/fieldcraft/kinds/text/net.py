"""Token-level text networks, trained from scratch or fine-tuned from a pretrained backbone."""

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
    masked_mean,
)
from fieldcraft.kinds.text.tokenization import PAD_ID

EMBEDDING_DIM = 128  # of networks trained from scratch
# Texts that are padded to a common length; fewer in training, where activations stay in memory.
EVAL_BATCH_TEXTS, TRAIN_BATCH_TEXTS = 64, 16
KERNEL_SIZES = (3, 4, 5)  # as in Kim (2014)
N_BIGRAM_BUCKETS = 1 << 15
POSITION_EMBEDDING_NAME = "position_embedding"  # embeds positions, not tokens
DROPOUT = 0.2
# Steps of 32 texts. Rotten Tomatoes, fine-tuned: lowest validation loss in the second epoch
# (docs/log.md), so 700 steps, three epochs at least.
TRAIN_STEPS, FINETUNE_STEPS = 2_000, 700
BATCH_SIZE_BELOW_ROWS, MAX_BATCH_SIZE = ((20_000, 64),), 128  # (rows, batch size) pairs


class TextNet(nn.Module):
    """Concatenates the n-gram features with the output of a token-level network.

    One network reads all columns that use an encoder.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        """Build the network for the inputs ``text`` and ``tokens`` of a fitted encoder."""
        super().__init__()
        assert encoder.token_encoder is not None
        assert encoder.options is not None
        self.inputs = ("text", "tokens")
        self.sequence_inputs = () if encoder.token_encoder.has_fixed_length else ("tokens",)
        self.body, width = build_encoder_body(encoder)
        self.embedding_width = width * len(encoder.options.columns)
        # Attributions and examples of augmentation decode the tokens.
        self.tokenizer_json = encoder.token_encoder.tokenizer.tokenizer_json
        self.n_columns = len(encoder.column_names)
        self.column_indices = [encoder.column_names.index(name) for name in encoder.options.columns]
        self.is_pretrained = encoder.options.is_pretrained
        self.feature_widths = (1,) * (encoder.n_features + self.embedding_width)
        self.dropout = nn.Dropout(DROPOUT)
        self.augmentations = encoder.options.augmentations
        # Not a buffer: it is needed in training only, and would be saved with the weights.
        self.neighbor_ids: Tensor | None = None
        self.keep_order = False  # True: do not sort texts by length

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Return features, shape (rows, sum of `feature_widths`)."""
        tokens = (
            self.augment_tokens(tensors)
            if self.training
            else tensors["tokens"].flatten(0, 1).long()
        )
        embeddings = self.encode_texts(tokens)
        # The trunk expects features on one scale, and the n-gram features are standardized.
        embeddings = functional.layer_norm(embeddings, embeddings.shape[-1:])
        embeddings = self.dropout(embeddings).view(-1, self.embedding_width)
        return torch.cat([tensors["text"], embeddings], dim=1)

    def augment_tokens(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return tokens as read in training: paraphrased and with token noise."""
        tokens = tensors["tokens"].flatten(0, 1).long()
        if "variants" in tensors:
            tokens = sample_paraphrases(tokens, tensors["variants"].flatten(0, 1).long())
        return apply_token_noise(tokens, self.augmentations, self.find_neighbors(tokens.device))

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """Return embeddings of texts, batched by length so that little padding is computed."""
        # Batches depend on the data, which an exported graph cannot express.
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
        """Return the nearest tokens of each token by pretrained embedding, if `synonyms` are on."""
        if self.neighbor_ids is None and "synonyms" in self.augmentations:
            embedding_weights = (
                module.weight for module in self.body.modules() if isinstance(module, nn.Embedding)
            )
            # The largest table is that of tokens; others are of positions and segments. Computed
            # once, before training changes the embeddings.
            self.neighbor_ids = find_nearest_tokens(max(embedding_weights, key=len))
        return None if self.neighbor_ids is None else self.neighbor_ids.to(device)

    def encode_padded(self, tokens: Tensor) -> Tensor:
        """Return embeddings of texts padded to one length."""
        embeddings: Tensor = self.body(tokens.clamp(min=0), (tokens != PAD_ID).long())
        return embeddings.float()

    def recipe(self, rows: int) -> TrainingRecipe:
        """AdamW for few epochs, with a linear decay of the learning rate."""
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
    """Build the token-level network; return it with the width of its text embedding."""
    assert encoder.token_encoder is not None
    assert encoder.options is not None
    if encoder.options.is_pretrained:
        return build_finetuned_body(encoder)
    vocabulary_size = encoder.token_encoder.tokenizer.backend_tokenizer.get_vocab_size()
    builders: dict[str, Any] = {
        "bag": BagOfTokens,
        "cnn": TextCnn,
        "transformer": TextTransformer,
        "rnn": lambda size: BidirectionalRnn(size, nn.RNN),
        "lstm": lambda size: BidirectionalRnn(size, nn.LSTM),
        "gru": lambda size: BidirectionalRnn(size, nn.GRU),
    }
    body = builders[encoder.options.encoder](vocabulary_size)
    return body, body.width


def build_finetuned_body(encoder: TextEncoder) -> tuple[nn.Module, int]:
    """Load a pretrained encoder for fine-tuning, with layer-wise learning rates or LoRA.

    Token embeddings are frozen.
    """
    assert encoder.options is not None
    folder = encoder.pretrained.folder if encoder.pretrained else None
    # A restored encoder has no folder: the state of the model, loaded later, has the weights.
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
    """Return the embedding layers of a network that embed tokens."""
    if isinstance(body, PooledTextBackbone):
        inner: Any = body.body
        return [inner.get_input_embeddings()]
    tables = (
        (name, module) for name, module in body.named_children() if name != POSITION_EMBEDDING_NAME
    )
    return [module for _, module in tables if isinstance(module, nn.Embedding)]


def parse_layer_index(name: str, depth: int) -> int:
    """Return the layer index in a parameter's name, or that of the last layer.

    >>> name = "body.encoder.layer.3.output.dense.weight"
    >>> parse_layer_index(name, 6), parse_layer_index("body.norm.weight", 6)
    (3, 5)
    """
    numbers = [int(part) for part in name.split(".") if part.isdigit()]
    return min(numbers[0], depth - 1) if numbers else depth - 1


class BagOfTokens(nn.Module):
    """Mean of the embeddings of tokens and of hashed token bigrams (fastText).

    Joulin et al., *Bag of Tricks for Efficient Text Classification*, EACL 2017.
    """

    def __init__(self, vocabulary_size: int) -> None:
        """Build for a vocabulary size."""
        super().__init__()
        self.width = EMBEDDING_DIM
        self.unigram_embedding = nn.Embedding(vocabulary_size, EMBEDDING_DIM)
        self.bigram_embedding = nn.Embedding(N_BIGRAM_BUCKETS, EMBEDDING_DIM)
        nn.init.normal_(self.unigram_embedding.weight, std=0.1)
        # Bigrams start at zero, so that those without training texts add nothing.
        nn.init.zeros_(self.bigram_embedding.weight)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return embeddings of texts, shape (texts, width)."""
        # A multiplicative hash; the first token is paired with ID 0.
        bigram_ids = (tokens * 36_313 + functional.pad(tokens[:, :-1], (1, 0))) % N_BIGRAM_BUCKETS
        vectors = self.unigram_embedding(tokens) + self.bigram_embedding(bigram_ids)
        return masked_mean(vectors, mask)


class TextCnn(nn.Module):
    """Convolutions over three, four and five tokens with max pooling.

    Kim, *Convolutional Neural Networks for Sentence Classification*, EMNLP 2014.
    """

    def __init__(self, vocabulary_size: int) -> None:
        """Build for a vocabulary size."""
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
        """Return embeddings of texts, shape (texts, width)."""
        x = (self.embedding(tokens) * mask[..., None]).transpose(1, 2)
        features = []
        for layer, kernel_size in zip(self.convolutions, KERNEL_SIZES, strict=True):
            activations = functional.relu(layer(x))
            # Only windows that begin at a token count. Others have the bias of the convolution, so
            # the maximum would depend on the padding, and that on the length of other texts.
            has_token = functional.pad(mask, (kernel_size - 1, 0))
            features.append((activations * has_token[:, None, :]).amax(2))
        return torch.cat(features, dim=1)


class BidirectionalRnn(nn.Module):
    """A bidirectional recurrent network with attention pooling.

    Attention of Yang et al., *Hierarchical Attention Networks for Document Classification*, NAACL
    2016. The backward direction starts at the end of each text, not in its padding.
    """

    def __init__(self, vocabulary_size: int, layer: Callable[..., nn.Module]) -> None:
        """Build for a vocabulary size and a recurrent layer class."""
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
        """Return embeddings of texts, shape (texts, width)."""
        hidden_states = self.compute_hidden_states(tokens, mask)
        embeddings: Tensor = (
            hidden_states * self.compute_attention_weights(hidden_states, mask)[..., None]
        ).sum(1)
        return embeddings

    def attention(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the attention weight of each token, shape (texts, length)."""
        return self.compute_attention_weights(self.compute_hidden_states(tokens, mask), mask)

    def compute_attention_weights(self, hidden_states: Tensor, mask: Tensor) -> Tensor:
        """Return the softmax weights of hidden states, shape (texts, length)."""
        weights: Tensor = (
            self.attention_scores(hidden_states)[..., 0].masked_fill(mask == 0, -1e9).softmax(1)
        )
        return weights

    def compute_hidden_states(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return hidden states of both directions, shape (texts, length, width)."""
        # Two layers and a gather instead of `bidirectional=True`: packed sequences, which would
        # skip the padding, cannot be exported to ONNX.
        x = self.embedding(tokens)
        reversed_positions = reverse_positions(mask)
        forward_states = self.forward_rnn(x)[0]
        gather_index = reversed_positions[..., None].expand(-1, -1, EMBEDDING_DIM)
        backward_states = self.backward_rnn(x.gather(1, gather_index))[0].gather(1, gather_index)
        return torch.cat([forward_states, backward_states], dim=2)


def reverse_positions(mask: Tensor) -> Tensor:
    """Return positions that reverse the tokens of each text and leave its padding in place."""
    position = torch.arange(mask.shape[1], device=mask.device)[None, :]
    length = mask.sum(1, keepdim=True)
    return torch.where(position < length, length - 1 - position, position)


class TextTransformer(nn.Module):
    """A small pre-norm Transformer: two layers, four heads, learned position embeddings.

    Vaswani et al., *Attention Is All You Need*, NeurIPS 2017.
    """

    def __init__(self, vocabulary_size: int) -> None:
        """Build for a vocabulary size."""
        super().__init__()
        self.width = EMBEDDING_DIM
        self.embedding = nn.Embedding(vocabulary_size, EMBEDDING_DIM)
        self.position_embedding = nn.Embedding(512, EMBEDDING_DIM)
        for table in (self.embedding, self.position_embedding):
            nn.init.normal_(table.weight, std=0.02)
        self.layers = nn.ModuleList(TransformerLayer(EMBEDDING_DIM, heads=4) for _ in range(2))
        self.norm = nn.LayerNorm(EMBEDDING_DIM)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return embeddings of texts, shape (texts, width)."""
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, mask)
        return masked_mean(self.norm(x), mask)

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Return token embeddings plus position embeddings, shape (texts, length, width)."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        embeddings: Tensor = self.embedding(tokens) + self.position_embedding(positions)[None]
        return embeddings

    def attention(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the mean attention to each token in the last layer, shape (texts, length)."""
        x = self.embed_tokens(tokens)
        layers: list[Any] = list(self.layers)
        for layer in layers[:-1]:
            x = layer(x, mask)
        return masked_mean(layers[-1].compute_attention(x, mask)[0].mean(1), mask)


class TransformerLayer(nn.Module):
    """A pre-norm Transformer layer: self-attention, then an MLP per token."""

    def __init__(self, width: int, heads: int) -> None:
        """Build for embeddings of some width, divisible by `heads`."""
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
        """Return contextual embeddings of tokens, shape (texts, length, width)."""
        weights, value = self.compute_attention(x, mask)
        attended = (weights @ value).transpose(1, 2).reshape(x.shape)
        x = x + self.dropout(self.out_proj(attended))
        outputs: Tensor = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return outputs

    def compute_attention(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Compute attention weights and values by head.

        Returns:
            Shapes (texts, heads, length, length) and (texts, heads, length, width of a head).
        """
        rows, length, width = x.shape
        projections = self.qkv(self.attention_norm(x)).view(
            rows, length, 3, self.heads, width // self.heads
        )
        query, key, value = projections.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(2, 3) / math.sqrt(width // self.heads)
        # -1e9, not -inf: a text of padding only would give NaN.
        scores = scores.masked_fill(mask[:, None, None, :] == 0, -1e9)
        return scores.softmax(3), value

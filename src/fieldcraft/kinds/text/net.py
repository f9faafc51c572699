"""Networks that read texts token by token, trained from the ground up or pretrained and tuned."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fieldcraft.fit.pretrained import FEWEST, MOST, add_lora, falling, slow_down, tuning
from fieldcraft.fit.settings import Recipe
from fieldcraft.kinds.text.augment import changed, drawn, nearest
from fieldcraft.kinds.text.deep import PAD
from fieldcraft.kinds.text.encode import TextEncoder
from fieldcraft.kinds.text.export import Pooled, build_encoder, load_encoder

WIDTH = 128  # of the vectors of tokens that are trained here
AT_ONCE, LEARNING = 64, 16  # texts that are read together, of about the same length
SPANS = (3, 4, 5)  # tokens that a convolution sees at once
PAIRS = 1 << 15  # hashed pairs of neighbouring tokens
PLACES = "place"  # the table of vectors that tell where a token stands, not which it is
DROPOUT = 0.2
STEPS, TUNING = 2_000, 700  # of a training, of 32 texts each; of one that tunes
BATCHES, LARGEST_BATCH = ((20_000, 64),), 128  # rows a step below a number of rows


class TextNet(nn.Module):
    """What n-grams tell of texts as it is, and beside it what a network reads token by token.

    One network reads all columns that ask for it.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        """Set up for what an encoder gives: the inputs ``text`` and ``tokens``."""
        super().__init__()
        assert encoder.reading is not None
        assert encoder.asked is not None
        self.inputs = ("text", "tokens")
        self.lengths = () if encoder.reading.whole else ("tokens",)
        self.body, width = body_for(encoder)
        self.width = width * len(encoder.asked.columns)
        self.rule = encoder.reading.tokens.rule  # so that tokens can be told as text
        self.columns = len(encoder.names)
        self.places = [encoder.names.index(name) for name in encoder.asked.columns]
        self.tuned = encoder.asked.pretrained
        self.chunks = (1,) * (encoder.width + self.width)
        self.drop = nn.Dropout(DROPOUT)
        self.augments = encoder.asked.augment
        self.near: Tensor | None = None  # of each token, found when training begins
        self.in_order = False  # whether texts are read in their order, whatever their length

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Numbers of each row, shape (rows, sum of chunks)."""
        tokens = self.varied(tensors) if self.training else tensors["tokens"].flatten(0, 1).long()
        read = self.read(tokens)
        read = functional.layer_norm(read, read.shape[-1:])
        read = self.drop(read).view(-1, self.width)
        return torch.cat([tensors["text"], read], dim=1)

    def varied(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Tokens as they are read in training: said in other ways, and changed a little."""
        tokens = tensors["tokens"].flatten(0, 1).long()
        if "variants" in tensors:
            tokens = drawn(tokens, tensors["variants"].flatten(0, 1).long())
        return changed(tokens, self.augments, self.neighbours(tokens.device))

    def read(self, tokens: Tensor) -> Tensor:
        """Vectors of texts; those of about the same length are read together."""
        if torch.compiler.is_exporting() or self.in_order:
            return self.whole(tokens)
        lengths = (tokens != PAD).sum(1)
        order = lengths.argsort()
        step = LEARNING if self.training else AT_ONCE
        parts = [
            self.whole(tokens[chosen, : int(lengths[chosen].max())])
            for chosen in torch.split(order, step)
        ]
        return torch.cat(parts)[order.argsort()]

    def neighbours(self, device: torch.device) -> Tensor | None:
        """For each token those that may stand for it, where its vectors were pretrained."""
        if self.near is None and "synonyms" in self.augments:
            tables = (m.weight for m in self.body.modules() if isinstance(m, nn.Embedding))
            self.near = nearest(max(tables, key=len))
        return None if self.near is None else self.near.to(device)

    def whole(self, tokens: Tensor) -> Tensor:
        """Vectors of texts that are padded to one length."""
        found: Tensor = self.body(tokens.clamp(min=0), (tokens != PAD).long())
        return found.float()

    def recipe(self, rows: int) -> Recipe:
        """AdamW in few epochs; less far where the network is pretrained."""
        if self.tuned:
            return Recipe(tuning(rows, TUNING))
        size = next((size for below, size in BATCHES if rows < below), LARGEST_BATCH)
        epochs = min(max(round(STEPS * 32 / size / math.ceil(rows / size)), FEWEST), MOST)
        return Recipe(falling(epochs, learning_rate=2e-3, batch_size=size))


def body_for(encoder: TextEncoder) -> tuple[nn.Module, int]:
    """The network that reads tokens, and how wide its vector of a text is."""
    assert encoder.reading is not None
    assert encoder.asked is not None
    if encoder.asked.pretrained:
        return tuned_body(encoder)
    count = encoder.reading.tokens.tokenizer.get_vocab_size()
    builders: dict[str, Any] = {
        "bag": Bag, "cnn": Cnn, "transformer": Transformer,
        "rnn": lambda n: Recurrent(n, nn.RNN), "lstm": lambda n: Recurrent(n, nn.LSTM),
        "gru": lambda n: Recurrent(n, nn.GRU),
    }  # fmt: skip
    body = builders[encoder.asked.name](count)
    return body, body.width


def tuned_body(encoder: TextEncoder) -> tuple[nn.Module, int]:
    """A pretrained encoder whose layers learn less the deeper they lie, or by LoRA.

    Vectors of tokens stay as they are.
    """
    assert encoder.asked is not None
    folder = encoder.pretrained.folder if encoder.pretrained else None
    found = load_encoder(folder) if folder else build_encoder(encoder.config)
    config: Any = found.body.config
    if encoder.asked.tune == "lora":
        add_lora(found)
        return found, config.hidden_size
    depth = config.num_hidden_layers
    for name, parameter in found.named_parameters():
        if "embeddings" in name or "pooler" in name:
            parameter.requires_grad_(False)
        else:
            slow_down(parameter, depth - 1 - layer_of(name, depth))
    return found, config.hidden_size


def tables_of(body: nn.Module) -> list[nn.Module]:
    """The tables of a network that hold the vectors of its tokens."""
    if isinstance(body, Pooled):
        inner: Any = body.body
        return [inner.get_input_embeddings()]
    tables = ((name, part) for name, part in body.named_children() if name != PLACES)
    return [part for _, part in tables if isinstance(part, nn.Embedding)]


def layer_of(name: str, depth: int) -> int:
    """The number of the layer that a parameter belongs to, from its name; the last if none.

    >>> layer_of("body.encoder.layer.3.output.dense.weight", 6), layer_of("body.norm.weight", 6)
    (3, 5)
    """
    numbers = [int(part) for part in name.split(".") if part.isdigit()]
    return min(numbers[0], depth - 1) if numbers else depth - 1


class Bag(nn.Module):
    """The mean of the vectors of tokens and of pairs of neighbours, hashed.

    Joulin et al., *Bag of Tricks for Efficient Text Classification*, 2017.
    """

    def __init__(self, count: int) -> None:
        """Set up for tokens of some number."""
        super().__init__()
        self.width = WIDTH
        self.single = nn.Embedding(count, WIDTH)
        self.pair = nn.Embedding(PAIRS, WIDTH)
        nn.init.normal_(self.single.weight, std=0.1)
        nn.init.zeros_(self.pair.weight)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Vectors of texts."""
        hashed = (tokens * 36_313 + functional.pad(tokens[:, :-1], (1, 0))) % PAIRS
        vectors = self.single(tokens) + self.pair(hashed)
        return mean_of(vectors, mask)


class Cnn(nn.Module):
    """Convolutions over three, four and five tokens, and the largest value of each channel.

    Kim, *Convolutional Neural Networks for Sentence Classification*, 2014.
    """

    def __init__(self, count: int) -> None:
        """Set up for tokens of some number."""
        super().__init__()
        channels = 100
        self.width = 3 * channels
        self.embed = nn.Embedding(count, WIDTH)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(WIDTH, channels, span, padding=span - 1) for span in SPANS
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Vectors of texts."""
        x = (self.embed(tokens) * mask[..., None]).transpose(1, 2)
        found = []
        for layer, span in zip(self.convolutions, SPANS, strict=True):
            seen = functional.relu(layer(x))
            touched = functional.pad(mask, (span - 1, 0))  # windows with a token in them
            found.append((seen * touched[:, None, :]).amax(2))
        return torch.cat(found, dim=1)


class Recurrent(nn.Module):
    """A recurrent network that reads in both directions, with attention over its states.

    Yang et al., *Hierarchical Attention Networks for Document Classification*, 2016, for the
    attention. The second direction reads each text from its own end, whatever stands behind it.
    """

    def __init__(self, count: int, layer: Callable[..., nn.Module]) -> None:
        """Set up for tokens of some number."""
        super().__init__()
        self.width = 2 * WIDTH
        self.embed = nn.Embedding(count, WIDTH)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.onwards = layer(WIDTH, WIDTH, batch_first=True)
        self.backwards = layer(WIDTH, WIDTH, batch_first=True)
        self.attend = nn.Sequential(nn.Linear(2 * WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Vectors of texts."""
        states = self.states(tokens, mask)
        found: Tensor = (states * self.weighed(states, mask)[..., None]).sum(1)
        return found

    def attention(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """How much the state at each token counts, shape (texts, length)."""
        return self.weighed(self.states(tokens, mask), mask)

    def weighed(self, states: Tensor, mask: Tensor) -> Tensor:
        """How much each state counts; all those of a text together 1."""
        found: Tensor = self.attend(states)[..., 0].masked_fill(mask == 0, -1e9).softmax(1)
        return found

    def states(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """What both directions know at each token, shape (texts, length, width)."""
        x = self.embed(tokens)
        turned = turn(mask)
        onwards = self.onwards(x)[0]
        there = turned[..., None].expand(-1, -1, WIDTH)
        backwards = self.backwards(x.gather(1, there))[0].gather(1, there)
        return torch.cat([onwards, backwards], dim=2)


def turn(mask: Tensor) -> Tensor:
    """Where each token stands when texts are read from their ends; what is behind stays there."""
    place = torch.arange(mask.shape[1], device=mask.device)[None, :]
    length = mask.sum(1, keepdim=True)
    return torch.where(place < length, length - 1 - place, place)


class Transformer(nn.Module):
    """A small Transformer: two layers of attention with four heads, normalised first.

    Vaswani et al., *Attention Is All You Need*, 2017; order by rotation-free learned positions.
    """

    def __init__(self, count: int) -> None:
        """Set up for tokens of some number."""
        super().__init__()
        self.width = WIDTH
        self.embed = nn.Embedding(count, WIDTH)
        self.place = nn.Embedding(512, WIDTH)
        for table in (self.embed, self.place):
            nn.init.normal_(table.weight, std=0.02)
        self.layers = nn.ModuleList(Layer(WIDTH, heads=4) for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Vectors of texts."""
        x = self.placed(tokens)
        for layer in self.layers:
            x = layer(x, mask)
        return mean_of(self.norm(x), mask)

    def placed(self, tokens: Tensor) -> Tensor:
        """Vectors of tokens that tell where they stand."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        found: Tensor = self.embed(tokens) + self.place(places)[None]
        return found

    def attention(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Where the tokens of a text look in the last layer, shape (texts, length)."""
        x = self.placed(tokens)
        layers: list[Any] = list(self.layers)
        for layer in layers[:-1]:
            x = layer(x, mask)
        return mean_of(layers[-1].looks(x, mask)[0].mean(1), mask)


class Layer(nn.Module):
    """Attention among the tokens of a text, then two dense layers for each."""

    def __init__(self, width: int, heads: int) -> None:
        """Set up with the width of the vectors."""
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask = nn.Linear(width, 3 * width)
        self.answer = nn.Linear(width, width)
        self.dense = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Vectors of tokens that know of each other."""
        looks, value = self.looks(x, mask)
        seen = (looks @ value).transpose(1, 2).reshape(x.shape)
        x = x + self.drop(self.answer(seen))
        dense: Tensor = x + self.drop(self.dense(self.between(x)))
        return dense

    def looks(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """How much each token looks at each other, and what it finds there, by head.

        Returns:
            Shapes (texts, heads, length, length) and (texts, heads, length, width of a head).
        """
        rows, length, width = x.shape
        parts = self.ask(self.before(x)).view(rows, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(2, 3) / math.sqrt(width // self.heads)
        scores = scores.masked_fill(mask[:, None, None, :] == 0, -1e9)
        return scores.softmax(3), value


def mean_of(vectors: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens that are there."""
    counted = mask[..., None].to(vectors.dtype)
    return (vectors * counted).sum(1) / counted.sum(1).clamp_min(1)

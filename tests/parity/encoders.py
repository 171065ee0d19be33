"""More language models for `language.py`: encoders, encoder-decoders, GPT-2 and the Tiny Recursive Model; see `looped.py`."""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F
import transformers
from looped import Attention, Named, Of, SwiGLU, causal, encoder_layer, halted, multihead, own, post_norm, waves
from looped import POST
from torch import Tensor, nn


class GPT2(nn.Module):
    """Transformers' GPT-2."""

    def __init__(self, n: SimpleNamespace):
        super().__init__()
        config = transformers.GPT2Config(
            vocab_size=n.vocabulary, n_positions=n.context, n_embd=n.width, n_layer=n.depth, n_head=n.heads,
            attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0, use_cache=False,
        )  # fmt: skip
        self.model = transformers.GPT2LMHeadModel(config)

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(ids).logits

    def named(self, of: Of) -> Named:
        body = self.model.transformer
        yield from own(body.wte, "wte", of)
        yield "wpe.weight", of(body.wpe.weight)
        for at, layer in enumerate(body.h):
            path = f"h.{at}"
            yield from own(layer.ln_1, f"{path}.layer_norm", of)
            yield from own(layer.ln_2, f"{path}.layer_norm_2", of)
            # Conv1D has transposed weights.
            weights, biases = of(layer.attn.c_attn.weight).T.chunk(3), of(layer.attn.c_attn.bias).chunk(3)
            for name, weight, bias in zip("qkv", weights, biases, strict=True):
                yield from ((f"{path}.attention.{name}.weight", weight), (f"{path}.attention.{name}.bias", bias))
            parts = ((layer.attn.c_proj, "attention.out"), (layer.mlp.c_fc, "linear"), (layer.mlp.c_proj, "linear_2"))
            for part, name in parts:
                yield from ((f"{path}.{name}.weight", of(part.weight).T), (f"{path}.{name}.bias", of(part.bias)))
        yield from own(body.ln_f, "layer_norm", of)


class Albert(nn.Module):
    """Transformers' ALBERT with both heads of pre-training."""

    def __init__(self, n: SimpleNamespace):
        super().__init__()
        config = transformers.AlbertConfig(
            vocab_size=n.vocabulary, max_position_embeddings=n.context, embedding_size=n.small, hidden_size=n.width,
            num_hidden_layers=n.depth, num_hidden_groups=n.groups, num_attention_heads=n.heads,
            intermediate_size=4 * n.width, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            classifier_dropout_prob=0.0, pad_token_id=None,
        )  # fmt: skip
        self.n = n
        self.model = transformers.AlbertForPreTraining(config)

    def forward(self, ids: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
        y = self.model(input_ids=ids, token_type_ids=types)
        return y.prediction_logits, y.sop_logits

    def named(self, of: Of) -> Named:
        model, heads = self.model.albert, self.model.predictions
        embeddings = model.embeddings
        yield from own(embeddings.word_embeddings, "word", of)
        yield from own(embeddings.token_type_embeddings, "type", of)
        yield "position_embedding.weight", of(embeddings.position_embeddings.weight)
        yield from own(embeddings.LayerNorm, "layer_norm", of)
        yield from own(model.encoder.embedding_hidden_mapping_in, "linear", of)
        each = self.n.depth // self.n.groups
        for at, group in enumerate(model.encoder.albert_layer_groups):
            (layer,), path = group.albert_layers, f"layers.{at * each}"
            names = (("query", "q"), ("key", "k"), ("value", "v"), ("dense", "out"))
            for theirs, ours in names:
                yield from own(getattr(layer.attention, theirs), f"{path}.attention.{ours}", of)
            yield from own(layer.attention.LayerNorm, f"{path}.layer_norm", of)
            yield from own(layer.ffn, f"{path}.linear", of)
            yield from own(layer.ffn_output, f"{path}.linear_2", of)
            yield from own(layer.full_layer_layer_norm, f"{path}.layer_norm_2", of)
        yield from own(heads.dense, "transform", of)
        yield from own(heads.LayerNorm, "layer_norm_2", of)
        yield "head.bias", of(heads.bias)
        yield from own(model.pooler, "linear_2", of)
        yield from own(self.model.sop_classifier.classifier, "order", of)


def decoder_layer(n: SimpleNamespace) -> nn.TransformerDecoderLayer:
    return nn.TransformerDecoderLayer(n.width, n.heads, n.hidden, **POST)


class TakaseKiyono(nn.Module):
    """Encoder and decoder of Vaswani et al. 2017 whose layers are visited in an order (Takase & Kiyono 2021, figure 2)."""

    def __init__(self, n: SimpleNamespace, order: list[int]):
        super().__init__()
        self.n, self.order = n, order
        self.words = nn.Embedding(n.vocabulary, n.width)
        self.encoder = nn.ModuleList([encoder_layer(n.width, n.heads, n.hidden) for _ in range(max(order) + 1)])
        self.decoder = nn.ModuleList([decoder_layer(n) for _ in range(max(order) + 1)])

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        x, y = (self.words(it) * math.sqrt(self.n.width) for it in (source, target))
        x, y = x + waves(x), y + waves(y)
        for at in self.order:
            x = self.encoder[at](x)
        for at in self.order:
            y = self.decoder[at](y, x, tgt_mask=causal(y.shape[1]))
        return y @ self.words.weight.T

    def named(self, of: Of) -> Named:
        yield from own(self.words, "source_words", of)
        for name, layers in (("encoder", self.encoder), ("decoder", self.decoder)):
            for at, layer in enumerate(layers):
                yield from post_norm(layer, f"{name}.{self.order.index(at)}", of)


class Safe(nn.Module):
    """Self-attentive factorised embeddings: `TransformerEncoderLayerNoArgs` of github.com/machelreid/subformer with
    `reduction_dim` features and an output of the model's width."""

    def __init__(self, n: SimpleNamespace):
        super().__init__()
        self.attention = nn.MultiheadAttention(n.small, n.small_heads, batch_first=True)
        self.norm = nn.LayerNorm(n.small)
        self.up, self.down = nn.Linear(n.small, n.small), nn.Linear(n.small, n.width)
        self.last = nn.LayerNorm(n.width)

    def forward(self, x: Tensor, is_causal: bool) -> Tensor:
        x = x + waves(x)
        y, _ = self.attention(x, x, x, attn_mask=causal(x.shape[1]) if is_causal else None, need_weights=False)
        x = self.norm(x + y)
        return self.last(self.down(F.relu(self.up(x))))

    def named(self, path: str, of: Of) -> Named:
        yield from multihead(self.attention, f"{path}.attention", of)
        names = ((self.norm, "layer_norm"), (self.up, "up"), (self.down, "down"), (self.last, "layer_norm_2"))
        for layer, name in names:
            yield from own(layer, f"{path}.{name}", of)


class Subformer(nn.Module):
    """The encoder-decoder of Reid et al. 2021: `share_layers` of fairseq/models/transformer.py there leaves norms alone."""

    def __init__(self, n: SimpleNamespace):
        super().__init__()
        self.n = n
        self.words = nn.Embedding(n.vocabulary, n.small)
        self.safe = nn.ModuleList([Safe(n), Safe(n)])
        self.encoder = nn.ModuleList([encoder_layer(n.width, n.heads, n.hidden) for _ in range(n.depth)])
        self.decoder = nn.ModuleList([decoder_layer(n) for _ in range(n.depth)])
        for layers in (self.encoder, self.decoder):
            for layer in layers[2:-1]:
                for part in ("self_attn", "multihead_attn", "linear1", "linear2"):
                    if hasattr(layer, part):
                        setattr(layer, part, getattr(layers[1], part))
        self.back = nn.Linear(n.width, n.small)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        # Scaled by the root of the features in the encoder and of the model's width in the decoder, as there.
        x = self.safe[0](self.words(source) * math.sqrt(self.n.small), False)
        y = self.safe[1](self.words(target) * math.sqrt(self.n.width), True)
        for layer in self.encoder:
            x = layer(x)
        for layer in self.decoder:
            y = layer(y, x, tgt_mask=causal(y.shape[1]))
        return self.back(y) @ self.words.weight.T

    def named(self, of: Of) -> Named:
        yield from own(self.words, "source_words", of)
        for name, safe in zip(("source_safe", "target_safe"), self.safe, strict=True):
            yield from safe.named(name, of)
        for name, layers in (("encoder", self.encoder), ("decoder", self.decoder)):
            for at, layer in enumerate(layers):
                yield from post_norm(layer, f"{name}.{at}", of)
        yield from own(self.back, "back", of)


class TRMLayer(nn.Module):
    """A block of github.com/SamsungSAILMontreal/TinyRecursiveModels, models/recursive_reasoning/trm.py, with attention."""

    def __init__(self, n: SimpleNamespace):
        super().__init__()
        self.attention, self.mlp = Attention(n.width, n.heads, 10000, False), SwiGLU(n.width, n.hidden)

    def forward(self, x: Tensor) -> Tensor:
        for part in (self.attention, self.mlp):
            x = x + part(x)
            x = F.rms_norm(x, x.shape[-1:], eps=1e-5)
        return x


class TRM(nn.Module):
    """`latent_recursion` and `deep_recursion` of Jolicoeur-Martineau 2025, figure 3, from states of zeros; the states of a step
    of supervision go on to the next without gradients."""

    def __init__(self, n: SimpleNamespace):
        super().__init__()
        self.n = n
        self.embedding = nn.Embedding(n.vocabulary, n.width)
        self.core = nn.Sequential(*[TRMLayer(n) for _ in range(n.layers)])
        self.head, self.halt = nn.Linear(n.width, n.vocabulary, bias=False), nn.Linear(n.width, 1)

    def latent_recursion(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(self.n.updates):
            z = self.core(x + y + z)
        return self.core(y + z), z

    def step(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            for _ in range(self.n.rounds - 1):
                y, z = self.latent_recursion(x, y, z)
        return self.latent_recursion(x, y, z)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embedding(ids) * math.sqrt(self.n.width)

        def step(states: Tensor) -> tuple[Tensor, Tensor]:
            y, z = self.step(x, *states.detach().chunk(2, 2))
            return torch.cat((y, z), 2), self.halt(y[:, 0])

        states, logit = halted(step, torch.cat((torch.zeros_like(x),) * 2, 2), self.n.steps, not self.training)
        return self.head(states.chunk(2, 2)[0]), logit

    def named(self, of: Of) -> Named:
        yield from own(self.embedding, "embedding", of)
        for at, layer in enumerate(self.core):
            path = f"supervision.recursion.improve.{at}"
            yield from layer.attention.named(f"{path}.attention", of)
            yield from layer.mlp.named(f"{path}.mlp", of)
        yield from own(self.halt, "supervision.halt", of)
        yield from own(self.head, "head", of)

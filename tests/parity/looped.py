"""Language models with shared layers as their papers and their authors' code compute them, in short; for `language.py`.

Each has `named`, its tensors by the paths of the layers of ours, or what `of` makes of a tensor: its gradient, for example."""

import copy
import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import torch
import torch.nn.functional as F
import transformers
from packaged import angles, plain
from torch import Tensor, nn

Of = Callable[[Tensor], Tensor]
Named = Iterator[tuple[str, Tensor]]


def own(layer: nn.Module, path: str, of: Of) -> Named:
    """The tensors of a layer."""
    for name, tensor in layer.named_parameters(recurse=False):
        yield f"{path}.{name}", of(tensor)


def multihead(layer: nn.MultiheadAttention, path: str, of: Of) -> Named:
    for name, weight, bias in zip("qkv", of(layer.in_proj_weight).chunk(3), of(layer.in_proj_bias).chunk(3), strict=True):
        yield from ((f"{path}.{name}.weight", weight), (f"{path}.{name}.bias", bias))
    yield from own(layer.out_proj, f"{path}.out", of)


def causal(length: int) -> Tensor:
    return nn.Transformer.generate_square_subsequent_mask(length).isinf()


def waves(x: Tensor) -> Tensor:
    """Sines and cosines of the positions (Vaswani et al. 2017, section 3.5)."""
    length, width = x.shape[1:]
    at, i = torch.arange(length, dtype=torch.float64)[:, None], torch.arange(0, width, 2, dtype=torch.float64)
    angle = at / 10000 ** (i / width)
    return torch.stack((angle.sin(), angle.cos()), 2).flatten(1).to(x.dtype)


POST = dict(dropout=0.0, batch_first=True, activation="relu")


def encoder_layer(width: int, heads: int, hidden: int) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(width, heads, hidden, **POST)


def post_norm(layer: nn.Module, path: str, of: Of) -> Named:
    """A layer of PyTorch's encoder or decoder."""
    norms = [layer.norm1, layer.norm2]
    yield from multihead(layer.self_attn, f"{path}.attention", of)
    yield from own(norms[0], f"{path}.layer_norm", of)
    if isinstance(layer, nn.TransformerDecoderLayer):
        yield from multihead(layer.multihead_attn, f"{path}.cross", of)
        yield from own(norms[1], f"{path}.layer_norm_2", of)
        norms.append(layer.norm3)
    yield from own(layer.linear1, f"{path}.ffn.up", of)
    yield from own(layer.linear2, f"{path}.ffn.down", of)
    yield from own(norms[-1], f"{path}.ffn.layer_norm", of)


def drawn(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """What `noise(1)` adds to values with a seed: SplitMix64 (Steele et al. 2014) in a stream for each, the transform of Box and
    Muller (1958), drawn again beyond 3."""
    golden, limit = 0x9E3779B97F4A7C15, 2**64

    def mix(z: int) -> int:
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % limit
        z = (z ^ z >> 27) * 0x94D049BB133111EB % limit
        return z ^ z >> 31

    def value(index: int) -> float:
        state = mix((mix(seed ^ 0xBB67AE8584CAA73B) + (index + 1) * golden) % limit)
        while True:
            u, v = ((mix((state + step * golden) % limit) >> 11) / 2**53 for step in (1, 2))
            state, z = (state + 2 * golden) % limit, math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * v)
            if abs(z) <= 3:
                return z

    return torch.tensor([value(index) for index in range(math.prod(shape))], dtype=torch.float64).reshape(shape)


def halted(step: Callable[[Tensor], tuple[Tensor, Tensor]], state: Tensor, steps: int, stops: bool) -> tuple[Tensor, Tensor]:
    """Runs `step` up to `steps` times; where `stops` is set an item keeps its state once its logit is above 0."""
    done, logit = torch.zeros(len(state), dtype=torch.bool), None
    for _ in range(steps):
        new, value = step(state)
        state = torch.where(done[:, None, None], state, new)
        logit = value if logit is None else torch.where(done[:, None], logit, value)
        done = done | (stops & (logit[:, 0] > 0))
    return state, logit


class Universal(nn.Module):
    """Dehghani et al. 2019, equations 4 and 5, with learned embeddings of the steps and a causal mask."""

    def __init__(self, n: SimpleNamespace):
        super().__init__()
        self.n = n
        self.embed = nn.Embedding(n.vocabulary, n.width)
        self.steps = nn.ParameterList([torch.zeros(n.width) for _ in range(n.steps)])
        self.layer = encoder_layer(n.width, n.heads, n.hidden)

    def step(self, x: Tensor, at: int) -> Tensor:
        return self.layer(x + waves(x) + self.steps[at], src_mask=causal(x.shape[1]))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids) * math.sqrt(self.n.width)
        for at in range(self.n.steps):
            x = self.step(x, at)
        return x @ self.embed.weight.T

    def named(self, of: Of) -> Named:
        yield from own(self.embed, "embed", of)
        yield from post_norm(self.layer, "body.0.0", of)
        for at, step in enumerate(self.steps):
            yield f"body.{at}.layer_shift.weight", of(step)


class Halting(Universal):
    """The same with a halting logit of the last token."""

    def __init__(self, n: SimpleNamespace):
        super().__init__(n)
        self.halt = nn.Linear(n.width, 1)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        at = iter(range(self.n.steps))

        def step(x: Tensor) -> tuple[Tensor, Tensor]:
            x = self.step(x, next(at))
            return x, self.halt(x[:, -1])

        x, logit = halted(step, self.embed(ids) * math.sqrt(self.n.width), self.n.steps, not self.training)
        return x @ self.embed.weight.T, logit

    def named(self, of: Of) -> Named:
        yield from own(self.embed, "embed", of)
        yield from post_norm(self.layer, "body.0", of)
        yield "body.step.weight", torch.stack([of(step) for step in self.steps], 1)
        yield from own(self.halt, "body.halt", of)


class LowRank(nn.Module):
    """A visit to a linear layer: LoRA (Hu et al. 2021) without its factor."""

    def __init__(self, base: nn.Linear, rank: int):
        super().__init__()
        self.base = base
        self.low_rank_a = nn.Parameter(torch.randn(rank, base.in_features))
        self.low_rank_b = nn.Parameter(torch.randn(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.base.weight + self.low_rank_b @ self.low_rank_a)


LLAMA = {
    "input_layernorm": "rms_norm", "post_attention_layernorm": "rms_norm_2", "self_attn.q_proj": "attention.q",
    "self_attn.k_proj": "attention.k", "self_attn.v_proj": "attention.v", "self_attn.o_proj": "attention.out",
    "mlp.gate_proj": "mlp.gate", "mlp.up_proj": "mlp.up", "mlp.down_proj": "mlp.down",
}  # fmt: skip


def llama_layer(layer: nn.Module, path: str, of: Of) -> Named:
    for theirs, ours in LLAMA.items():
        found = layer.get_submodule(theirs)
        if isinstance(found, LowRank):
            yield from own(found, f"{path}.{ours}", of)
            found = found.base
        yield from own(found, f"{path}.{ours}", of)


class Llama(nn.Module):
    """Transformers' Llama whose layers are visited in an order: MobileLLM (Liu et al. 2024), and with updates of low rank in
    each visit the Relaxed Recursive Transformer (Bae et al. 2024)."""

    def __init__(self, n: SimpleNamespace, order: list[int], table: str, rank: int = 0):
        super().__init__()
        config = transformers.LlamaConfig(
            vocab_size=n.vocabulary, hidden_size=n.width, intermediate_size=n.hidden, num_hidden_layers=max(order) + 1,
            num_attention_heads=n.heads, num_key_value_heads=n.key_heads, rms_norm_eps=1e-5, use_cache=False,
            tie_word_embeddings=not rank, max_position_embeddings=n.context,
        )  # fmt: skip
        self.model = plain(transformers.LlamaForCausalLM(config))
        layers = [self.model.model.layers[at] for at in order]
        self.model.model.layers = nn.ModuleList([self.visit(layer, rank) for layer in layers])
        config.num_hidden_layers = len(order)
        self.table = table

    @staticmethod
    def visit(layer: nn.Module, rank: int) -> nn.Module:
        visit = copy.deepcopy(layer, {id(it): it for it in layer.parameters()}) if rank else layer
        for name in [name for name, it in visit.named_modules() if isinstance(it, nn.Linear) and rank]:
            visit.set_submodule(name, LowRank(visit.get_submodule(name), rank))
        return visit

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(ids).logits

    def named(self, of: Of) -> Named:
        yield from own(self.model.model.embed_tokens, self.table, of)
        for at, layer in enumerate(self.model.model.layers):
            yield from llama_layer(layer, f"layers.{at}", of)
        yield from own(self.model.model.norm, "rms_norm", of)
        yield from own(self.model.lm_head, "head", of)


class Attention(nn.Module):
    """Attention without biases but for queries and keys, with rotary positions by halves."""

    def __init__(self, width: int, heads: int, base: float, is_causal: bool, qk_bias: bool = False):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.shifts = nn.ParameterList([torch.zeros(width) for _ in range(2 * qk_bias)])
        self.heads, self.base, self.is_causal = heads, base, is_causal

    def rotated(self, x: Tensor) -> Tensor:
        length, features = x.shape[2:]
        cosines, sines = angles(x, torch.arange(length)[None], features, self.base)
        low, high = x.chunk(2, -1)
        return x * cosines + torch.cat((-high, low), -1) * sines

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        if len(self.shifts):
            q, k = q + self.shifts[0], k + self.shifts[1]
        q, k, v = (it.unflatten(2, (self.heads, -1)).transpose(1, 2) for it in (q, k, v))
        y = F.scaled_dot_product_attention(self.rotated(q), self.rotated(k), v, is_causal=self.is_causal)
        return self.out(y.transpose(1, 2).flatten(2))

    def named(self, path: str, of: Of) -> Named:
        for name in ("q", "k", "v", "out"):
            yield from own(getattr(self, name), f"{path}.{name}", of)


class SwiGLU(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))

    def named(self, path: str, of: Of) -> Named:
        for name in ("gate", "up", "down"):
            yield from own(getattr(self, name), f"{path}.{name}", of)


def norms(width: int, count: int, eps: float) -> nn.ModuleList:
    return nn.ModuleList([nn.RMSNorm(width, eps=eps) for _ in range(count)])


def rms_norms(of_layer: nn.ModuleList, path: str, of: Of) -> Named:
    for at, norm in enumerate(of_layer):
        yield from own(norm, f"{path}.rms_norm{f'_{at + 1}' if at else ''}", of)


class HuginnLayer(nn.Module):
    """`SandwichBlock` of github.com/seal-rg/recurrent-pretraining, recpre/raven_modeling_minimal.py."""

    def __init__(self, n: SimpleNamespace):
        super().__init__()
        self.attention, self.mlp = Attention(n.width, n.heads, 50000, True, True), SwiGLU(n.width, n.hidden)
        self.norms = norms(n.width, 4, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norms[1](self.attention(self.norms[0](x)) + x)
        return self.norms[3](self.mlp(self.norms[2](x)) + x)

    def named(self, path: str, of: Of) -> Named:
        yield from self.attention.named(path, of)
        for shift, name in zip(self.attention.shifts, ("layer_shift", "layer_shift_2"), strict=True):
            yield f"{path}.{name}.weight", of(shift)
        yield from self.mlp.named(f"{path}.mlp", of)
        yield from rms_norms(self.norms, path, of)


class Huginn(nn.Module):
    """`RavenForCausalLM` of the same file, whose state is drawn with the numbers of ours; gradients flow through the last steps."""

    def __init__(self, n: SimpleNamespace):
        super().__init__()
        self.n = n
        self.wte = nn.Embedding(n.vocabulary, n.width)
        parts = ((n.before, "prelude"), (n.inside, "core"), (n.after, "coda"))
        self.layers = nn.ModuleDict({name: nn.ModuleList([HuginnLayer(n) for _ in range(count)]) for count, name in parts})
        self.adapter = nn.Linear(2 * n.width, n.width, bias=False)
        self.ln_f = nn.RMSNorm(n.width, eps=1e-6)

    def core(self, state: Tensor, embedded: Tensor) -> Tensor:
        x = self.adapter(torch.cat([state, embedded], -1))
        for layer in self.layers["core"]:
            x = layer(x)
        return x

    def forward(self, ids: Tensor) -> Tensor:
        x = self.wte(ids) * math.sqrt(self.n.width)
        for layer in self.layers["prelude"]:
            x = layer(x)
        # `initialize_state`: a standard deviation of sqrt(2 / 5 / width), times sqrt(width).
        start = math.sqrt(2 / 5) * drawn(x.shape if self.training else x.shape[1:])
        embedded, x = x, start.to(x.dtype).expand(x.shape)
        with torch.no_grad():
            for _ in range(self.n.steps - self.n.gradients):
                x = self.core(x, embedded)
        for _ in range(self.n.gradients):
            x = self.core(x, embedded)
        x = self.ln_f(x)
        for layer in self.layers["coda"]:
            x = layer(x)
        return self.ln_f(x) @ self.wte.weight.T

    def named(self, of: Of) -> Named:
        yield from own(self.wte, "wte", of)
        for name, layers in self.layers.items():
            for at, layer in enumerate(layers):
                yield from layer.named(f"{name}.{at}", of)
        yield from own(self.adapter, "core.adapter", of)
        yield from own(self.ln_f, "core_norm", of)


class OuroLayer(HuginnLayer):
    """`OuroDecoderLayer` of ByteDance/Ouro-1.4B, modeling_ouro.py."""

    def __init__(self, n: SimpleNamespace):
        super().__init__(n)
        self.attention = Attention(n.width, n.heads, n.base, True)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.norms[1](self.attention(self.norms[0](x)))
        return x + self.norms[3](self.mlp(self.norms[2](x)))

    def named(self, path: str, of: Of) -> Named:
        yield from self.attention.named(f"{path}.attention", of)
        yield from self.mlp.named(f"{path}.mlp", of)
        yield from rms_norms(self.norms, path, of)


class Ouro(nn.Module):
    """`OuroForCausalLM` of the same file: a sequence stops at the first visit where the cumulated exit probability of its last
    token is above the threshold."""

    def __init__(self, n: SimpleNamespace):
        super().__init__()
        self.n = n
        self.embed_tokens = nn.Embedding(n.vocabulary, n.width)
        self.layers = nn.ModuleList([OuroLayer(n) for _ in range(n.depth)])
        self.norm = nn.RMSNorm(n.width, eps=1e-6)
        self.early_exit_gate = nn.Linear(n.width, 1)
        self.lm_head = nn.Linear(n.width, n.vocabulary, bias=False)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        x, hidden, gates = self.embed_tokens(ids), [], []
        for _ in range(self.n.steps):
            for layer in self.layers:
                x = layer(x)
            x = self.norm(x)
            hidden.append(x)
            gates.append(self.early_exit_gate(x))
        left = 1 - torch.cumprod(1 - torch.cat(gates, -1).sigmoid(), -1)[:, -1]
        visits = torch.full((len(ids),), self.n.steps)
        if not self.training:
            for at in reversed(range(self.n.steps)):
                visits = torch.where(left[:, at] > self.n.threshold, at + 1, visits)
        logits = self.lm_head(torch.stack([hidden[count - 1][at] for at, count in enumerate(visits)]))
        # The gates of the visits that were made, after zeros.
        padded = [torch.zeros_like(gates[0])] * self.n.steps + gates
        exits = [torch.cat(padded[count : count + self.n.steps], -1)[at] for at, count in enumerate(visits)]
        return logits, torch.stack(exits)

    def named(self, of: Of) -> Named:
        yield from own(self.embed_tokens, "embedding", of)
        for at, layer in enumerate(self.layers):
            yield from layer.named(f"visits.{at}", of)
        yield from own(self.norm, "visits.norm", of)
        yield from own(self.early_exit_gate, "visits.gate", of)
        yield from own(self.lm_head, "head", of)

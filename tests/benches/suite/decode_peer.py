"""PyTorch decoding a net of the shape of MobileLLM with a cache of keys and values by hand, for `decode.py`.

    python -m suite.decode_peer eager|compiled DEPTH VISITS PROMPT LENGTH

The protocol is that of `ksdsl/examples/decode_worker.rs`. `VISITS` layers in a row use the same weights.
"""

import json
import os
import sys
import time

import torch
import torch.nn.functional as F

VOCABULARY, WIDTH, HEADS, KEY_HEADS, HIDDEN = 32000, 576, 9, 3, 1536
DEPTH_OF_HEAD = WIDTH // HEADS


class Block:
    """The weights of a layer."""

    def __init__(self):
        keys = KEY_HEADS * DEPTH_OF_HEAD

        def weight(outputs: int, inputs: int) -> torch.Tensor:
            return torch.randn(outputs, inputs) * inputs**-0.5

        self.norms = [torch.ones(WIDTH), torch.ones(WIDTH)]
        self.query, self.key, self.value = weight(WIDTH, WIDTH), weight(keys, WIDTH), weight(keys, WIDTH)
        self.out = weight(WIDTH, WIDTH)
        self.gate, self.up, self.down = weight(HIDDEN, WIDTH), weight(HIDDEN, WIDTH), weight(WIDTH, HIDDEN)


def rotated(x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    return x * cosines + torch.cat([-x[..., half:], x[..., :half]], -1) * sines


def layer(x, block, keys, values, position, length, cosines, sines):
    """One layer for one token; `keys` and `values` are `[head][position][depth]`."""
    y = F.rms_norm(x, (WIDTH,), block.norms[0], 1e-5)
    q = rotated(F.linear(y, block.query).view(HEADS, 1, DEPTH_OF_HEAD), cosines, sines)
    k = rotated(F.linear(y, block.key).view(KEY_HEADS, 1, DEPTH_OF_HEAD), cosines, sines)
    keys[:, position] = k[:, 0]
    values[:, position] = F.linear(y, block.value).view(KEY_HEADS, DEPTH_OF_HEAD)
    seen = keys[None, :, :length], values[None, :, :length]
    y = F.scaled_dot_product_attention(q[None], *seen, enable_gqa=True)
    x = x + F.linear(y.reshape(1, WIDTH), block.out)
    y = F.rms_norm(x, (WIDTH,), block.norms[1], 1e-5)
    return x + F.linear(F.silu(F.linear(y, block.gate)) * F.linear(y, block.up), block.down)


class Model:
    def __init__(self, depth: int, visits: int, length: int):
        torch.manual_seed(0)
        self.table = torch.randn(VOCABULARY, WIDTH) * 0.02
        blocks = [Block() for _ in range(depth // visits)]
        self.visits = [block for block in blocks for _ in range(visits)]
        self.norm = torch.ones(WIDTH)
        cache = (len(self.visits), KEY_HEADS, length, DEPTH_OF_HEAD)
        self.keys, self.values = torch.zeros(cache), torch.zeros(cache)
        angles = torch.arange(length)[:, None] / 10000 ** (torch.arange(0, DEPTH_OF_HEAD, 2) / DEPTH_OF_HEAD)
        self.cosines, self.sines = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)
        self.position = 0
        self.forward = self.step

    def step(self, token: torch.Tensor, position: int) -> torch.Tensor:
        x = self.table[token]
        for at, block in enumerate(self.visits):
            kept = self.keys[at], self.values[at], position, position + 1
            x = layer(x, block, *kept, self.cosines[position], self.sines[position])
        return F.linear(F.rms_norm(x, (WIDTH,), self.norm, 1e-5), self.table)


def main() -> None:
    mode, (depth, visits, prompt, length) = sys.argv[1], map(int, sys.argv[2:])
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    model = Model(depth, visits, length)
    if mode == "compiled":
        model.forward = torch.compile(model.step, dynamic=True)
    with torch.inference_mode():
        for position in range(prompt):
            model.forward(torch.tensor([position % 1000]), position)
        position = prompt
        for line in sys.stdin:
            seconds = []
            for _ in range(json.loads(line).get("repeats", 1)):
                position = prompt if position == length else position
                start = time.perf_counter()
                model.forward(torch.tensor([position % 1000]), position)
                seconds.append(time.perf_counter() - start)
                position += 1
            print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()

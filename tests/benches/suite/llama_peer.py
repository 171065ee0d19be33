"""llama.cpp decoding a net of the shape of MobileLLM, for `decode.py`.

    python -m suite.llama_peer f32|q8_0 DEPTH PROMPT LENGTH

The protocol is that of `ksdsl/examples/decode_worker.rs`. Layers are written out, as GGUF has them. A token takes what
llama.cpp's own timings say, sampling (greedy) included.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

from suite.decode_peer import DEPTH_OF_HEAD, HEADS, HIDDEN, KEY_HEADS, VOCABULARY, WIDTH


def write(path: Path, kind: gguf.GGMLQuantizationType, depth: int, length: int) -> None:
    """A model of random weights."""
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(depth)
    writer.add_context_length(length)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_dimension_count(DEPTH_OF_HEAD)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"t{i}" for i in range(VOCABULARY)])
    writer.add_token_scores([0.0] * VOCABULARY)
    writer.add_token_types([gguf.TokenType.NORMAL] * VOCABULARY)

    def add(name: str, outputs: int, inputs: int) -> None:
        weight = random.standard_normal((outputs, inputs), np.float32) * inputs**-0.5
        data = weight if kind == gguf.GGMLQuantizationType.F32 else gguf.quants.quantize(weight, kind)
        writer.add_tensor(f"{name}.weight", data, raw_dtype=kind)

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))

    keys = KEY_HEADS * DEPTH_OF_HEAD
    # Without `output` the embedding is the head.
    add("token_embd", VOCABULARY, WIDTH)
    norm("output_norm")
    for at in range(depth):
        norm(f"blk.{at}.attn_norm")
        add(f"blk.{at}.attn_q", WIDTH, WIDTH)
        add(f"blk.{at}.attn_k", keys, WIDTH)
        add(f"blk.{at}.attn_v", keys, WIDTH)
        add(f"blk.{at}.attn_output", WIDTH, WIDTH)
        norm(f"blk.{at}.ffn_norm")
        add(f"blk.{at}.ffn_gate", HIDDEN, WIDTH)
        add(f"blk.{at}.ffn_up", HIDDEN, WIDTH)
        add(f"blk.{at}.ffn_down", WIDTH, HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def server(path: Path, length: int) -> xllamacpp.Server:
    threads = int(os.environ.get("OMP_NUM_THREADS", "2"))
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = length
    params.n_parallel = 1
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.n_gpu_layers = 0
    params.verbosity = -1
    return xllamacpp.Server(params)


def seconds(of: xllamacpp.Server, prompt: int, count: int) -> float:
    """The seconds of each of some tokens. The first comes from the logits of the prompt."""
    request = {"prompt": [5 + at % 1000 for at in range(prompt)], "n_predict": count + 1, "ignore_eos": True}
    answer = of.handle_completions({**request, "temperature": 0.0, "cache_prompt": True})
    timings = answer["timings"]
    if timings["predicted_n"] != count + 1:
        raise RuntimeError(f"{timings['predicted_n']} tokens instead of {count + 1}")
    return timings["predicted_ms"] / 1e3 / count


def main() -> None:
    kind = gguf.GGMLQuantizationType[sys.argv[1].upper()]
    depth, prompt, length = map(int, sys.argv[2:])
    with tempfile.TemporaryDirectory(prefix="ksdsl-llama-") as folder:
        path = Path(folder) / "model.gguf"
        write(path, kind, depth, length)
        model = server(path, length)
        for line in sys.stdin:
            count = min(json.loads(line).get("repeats", 1), length - prompt - 1)
            print(json.dumps({"seconds": [seconds(model, prompt, count)] * count}), flush=True)


if __name__ == "__main__":
    main()

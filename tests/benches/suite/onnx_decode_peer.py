"""ONNX Runtime decoding a net of the shape of MobileLLM with the caches as inputs and outputs, for `decode.py`.

    python -m suite.onnx_decode_peer DEPTH PROMPT LENGTH

The protocol is that of `ksdsl/examples/decode_worker.rs`. Caches stay in ONNX Runtime from token to token; each token
makes them anew, one position longer, as models of its generation tools do.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from suite.decode_peer import DEPTH_OF_HEAD, HEADS, KEY_HEADS, WIDTH, Model, rotated


class Step(nn.Module):
    """One token; caches are `[visit][head][position][depth]`."""

    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, token: Tensor, cosines: Tensor, sines: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        model = self.model
        x, made = model.table[token], []
        for block, keys, values in zip(model.visits, caches[::2], caches[1::2], strict=True):
            y = F.rms_norm(x, (WIDTH,), block.norms[0], 1e-5)
            q = rotated(F.linear(y, block.query).view(HEADS, 1, DEPTH_OF_HEAD), cosines, sines)
            k = rotated(F.linear(y, block.key).view(KEY_HEADS, 1, DEPTH_OF_HEAD), cosines, sines)
            keys = torch.cat([keys, k], 1)
            values = torch.cat([values, F.linear(y, block.value).view(KEY_HEADS, 1, DEPTH_OF_HEAD)], 1)
            made += [keys, values]
            # The queries of a group are the rows of one product.
            q = q.view(KEY_HEADS, HEADS // KEY_HEADS, DEPTH_OF_HEAD)
            weights = torch.softmax(q @ keys.transpose(1, 2) * DEPTH_OF_HEAD**-0.5, -1)
            x = x + F.linear((weights @ values).reshape(1, WIDTH), block.out)
            y = F.rms_norm(x, (WIDTH,), block.norms[1], 1e-5)
            x = x + F.linear(F.silu(F.linear(y, block.gate)) * F.linear(y, block.up), block.down)
        return F.linear(F.rms_norm(x, (WIDTH,), model.norm, 1e-5), model.table), *made


def session(model: Model, folder: Path) -> onnxruntime.InferenceSession:
    caches = [torch.zeros(KEY_HEADS, 3, DEPTH_OF_HEAD) for _ in range(2 * len(model.visits))]
    inputs = (torch.tensor([1]), model.cosines[3], model.sines[3], *caches)
    past = torch.export.Dim("past", min=1, max=4096)
    dynamic = {"token": None, "cosines": None, "sines": None, "caches": tuple({1: past} for _ in caches)}
    with torch.no_grad():
        program = torch.onnx.export(Step(model).eval(), inputs, dynamo=True, dynamic_shapes=dynamic, verbose=False)
    path = folder / "step.onnx"
    program.save(str(path), external_data=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "2"))
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Decoder:
    def __init__(self, model: Model, of: onnxruntime.InferenceSession):
        self.model, self.of = model, of
        self.inputs = [it.name for it in of.get_inputs()]
        self.start()

    def start(self) -> None:
        empty = np.zeros((KEY_HEADS, 1, DEPTH_OF_HEAD), np.float32)
        self.caches = [onnxruntime.OrtValue.ortvalue_from_numpy(empty) for _ in self.inputs[3:]]
        self.position = 1

    def step(self) -> np.ndarray:
        rows = [self.model.cosines[self.position].numpy(), self.model.sines[self.position].numpy()]
        values = [np.array([self.position % 1000]), *rows]
        given = [*map(onnxruntime.OrtValue.ortvalue_from_numpy, values), *self.caches]
        logits, *self.caches = self.of.run_with_ort_values(None, dict(zip(self.inputs, given, strict=True)))
        self.position += 1
        return logits.numpy()


def main() -> None:
    depth, prompt, length = map(int, sys.argv[1:])
    model = Model(depth, 1, length)
    with tempfile.TemporaryDirectory(prefix="ksdsl-onnx-") as folder:
        decoder = Decoder(model, session(model, Path(folder)))
        for line in sys.stdin:
            seconds = []
            for _ in range(json.loads(line).get("repeats", 1)):
                if decoder.position >= length:
                    decoder.start()
                while decoder.position < prompt:
                    decoder.step()
                start = time.perf_counter()
                decoder.step()
                seconds.append(time.perf_counter() - start)
            print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()

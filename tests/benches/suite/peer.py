"""The side of another system: what `bench_worker` is for ours, in a process of its own.

One JSON object per line on standard input, one answer per line on standard output; the commands
are documented in `tests/benches/src/protocol.rs`. PyTorch runs what `ksn export pytorch` writes. The first argument is the system, the
others its mode.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from safetensors.numpy import load_file


class Peer:
    """A system; each method serves the command of its name."""

    def ready(self) -> dict[str, Any]:
        return {}

    def infer_once(self) -> np.ndarray:
        """A forward pass in evaluation mode."""
        raise NotImplementedError

    def logits(self) -> dict[str, Any]:
        return {"logits": self.infer_once().ravel().tolist()}

    def infer(self, repeats: int) -> dict[str, Any]:
        return {"seconds": timed(repeats, self.infer_once)}


def timed(repeats: int, call: Callable[[], object]) -> list[float]:
    """The duration of each call, in seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


class PyTorch(Peer):
    """PyTorch, eager or compiled, in one of its memory formats, on a device; `tf32` lets a GPU round the
    factors of convolutions and matrix products."""

    def __init__(self, mode: str, layout: str, device: str = "cpu", precision: str = "full"):
        import torch

        self.torch = torch
        self.device = device
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.benchmark = True
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.compiled = mode == "compiled"
        channels_last = layout == "channels_last"
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.warm_up()

    def warm_up(self) -> None:
        """Triggers PyTorch's lazy initialisation, so that it is not measured."""
        torch, nn = self.torch, self.torch.nn
        net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        loss = nn.functional.cross_entropy(net(torch.zeros(2, 3, 8, 8)), torch.zeros(2, 16))
        loss.backward()
        torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9).step()

    def load(
        self, exported: dict, batch: int, rate: float, weights: str | None = None, data: str | None = None, **_: Any
    ) -> dict:
        from .exported import Exported

        torch = self.torch
        torch.manual_seed(0)
        exported = Exported.of(**exported)
        self.net = exported.build()
        if weights:
            self.net.load_state_dict({key: torch.from_numpy(value) for key, value in load_file(weights).items()})
        self.net = self.net.to(self.device, memory_format=self.format)
        arrays = load_file(data) if data else exported.random_batch(batch)
        self.input = self.formatted(exported.tensor(arrays["input"]))
        self.targets = self.formatted(torch.from_numpy(arrays["targets"]))
        self.optimiser = torch.optim.SGD(self.net.parameters(), lr=rate, momentum=0.9)
        self.step = torch.compile(self.net) if self.compiled else self.net
        self.inference = None
        return {}

    def formatted(self, tensor: Any) -> Any:
        """On the device, maps in the memory format."""
        return tensor.to(self.device, memory_format=self.format if tensor.dim() == 4 else self.torch.preserve_format)

    def infer_once(self) -> np.ndarray:
        torch = self.torch
        if self.inference is None:
            self.net.eval()
            if self.compiled:
                self.inference = torch.compile(self.net)
            else:
                from .exported import with_folded_norms

                self.inference = with_folded_norms(self.net).to(memory_format=self.format)
        with torch.inference_mode():
            return self.inference(self.input).cpu().numpy()

    def train(self, repeats: int) -> dict[str, Any]:
        from .exported import loss

        losses: list[float] = []

        def step() -> None:
            self.optimiser.zero_grad(set_to_none=True)
            value = loss(self.step(self.input), self.targets)
            value.backward()
            self.optimiser.step()
            losses.append(value.item())

        self.net.train()
        seconds = timed(repeats, step)
        return {"training": {"seconds": seconds, "losses": losses}}

    def save(self, path: str) -> dict:
        from safetensors.torch import save_file

        tensors = self.net.state_dict().items()
        save_file({key: tensor.detach().cpu().contiguous() for key, tensor in tensors}, path)
        return {}

    def export(self, path: str) -> dict:
        """Writes the network as ONNX, for the other systems."""
        self.net.eval()
        self.torch.onnx.export(
            self.net, (self.input.contiguous(),), path, dynamo=False, opset_version=17, input_names=["input"]
        )
        return {}

    def load_kernel(self, data: str, kernel: int, groups: int, **_: int) -> dict:
        arrays = {key: self.torch.from_numpy(value) for key, value in load_file(data).items()}
        # A depthwise kernel's one channel per group has no format of its own.
        self.x, self.weight, self.dy = (
            arrays[key].to(memory_format=self.format) for key in ("x", "weight", "dy")
        )
        self.padding, self.groups = [kernel // 2] * 2, groups
        return {}

    def kernel(self, repeats: int, output: str | None = None, **which: str) -> dict[str, Any]:
        run = getattr(self, "kernel_" + which["pass"])
        with self.torch.inference_mode():
            seconds = timed(repeats, run)
            if output:
                run().contiguous().numpy().tofile(output)
        return {"seconds": seconds}

    def kernel_forward(self) -> Any:
        conv2d = self.torch.nn.functional.conv2d
        return conv2d(self.x, self.weight, padding=self.padding, groups=self.groups)

    def kernel_data(self) -> Any:
        return self.kernel_backward([True, False, False])[0]

    def kernel_weight(self) -> Any:
        return self.kernel_backward([False, True, False])[1]

    def kernel_backward(self, mask: list[bool]) -> Any:
        return self.torch.ops.aten.convolution_backward(
            self.dy, self.x, self.weight, None, [1, 1], self.padding, [1, 1], False, [0, 0], self.groups, mask
        )


class OnnxRuntime(Peer):
    """ONNX Runtime."""

    def load(self, onnx: str, data: str, cpus: list[int], **_: Any) -> dict:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(cpus)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        # Counted from 1, and without the calling thread.
        others = ";".join(str(cpu + 1) for cpu in cpus[1:])
        options.add_session_config_entry("session.intra_op_thread_affinities", others)
        self.session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        os.sched_setaffinity(0, cpus[:1])
        self.input = onnx_input(data, self.session.get_inputs()[0].type)
        return {}

    def infer_once(self) -> np.ndarray:
        return self.session.run(None, {"input": self.input})[0]


class OpenVino(Peer):
    """OpenVINO."""

    def load(self, onnx: str, data: str, cpus: list[int], **_: Any) -> dict:
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": len(cpus),
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": True,
        }
        self.request = openvino.Core().compile_model(onnx, "CPU", settings).create_infer_request()
        self.input = onnx_input(data, self.request.model_inputs[0].element_type.get_type_name())
        return {}

    def infer_once(self) -> np.ndarray:
        return next(iter(self.request.infer({"input": self.input}, share_inputs=True).values()))


def onnx_input(data: str, type: str) -> np.ndarray:
    """The input of a batch, token ids as the model's integers."""
    values = load_file(data)["input"]
    return values.astype(np.int64) if type in ("tensor(int64)", "i64") else values


def serve(peer: Peer) -> None:
    """Serves requests until the end of standard input."""
    # Libraries may write to standard output; the answers get a way of their own.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(peer, request.pop("command"))(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers)


SYSTEMS: dict[str, Callable[..., Peer]] = {"pytorch": PyTorch, "onnxruntime": OnnxRuntime, "openvino": OpenVino}

if __name__ == "__main__":
    serve(SYSTEMS[sys.argv[1]](*sys.argv[2:]))

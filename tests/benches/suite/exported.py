"""Networks of `nets.ksn` as PyTorch modules: the text that `ksn export pytorch` writes."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .contestant import Contestant
from .measure import Step


def export(worker: Contestant, net: str, folder: Path) -> dict[str, Any]:
    """Lets our worker write a network's module; gives what `Exported.of` takes."""
    path = folder / f"{net}.py"
    return {"module": str(path)} | worker.ask("pytorch", net=net, path=str(path))["network"]


@dataclass(frozen=True)
class Port:
    """An input or output, without the batch; of token ids, with their vocabulary."""

    shape: tuple[int, ...]
    vocabulary: int | None


@dataclass(frozen=True)
class Exported:
    """A network's module, the one input and output that it has, and its counts."""

    module: Path
    input: Port
    output: Port
    # Of an image, a vector or a sequence.
    multiply_adds: int
    # A shared kernel once.
    parameters: int

    @staticmethod
    def of(module: str, input: dict, output: dict, **counts: int) -> "Exported":
        ports = (Port(tuple(port["shape"]), port["vocabulary"]) for port in (input, output))
        return Exported(Path(module), *ports, **counts)

    def build(self) -> nn.Module:
        """The module, which has the keys of our checkpoints."""
        spec = importlib.util.spec_from_file_location("exported", self.module)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        classes = [it for it in vars(module).values() if isinstance(it, type) and it.__module__ == "exported"]
        return classes[-1]()

    def step(self, weights: Path, data: Path, rate: float) -> Step:
        """The first step of SGD from these weights, in double precision."""
        before = {key: torch.from_numpy(value).double() for key, value in load_file(weights).items()}
        module = self.build().double()
        module.load_state_dict(before)
        batch = load_file(data)
        value = loss(module(self.tensor(batch["input"], torch.float64)), torch.from_numpy(batch["targets"]).double())
        value.backward()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter -= rate * parameter.grad
        return Step(value.item(), {key: tensor.numpy() for key, tensor in module.state_dict().items()})

    def random_batch(self, batch: int) -> dict[str, np.ndarray]:
        """A random `input`, and `targets`: a random class for each vector or token, or random maps."""
        random = np.random.default_rng(0)
        values = np.zeros((batch, *self.output.shape), dtype=np.float32)
        if len(self.output.shape) == 3:
            targets = random.standard_normal(values.shape, dtype=np.float32)
        else:
            classes = random.integers(values.shape[-1], size=values.shape[:-1])
            targets = np.eye(values.shape[-1], dtype=np.float32)[classes]
        return {"input": self.random_input(random, batch), "targets": targets}

    def random_input(self, random: np.random.Generator, batch: int) -> np.ndarray:
        shape = (batch, *self.input.shape)
        if self.input.vocabulary:
            return random.integers(self.input.vocabulary, size=shape).astype(np.float32)
        return images(random, *shape) if len(shape) == 4 else random.standard_normal(shape, dtype=np.float32)

    def tensor(self, values: np.ndarray, precision: torch.dtype = torch.float32) -> Tensor:
        """An input as the module takes it."""
        return torch.from_numpy(values).to(torch.int64 if self.input.vocabulary else precision)


def images(random: np.random.Generator, batch: int, channels: int, height: int, width: int) -> np.ndarray:
    """Random images, each with waves and colours of its own.

    Images of noise alone would all look the same to the last layers: their gradients would cancel,
    and rounding would be most of what is left of them.
    """
    frequency, phase = random.uniform(0, 4, (batch, channels, 2)), random.uniform(0, 2 * np.pi, (batch, channels, 2))

    def wave(axis: int, size: int) -> np.ndarray:
        position = np.arange(size, dtype=np.float32) / size
        return np.sin(2 * np.pi * frequency[..., axis, None] * position + phase[..., axis, None])

    maps = wave(0, height)[..., None] * wave(1, width)[..., None, :] + random.normal(size=(batch, channels, 1, 1))
    maps += 0.1 * random.standard_normal(maps.shape)
    return maps.astype(np.float32)


def loss(output: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of each vector or token; the mean squared error of maps."""
    if output.dim() == 4:
        return F.mse_loss(output, targets)
    return F.cross_entropy(output.flatten(0, -2), targets.flatten(0, -2))


def with_folded_norms(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, the batch norms behind convolutions as part of their weights; what
    `torch.fx.experimental.optimization.fuse` does for modules made of `nn.Conv2d` and `nn.BatchNorm2d`."""
    module.eval()
    if not any(type(part).__name__ == "BatchNorm" for part in module.modules()):
        return module
    traced = fx.symbolic_trace(module)
    graph = traced.graph
    value = {node: attribute(traced, node.target) for node in graph.nodes if node.op == "get_attr"}
    for norm in list(graph.nodes):
        if norm.target is not F.batch_norm:
            continue
        x, mean, variance = norm.args
        if x.target is not torch.conv2d or len(x.users) > 1:
            continue
        kernel, own_bias = x.args[1], x.kwargs.get("bias", x.args[2] if len(x.args) > 2 else None)
        affine = [value[norm.kwargs[name]] for name in ("weight", "bias")]
        statistics = value[mean], value[variance], norm.kwargs["eps"]
        folded = fuse_conv_bn_weights(value[kernel], value.get(own_bias), *statistics, *affine)
        names = [f"folded_{norm.name}_{part}" for part in ("weight", "bias")]
        for name, tensor in zip(names, folded, strict=True):
            traced.register_buffer(name, tensor.detach())
        with graph.inserting_before(x):
            new = [graph.get_attr(name) for name in names]
        x.args = (x.args[0], *new, *x.args[3:])
        x.kwargs = {key: it for key, it in x.kwargs.items() if key != "bias"}
        norm.replace_all_uses_with(x)
        graph.erase_node(norm)
    graph.lint()
    traced.recompile()
    return traced


def attribute(module: nn.Module, path: str) -> Tensor:
    for name in path.split("."):
        module = getattr(module, name)
    return module

"""The networks of `nets.csv` as PyTorch modules: their cases, and what PyTorch makes of a case."""

import csv
import importlib.util
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STEPS = 10
# Cases that are tried where a difference may be one of rounding.
NEARBY = 6
DTYPES = {"f32": torch.float32, "f64": torch.float64}

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Net:
    """A row of `nets.csv`."""

    name: str
    file: str
    net: str
    settings: str
    # Whether double precision is compared as well: `yes`, or `pass` for one pass without the steps.
    f64: str

    @staticmethod
    def all(file: str = "nets.csv") -> "list[Net]":
        with (HERE / file).open() as file:
            return [Net(**row) for row in csv.DictReader(file)]

    def precisions(self) -> list[str]:
        return ["f32", "f64"] if self.f64 else ["f32"]

    def steps(self, precision: str) -> int:
        """How many steps of each optimiser are compared."""
        return 0 if precision == "f64" and self.f64 == "pass" else STEPS

    def export(self, ksn: Path, folder: Path) -> nn.Module:
        """The network as `ksn export pytorch` writes it, with its initial weights."""
        # Without its dropout, whose choice of values no two systems share.
        text = re.sub(r"\b(dropout|stochastic_depth|noise)\([^)]*\)", r"\1(0)", (ROOT / self.file).read_text())
        spec = folder / f"{self.name}.ksn"
        spec.write_text(text)
        module = folder / f"{self.name}.py"
        settings = [part for setting in self.settings.split() for part in ("--set", setting)]
        command = [ksn, "export", "pytorch", spec, "--net", self.net, "-o", module, *settings]
        subprocess.run(command, check=True)
        loader = importlib.util.spec_from_file_location(self.name, module)
        python = importlib.util.module_from_spec(loader)
        loader.loader.exec_module(python)
        # The network's own class is the last of the file.
        classes = [value for value in vars(python).values() if isinstance(value, type)]
        model = classes[-1]()
        text = module.read_text()
        model.has_relu = "F.relu(" in text
        # Whether a ReLU follows a convolution with its bias, and no norm between them.
        model.bare_relu = bool(re.search(r"F\.conv2d\([^=]*\.bias,?[^=]*\)\n +x = F\.relu", text))
        summary = [ksn, "summary", spec, "--net", self.net, "--json", *settings]
        self.check_keys(model, subprocess.run(summary, check=True, capture_output=True, text=True).stdout)
        return model

    def check_keys(self, model: nn.Module, summary: str) -> None:
        """As many parameters as the compiler counts, none of them twice."""
        counts = json.loads(summary)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        assert parameters == counts["parameters"]["trainable"], parameters
        assert len(dict(model.named_parameters(remove_duplicate=False))) == len(list(model.parameters()))
        model.sizes = counts["input"], counts["output"][0]


def make_case(model: nn.Module, batch: int, precision: str, steps: int = STEPS) -> Tensors:
    """Random weights and a random batch. Norms start away from the identity.

    A unit whose input is zero but for rounding may pass a ReLU in one system and not in the other,
    and then whole gradients differ by per cents. Double precision meets none, single precision some
    in every deep network. So there the norms keep what they give away from zero, if there are ReLUs; where
    those follow convolutions, the convolutions' biases do.

    With the usual epsilon of 1e-8 AdamW's steps have the size of the rate however small the gradient; in
    single precision that makes steps of rounding."""
    generator = torch.Generator().manual_seed(0)
    single = precision == "f32"
    steady = single and model.has_relu
    bare = single and model.bare_relu

    def noise(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=generator)

    image, classes = model.sizes
    case = {
        "images": torch.randn(batch, *image, generator=generator),
        "targets": torch.randn(batch, classes, generator=generator).softmax(1),
        "eps": torch.tensor([1e-3 if single else 1e-8], dtype=torch.float64),
        "steps": torch.tensor([steps], dtype=torch.float64),
    }
    norms = [key.rpartition(".")[0] for key, tensor in model.state_dict().items() if is_norm(key, tensor)]
    first = norms[0] if norms else None
    last = {layer.rpartition(".")[0]: layer for layer in norms}
    for key, tensor in model.state_dict().items():
        layer, _, name = key.rpartition(".")
        if name == "running_var":
            value = 1 + 0.5 * torch.rand(tensor.shape, generator=generator)
        elif name == "running_mean":
            value = 0.1 * noise(tensor)
        elif layer in norms and bare:
            # Residuals hardly add to what the first norm gives.
            scale = 1 if layer == first else 0.1
            value = scale * (1 + 0.1 * noise(tensor)) if name == "weight" else 0.02 * noise(tensor)
        elif name == "bias" and bare:
            value = 5 * (torch.rand(tensor.shape, generator=generator) - 0.25).sign()
        elif layer in norms and steady:
            # The last norm of a part is positive, so that the sums of residuals are.
            sign = 1 if layer in last.values() else noise(tensor).sign()
            value = 0.5 + 0.02 * noise(tensor) if name == "weight" else 1.5 * sign * torch.ones_like(tensor)
        elif layer in norms:
            value = tensor + 0.1 * noise(tensor)
        else:
            # The left factor of an addition starts at zero, which would hide the right one.
            bound = 0.5 if name == "low_rank_b" else tensor.abs().max()
            value = bound * (2 * torch.rand(tensor.shape, generator=generator) - 1)
        case[f"weight.{key}"] = value
    return case


def nearby(case: Tensors, precision: str, seed: int) -> Tensors:
    """The case with the last bits of its weights changed."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.finfo(DTYPES[precision]).eps

    def moved(value: Tensor) -> Tensor:
        value = value.double()
        return value * (1 + unit * (2 * torch.rand(value.shape, generator=generator, dtype=value.dtype) - 1))

    return {key: moved(value) if key.startswith("weight.") else value for key, value in case.items()}


def apart(model: nn.Module, case: Tensors, precision: str, found: Tensors) -> dict[str, float]:
    """How far what PyTorch finds lies from what it finds for some cases nearby, by tensor."""
    furthest = dict.fromkeys(found, 0.0)
    for seed in range(NEARBY):
        for key, value in expected(model, nearby(case, precision, seed), precision).items():
            furthest[key] = max(furthest[key], (value - found[key]).abs().max().item())
    return furthest


def is_norm(key: str, tensor: Tensor) -> bool:
    """Whether these are the scales of a norm: no other weight has one dimension."""
    return key.endswith(".weight") and tensor.dim() == 1


def training_pass(model: nn.Module, case: Tensors) -> tuple[Tensor, Tensor]:
    logits = model(case["images"])
    loss = F.cross_entropy(logits, case["targets"])
    model.zero_grad()
    loss.backward()
    return logits.detach(), loss.detach()


def expected(model: nn.Module, case: Tensors, precision: str) -> Tensors:
    """What PyTorch makes of a case."""
    dtype = DTYPES[precision]
    eps, steps = case["eps"].item(), int(case["steps"].item())
    case = {key: value.to(dtype) for key, value in case.items()}
    model = model.to(dtype)
    weights = {key.removeprefix("weight."): value for key, value in case.items() if key.startswith("weight.")}

    def reset() -> None:
        model.load_state_dict(weights)

    found = {}
    reset()
    with torch.no_grad():
        found["inference"] = model.eval()(case["images"])
    found["logits"], found["loss"] = training_pass(model.train(), case)
    for key, parameter in model.named_parameters():
        found[f"gradient.{key}"] = parameter.grad.clone()
    for key, buffer in model.named_buffers():
        found[f"statistics.{key}"] = buffer.clone()
    optimisers = {
        "sgd": lambda: torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4),
        "adamw": lambda: torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2, eps=eps),
    }
    for name, make in optimisers.items():
        reset()
        optimiser = make()
        for _ in range(steps):
            training_pass(model, case)
            optimiser.step()
        for key, tensor in model.state_dict().items():
            found[f"{name}.{key}"] = tensor.clone()
    return {key: value.detach().double().flatten() for key, value in found.items()}

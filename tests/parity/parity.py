#!/usr/bin/env python3
"""Compares generated dfdx models with the modules of `ksn export pytorch`.

For every network of `nets.csv`: the same weights and batch on both sides, then logits, loss, all
gradients, running statistics, and all tensors after ten steps of SGD and of AdamW. Needs torch,
numpy and safetensors, and cargo for our side.

    python tests/parity/parity.py                     all networks
    python tests/parity/parity.py --only 'se_resnet*' some
    python tests/parity/parity.py --store FOLDER      writes the files of tests/data/parity
"""

import argparse
import csv
import fnmatch
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STEPS = 10
DTYPES = {"f32": torch.float32, "f64": torch.float64}
# What may differ, as a part of the largest value of a tensor: in one pass, and after ten steps of SGD
# and of AdamW.
TOLERANCES = {"f32": (1e-5, 1e-4, 1e-3), "f64": (1e-10, 1e-10, 1e-8)}
# A gradient below this part of the largest of all is zero but for rounding, such as that of a bias
# before a batch norm. It is compared with the largest of all, and what it does to its tensor in ten
# steps is not compared.
ZERO = 1e-10
# Small networks whose outcomes are stored.
STORED = [
    "gradients_projections_shared",
    "gradients_excitation_shared",
    "gradients_mixer_shared",
    "gradients_geometry_shared",
    "gradients_inception_shared",
    "gradients_gates_shared",
    "gradients_crossed_shared",
    "gradients_norms_shared",
    "gradients_mapped_shared",
    "gradients_transformer_shared",
    "gradients_scaled_shared",
    "gradients_ranked_shared",
    "tied_tied_shared",
]

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Net:
    """A row of `nets.csv`."""

    name: str
    file: str
    net: str
    settings: str
    f64: str

    def precisions(self) -> list[str]:
        return ["f32", "f64"] if self.f64 else ["f32"]

    def export(self, ksn: Path, folder: Path) -> nn.Module:
        """The network as `ksn export pytorch` writes it, with its initial weights."""
        # Without its dropout, whose choice of values no two systems share.
        text = re.sub(r"dropout\([^)]*\)", "dropout(0)", (ROOT / self.file).read_text())
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
        model.has_relu = "F.relu(" in module.read_text()
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


def make_case(model: nn.Module, batch: int, steady: bool) -> Tensors:
    """Random weights and a random batch. Norms start away from the identity.

    A unit whose input is zero but for rounding may pass a ReLU in one system and not in the other,
    and then whole gradients differ by per cents. Double precision meets none, single precision some
    in every deep network. So in a `steady` case the norms keep what they give away from zero."""
    generator = torch.Generator().manual_seed(0)

    def noise(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=generator)

    image, classes = model.sizes
    case = {
        "images": torch.randn(batch, *image, generator=generator),
        "targets": torch.randn(batch, classes, generator=generator).softmax(1),
        # Of AdamW. With the usual 1e-8 its steps have the size of the rate however small the
        # gradient; in single precision that makes steps of rounding.
        "eps": torch.tensor([1e-3 if steady else 1e-8], dtype=torch.float64),
        "steps": torch.tensor([STEPS], dtype=torch.float64),
    }
    norms = {key.rpartition(".")[0] for key, tensor in model.state_dict().items() if is_norm(key, tensor)}
    for key, tensor in model.state_dict().items():
        layer, _, name = key.rpartition(".")
        if name == "running_var":
            value = 1 + 0.5 * torch.rand(tensor.shape, generator=generator)
        elif name == "running_mean":
            value = 0.1 * noise(tensor)
        elif layer in norms and steady:
            value = 0.5 + 0.02 * noise(tensor) if name == "weight" else 1.5 * noise(tensor).sign()
        elif layer in norms:
            value = tensor + 0.1 * noise(tensor)
        else:
            # The left factor of an addition starts at zero, which would hide the right one.
            bound = 0.5 if name == "low_rank_b" else tensor.abs().max()
            value = bound * (2 * torch.rand(tensor.shape, generator=generator) - 1)
        case[f"weight.{key}"] = value
    return case


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


def errors(ours: Tensors, theirs: Tensors, exact: Tensors) -> Iterator[tuple[str, float]]:
    """The largest difference in each tensor, as a part of its largest value. `exact` has the
    gradients in double precision.

    Where the terms of a gradient nearly cancel, single precision knows less than its tolerance of it.
    What PyTorch itself is off by (four times that) is then no difference."""
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    gradients = {key: value.abs().max().item() for key, value in exact.items() if key.startswith("gradient.")}
    steepest = max(gradients.values())
    zero = {key.removeprefix("gradient.") for key, value in gradients.items() if value < ZERO * steepest}
    for key, value in theirs.items():
        assert ours[key].shape == value.shape, key
        largest = value.abs().max().item()
        kind, _, tensor = key.partition(".")
        if tensor in zero:
            if kind in ("sgd", "adamw"):
                continue
            largest = steepest
        difference = (ours[key] - value).abs().max().item()
        assert difference == difference, f"{key}: no number"
        if kind == "gradient":
            yield key.replace("gradient", "steepest", 1), difference / steepest
            rounding = 4 * (theirs[key] - exact[key]).abs().max().item()
            difference = max(0.0, difference - rounding)
        yield key, difference / largest if largest > 0 else difference


KINDS = ["inference", "logits", "loss", "steepest", "gradient", "statistics", "sgd", "adamw"]


def worst(found: Iterator[tuple[str, float]]) -> dict[str, tuple[float, str]]:
    """By kind the worst error, and the key it is at."""
    worst = {kind: (0.0, "") for kind in KINDS}
    for key, error in found:
        kind = key.partition(".")[0]
        worst[kind] = max(worst[kind], (error, key))
    return worst


def compare(net: Net, tools: "Tools", folder: Path, batch: int) -> bool:
    """Compares one network in its precisions; whether all agrees."""
    torch.manual_seed(0)
    model = net.export(tools.ksn, folder)
    path, outcome = folder / "case.safetensors", folder / "outcome.safetensors"
    good = True
    cases = {precision: make_case(model, batch, precision == "f32" and model.has_relu) for precision in net.precisions()}
    for precision, case in cases.items():
        save_file(case, path)
        exact = expected(model, case | {"steps": torch.zeros(1)}, "f64")
        start = time.perf_counter()
        theirs = expected(model, case, precision)
        middle = time.perf_counter()
        subprocess.run([tools.worker, net.name, precision, path, outcome], check=True)
        end = time.perf_counter()
        found = worst(errors(load_file(outcome), theirs, exact))
        one_pass, sgd, adamw = TOLERANCES[precision]
        tolerances = {"sgd": sgd, "adamw": adamw}
        bad = []
        for kind, (error, key) in found.items():
            if error > tolerances.get(kind, one_pass):
                bad.append(f"  {error:.1e} at {key}")
        numbers = "  ".join(f"{found[kind][0]:9.1e}" for kind in KINDS)
        print(f"{net.name:32} {precision}  {numbers}  {middle - start:5.1f} s {end - middle:5.1f} s", flush=True)
        print("\n".join(bad) + "\n" if bad else "", end="", flush=True)
        good &= not bad
    return good


@dataclass(frozen=True)
class Tools:
    """Our programs."""

    ksn: Path
    worker: Path

    @staticmethod
    def build(profile: str) -> "Tools":
        cargo = ["cargo", "build", "--profile", profile]
        worker = ["-p", "ksdsl-tests", "--features", "parity", "--bin", "parity_worker"]
        for package in (["-p", "ksdsl", "--features", "cli", "--bin", "ksn"], worker):
            subprocess.run(cargo + package, check=True, cwd=ROOT)
        folder = ROOT / "target" / {"dev": "debug"}.get(profile, profile)
        return Tools(folder / "ksn", folder / "parity_worker")


def store(nets: list[Net], tools: Tools, temporary: Path, folder: Path) -> None:
    """Writes cases with PyTorch's outcomes in double precision."""
    folder.mkdir(parents=True, exist_ok=True)
    for net in nets:
        torch.manual_seed(0)
        model = net.export(tools.ksn, temporary)
        # In single precision, which is tested as well, a small epsilon would make steps of rounding.
        case = make_case(model, 4, steady=False) | {"eps": torch.tensor([1e-3], dtype=torch.float64)}
        outcome = expected(model, case, "f64")
        # The weights are of single precision, so that both precisions start from the same.
        save_file(case | outcome, folder / f"{net.name}.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="*", help="names to compare, with wildcards")
    parser.add_argument("--batch", type=int, default=2, help="images in a batch")
    parser.add_argument("--profile", default="release", help="cargo's profile for our side")
    parser.add_argument("--store", type=Path, help="write the stored outcomes to this folder and end")
    arguments = parser.parse_args()
    with (HERE / "nets.csv").open() as file:
        nets = [Net(**row) for row in csv.DictReader(file)]
    tools = Tools.build(arguments.profile)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.store:
            stored = [net for net in nets if net.name in STORED]
            return store(stored, tools, folder, arguments.store)
        chosen = [net for net in nets if fnmatch.fnmatch(net.name, arguments.only)]
        print(f"{'network':32}      " + "  ".join(f"{kind:>9}" for kind in KINDS) + "  PyTorch    ours")
        bad = [net.name for net in chosen if not compare(net, tools, folder, arguments.batch)]
    print(f"{len(chosen)} networks, {len(bad)} differ" + "".join(f"\n  {name}" for name in bad))
    sys.exit(bool(bad) or not chosen)


if __name__ == "__main__":
    main()

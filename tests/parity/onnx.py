#!/usr/bin/env python3
"""Compares the models of `ksn export onnx` with the modules of `ksn export pytorch`: same weights, same input, inference.

    cargo build -p ksdsl --bin ksn
    python tests/parity/onnx.py                     all networks of the repository
    python tests/parity/onnx.py --only 'vit*'       those whose file or name is like this
    python tests/parity/onnx.py --functions         only the comparison of functions
    python tests/parity/onnx.py --ksn target/release/ksn

The rows of what was compared are written to onnx.csv. Every network is exported to both, with the same random weights.
ONNX's checker reads the model; ONNX Runtime and OpenVINO run it in single precision for batches of 1 and 3, and PyTorch the
module in double precision. The difference is the largest one, relative to the largest output; it must be at most 1e-5, or
what PyTorch's single precision has, times 4. A model of more than 4 MB of weights must be at most 1.01 times as large as
they are. The model with blocks as functions, which OpenVINO does not read, must differ by at most 1e-5 from the one with
blocks inlined, both in ONNX Runtime: the column `functions`. Needs torch, safetensors, onnx, onnxruntime and openvino.
"""

import argparse
import csv
import fnmatch
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

# This file is called as the package that it needs.
sys.path = [it for it in sys.path if Path(it).resolve() != Path(__file__).resolve().parent]

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
import openvino  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CSV = ROOT / "tests/parity/onnx.csv"
FOLDERS = ["examples/nets", "tests/nets", "tests/nets/known", "ksdsl/tests/data"]
HEAD = ["file", "network", "pytorch f32", "onnxruntime", "openvino", "functions", "weights", "model"]
LIMIT = 1e-5
BATCHES = [1, 3]
# How often loops run that would be too long, written out.
STEPS = {
    "loop_long": {"steps": 20}, "huginn": {"core": 3}, "trm": {"supervision": 2}, "sudoku": {"supervision": 2},
}  # fmt: skip
# Networks of gigabytes.
LARGE = ["huginn_0125", "olmo_1b", "ouro_1_4b", "tiny_llama"]
# OpenVINO 2026.4 takes a square matrix for the same whether it is used as stored or transposed, if a model does both.
OPENVINO_FAULTS = ["transposed_shared"]


@dataclass(frozen=True)
class Net:
    file: str
    name: str


class Skipped(Exception):
    """A family whose parameters have no defaults; its instances are networks of their own."""


def networks() -> list[Net]:
    files = [it for folder in FOLDERS for it in sorted((ROOT / folder).glob("*.ksn"))]
    names = [(it, name) for it in files for name in re.findall(r"^net (\w+)", it.read_text(), re.M)]
    return [Net(str(file.relative_to(ROOT)), name) for file, name in names if name not in LARGE]


def run(*command: object) -> str:
    done = subprocess.run([str(it) for it in command], capture_output=True, text=True)
    if done.returncode:
        raise Skipped if "--set" in done.stderr else RuntimeError(done.stderr)
    return done.stdout


def module(path: Path) -> nn.Module:
    names: dict[str, object] = {"__name__": "exported"}
    exec(compile(path.read_text(), path, "exec"), names)
    classes = [it for it in names.values() if isinstance(it, type) and it.__module__ == "exported"]
    return classes[-1]()


def randomise(model: nn.Module) -> None:
    """All vectors at random, and what is zero: otherwise zeros and ones hide an error."""
    for key, tensor in model.state_dict().items():
        if key.endswith("low_rank_b") or not tensor.any():
            tensor.normal_(0, 0.3)
        elif tensor.numel() == max(tensor.shape, default=1):
            tensor.mul_(torch.empty_like(tensor).uniform_(0.5, 1.5)).add_(torch.randn_like(tensor), alpha=0.1)
        if key.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)


def statistics(model: nn.Module, inputs: list[Tensor]) -> None:
    """Running statistics near those of an input, each changed at random."""
    plain = F.batch_norm

    def batch_norm(x, mean, variance, weight, bias, training, momentum=0.1, eps=1e-5):
        return plain(x, mean, variance, weight, bias, training, 1.0, eps)

    F.batch_norm = batch_norm
    try:
        model.train()(*inputs)
    except ValueError:
        pass  # One value per channel.
    finally:
        F.batch_norm = plain
        model.eval()
    for key, tensor in model.state_dict().items():
        if key.endswith("running_var"):
            tensor.mul_(torch.empty_like(tensor).uniform_(0.5, 1.5)).clamp_(min=1e-3)
        elif key.endswith("running_mean"):
            tensor.add_(0.1 * torch.randn_like(tensor))


def drawn(path: Path, net: Net, batch: int) -> dict[str, Tensor]:
    """Random inputs. Ids are below the smallest vocabulary of the file, lengths and places within the shortest sequence."""
    inputs = {}
    text = re.sub("//.*", "", (ROOT / net.file).read_text())
    graph = onnx.load(path, load_external_data=False).graph
    vocabulary = min((int(it) for it in re.findall(r"\bof (\d+)", text)), default=2)
    for it in graph.input:
        sizes = [dim.dim_value for dim in it.type.tensor_type.shape.dim][1:]
        if it.type.tensor_type.elem_type == onnx.TensorProto.INT64:
            inputs[it.name] = torch.randint(vocabulary, (batch, *sizes))
        elif it.name in ("lengths", "length", "places", "masked"):
            inputs[it.name] = torch.randint(1, 3, (batch, *sizes)).float()
        else:
            inputs[it.name] = torch.randn(batch, *sizes)
    return inputs


def distance(found: list[Tensor], expected: list[Tensor]) -> float:
    worst = 0.0
    for y, z in zip(found, expected, strict=True):
        if y.shape != z.shape or not (y.isfinite().all() and z.isfinite().all()):
            raise ValueError(f"shapes {tuple(y.shape)} and {tuple(z.shape)}, or values that are not finite")
        worst = max(worst, float((y.double() - z.double()).abs().max() / z.double().abs().max().clamp(min=1e-30)))
    return worst


def called(model: nn.Module, inputs: dict[str, Tensor], dtype: torch.dtype, steps: dict[str, int]) -> list[Tensor]:
    cast = [it.to(dtype) if it.is_floating_point() else it for it in inputs.values()]
    outputs = model.eval().to(dtype)(*cast, **steps)
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def save(model: nn.Module, path: Path) -> None:
    if model.state_dict():
        return save_file(model.state_dict(), path, metadata=model.ties)
    # Without tensors `save_file` writes a header that is no JSON.
    path.write_bytes(len(b"{}").to_bytes(8, "little") + b"{}")


def session(path: Path) -> onnxruntime.InferenceSession:
    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options)


def results(session: onnxruntime.InferenceSession, arrays: dict[str, np.ndarray]) -> list[Tensor]:
    return [torch.from_numpy(it) for it in session.run(None, arrays)]


def exported(net: Net, ksn: Path, more: list[str], folder: Path) -> tuple[nn.Module, Path, Path]:
    """The network in PyTorch with random weights, and in ONNX with blocks inlined and as functions."""
    python, weights, path = folder / "net.py", folder / "net.safetensors", folder / "net.onnx"
    chosen = [ROOT / net.file, "--net", net.name]
    run(ksn, "export", "pytorch", *chosen, "-o", python)
    model = module(python)
    with torch.no_grad():
        randomise(model)
        # The inputs are known from a first export.
        save(model, weights)
        run(ksn, "export", "onnx", *chosen, "--weights", weights, "-o", path, *more)
        if net.name not in STEPS:
            statistics(model, list(drawn(path, net, 4).values()))
    save(model.float(), weights)
    functions = folder / "functions.onnx"
    run(ksn, "export", "onnx", *chosen, "--weights", weights, "-o", path, *more)
    run(ksn, "export", "onnx", *chosen, "--weights", weights, "-o", functions, *more, "--functions")
    return model.eval(), path, functions


def of_functions(net: Net, path: Path, functions: Path) -> float:
    """How far the model with functions is from the one without."""
    plain, called = session(path), session(functions)
    worst = 0.0
    for batch in BATCHES:
        arrays = {name: it.numpy() for name, it in drawn(path, net, batch).items()}
        worst = max(worst, distance(results(called, arrays), results(plain, arrays)))
    if worst > LIMIT:
        raise ValueError(f"with functions the difference is {worst}")
    return worst


def compare(net: Net, ksn: Path, folder: Path, only_functions: bool) -> dict[str, object]:
    steps = STEPS.get(net.name, {})
    more = [part for loop, count in steps.items() for part in ("--steps", f"{loop}={count}")]
    model, path, functions = exported(net, ksn, more, folder)
    row = {"file": net.file, "network": net.name, "functions": f"{of_functions(net, path, functions):.1e}"}
    if only_functions:
        return row
    inlined = session(path)
    compiled = None
    if net.name not in OPENVINO_FAULTS:
        compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    differences = [0.0] * (3 if compiled else 2)
    with torch.no_grad():
        for batch in BATCHES:
            inputs = drawn(path, net, batch)
            expected = called(model, inputs, torch.float64, steps)
            arrays = {name: it.numpy() for name, it in inputs.items()}
            found = [called(model, inputs, torch.float32, steps), results(inlined, arrays)]
            if compiled:
                given = compiled(arrays)
                found.append([torch.from_numpy(given[it].copy()) for it in compiled.outputs])
            differences = [max(it, distance(y, expected)) for it, y in zip(differences, found, strict=True)]
        model.float()
    unique = sum(it.numel() * 4 for it in model.state_dict().values())
    # Loops that are written out have many nodes.
    if unique > 4e6 and not steps and path.stat().st_size > 1.01 * unique:
        raise ValueError(f"{path.stat().st_size} bytes for {unique} of weights")
    limit = max(LIMIT, 4 * differences[0])
    if max(differences[1:]) > limit:
        raise ValueError(f"differences {differences}")
    cells = [f"{it:.1e}" for it in differences] + [""] * (3 - len(differences))
    names = ["pytorch f32", "onnxruntime", "openvino"]
    return {**row, **dict(zip(names, cells, strict=True)), "weights": unique, "model": path.stat().st_size}


def write(rows: list[dict[str, object]], nets: list[Net]) -> None:
    """What was found, to the rows of onnx.csv that it is of; other rows stay as long as their networks."""
    with CSV.open(newline="") as file:
        known = {(it["file"], it["network"]): it for it in csv.DictReader(file)}
    for row in rows:
        key = (row["file"], row["network"])
        known[key] = {**known.get(key, {}), **row}
    with CSV.open("w", newline="") as file:
        writer = csv.DictWriter(file, HEAD, lineterminator="\n")
        writer.writeheader()
        writer.writerows(known[key] for net in nets if (key := (net.file, net.name)) in known)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ksn", type=Path, default=ROOT / "target/debug/ksn")
    parser.add_argument("--only", default="*")
    parser.add_argument("--functions", action="store_true")
    args = parser.parse_args()
    rows, failed = [], []
    nets = list(networks())
    for net in nets:
        if not (fnmatch.fnmatch(net.name, args.only) or fnmatch.fnmatch(net.file, args.only)):
            continue
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            try:
                rows.append(compare(net, args.ksn, Path(folder), args.functions))
                print(*rows[-1].values(), flush=True)
            except Skipped:
                continue
            except Exception as error:  # All failures are shown in the end.
                failed.append(net)
                print(f"FAILED {net.file} {net.name}: {str(error)[:600]}", flush=True)
    write(rows, nets)
    print(f"{len(rows)} networks, {len(failed)} failed")
    return int(bool(failed) or not rows)


if __name__ == "__main__":
    sys.exit(main())

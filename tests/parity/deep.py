#!/usr/bin/env python3
"""How far gradients in single precision lie from those in double precision: PyTorch's and ours, for the deep
networks with batch norms of `deep.csv`. Needs what `parity.py` needs.

    python tests/parity/deep.py                           all networks, ten seeds
    python tests/parity/deep.py --only 'rep*' --seeds 3   some
    python tests/parity/deep.py --table docs/parity.md    all, and the section of the page with their results
"""

import argparse
import fnmatch
import tempfile
from pathlib import Path

import torch
from measure import Judge, largest
from networks import DTYPES, Net, Tensors, training_pass
from parity import Tools
from section import Seed, put_section, section
from torch import nn


def make_case(model: nn.Module, seed: int, batch: int) -> Tensors:
    """The weights that the network starts with, and a random batch."""
    torch.manual_seed(seed)
    image, classes = model.sizes
    images = torch.randn(batch, *image)
    targets = torch.nn.functional.one_hot(torch.randint(classes, (batch,)), classes).float()
    case = {
        "images": images,
        "targets": targets,
        "eps": torch.tensor([1e-3], dtype=torch.float64),
        "steps": torch.zeros(1, dtype=torch.float64),
    }
    return case | {f"weight.{key}": value.clone() for key, value in model.state_dict().items()}


def one_pass(model: nn.Module, case: Tensors, precision: str) -> Tensors:
    """What PyTorch makes of a training pass."""
    dtype = DTYPES[precision]
    model = model.to(dtype)
    weights = {key.removeprefix("weight."): value.to(dtype) for key, value in case.items() if key.startswith("weight.")}
    model.load_state_dict(weights)
    logits, _ = training_pass(model.train(), {"images": case["images"].to(dtype), "targets": case["targets"].to(dtype)})
    found = {f"gradient.{key}": parameter.grad.clone() for key, parameter in model.named_parameters()}
    found["logits"] = logits
    return {key: value.detach().double().flatten() for key, value in found.items()}


def measure(net: Net, tools: Tools, folder: Path, seed: int, batch: int, how: list[str]) -> Seed:
    """Compares one network on one case."""
    torch.manual_seed(seed)
    model = net.export(tools.ksn, folder)
    case = make_case(model, seed, batch)
    theirs, exact = (one_pass(model, case, precision) for precision in ("f32", "f64"))
    ours = tools.outcome(net.name, "f32", case, folder, *how)
    judge = Judge("f32", exact, None)

    def logits(found: Tensors) -> float:
        return largest(found["logits"] - exact["logits"]) / largest(exact["logits"])

    return Seed(logits(theirs), logits(ours), judge.gradients(theirs, exact), judge.gradients(ours, exact))


def show(name: str, seed: int, found: Seed) -> None:
    print(
        f"{name:14} {seed:2}  logits {found.logits_theirs:.1e} {found.logits_ours:.1e}"
        f"  tensor {found.theirs.tensor:.1e} {found.ours.tensor:.1e}  L2 {found.theirs.norm:.1e} {found.ours.norm:.1e}",
        flush=True,
    )


def level() -> str:
    """The instructions that our kernels choose on this machine."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return "AVX-512" if "avx512dq" in flags else "AVX2" if "avx2" in flags else "any CPU"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=["*"], help="names to compare, with wildcards")
    parser.add_argument("--seeds", type=int, default=10, help="how many cases of each network")
    parser.add_argument("--batch", type=int, default=4, help="images in a batch")
    parser.add_argument("--profile", default="release", help="cargo's profile for our side")
    parser.add_argument("--direct", action="store_true", help="ours without Winograd's algorithm")
    parser.add_argument("--table", type=Path, help="write the section of this page")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    tools = Tools.build(options.profile, "rounding")
    nets = [net for net in Net.all("deep.csv") if any(fnmatch.fnmatch(net.name, name) for name in options.only)]
    how = ["direct"] if options.direct else []
    results: dict[str, list[Seed]] = {}
    print("network and seed; errors of PyTorch and ours")
    for net in nets:
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                found = measure(net, tools, Path(folder), seed, options.batch, how)
            show(net.name, seed, found)
            results.setdefault(net.name, []).append(found)
    if options.table:
        put_section(options.table, section(results, options.batch, level()))


if __name__ == "__main__":
    main()

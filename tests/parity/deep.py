#!/usr/bin/env python3
"""How far gradients in single precision lie from those in double precision, and how many values pass a ReLU in one
precision only: PyTorch's and ours, for the deep networks with batch norms of `deep.csv`. Needs what `parity.py` needs.

    python tests/parity/deep.py                           all networks, ten seeds
    python tests/parity/deep.py --only 'rep*' --seeds 3   some
    python tests/parity/deep.py --table docs/parity.md    all, and the section of the page with their results
    python tests/parity/deep.py --keep ...                passes over what was compared before

Results are kept in target/parity/deep, so that a section can be made of several runs of the same code.
"""

import argparse
import fnmatch
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import Judge, largest
from networks import DTYPES, Net, Tensors, training_pass
from parity import RESULTS, Tools
from section import TITLE, Seed, Side, put_section, section
from torch import Tensor, nn


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


@contextmanager
def recorded() -> Iterator[list[Tensor]]:
    """Which values the ReLUs of PyTorch pass meanwhile."""
    relu = F.relu
    passed: list[Tensor] = []

    def recording(x: Tensor) -> Tensor:
        y = relu(x)
        passed.append((y > 0).flatten())
        return y

    F.relu = recording
    try:
        yield passed
    finally:
        F.relu = relu


def one_pass(model: nn.Module, case: Tensors, precision: str) -> Tensors:
    """What PyTorch makes of a training pass: what our `parity_worker` writes of it."""
    dtype = DTYPES[precision]
    model = model.to(dtype)
    weights = {key.removeprefix("weight."): value.to(dtype) for key, value in case.items() if key.startswith("weight.")}
    model.load_state_dict(weights)
    with recorded() as passed:
        images, targets = case["images"].to(dtype), case["targets"].to(dtype)
        logits, _ = training_pass(model.train(), {"images": images, "targets": targets})
    found = {f"gradient.{key}": parameter.grad.clone() for key, parameter in model.named_parameters()}
    found |= {"logits": logits, "passed": torch.cat(passed)}
    return {key: value.detach().double().flatten() for key, value in found.items()}


def measure(net: Net, tools: Tools, folder: Path, seed: int, batch: int, how: list[str]) -> Seed:
    """Compares one network on one case."""
    torch.manual_seed(seed)
    model = net.export(tools.ksn, folder)
    case = make_case(model, seed, batch)
    theirs, exact = (one_pass(model, case, precision) for precision in ("f32", "f64"))
    ours, double = (tools.outcome(net.name, precision, case, folder, *how) for precision in ("f32", "f64"))
    judge = Judge("f32", exact, None)
    relus = exact["passed"].numel()

    def side(single: Tensors, double: Tensors) -> Side:
        # In the order of its own system.
        assert single["passed"].numel() == double["passed"].numel() == relus, "ReLUs of other sizes"
        return Side(
            logits=largest(single["logits"] - exact["logits"]) / largest(exact["logits"]),
            gradients=judge.gradients(single, exact),
            flips=int((single["passed"] != double["passed"]).sum()),
        )

    return Seed(relus, side(theirs, exact), side(ours, double))


def show(name: str, seed: int, found: Seed) -> None:
    theirs, ours = found.theirs, found.ours
    print(
        f"{name:14} {seed:2}  logits {theirs.logits:.1e} {ours.logits:.1e}"
        f"  tensor {theirs.gradients.tensor:.1e} {ours.gradients.tensor:.1e}"
        f"  L2 {theirs.gradients.norm:.1e} {ours.gradients.norm:.1e}"
        f"  flips {theirs.flips} {ours.flips} of {found.relus}",
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
    parser.add_argument("--keep", action="store_true", help="pass over what was compared before")
    parser.add_argument("--table", type=Path, help="write the section of this page")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    tools = Tools.build(options.profile, "rounding")
    nets = [net for net in Net.all("deep.csv") if any(fnmatch.fnmatch(net.name, name) for name in options.only)]
    how = ["direct"] if options.direct else []
    results: dict[str, list[Seed]] = {net.name: [] for net in nets}
    print("network and seed; errors and ReLUs that flip, of PyTorch and ours")
    for net in nets:
        for seed in range(options.seeds):
            path = RESULTS / "deep" / f"{net.name}.{options.batch}.{''.join(how)}{seed}.json"
            if options.keep and path.exists():
                found = Seed.load(path)
            else:
                with tempfile.TemporaryDirectory() as folder:
                    found = measure(net, tools, Path(folder), seed, options.batch, how)
                found.save(path)
            show(net.name, seed, found)
            results[net.name].append(found)
    if options.table:
        put_section(options.table, section(results, options.batch, level()), TITLE)


if __name__ == "__main__":
    main()

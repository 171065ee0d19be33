#!/usr/bin/env python3
"""Compares generated dfdx models with the modules of `ksn export pytorch`.

For every network of `nets.csv`: the same weights and batch on both sides, then logits, loss, all
gradients, running statistics, and all tensors after ten steps of SGD and of AdamW. Needs torch,
numpy and safetensors, and cargo for our side.

    python tests/parity/parity.py                     all networks
    python tests/parity/parity.py --only 'se_resnet*' some; one pass without the steps: --passes
    python tests/parity/parity.py --table FILE        all, and the page with their results
    python tests/parity/parity.py --keep ...          passes over what was compared before
    python tests/parity/parity.py --store FOLDER      writes the files of tests/data/parity

Results are kept in target/parity, so that a page can be made of several runs.
"""

import argparse
import fnmatch
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from measure import Measures, Outcomes
from networks import ROOT, Net, Tensors, apart, expected, make_case
from safetensors.torch import load_file, save_file
from section import keep_section
from table import load, page

RESULTS = ROOT / "target/parity"
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
    "gradients_transposed_shared",
    "gradients_banks_shared",
    "gradients_widths_shared",
    "tied_tied_shared",
]


@dataclass(frozen=True)
class Tools:
    """Our programs."""

    ksn: Path
    worker: Path

    @staticmethod
    def build(profile: str, feature: str = "parity") -> "Tools":
        cargo = ["cargo", "build", "--profile", profile]
        worker = ["-p", "ksdsl-tests", "--features", feature, "--bin", "parity_worker"]
        for package in (["-p", "ksdsl", "--features", "cli", "--bin", "ksn"], worker):
            subprocess.run(cargo + package, check=True, cwd=ROOT)
        folder = ROOT / "target" / {"dev": "debug"}.get(profile, profile)
        return Tools(folder / "ksn", folder / "parity_worker")

    def outcome(self, name: str, precision: str, case: Tensors, folder: Path, *how: str) -> Tensors:
        """What our model makes of a case."""
        # A file of its own for each outcome: what is loaded stays in its file.
        path, outcome = folder / "case.safetensors", folder / f"outcome.{precision}{''.join(how)}.safetensors"
        save_file(case, path)
        subprocess.run([self.worker, name, precision, path, outcome, *how], check=True)
        return load_file(outcome)


def compare(net: Net, precision: str, tools: Tools, folder: Path, batch: int, steps: int) -> Measures:
    """Compares one network in one precision."""
    torch.manual_seed(0)
    model = net.export(tools.ksn, folder)
    case = make_case(model, batch, precision, steps)
    start = time.perf_counter()
    theirs = expected(model, case, precision)
    middle = time.perf_counter()
    ours = tools.outcome(net.name, precision, case, folder)
    end = time.perf_counter()
    one_pass = case | {"steps": torch.zeros(1, dtype=torch.float64)}
    single = precision == "f32"
    exact = expected(model, one_pass, "f64") if single else theirs
    # Where the steps are left out, time is short.
    direct = tools.outcome(net.name, precision, one_pass, folder, "direct") if single and steps else None
    outcomes = Outcomes(steps > 0, theirs, ours, exact, direct)
    found = outcomes.measure(net.name, precision)
    if found.bad:
        # Perhaps the network makes much of rounding: then PyTorch's from starts nearby lie as far apart.
        rounding = apart(model, case, precision, theirs)
        found = replace(outcomes, apart=rounding).measure(net.name, precision)
    show(found, middle - start, end - middle)
    return found


def kept(net: Net, precision: str, steps: int) -> Measures | None:
    """The result of a run before, if it compared so much."""
    path = RESULTS / f"{net.name}.{precision}.json"
    found = Measures.load(path) if path.exists() else None
    return found if found and (found.sgd is not None or not steps) else None


COLUMNS = ["inference", "logits", "loss", "norm", "largest", "tensor", "statistics", "sgd", "adamw"]


def show(found: Measures, theirs: float, ours: float) -> None:
    """One line, and a line for everything that differs."""
    numbers = [getattr(found, name, getattr(found.gradient, name, None)) or 0.0 for name in COLUMNS]
    line = "  ".join(f"{number:10.1e}" for number in numbers)
    print(f"{found.name:32} {found.precision}  {line}  {theirs:5.1f} s {ours:5.1f} s", flush=True)
    for bad in found.bad:
        print(f"  {bad}", flush=True)


def store(nets: list[Net], tools: Tools, temporary: Path, folder: Path) -> None:
    """Writes cases with PyTorch's outcomes in double precision."""
    folder.mkdir(parents=True, exist_ok=True)
    for net in nets:
        torch.manual_seed(0)
        model = net.export(tools.ksn, temporary)
        # In single precision, which is tested as well, a small epsilon would make steps of rounding.
        case = make_case(model, 4, "f64") | {"eps": torch.tensor([1e-3], dtype=torch.float64)}
        outcome = expected(model, case, "f64")
        # The weights are of single precision, so that both precisions start from the same.
        save_file(case | outcome, folder / f"{net.name}.safetensors")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=["*"], help="names to compare, with wildcards")
    parser.add_argument("--precision", choices=["f32", "f64"], help="only this one")
    parser.add_argument("--passes", action="store_true", help="leave out the steps of the optimisers")
    parser.add_argument("--batch", type=int, default=2, help="images in a batch")
    parser.add_argument("--profile", default="release", help="cargo's profile for our side")
    parser.add_argument("--keep", action="store_true", help="pass over what was compared before")
    parser.add_argument("--table", type=Path, help="write the page with the results of all networks")
    parser.add_argument("--store", type=Path, help="write the stored outcomes to this folder and end")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    nets = Net.all()
    tools = Tools.build(options.profile)
    chosen = [net for name in options.only for net in nets if fnmatch.fnmatch(net.name, name)]
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.store:
            return store([net for net in nets if net.name in STORED], tools, folder, options.store)
        print(f"{'network':32}      " + "  ".join(f"{name:>10}" for name in COLUMNS) + "  PyTorch    ours")
        wanted = [(net, precision) for net in chosen for precision in net.precisions()]
        for net, precision in wanted:
            if options.precision not in (None, precision):
                continue
            steps = 0 if options.passes else net.steps(precision)
            found = kept(net, precision, steps) if options.keep else None
            if found is None:
                found = compare(net, precision, tools, folder, options.batch, steps)
                found.save(RESULTS)
            results.append(found)
    if options.table:
        precisions = {net.name: net.precisions() for net in nets}
        text = page(*load(RESULTS, list(precisions), precisions), torch.__version__)
        options.table.write_text(keep_section(options.table, text))
    bad = [f"{found.name} in {found.precision}" for found in results if found.bad]
    print(f"{len(results)} comparisons, {len(bad)} differ" + "".join(f"\n  {name}" for name in bad))
    sys.exit(bool(bad) or not results)


if __name__ == "__main__":
    main()

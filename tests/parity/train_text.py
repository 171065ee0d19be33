#!/usr/bin/env python3
"""Trains a language model with `ksn train` and its exported module with PyTorch: same weights, windows and recipe.

    cargo build --release -p ksdsl --bin ksn
    python tests/parity/train_text.py                        nanoGPT's recipe for CPUs: three seeds of 2,000 steps
    python tests/parity/train_text.py --steps 100 --seeds 1  a short run
    python tests/parity/train_text.py --only unshared        one network; --ksn PROGRAM, --threads N

Both programs learn the embedded text by its 65 characters, in turns, with the same number of threads. The table has, for each
network, its parameters, the mean final validation losses over all of the validation text, the largest difference of a
training loss within the first 50 steps (later ones differ by rounding that training amplifies), and the seconds of the steps
without evaluation. Fails if an early loss differs by more than 1e-3. Needs torch and safetensors; an idle machine for times.
"""

import argparse
import csv
import gzip
import importlib.util
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
NET = ROOT / "examples/nets/nanogpt.ksn"
TEXT = ROOT / "ksdsl-runtime/train/core/data/tinyshakespeare.txt.gz"
# At equal depth, and at about equal parameters by width.
NETS = {
    "unshared": [],
    "pairs": ["kernels=2"],
    "one block": ["kernels=1"],
    "one block, rank 8": ["kernels=1", "rank=8"],
    "pairs, wider": ["kernels=2", "width=180"],
    "one block, wider": ["kernels=1", "width=256"],
    "one block, rank 8, wider": ["kernels=1", "rank=8", "width=232"],
}
LENGTH, BATCH, PER_EPOCH = 64, 12, 250
RATE, LAST, WARM_UP, CLIP = 1e-3, 0.1, 100, 1.0
EARLY, TOLERANCE = 50, 1e-3
MASK = 2**64 - 1


def mix(state: int) -> int:
    """SplitMix64."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def start(run: int, step: int, window: int, places: int) -> int:
    """Where a window starts: the trainer's `random::seed` for windows, as a place."""
    windows = 6
    seed = mix(run)
    for part in (windows, step, window):
        seed = mix(seed ^ mix(part))
    return seed * places >> 64


def texts() -> tuple[Tensor, Tensor]:
    """Training and validation text, as nanoGPT's `prepare.py` makes them."""
    text = gzip.open(TEXT, "rt").read()
    ids = {character: i for i, character in enumerate(sorted(set(text)))}
    tokens = torch.tensor([ids[character] for character in text])
    return tokens[: int(len(text) * 0.9)], tokens[int(len(text) * 0.9) :]


def rate(step: int, steps: int) -> float:
    """nanoGPT's `get_lr`."""
    if step < WARM_UP:
        return RATE * (step + 1) / (WARM_UP + 1)
    done = (step - WARM_UP) / (steps - WARM_UP)
    return RATE * (LAST + (1 - LAST) * (1 + math.cos(math.pi * done)) / 2)


def warmed(step: int, steps: int) -> float:
    """A run shorter than the warm-up ends within it."""
    if steps >= WARM_UP:
        return rate(step, steps)
    return RATE * (1 / (WARM_UP + 1) + (1 - 1 / (WARM_UP + 1)) * step / steps)


@dataclass
class Run:
    """What a training gave."""

    losses: list[float]
    validation: float
    seconds: float
    parameters: int


def flags(settings: list[str]) -> list[str]:
    """As the command line has them."""
    return [part for setting in settings for part in ("--set", setting)]


def ours(ksn: Path, settings: list[str], seed: int, steps: int, threads: int, folder: Path, *more: str) -> Path:
    """Trains with `ksn train`; the run folder."""
    command = [ksn, "train", NET, *flags(settings), "--data", "text:shakespeare", "--tokens", "characters"]
    command += ["--recipe", "nanogpt", "--steps", str(steps), "--seed", str(seed), "--threads", str(threads)]
    subprocess.run([*map(str, command), "--out", str(folder), *more], check=True, capture_output=True)
    return next(folder.iterdir())


def read(run: Path) -> Run:
    steps = list(csv.DictReader((run / "steps.csv").open()))
    epochs = list(csv.DictReader((run / "epochs.csv").open()))
    tensors = load_file(run / "model.safetensors")
    return Run(
        losses=[float(row["loss"]) for row in steps],
        validation=float(epochs[-1]["validation_loss"]),
        seconds=sum(float(row["seconds"]) for row in epochs),
        parameters=sum(tensor.numel() for tensor in tensors.values()),
    )


def exported(ksn: Path, chosen: list[str], folder: Path, file: Path = NET) -> nn.Module:
    """The chosen network as `ksn export pytorch` writes it."""
    module = folder / "module.py"
    subprocess.run([str(ksn), "export", "pytorch", str(file), *chosen, "-o", str(module)], check=True)
    loader = importlib.util.spec_from_file_location("module", module)
    python = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(python)
    return [value for value in vars(python).values() if isinstance(value, type)][-1]()


def windows(text: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """All of a text: its windows, and of the last those targets that no other has."""
    targets = len(text) - 1
    whole = targets // LENGTH
    starts = [i * LENGTH for i in range(whole)]
    for first in range(0, whole, 64):
        part = starts[first : first + 64]
        yield (
            torch.stack([text[s : s + LENGTH] for s in part]),
            torch.stack([text[s + 1 : s + LENGTH + 1] for s in part]),
        )
    if left := targets % LENGTH:
        known = torch.full((LENGTH - left,), -100)
        yield text[None, -LENGTH - 1 : -1], torch.cat([known, text[-left:]])[None]


@torch.no_grad()
def evaluate(model: nn.Module, text: Tensor) -> float:
    model.eval()
    nats = sum(F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") for x, y in windows(text))
    model.train()
    return float(nats) / (len(text) - 1)


def theirs(model: nn.Module, seed: int, steps: int, training: Tensor, validation: Tensor) -> Run:
    """nanoGPT's training loop."""
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.99))
    losses, seconds = [], 0.0
    for step in range(steps):
        began = time.perf_counter()
        starts = [start(seed, step, window, len(training) - LENGTH) for window in range(BATCH)]
        x = torch.stack([training[s : s + LENGTH] for s in starts])
        y = torch.stack([training[s + 1 : s + LENGTH + 1] for s in starts])
        for group in optimiser.param_groups:
            group["lr"] = warmed(step, steps)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.item())
        seconds += time.perf_counter() - began
    return Run(losses, evaluate(model, validation), seconds, sum(p.numel() for p in model.parameters()))


def compare(name: str, settings: list[str], chosen: argparse.Namespace, data: tuple[Tensor, Tensor]) -> bool:
    """Trains a network with both programs and prints its row; whether the early losses agree."""
    runs: list[tuple[Run, Run]] = []
    for seed in range(chosen.seeds):
        with tempfile.TemporaryDirectory() as path:
            folder = Path(path)
            how = (chosen.ksn, settings, seed)
            # A step at this rate leaves every weight as it was: the initial model.
            first = ours(*how, 1, chosen.threads, folder / "first", "--lr", "1e-30")
            model = exported(chosen.ksn, flags(settings), folder)
            model.load_state_dict(load_file(first / "model.safetensors"))
            run = read(ours(*how, chosen.steps, chosen.threads, folder / "run"))
            runs.append((run, theirs(model, seed, chosen.steps, *data)))
    early = max(abs(a - b) for mine, other in runs for a, b in zip(mine.losses[:EARLY], other.losses[:EARLY]))
    assert all(mine.parameters == other.parameters for mine, other in runs)
    mean = lambda values: statistics.mean(values)  # noqa: E731
    cells = [
        name,
        f"{runs[0][0].parameters:,}",
        f"{mean([mine.validation for mine, _ in runs]):.4f}",
        f"{mean([other.validation for _, other in runs]):.4f}",
        f"{early:.1e}",
        f"{mean([mine.seconds for mine, _ in runs]):.1f}",
        f"{mean([other.seconds for _, other in runs]):.1f}",
        f"{statistics.median([other.seconds / mine.seconds for mine, other in runs]):.2f}",
    ]
    print("| " + " | ".join(cells) + " |", flush=True)
    return early <= TOLERANCE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ksn", type=Path, default=ROOT / "target/release/ksn")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=NETS, action="append")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"PyTorch {torch.__version__}, {options.threads} threads, {options.seeds} seeds of {options.steps} steps\n")
    head = ["network", "parameters", "loss", "PyTorch's loss", "early losses differ by", "seconds", "PyTorch's", "ratio"]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    data = texts()
    chosen = {name: NETS[name] for name in options.only or NETS}
    return 0 if all([compare(name, settings, options, data) for name, settings in chosen.items()]) else 1


if __name__ == "__main__":
    sys.exit(main())

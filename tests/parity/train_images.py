#!/usr/bin/env python3
"""Trains the exported module of a network again with PyTorch, as a run on images says: accuracy and time of both.

    cargo build --release -p ksdsl --bin ksn
    python tests/parity/train_images.py --data cifar10:cifar-10-binary.tar.gz runs/mappings/cycle__rev_-0 ...
    python tests/parity/train_images.py --data cifar10:cifar-10-binary.tar.gz --time 100 runs/mappings/cycle__rev_-0

Each RUN is a folder of `ksn train` or `ksn sweep`, from which the specification, the recipe and the seed are taken. Both
start from the same weights; order and augmentation of the images are drawn by each in its own way, so that accuracies agree
within the spread of seeds, not digit by digit. The table has, for each run, the accuracy and the losses of the last epoch;
`--time STEPS` has instead the milliseconds of a step with its augmentation, of so many steps in each of five turns. Recipes
with other augmentation than crops and flips are refused. Needs torch, numpy and safetensors; an idle machine for times.
"""

import argparse
import csv
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from train_text import ROOT, exported


@dataclass
class Images:
    """Pictures as the archive has them, and their classes."""

    pictures: Tensor
    classes: Tensor


def archive(path: Path) -> tuple[Images, Images]:
    """Training and test images of the binary version of CIFAR-10 or CIFAR-100."""
    with tarfile.open(path) as files:
        parts = {Path(member.name).stem: files.extractfile(member).read() for member in files if member.name.endswith(".bin")}

    def images(of: list[str], labels: int) -> Images:
        rows = np.concatenate([np.frombuffer(parts[name], np.uint8).reshape(-1, labels + 3072) for name in of])
        pictures = torch.from_numpy(rows[:, labels:].reshape(-1, 3, 32, 32).copy())
        return Images(pictures, torch.from_numpy(rows[:, labels - 1].astype(np.int64)))

    if "train" in parts:
        return images(["train"], 2), images(["test"], 2)
    return images([f"data_batch_{i}" for i in range(1, 6)], 1), images(["test_batch"], 1)


class Recipe:
    """What a run says of its training."""

    def __init__(self, values: dict) -> None:
        self.values = values
        augment = {**values["augment"]}
        self.crop, self.flip = augment.pop("crop"), augment.pop("flip")
        others = [name for name, value in augment.items() if name != "library" and value]
        unknown = others + [name for name in ("accumulate", "warm_up", "average", "steps") if values[name] is not None]
        if unknown or values["schedule"]["kind"] != "one_cycle":
            raise SystemExit(f"error: this script has no {', '.join(unknown) or values['schedule']['kind']}")

    def optimiser(self, model: nn.Module) -> torch.optim.Optimizer:
        method = self.values["method"]
        kernels = self.values["decayed"] == "kernels"
        decayed = [p for p in model.parameters() if p.dim() > 1 or not kernels]
        others = [p for p in model.parameters() if p.dim() <= 1 and kernels]
        groups = [{"params": decayed, "weight_decay": method["decay"]}, {"params": others, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        rate = self.values["rate"]
        if method["kind"] == "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=method["momentum"], nesterov=method["nesterov"])
        return torch.optim.AdamW(groups, lr=rate, betas=tuple(method["betas"]), eps=method["eps"])

    def schedule(self, optimiser: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
        cycle = self.values["schedule"]
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            max_lr=self.values["rate"],
            total_steps=steps,
            pct_start=cycle["rise"],
            div_factor=1 / cycle["first"],
            final_div_factor=cycle["first"] / cycle["last"],
            cycle_momentum=False,
        )


class Trained:
    """A module in training on images."""

    def __init__(self, model: nn.Module, recipe: Recipe, images: Images, seed: int) -> None:
        self.model, self.recipe, self.images = model, recipe, images
        self.draw = torch.Generator().manual_seed(seed)
        pixels = images.pictures.float()
        self.mean, self.deviation = pixels.mean((0, 2, 3)).view(3, 1, 1), pixels.std((0, 2, 3), unbiased=False).view(3, 1, 1)
        self.batch = recipe.values["batch"]
        self.per_epoch = -(-len(images.classes) // self.batch)
        self.optimiser = recipe.optimiser(model)
        self.schedule = recipe.schedule(self.optimiser, self.per_epoch * recipe.values["epochs"])

    def scaled(self, pictures: Tensor) -> Tensor:
        return (pictures - self.mean) / self.deviation

    def augmented(self, pictures: Tensor) -> Tensor:
        """Crops of the pictures with a black border, and flips: torchvision's RandomCrop(32, 4) and RandomHorizontalFlip()."""
        count, pad = len(pictures), self.recipe.crop
        padded = F.pad(pictures, (pad, pad, pad, pad)).float()
        top, left = torch.randint(2 * pad + 1, (2, count, 1), generator=self.draw)
        rows, columns = top + torch.arange(32), left + torch.arange(32)
        if self.recipe.flip:
            flipped = torch.rand(count, 1, generator=self.draw) < 0.5
            columns = torch.where(flipped, columns.flip(1), columns)
        at = (torch.arange(count).view(-1, 1, 1, 1), torch.arange(3).view(1, -1, 1, 1))
        return self.scaled(padded[*at, rows.view(count, 1, 32, 1), columns.view(count, 1, 1, 32)])

    def step(self, chosen: Tensor) -> float:
        loss = F.cross_entropy(self.model(self.augmented(self.images.pictures[chosen])), self.images.classes[chosen])
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if (clip := self.recipe.values["clip"]) is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        self.optimiser.step()
        self.schedule.step()
        return loss.item() * len(chosen)

    def epoch(self) -> float:
        """The mean loss of an epoch's images."""
        self.model.train()
        order = torch.randperm(len(self.images.classes), generator=self.draw)
        return sum(self.step(chosen) for chosen in order.split(self.batch)) / len(order)

    @torch.no_grad()
    def evaluate(self, images: Images) -> tuple[float, float]:
        """Mean loss and accuracy."""
        self.model.eval()
        logits = torch.cat([self.model(self.scaled(part.float())) for part in images.pictures.split(500)])
        right = (logits.argmax(1) == images.classes).float().mean()
        return F.cross_entropy(logits, images.classes).item(), right.item()


class Run:
    """A run folder."""

    def __init__(self, folder: Path, data: str, ksn: Path) -> None:
        self.description = json.loads((folder / "run.json").read_text())
        self.name, self.ksn, self.data = folder.name, ksn, data
        self.recipe = Recipe(self.description["recipe"])
        self.seed = self.description["recipe"]["seed"]
        self.last = list(csv.DictReader((folder / "epochs.csv").open()))[-1]

    def write(self, folder: Path) -> tuple[Path, list[str]]:
        """The specification as a file, and the options that choose the network."""
        file = folder / "net.ksn"
        file.write_text(self.description["specification"])
        settings = self.description.get("settings") or {}
        chosen = [part for setting in settings.items() for part in ("--set", "=".join(setting))]
        return file, ["--net", self.description["network"], *chosen]

    def ours(self, folder: Path, steps: int, *more: str) -> Path:
        """Trains for so many steps; the run folder."""
        file, chosen = self.write(folder)
        recipe, out = folder / "recipe.json", folder / f"out-{steps}"
        recipe.write_text(json.dumps(self.description["recipe"]))
        command = [self.ksn, "train", file, *chosen, "--data", self.data, "--recipe", recipe, "--out", out]
        command += ["--seed", str(self.seed), "--steps", str(steps), *more]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        return next(out.iterdir())

    def module(self, folder: Path) -> nn.Module:
        """The exported module with the initial weights."""
        file, chosen = self.write(folder)
        model = exported(self.ksn, chosen, folder, file)
        # A step at this rate leaves every weight as it was. It moves running statistics, which are taken from PyTorch.
        first = load_file(self.ours(folder, 1, "--lr", "1e-30") / "model.safetensors")
        statistics = dict(model.named_buffers())
        model.load_state_dict({**first, **{key: value for key, value in statistics.items() if key in first}})
        return model


def train(run: Run, data: tuple[Images, Images]) -> None:
    """Trains to the end, and prints the row of the run."""
    with tempfile.TemporaryDirectory() as folder:
        trained = Trained(run.module(Path(folder)), run.recipe, data[0], run.seed)
    for epoch in range(run.recipe.values["epochs"]):
        loss = trained.epoch()
        of_validation, accuracy = trained.evaluate(data[1])
        print(f"{run.name} epoch {epoch + 1}: {loss:.4f}, {of_validation:.4f}, {100 * accuracy:.2f} %", file=sys.stderr)
    last = run.last
    cells = [
        run.name,
        f"{100 * float(last['validation_top1']):.2f}",
        f"{100 * accuracy:.2f}",
        f"{float(last['training_loss']):.4f}",
        f"{loss:.4f}",
        f"{float(last['validation_loss']):.4f}",
        f"{of_validation:.4f}",
    ]
    print("| " + " | ".join(cells) + " |", flush=True)


def measure(run: Run, data: tuple[Images, Images], steps: int) -> None:
    """Prints the medians of the milliseconds of a step, and of their ratios."""
    ours, theirs = [], []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            rows = list(csv.DictReader((run.ours(path, steps) / "steps.csv").open()))
            ours.append(1000 * median(float(row["seconds"]) for row in rows))
            trained = Trained(run.module(path), run.recipe, data[0], run.seed)
        seconds = []
        order = torch.randperm(len(data[0].classes), generator=trained.draw)
        for chosen in order.split(trained.batch)[:steps]:
            began = time.perf_counter()
            trained.step(chosen)
            seconds.append(time.perf_counter() - began)
        theirs.append(1000 * median(seconds))
    ratio = median(theirs[i] / ours[i] for i in range(len(ours)))
    print(f"| {run.name} | {median(ours):.1f} | {median(theirs):.1f} | {ratio:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--data", required=True, help="cifar10:PATH or cifar100:PATH")
    parser.add_argument("--time", type=int, metavar="STEPS")
    parser.add_argument("--ksn", type=Path, default=ROOT / "target/release/ksn")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = archive(Path(options.data.split(":", 1)[1]))
    runs = [Run(folder, options.data, options.ksn) for folder in options.runs]
    if options.time:
        head = ["run", "ms", "PyTorch's ms", "ratio"]
    else:
        head = ["run", "top-1 (%)", "PyTorch's", "training loss", "PyTorch's", "validation loss", "PyTorch's"]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head), flush=True)
    for run in runs:
        if options.time:
            measure(run, data, options.time)
        else:
            train(run, data)


if __name__ == "__main__":
    main()

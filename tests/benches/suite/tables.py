"""The measurements."""

import os
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from .contestant import INFER, NETS, TRAIN, Contestant, System, Work, peer, pytorch, running
from .measure import (
    Disagreement,
    Spread,
    Times,
    best,
    check_logits,
    check_training_step,
    difference,
    interleaved,
    ratio,
)
from .exported import Exported, export
from .report import Table, megabytes, milliseconds, ratio_cell

OURS = "ours"
LAYOUTS = ("contiguous", "channels_last")
EAGER = [pytorch("eager", layout) for layout in LAYOUTS]
COMPILED = [pytorch("compiled", layout) for layout in LAYOUTS]
RUNTIMES = [
    peer("ONNX Runtime", "onnxruntime", reads_onnx=True),
    peer("OpenVINO", "openvino", reads_onnx=True),
]
# Of SGD with momentum 0.9.
RATE = 0.02


@dataclass(frozen=True)
class Suite:
    """The common parameters of all measurements."""

    worker: Path
    cpus: list[int]
    folder: Path
    rounds: int
    # Seconds that a contestant runs in a round.
    turn: float
    # Whether `torch.compile` takes part.
    compile: bool = True
    # Which of the other networks; all of them if there is no list.
    nets: list[str] | None = None

    @property
    def ours(self) -> System:
        return System(OURS, (str(self.worker), str(NETS)))

    @contextmanager
    def running(self, systems: list[System]) -> Iterator[list[Contestant]]:
        with running(systems, self.cpus, self.folder / "errors.txt") as contestants:
            yield contestants

    def compiled(self) -> list[System]:
        """PyTorch's compiled modes, where there is a C++ compiler for them."""
        names = [os.environ.get("CXX", "g++"), "clang++"]
        return COMPILED if self.compile and any(shutil.which(name) for name in names) else []

    def say(self, text: str) -> None:
        print(f"  {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Start:
    """Where all contestants stand: weights and a batch."""

    exported: Exported
    weights: Path
    data: Path

    def check(self, contestants: list[Contestant], work: Work) -> dict[str, float]:
        """Compares what the work gives; for training, before anyone takes a step. Gives everyone's difference.

        The first contestants must be `EAGER`.
        """
        if work == INFER:
            return check_logits(contestants)
        truth = self.exported.step(self.weights, self.data, RATE)
        return check_training_step(len(EAGER), contestants, self.weights, self.weights.parent, truth)


def load_equal(suite: Suite, contestants: list[Contestant], net: str, batch: int) -> Start:
    """Loads the same weights and the same batch everywhere.

    The first contestant must be PyTorch: it makes the weights, and takes a few steps from the
    initial ones, so that running statistics and biases are not all zeros and ones.
    """
    weights, data, onnx = (suite.folder / name for name in ("weights.safetensors", "data.safetensors", "net.onnx"))
    first = contestants[0]
    common = {"net": net, "exported": exported(suite, net), "batch": batch, "rate": RATE, "data": str(data)}
    start = Start(Exported.of(**common["exported"]), weights, data)
    save_file(start.exported.random_batch(batch), data)
    first.ask("load", **common)
    first.ask("train", repeats=3)
    first.ask("save", path=str(weights))
    if any(contestant.system.reads_onnx for contestant in contestants):
        first.ask("export", path=str(onnx))
    for contestant in contestants:
        if contestant.system.reads_onnx:
            contestant.ask("load", onnx=str(onnx), data=str(data), cpus=suite.cpus)
        else:
            contestant.ask("load", **common, weights=str(weights))
    return start


def exported(suite: Suite, net: str) -> dict[str, Any]:
    """What `Exported.of` takes for a network."""
    with suite.running([suite.ours]) as [worker]:
        return export(worker, net, suite.folder)


@dataclass(frozen=True)
class Row:
    """A line of the first table."""

    name: str
    title: str
    net: str
    batch: int
    work: Work


ROWS = [
    Row("se-train-64", "SE-ResNet-2 shared, training step, batch 64", "se_resnet_2", 64, TRAIN),
    Row("se-infer-64", "SE-ResNet-2 shared, inference, batch 64", "se_resnet_2", 64, INFER),
    Row("mixer-train-8", "ConvMixer-256/16 shared, training step, batch 8", "convmixer_256", 8, TRAIN),
    Row("mixer-infer-8", "ConvMixer-256/16 shared, inference, batch 8", "convmixer_256", 8, INFER),
    Row("se-infer-1", "SE-ResNet-2 shared, inference, batch 1", "se_resnet_2", 1, INFER),
]


def against_peers(suite: Suite, row: Row) -> tuple[list[str], Table]:
    """Ours and all modes of the peers: a line for the first table, and the details."""
    systems = EAGER + suite.compiled() + (RUNTIMES if row.work == INFER else [])
    with suite.running([*systems, suite.ours]) as contestants:
        error = max(load_equal(suite, contestants, row.net, row.batch).check(contestants, row.work).values())
        suite.say(f"all agree within {error:.1e}")
        times = interleaved(contestants, row.work, suite.rounds, suite.turn)
        placements = {contestant.name: contestant.placement(row.work) for contestant in contestants}
    peers = [system.name for system in systems]
    rival = best(times, peers)
    spread = ratio(times, rival, OURS)
    medians = {name: statistics.median(values) for name, values in times.items()}
    line = [row.title, milliseconds(medians[OURS]), milliseconds(medians[rival]), rival, ratio_cell(spread)]
    table = Table(row.title, ["system", "median (ms)", "quartiles (ms)", "time / ours", "CPUs of its threads"])
    for name in sorted(times, key=medians.__getitem__):
        quartiles = Spread.of(times[name])
        table.rows.append(
            [
                name,
                milliseconds(medians[name]),
                f"{milliseconds(quartiles.low)} to {milliseconds(quartiles.high)}",
                f"{ratio(times, name, OURS).median:.2f}",
                placements[name],
            ]
        )
    what = (
        f"The training step is at most {error:.1e} from double precision in any tensor"
        if row.work == TRAIN
        else f"Logits agree within {error:.1e} of the largest value"
    )
    table.notes.append(f"{what}; {suite.rounds} rounds.")
    return line, table


def peak_of_training(suite: Suite, system: System, net: str, batch: int, **how: str) -> int:
    """Peak memory in bytes that building a network and two training steps add to a fresh process."""
    module = exported(suite, net)
    with suite.running([system]) as [contestant]:
        contestant.ask("ready")
        before = contestant.resident()
        contestant.reset_peak()
        contestant.ask("load", net=net, exported=module, batch=batch, rate=RATE, **how)
        contestant.ask("train", repeats=2)
        return contestant.peak() - before


def peak_memory(suite: Suite) -> Table:
    """The peak of a training step against PyTorch's."""
    columns = ["network", "ours (MB)", "PyTorch (MB)", "its layout", "ours / PyTorch"]
    table = Table("Peak memory of a training step", columns)
    for title, net, batch in MEMORY_NETS:
        peaks = {system.name: peak_of_training(suite, system, net, batch) for system in [*EAGER, suite.ours]}
        own = peaks.pop(OURS)
        rival = min(peaks, key=peaks.__getitem__)
        layout, share = rival.split(", ")[1], f"{own / peaks[rival]:.2f}"
        table.rows.append([f"{title}, batch {batch}", megabytes(own), megabytes(peaks[rival]), layout, share])
    table.notes.append(
        "Peak resident memory while the network is built and takes two steps, minus the memory before, "
        "in a fresh process; PyTorch in eager mode, in its better layout."
    )
    return table


def budgets(suite: Suite) -> Table:
    """Training steps within memory budgets, which compute again what they do not keep, against those that keep everything."""
    columns = ["network", "budget", "ours (MB)", "PyTorch (MB)", "ours / PyTorch", "step (ms)", "step / without budget"]
    table = Table("Training steps within a memory budget", columns)
    for title, net, batch, fractions in BUDGET_NETS:
        suite.say(title)
        rival = min(peak_of_training(suite, system, net, batch) for system in EAGER)
        ours = [System(budget, suite.ours.command) for budget in fractions]
        with suite.running(ours) as contestants:
            for contestant in contestants:
                contestant.ask("load", net=net, batch=batch, rate=RATE, budget=contestant.name)
            times = interleaved(contestants, TRAIN, suite.rounds, suite.turn)
        for budget in fractions:
            own = peak_of_training(suite, suite.ours, net, batch, budget=budget)
            step = milliseconds(statistics.median(times[budget]))
            spread = ratio_cell(ratio(times, budget, fractions[0]))
            cells = [budget, megabytes(own), megabytes(rival), f"{own / rival:.2f}", step, spread]
            table.rows.append([f"{title}, batch {batch}", *cells])
    table.notes.append(
        "The budget is a fraction of what a step takes besides the model, its gradients and the momentum; the peaks are "
        "those of the process, as in the table before. All steps have the same bits."
    )
    return table


BUDGET_NETS = [
    ("SE-ResNet-2 shared", "se_resnet_2", 64, ("1", "0.75", "0.65")),
    ("ConvMixer-256/16 shared", "convmixer_256", 8, ("1", "0.6", "0.4")),
]

MEMORY_NETS = [("SE-ResNet-2 shared", "se_resnet_2", 64), ("ConvMixer-256/16 shared", "convmixer_256", 8)]


def sharing(suite: Suite) -> Table:
    """The effect of sharing: KSDSL, shared against unshared."""
    columns = ["network", "parameters", "training step (ms)", "inference (ms)", "peak memory (MB)"]
    table = Table("What sharing saves", columns)
    for title, net, batch in SHARING_NETS:
        suite.say(title)
        variants = {"shared": net, "unshared": f"{net}_unshared"}
        systems = [System(name, suite.ours.command) for name in variants]
        with suite.running(systems) as contestants:
            counts = {}
            for contestant in contestants:
                contestant.ask("load", net=variants[contestant.name], batch=batch, rate=RATE)
                counts[contestant.name] = parameters(contestant, suite.folder)
            times = [interleaved(contestants, work, suite.rounds, suite.turn) for work in (TRAIN, INFER)]
        peaks = {name: peak_of_training(suite, suite.ours, variants[name], batch) for name in variants}
        for name in variants:
            medians = [milliseconds(statistics.median(of[name])) for of in times]
            table.rows.append([f"{title} {name}, batch {batch}", f"{counts[name]:,}", *medians, megabytes(peaks[name])])
        ratios = [ratio_cell(ratio(of, "unshared", "shared")) for of in times]
        memory = f"{peaks['unshared'] / peaks['shared']:.2f}"
        table.rows.append(["unshared / shared", f"{counts['unshared'] / counts['shared']:.1f}", *ratios, memory])
    table.notes.append("Both do the same multiply-adds. Random weights.")
    return table


SHARING_NETS = [("ConvMixer-256/16", "convmixer_256", 8), ("SE-ResNet-10", "se_resnet_10", 32)]


def parameters(contestant: Contestant, folder: Path) -> int:
    """Trainable parameters, from what the contestant saves."""
    path = folder / "parameters.safetensors"
    contestant.ask("save", path=str(path))
    return sum(values.size for key, values in load_file(path).items() if "running_" not in key)


def growth(suite: Suite, title: str, sizes: list[tuple[str, str, int]]) -> Table:
    """How the time grows, ours and PyTorch's in eager mode; `sizes` are titles, nets and batches."""
    columns = ["size"]
    for work in ("training", "inference"):
        columns += [f"{work}: ours (ms)", "PyTorch (ms)", "ratio"]
    table = Table(title, columns)
    for size, net, batch in sizes:
        suite.say(size)
        with suite.running([*EAGER, suite.ours]) as contestants:
            start = load_equal(suite, contestants, net, batch)
            start.check(contestants, INFER)
            inference = interleaved(contestants, INFER, suite.rounds, suite.turn)
            start.check(contestants, TRAIN)
            training = interleaved(contestants, TRAIN, suite.rounds, suite.turn)
        table.rows.append([size, *pair_cells(training), *pair_cells(inference)])
    table.notes.append("PyTorch in eager mode, the faster layout.")
    return table


def pair_cells(times: Times) -> list[str]:
    """Ours, PyTorch's faster layout, and the ratio."""
    rival = best(times, [system.name for system in EAGER])
    medians = [milliseconds(statistics.median(times[name])) for name in (OURS, rival)]
    return [*medians, f"{ratio(times, rival, OURS).median:.2f}"]


def depth(suite: Suite) -> Table:
    sizes = [(f"depth {depth}", f"se_resnet_{depth}", 32) for depth in (2, 3, 6, 10)]
    return growth(suite, "Growth with depth: SE-ResNet shared, batch 32", sizes)


def width(suite: Suite) -> Table:
    sizes = [(f"width {width}", f"convmixer_{width}", 8) for width in (64, 128, 256, 512)]
    return growth(suite, "Growth with width: ConvMixer with 16 blocks, shared, batch 8", sizes)


def batch(suite: Suite) -> Table:
    sizes = [(f"batch {batch}", "se_resnet_2", batch) for batch in (1, 8, 32, 64)]
    return growth(suite, "Growth with the batch: SE-ResNet-2 shared", sizes)


@dataclass(frozen=True)
class Convolution:
    """A convolution that keeps its map's size."""

    title: str
    batch: int
    channels: int
    side: int
    kernel: int
    groups: int = 1

    def operands(self) -> dict[str, np.ndarray]:
        random = np.random.default_rng(0)
        maps = (self.batch, self.channels, self.side, self.side)
        weight = (self.channels, self.channels // self.groups, self.kernel, self.kernel)
        shapes = {"x": maps, "weight": weight, "dy": maps}
        return {name: random.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


CONVOLUTIONS = [
    Convolution("3x3, 64 channels, 32x32, batch 64", 64, 64, 32, 3),
    Convolution("3x3, 128 channels, 16x16, batch 64", 64, 128, 16, 3),
    Convolution("3x3, 256 channels, 8x8, batch 64", 64, 256, 8, 3),
    Convolution("9x9 depthwise, 256 channels, 32x32, batch 8", 8, 256, 32, 9, 256),
    Convolution("1x1, 256 channels, 32x32, batch 8", 8, 256, 32, 1),
]
PASSES = {"forward": "forward", "data": "data gradient", "weight": "weight gradient"}


def kernels(suite: Suite) -> Table:
    """Single convolutions against PyTorch's."""
    table = Table("Single convolutions", ["convolution", "pass", "ours (ms)", "PyTorch (ms)", "ratio"])
    data = suite.folder / "operands.safetensors"
    with suite.running([*EAGER, suite.ours]) as contestants:
        for convolution in CONVOLUTIONS:
            save_file(convolution.operands(), data)
            sizes = {name: getattr(convolution, name) for name in ("batch", "channels", "side", "kernel", "groups")}
            for contestant in contestants:
                contestant.ask("load_kernel", data=str(data), **sizes)
            suite.say(convolution.title)
            for which, title in PASSES.items():
                work = {"command": "kernel", "pass": which}
                check_kernel(contestants, work, suite.folder)
                times = interleaved(contestants, work, suite.rounds, suite.turn / 2)
                table.rows.append([convolution.title, title, *pair_cells(times)])
    table.notes.append(
        "PyTorch's `conv2d` and `convolution_backward` in the faster layout, with maps already in that "
        "layout. Results agree within 1e-4 of the largest value."
    )
    return table


def check_kernel(contestants: list[Contestant], work: Work, folder: Path) -> None:
    """Compares what the contestants compute."""
    path = folder / "outcome.f32"
    outcomes = []
    for contestant in contestants:
        contestant.ask(**work, repeats=1, output=str(path))
        outcomes.append(np.fromfile(path, dtype=np.float32))
    for contestant, outcome in zip(contestants, outcomes, strict=True):
        error = difference(outcome, outcomes[0])
        if not error <= 1e-4:
            raise Disagreement(f"{work} of {contestant.name} differs by {error:.1e}")


# Titles, networks and batches.
OTHERS = [
    ("ResNet-18, 224x224", "resnet18", 8),
    ("ResNet-50, 224x224", "resnet50", 8),
    ("CIFAR ResNet-20 shared", "resnet20", 64),
    ("MobileNetV1, 224x224", "mobilenet_v1", 8),
    ("MobileNetV2, 224x224", "mobilenet_v2", 8),
    ("EfficientNet-B0, 224x224", "efficientnet_b0", 8),
    ("ConvNeXt-T, 224x224", "convnext_tiny", 8),
    ("ViT-Ti/16 shared", "vit_tiny", 8),
    ("perceptron 784-1024x5-10", "perceptron", 64),
    ("VGG-11 with 4096-wide linear layers", "vgg11", 64),
    ("bottleneck net across stages", "bottleneck_net", 64),
    ("the digits' SE-ResNet", "digits_net", 64),
    ("small MobileNet, hard-swish and gates", "mobilenet_small", 64),
    ("U-Net, 64x64", "unet_64", 4),
    ("decoder, 6 blocks of width 256, 128 tokens", "decoder", 8),
    ("the same, one block", "decoder_shared", 8),
]


def others(suite: Suite) -> Table:
    """Networks that users write, against all peers."""
    columns = ["network", "work", "ours (ms)", "best (ms)", "of", "ratio (quartiles)", "GMAC/s", "weights (GB/s)"]
    table = Table("Other networks", columns)
    for title, net, batch in OTHERS:
        if suite.nets is not None and net not in suite.nets:
            continue
        for size, work, name in [(1, INFER, "inference"), (batch, INFER, "inference"), (batch, TRAIN, "training step")]:
            suite.say(f"{title}, {name}, batch {size}")
            cells = against_best(suite, net, size, work)
            suite.say("  " + ", ".join(cells))
            table.rows.append([title, f"{name}, {size}", *cells])
    table.notes.append(
        "Multiply-adds per second of ours, three times those of the forward pass in a training step; bytes of weights, each "
        f"counted once, per second of ours in single precision. {suite.rounds} rounds."
    )
    return table


def against_best(suite: Suite, net: str, batch: int, work: Work) -> list[str]:
    """Ours, the fastest peer, the ratio, and what ours reaches of the machine."""
    systems = EAGER + (RUNTIMES if work == INFER else suite.compiled())
    with suite.running([*systems, suite.ours]) as contestants:
        errors = load_equal(suite, contestants, net, batch).check(contestants, work)
        suite.say("  differences: " + ", ".join(f"{name} {error:.1e}" for name, error in errors.items()))
        times = interleaved(contestants, work, suite.rounds, suite.turn)
    rival = best(times, [system.name for system in systems])
    seconds = {name: statistics.median(values) for name, values in times.items()}
    counts = Exported.of(**exported(suite, net))
    passes = 3 if work == TRAIN else 1
    speed = passes * batch * counts.multiply_adds / seconds[OURS] / 1e9
    bandwidth = 4 * counts.parameters / seconds[OURS] / 1e9
    cells = [milliseconds(seconds[OURS]), milliseconds(seconds[rival]), rival, ratio_cell(ratio(times, rival, OURS))]
    return [*cells, f"{speed:.0f}", f"{bandwidth:.1f}"]


FURTHER: dict[str, Callable[[Suite], Table]] = {
    "others": others,
    "memory": peak_memory,
    "budget": budgets,
    "kernels": kernels,
    "sharing": sharing,
    "depth": depth,
    "width": width,
    "batch": batch,
}

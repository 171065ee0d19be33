"""Training steps and inference on a GPU beside PyTorch on the same one, interleaved:

    python tests/benches/gpu.py target/release/gpu_worker [--rounds 9] [--write]

Needs a Python with a PyTorch that finds the GPU, and safetensors. `--write` puts the table into
docs/benchmarks.md. Logits, losses and a training step are compared before anything is timed. `--device cpu
--batch 2` with a worker built on the emulator tries the script without a GPU; its times mean nothing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parent))

from suite.contestant import INFER, NETS, TRAIN, ContestantError, System, peer, running
from suite.exported import Exported, export
from suite.measure import Disagreement, Spread, check_logits, check_training_step, interleaved, ratio
from suite.report import Table, milliseconds, ratio_cell

TITLES = {"se_resnet_2": "SE-ResNet, depth 2", "convmixer_256": "ConvMixer-256/16"}
RATE = 0.02
NOTES = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- gpu.py: begin -->", "<!-- gpu.py: end -->"


# PyTorch's modes that are measured, and their memory formats.
MODES = [("eager", "channels_last"), ("eager", "contiguous"), ("compiled", "channels_last")]


def systems(worker: Path, device: str, precision: str) -> list[System]:
    """PyTorch first: it makes the weights."""
    modes = [peer(f"{mode}, {layout}", "pytorch", mode, layout, device, precision) for mode, layout in MODES]
    return [*modes, System("ours", (str(worker), precision, str(NETS)))]


def measure(chosen: argparse.Namespace, precision: str, net: str, folder: Path) -> list[list[str]]:
    """Rows of the table: one for training, one for inference."""
    weights, data = folder / "weights.safetensors", folder / "data.safetensors"
    rows = []
    cpus = sorted(os.sched_getaffinity(0))
    with running(systems(chosen.worker.resolve(), chosen.device, precision), cpus, folder / "errors.txt") as contestants:
        first, *_, ours = contestants
        module = export(ours, net, folder)
        exported = Exported.of(**module)
        save_file(exported.random_batch(chosen.batch), data)
        common = {"net": net, "exported": module, "batch": chosen.batch, "rate": RATE, "data": str(data)}
        first.ask("load", **common)
        first.ask("train", repeats=3)
        first.ask("save", path=str(weights))
        for contestant in contestants:
            contestant.ask("load", **common, weights=str(weights))
        if precision == "full":
            logits = check_logits(contestants)
            print(f"  logits differ by {max(logits.values()):.1e}", file=sys.stderr)
            truth = exported.step(weights, data, RATE)
            steps = check_training_step(len(MODES), contestants, weights, folder, truth)
            print(f"  steps differ by {max(steps.values()):.1e}", file=sys.stderr)
        names = [contestant.name for contestant in contestants]
        for title, work in (("training step", TRAIN), ("inference", INFER)):
            times = interleaved(contestants, work, chosen.rounds, 0.3)
            medians = {name: Spread.of(times[name]).median for name in names}
            rows.append(
                [f"{TITLES[net]}, {title}, {precision}"]
                + [milliseconds(medians[name]) for name in names]
                + [ratio_cell(ratio(times, name, "ours")) for name in names[:-1]]
            )
            print(" | ".join(rows[-1]), flush=True)
    return rows


def gpu_name(device: str) -> str:
    if device == "cpu":
        return "no GPU"
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def write(table: Table) -> None:
    text = NOTES.read_text()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{NOTES} has no lines `{BEGIN}` and `{END}`")
    NOTES.write_text(f"{head}{BEGIN}\n\n{table.markdown()}\n\n{END}{tail}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worker", type=Path, help="the built gpu_worker")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device", default="cuda:0", help="PyTorch's")
    parser.add_argument("--precision", choices=["full", "tf32"], nargs="+", default=["full", "tf32"])
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    import torch

    modes = [f"{mode}, {layout}" for mode, layout in MODES]
    columns = [f"work, batch {chosen.batch}", *(f"PyTorch {mode} (ms)" for mode in modes), "ours (ms)"]
    columns += [f"to {mode}" for mode in modes]
    table = Table(f"On {gpu_name(chosen.device)}", columns)
    table.notes.append(
        f"Ratios above 1 mean that ours is faster; medians and quartiles of {chosen.rounds} interleaved rounds. PyTorch "
        f"{torch.__version__}, CUDA {torch.version.cuda}, cuDNN's benchmark mode."
    )
    with tempfile.TemporaryDirectory() as folder:
        try:
            for precision in chosen.precision:
                for net in TITLES:
                    table.rows += measure(chosen, precision, net, Path(folder))
        except (ContestantError, Disagreement) as error:
            print(f"error: {error}", file=sys.stderr)
            log = Path(folder) / "errors.txt"
            if log.exists():
                print(log.read_text()[-2000:], file=sys.stderr)
            return 1
    print(table.text())
    if chosen.write:
        write(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())

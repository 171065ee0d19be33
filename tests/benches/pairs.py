#!/usr/bin/env python3
"""Compares two builds of KSDSL's worker on networks of nets.ksn: the time of the first over that of the second.

    cargo build --release -p ksdsl-benches    # at either commit; copy target/release/bench_worker away
    pip install onnx safetensors numpy
    python tests/benches/pairs.py WORKER_BEFORE WORKER_AFTER mobilenet_v2:1 mobilenet_v2:8 mobilenet_v2:train:8

Each argument after the workers is a network and a batch: of inference, or of a training step with `train`. Both run in
alternating turns, as in peers.py, with random weights.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from suite.contestant import INFER, NETS, TRAIN, System, Work, running
from suite.measure import interleaved, ratio
from suite.report import Table, machine, milliseconds, ratio_cell
from suite.tables import RATE


def row(text: str) -> tuple[str, Work, int]:
    """A network, what it does, and the batch."""
    net, *work, batch = text.split(":")
    if work not in ([], ["train"]):
        raise ValueError
    return net, TRAIN if work else INFER, int(batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("rows", nargs="+", type=row, metavar="NET[:train]:BATCH")
    parser.add_argument("--rounds", type=int, default=11, help="pairs of turns of each row (11)")
    parser.add_argument("--cpus", type=lambda text: [int(cpu) for cpu in text.split(",")], default=[0, 1])
    chosen = parser.parse_args()
    systems = [System(name, (str(getattr(chosen, name).resolve()), str(NETS))) for name in ("before", "after")]
    table = Table("Before and after", ["network", "work", "before (ms)", "after (ms)", "before / after (quartiles)"])
    with tempfile.TemporaryDirectory(prefix="ksdsl-benchmarks-") as folder:
        for net, work, batch in chosen.rows:
            with running(systems, chosen.cpus, Path(folder) / "errors.txt") as contestants:
                for contestant in contestants:
                    contestant.ask("load", net=net, batch=batch, rate=RATE)
                times = interleaved(contestants, work, chosen.rounds, 0.3)
            name = "inference" if work == INFER else "training step"
            medians = [milliseconds(statistics.median(times[system.name])) for system in systems]
            table.rows.append([net, f"{name}, {batch}", *medians, ratio_cell(ratio(times, "before", "after"))])
    table.notes.append(f"{chosen.rounds} rounds.")
    print(f"{machine(chosen.cpus)}\n\n{table.markdown()}")


if __name__ == "__main__":
    main()

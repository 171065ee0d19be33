#!/usr/bin/env python3
"""Benchmarks KSDSL against PyTorch, ONNX Runtime and OpenVINO on the same CPUs.

    cargo build --release -p ksdsl-benches
    pip install torch onnxruntime onnx openvino safetensors numpy
    python tests/benches/peers.py

Every system runs the same networks with the same weights in a process of its own, with as
many threads as CPUs, and runs only in its turns; the rest of the time it is stopped. That
all compute the same is checked before anything is timed.
"""

import argparse
import dataclasses
import os
import signal
import sys
import tempfile
from pathlib import Path

from suite.contestant import ContestantError
from suite.measure import Disagreement
from suite.report import Table, machine, replace_section
from suite.tables import FURTHER, ROWS, Suite, against_peers

ROOT = Path(__file__).resolve().parents[2]
NOTES = ROOT / "docs" / "benchmarks.md"
NAMES = [row.name for row in ROWS] + list(FURTHER)


def options() -> argparse.Namespace:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="only the first table, with few rounds")
    parser.add_argument(
        "--only", action="append", choices=NAMES, metavar="NAME", help=f"one of {', '.join(NAMES)}; can be repeated"
    )
    parser.add_argument(
        "--net", action="append", help="with `--only others`: only this network of nets.ksn; can be repeated"
    )
    parser.add_argument("--rounds", type=int, help="rounds of the first table (9; 3 with --quick)")
    parser.add_argument(
        "--no-compile", dest="compile", action="store_false", help="without torch.compile, which takes minutes a network"
    )
    parser.add_argument("--cpus", type=cpus, default=default_cpus(), help="the CPUs to use, such as 0,1")
    parser.add_argument("--worker", type=Path, default=target / "release" / "bench_worker", help="KSDSL's worker")
    parser.add_argument("--write", action="store_true", help=f"write the tables to {NOTES.relative_to(ROOT)}")
    return parser.parse_args()


def cpus(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def default_cpus() -> list[int]:
    return sorted(os.sched_getaffinity(0))[:2]


def main() -> int:
    chosen = options()
    # As when it is interrupted: the contestants are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if not chosen.worker.exists():
        print(f"error: {chosen.worker} does not exist: build it first (see --help)", file=sys.stderr)
        return 2
    heading = machine(chosen.cpus)
    print(heading)
    with tempfile.TemporaryDirectory(prefix="ksdsl-benchmarks-") as folder:
        suite = Suite(
            worker=chosen.worker.resolve(),
            cpus=chosen.cpus,
            folder=Path(folder),
            rounds=chosen.rounds or (3 if chosen.quick else 9),
            turn=0.15 if chosen.quick else 0.3,
            compile=chosen.compile,
            nets=chosen.net,
        )
        try:
            tables = measure(suite, chosen)
        except (ContestantError, Disagreement) as error:
            print(f"error: {error}", file=sys.stderr)
            log = Path(folder) / "errors.txt"
            if log.exists():
                print(log.read_text()[-2000:], file=sys.stderr)
            return 1
    if chosen.write:
        replace_section(NOTES, "\n\n".join([heading, *(table.markdown() for table in tables)]))
    return 0


def measure(suite: Suite, chosen: argparse.Namespace) -> list[Table]:
    """Measures what was chosen and prints each table as soon as it is there."""
    names = chosen.only or (NAMES if not chosen.quick else [row.name for row in ROWS] + ["memory"])
    columns = ["work", "ours (ms)", "best (ms)", "of", "ratio (quartiles)"]
    summary = Table("Ours and the fastest peer", columns)
    tables = []
    for row in ROWS:
        if row.name in names:
            print(f"\n{row.title}", file=sys.stderr)
            line, table = against_peers(suite, row)
            summary.rows.append(line)
            tables.append(table)
            print(f"\n{table.text()}", flush=True)
    if summary.rows:
        tables.insert(0, summary)
        print(f"\n{summary.text()}", flush=True)
    fewer = dataclasses.replace(suite, rounds=max(3, suite.rounds // 2))
    for name, table_of in FURTHER.items():
        if name in names:
            print(f"\n{name}", file=sys.stderr)
            table = table_of(fewer)
            tables.append(table)
            print(f"\n{table.text()}", flush=True)
    return tables


if __name__ == "__main__":
    sys.exit(main())

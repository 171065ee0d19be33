#!/usr/bin/env python3
"""Decoding at batch 1: tokens per second of a net of MobileLLM's shape, ours and those of peers.

    cargo build --release -p ksdsl --example decode_worker
    pip install torch numpy onnxscript onnxruntime xllamacpp gguf
    python tests/benches/decode.py
    python tests/benches/decode.py --peers pytorch      some peers, or none

The weights are random. Ours is measured unshared, and with blocks that are visited 2, 8 and 16 times in a row, at equal
depth, with weights in f32, bf16 and int8; PyTorch unshared and with 16 visits; ONNX Runtime with the caches as inputs and
outputs, and llama.cpp (xllamacpp) in F32 and Q8_0, unshared. Every system runs in a process of its own, with as many threads
as CPUs, and only in its turns.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
from pathlib import Path

from suite.contestant import Contestant, ContestantError, System, running
from suite.measure import Spread, interleaved
from suite.report import Table, ratio_cell

ROOT = Path(__file__).resolve().parents[2]
NET = ROOT / "tests" / "nets" / "known" / "mobilellm.ksn"
VISITS = [1, 2, 8, 16]
PEERS = ["pytorch", "onnxruntime", "llama.cpp"]
# With their bytes per weight.
WEIGHTS = {"f32": 4, "bf16": 2, "int8": 1}
# Of a layer: queries and outputs, keys and values, gate, up and down; then the head, which is the embedding.
WIDTH, KEYS, HIDDEN, VOCABULARY = 576, 192, 1536, 32000
LAYER_BYTES = 4 * WIDTH * (2 * WIDTH + 2 * KEYS + 3 * HIDDEN)
HEAD_BYTES = 4 * WIDTH * VOCABULARY


def options() -> argparse.Namespace:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--depth", type=int, default=32, help="layers of all nets; a multiple of 16")
    parser.add_argument("--prompt", type=int, default=32, help="tokens before those that are measured")
    parser.add_argument("--length", type=int, default=160, help="tokens of a sequence")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--turn", type=float, default=0.5, help="seconds of a turn")
    parser.add_argument("--cpus", type=cpus, default=sorted(os.sched_getaffinity(0))[:2], help="such as 0,1")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--compiled", action="store_true", help="torch.compile, too, which takes minutes at the start")
    parser.add_argument("--worker", type=Path, default=target / "release" / "examples" / "decode_worker")
    return parser.parse_args()


def cpus(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def name_of(visits: int) -> str:
    return "unshared" if visits == 1 else f"{visits} visits in a row"


def systems(chosen: argparse.Namespace) -> list[System]:
    lengths = (str(chosen.prompt), str(chosen.length))
    all_of_them = []
    for weights in WEIGHTS:
        for visits in VISITS:
            depth = chosen.depth // visits
            command = (str(chosen.worker.resolve()), str(NET), "mobilellm_125m", *lengths, weights, f"depth={depth}", f"visits={visits}")
            all_of_them.append(System(f"ours, {weights}, {name_of(visits)}", command))
    depth = str(chosen.depth)

    def add(name: str, module: str, *more: str) -> None:
        all_of_them.append(System(name, (sys.executable, "-m", f"suite.{module}", *more, *lengths)))

    if "pytorch" in chosen.peers:
        for mode in ["eager", "compiled"] if chosen.compiled else ["eager"]:
            for visits in (1, 16):
                add(f"PyTorch {mode}, {name_of(visits)}", "decode_peer", mode, depth, str(visits))
    if "onnxruntime" in chosen.peers:
        add("ONNX Runtime", "onnx_decode_peer", depth)
    if "llama.cpp" in chosen.peers:
        add("llama.cpp, F32", "llama_peer", "f32", depth)
        add("llama.cpp, Q8_0", "llama_peer", "q8_0", depth)
    return all_of_them


def main() -> int:
    chosen = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if not chosen.worker.exists():
        print(f"error: {chosen.worker} does not exist: build it first (see --help)", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="ksdsl-decode-") as folder:
        log = Path(folder) / "errors.txt"
        # Peers are killed in the end, and do not remove what they wrote.
        os.environ["TMPDIR"] = folder
        try:
            with running(systems(chosen), chosen.cpus, log) as contestants:
                print(table(contestants, chosen).markdown())
        except ContestantError as error:
            print(f"error: {error}\n{log.read_text()[-2000:]}", file=sys.stderr)
            return 1
    return 0


def share_of(name: str) -> float:
    """The bytes of a weight beside those of an f32."""
    known = {f", {weights},": size for weights, size in WEIGHTS.items()}
    # Blocks of 32 integers of 8 bits with a factor of 16 bits.
    known["Q8_0"] = 34 / 32
    return next((size / 4 for part, size in known.items() if part in name), 1)


def table(contestants: list[Contestant], chosen: argparse.Namespace) -> Table:
    """The times of a token, in turns."""
    times = interleaved(contestants, {"command": "decode"}, chosen.rounds, chosen.turn)
    bytes_of_token = chosen.depth * LAYER_BYTES + HEAD_BYTES
    first = contestants[0].name
    rows = []
    for name, seconds in times.items():
        spread = Spread.of(seconds)
        faster = Spread.of([theirs / own for theirs, own in zip(times[first], seconds, strict=True)])
        rows.append(
            [
                name,
                f"{1 / spread.median:.1f}",
                f"{1e3 * spread.median:.2f} ({1e3 * spread.low:.2f} to {1e3 * spread.high:.2f})",
                ratio_cell(faster),
                f"{bytes_of_token * share_of(name) / statistics.median(seconds) / 1e9:.1f}",
            ]
        )
    title = f"Decoding, batch 1, {chosen.depth} layers of MobileLLM's shape, {len(chosen.cpus)} threads"
    columns = ["system", "tokens/s", "ms per token", "times as fast as ours, unshared", "GB/s of weights"]
    note = f"{bytes_of_token / 1e6:.0f} MB of weights in f32 are read for each token, of which {HEAD_BYTES / 1e6:.0f} MB are the head."
    return Table(title, columns, rows, [note])


if __name__ == "__main__":
    sys.exit(main())

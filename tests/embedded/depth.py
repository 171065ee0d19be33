#!/usr/bin/env python3
"""Flash and RAM of `depth.ksn` in 8 bits on a Cortex-M4, by depth: with nothing shared, with shared kernels, and with
shared norms, too.

    cargo build -p ksdsl --bin ksn
    python3 tests/embedded/depth.py [--ksn target/debug/ksn]

Writes tests/embedded/depth.csv and docs/book/src/pictures/flash-by-depth.svg. Each network trains for one epoch of a few
images, for weights to write: bytes do not depend on their values. Needs gcc-arm-none-eabi.
"""

import argparse
import csv
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CSV = ROOT / "tests/embedded/depth.csv"
SVG = ROOT / "docs/book/src/pictures/flash-by-depth.svg"
DEPTHS = [2, 4, 8, 16, 32]
KINDS = {
    "nothing shared": ["share_kernels=false"],
    "shared kernels, private norms": ["share_kernels=true"],
    "shared kernels and norms": ["share_kernels=true", "share_norms=true"],
}
COLOURS = ["#b3402a", "#2a6fb3", "#2a8f5a"]
FLAGS = ["-std=c99", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-Os"]


def run(*command: object) -> str:
    return subprocess.run([str(it) for it in command], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def measured(ksn: Path, settings: list[str], depth: int) -> list[int]:
    """Flash, RAM and the part of flash that is code."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = [it for setting in [*settings, f"depth={depth}"] for it in ("--set", setting)]
        net = ROOT / "tests/embedded/depth.ksn"
        run(ksn, "train", net, *chosen, "--data", "digits", "--epochs", 1, "--images", 32, "--out", folder)
        trained = next(Path(folder).glob("*/run.json")).parent
        source = Path(folder) / "mixer.c"
        run(ksn, "quantize", trained, "-o", source, "--images", 32)
        run("arm-none-eabi-gcc", *FLAGS, "-c", source, "-o", source.with_suffix(".o"))
        rows = run("arm-none-eabi-size", "-A", source.with_suffix(".o")).splitlines()
    sections = {it[0]: int(it[1]) for it in map(str.split, rows) if len(it) > 1 and it[0].startswith(".")}
    size = lambda *names: sum(size for name, size in sections.items() if name.startswith(names))
    return [size(".text", ".rodata", ".data"), size(".data", ".bss"), size(".text")]


def picture(rows: list[tuple[str, int, list[int]]]) -> str:
    """Flash against depth, a line for each kind."""
    left, top, width, height = 70, 20, 470, 260
    most = max(numbers[0] for _, _, numbers in rows)
    step = next(it for it in (10, 20, 25, 50, 100) if it * 1024 * 6 > most)
    end = step * 1024 * -(-most // (step * 1024))
    x = lambda depth: left + width * depth / DEPTHS[-1]
    y = lambda flash: top + height * (1 - flash / end)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 30} {top + height + 50}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{left + width + 30}" height="{top + height + 50}" fill="white"/>',
    ]
    for mark in range(0, end // 1024 + 1, step):
        at = y(mark * 1024)
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{mark} KiB</text>')
    for depth in DEPTHS:
        parts.append(f'<text x="{x(depth):.1f}" y="{top + height + 18}" text-anchor="middle">{depth}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">depth</text>')
    for at, (kind, colour) in enumerate(zip(KINDS, COLOURS)):
        points = [(x(depth), y(numbers[0])) for name, depth, numbers in rows if name == kind]
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in points]
        parts.append(f'<text x="{left + 12}" y="{top + 16 + 18 * at}" fill="{colour}">{kind}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ksn", type=Path, default=ROOT / "target/debug/ksn")
    ksn = parser.parse_args().ksn.resolve()
    rows = [(kind, depth, measured(ksn, settings, depth)) for kind, settings in KINDS.items() for depth in DEPTHS]
    with CSV.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["shared", "depth", "flash", "ram", "code"])
        writer.writerows([kind, depth, *numbers] for kind, depth, numbers in rows)
    SVG.parent.mkdir(exist_ok=True)
    SVG.write_text(picture(rows))
    for kind, depth, numbers in rows:
        print(f"{kind:32} {depth:3} flash {numbers[0]:7} RAM {numbers[1]:6} code {numbers[2]:6}")


if __name__ == "__main__":
    main()

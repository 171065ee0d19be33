"""Tables for the terminal and for the benchmark notes."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass, field
from datetime import date
from importlib import metadata
from pathlib import Path

from .measure import Spread


@dataclass
class Table:
    """A table with a heading and remarks below it."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For the terminal: the first column to the left, numbers to the right."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows)]
        rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [self.title, rule, self.line(self.columns, widths), rule]
        lines += [self.line(row, widths) for row in self.rows]
        return "\n".join([*lines, rule, *self.notes])

    @staticmethod
    def line(cells: list[str], widths: list[int]) -> str:
        first, *others = (
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join([first, *others])

    def markdown(self) -> str:
        head = [self.columns, ["---"] + ["---:"] * (len(self.columns) - 1)]
        escaped = [[cell.replace("|", "\\|") for cell in row] for row in self.rows]
        lines = [f"| {' | '.join(row)} |" for row in head + escaped]
        return "\n\n".join([f"### {self.title}", "\n".join(lines), *self.notes])


def milliseconds(seconds: float) -> str:
    """Three significant digits."""
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def megabytes(size: float) -> str:
    return f"{size / 1e6:.0f}"


def ratio_cell(spread: Spread) -> str:
    """The median and the quartiles."""
    return f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f})"


def machine(cpus: list[int]) -> str:
    """The machine and the versions of everything, in a paragraph."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    flags = Path("/proc/cpuinfo").read_text()
    vectors = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "no AVX2")
    versions = [f"{name} {metadata.version(package)}" for name, package in PACKAGES.items()]
    return (
        f"{date.today().isoformat()}, {model[1] if model else platform.machine()} with {vectors}, "
        f"{os.cpu_count()} CPUs, {len(cpus)} used; {rustc()}, Python {platform.python_version()}, "
        f"{', '.join(versions)}; load average at the start {os.getloadavg()[0]:.1f}."
    )


PACKAGES = {"PyTorch": "torch", "ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}


def rustc() -> str:
    version = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout
    return " ".join(version.split()[:2])


BEGIN, END = "<!-- peers.py: begin -->", "<!-- peers.py: end -->"


def replace_section(path: Path, section: str) -> None:
    """Puts `section` between the two markers of the file."""
    text = path.read_text()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} has no lines `{BEGIN}` and `{END}`")
    path.write_text(f"{head}{BEGIN}\n\n{section}\n\n{END}{tail}")

"""The section of the page of `parity.py` that `deep.py` writes: the errors of deep networks in single precision."""

import statistics
from dataclasses import dataclass
from pathlib import Path

from measure import Error
from table import number, table

TITLE = "## Deep networks with batch norms"

TEXT = """\
{title}

This section gives the gradient errors of the networks of `tests/parity/deep.ksn` at initialisation, for {batch} random images
of 64x64 pixels, one training pass per seed, on {level}. `tests/parity/deep.py` generates it. The error is that of single
precision relative to PyTorch's double precision: the largest error of the worst tensor, relative to the tensor's largest
gradient. Rounding decides whether a value near zero passes a ReLU; one such value changes a gradient that sums few values
by per cents. Such passes are outliers in either system, and their number varies by chance.

"""


@dataclass(frozen=True)
class Seed:
    """What one case of a network gave: the errors of the logits and of the gradients, from double precision."""

    logits_theirs: float
    logits_ours: float
    theirs: Error
    ours: Error


def section(results: dict[str, list[Seed]], batch: int, level: str) -> str:
    head = ["network", "seeds", "logits, PyTorch", "logits, ours"]
    head += ["median, PyTorch", "median, ours", "largest, PyTorch", "largest, ours"]
    rows = []
    for name, found in results.items():
        logits = [[seed.logits_theirs for seed in found], [seed.logits_ours for seed in found]]
        errors = [[seed.theirs.tensor for seed in found], [seed.ours.tensor for seed in found]]
        numbers = [statistics.median(values) for values in logits + errors] + [max(values) for values in errors]
        rows.append([f"`{name}`", str(len(found)), *map(number, numbers)])
    text = TEXT.format(title=TITLE, batch=batch, level=level)
    return text + table(head, rows)


def split(page: str) -> tuple[str, str]:
    """The page without the section, and the section, which is the last."""
    before, title, section = page.partition(TITLE)
    return before, title + section


def keep_section(path: Path, page: str) -> str:
    """The page with the section of the file."""
    section = split(path.read_text())[1] if path.exists() else ""
    return page + ("\n" + section if section else "")


def put_section(path: Path, section: str) -> None:
    """Replaces the section of the file."""
    before = split(path.read_text())[0]
    path.write_text(before.rstrip("\n") + "\n\n" + section)

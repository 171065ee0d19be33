"""The sections of the page of `parity.py` that other scripts write, and that of `deep.py`: the errors of deep networks in
single precision."""

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

from measure import Error
from table import number, table

TITLE = "## Deep networks with batch norms"
KNOWN_TITLE = "## Networks of the literature"
LANGUAGE_TITLE = "## Language models"

TEXT = """\
{title}

This section gives the gradient errors of the networks of `tests/parity/deep.ksn` at initialisation, for {batch} random images
of 64x64 pixels, one training pass per seed, on {level}. `tests/parity/deep.py` generates it. The error is that of single
precision relative to PyTorch's double precision: the largest error of the worst tensor, relative to the tensor's largest
gradient. Rounding decides whether a value near zero passes a ReLU; one such value changes a gradient that sums few values
by per cents. Such passes are outliers in either system, and their number varies by chance.
*Flips* counts these values over all seeds: those that a ReLU passes in single precision and not in double, or the
reverse. (Choices of a max pool between values that are equal but for rounding have the same effect and are not counted.)

"""


@dataclass(frozen=True)
class Side:
    """A system in single precision: the errors of its logits and of its gradients, from double precision, and how many
    values pass a ReLU in one precision and not in the other."""

    logits: float
    gradients: Error
    flips: int


@dataclass(frozen=True)
class Seed:
    """What one case of a network gave, and how many values its ReLUs see."""

    relus: int
    theirs: Side
    ours: Side

    @staticmethod
    def load(path: Path) -> "Seed":
        values = json.loads(path.read_text())
        sides = {key: Side(**values[key] | {"gradients": Error(**values[key]["gradients"])}) for key in ("theirs", "ours")}
        return Seed(values["relus"], **sides)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)))


def section(results: dict[str, list[Seed]], batch: int, level: str) -> str:
    head = ["network", "seeds", "values of ReLUs", "flips, PyTorch", "flips, ours", "logits, PyTorch", "logits, ours"]
    head += ["median, PyTorch", "median, ours", "largest, PyTorch", "largest, ours"]
    rows = []
    for name, found in results.items():
        sides = [[seed.theirs for seed in found], [seed.ours for seed in found]]
        logits = [[side.logits for side in seeds] for seeds in sides]
        errors = [[side.gradients.tensor for side in seeds] for seeds in sides]
        numbers = [statistics.median(values) for values in logits + errors] + [max(values) for values in errors]
        counts = [len(found), sum(seed.relus for seed in found), *(sum(side.flips for side in seeds) for seeds in sides)]
        rows.append([f"`{name}`", *(f"{count:,}" for count in counts), *map(number, numbers)])
    text = TEXT.format(title=TITLE, batch=batch, level=level)
    return text + table(head, rows)


def split(page: str, title: str) -> tuple[str, str, str]:
    """The page before a section, the section, and what follows it; the page alone if it has no such section."""
    before, found, rest = page.partition(title)
    text, following, after = rest.partition("\n## ")
    return before, found + text, (following + after).lstrip("\n")


def keep_section(path: Path, page: str) -> str:
    """The page with the sections of the file that other scripts write."""
    old = path.read_text() if path.exists() else ""
    sections = [split(old, title)[1] for title in (TITLE, KNOWN_TITLE, LANGUAGE_TITLE)]
    return "\n".join([page, *(section.rstrip("\n") + "\n" for section in sections if section)])


def put_section(path: Path, section: str, title: str) -> None:
    """Replaces the section of the file with this title."""
    before, _, after = split(path.read_text(), title)
    path.write_text(before.rstrip("\n") + "\n\n" + section.rstrip("\n") + "\n" + ("\n" + after if after else ""))

"""How far two outcomes of one case lie apart, and how far they may."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from networks import Tensors

# What may differ as a part of the largest value: in one pass, and after ten steps of SGD and of AdamW.
TOLERANCES = {"f32": (1e-5, 1e-4, 1e-3), "f64": (1e-10, 1e-10, 1e-8)}
# Where terms nearly cancel, a precision knows less than its tolerance of a sum, and ten steps may make much of
# rounding. So many times what PyTorch itself is off by is then no difference: in one pass in single precision
# from double precision, after the steps from where it gets with the last bits of the first weights changed.
ROUNDING = 4
# A gradient below this part of the largest of all is zero but for rounding, such as that of a bias, or nearly
# that of a factor, before a batch norm. It is compared with the largest of all, and what it does to its
# tensor in ten steps is not compared.
ZERO = {"f32": 1e-6, "f64": 1e-10}
# Kinds of tensors after the steps of an optimiser.
STEPPED = ("sgd", "adamw")


@dataclass(frozen=True)
class Error:
    """The distance of the gradients of two passes."""

    # Of all gradients as one vector: its Euclidean norm, as a part of that of the vector.
    norm: float
    # The largest difference of all, as a part of the largest gradient of all.
    largest: float
    # The same for each tensor by itself: the worst, as a part of the tensor's largest gradient.
    tensor: float


@dataclass(frozen=True)
class Measures:
    """What a comparison of a network in one precision found."""

    name: str
    precision: str
    parameters: int
    # Differences between us and PyTorch as parts of the largest value of a tensor, the worst of all tensors.
    inference: float
    logits: float
    loss: float
    statistics: float
    sgd: float | None
    adamw: float | None
    gradient: Error
    # How far PyTorch's tensors lie apart after the steps if the last bits of the first weights change; where
    # the differences made that a question.
    apart_sgd: float | None
    apart_adamw: float | None
    # From PyTorch's gradients in double precision: its own in single precision, ours, and ours without Winograd.
    theirs: Error | None
    ours: Error | None
    direct: Error | None
    # What is out of tolerance, with its place.
    bad: list[str]

    @staticmethod
    def load(path: Path) -> "Measures":
        values = json.loads(path.read_text())
        for key in ("gradient", "theirs", "ours", "direct"):
            values[key] = values[key] and Error(**values[key])
        return Measures(**values)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.{self.precision}.json").write_text(json.dumps(asdict(self)))


class Judge:
    """Compares outcomes of one case. `exact` is PyTorch's pass in double precision, `apart` how far its tensors
    lie from those of cases nearby."""

    def __init__(self, precision: str, exact: Tensors, apart: dict[str, float] | None):
        self.exact = exact
        self.apart = apart
        self.keys = [key for key in exact if key.startswith("gradient.")]
        self.steepest = max(largest(exact[key]) for key in self.keys)
        least = ZERO[precision] * self.steepest
        self.zero = {tensor(key) for key in self.keys if largest(exact[key]) < least}

    def scale(self, key: str, value: torch.Tensor) -> float:
        """What a difference from a value is a part of."""
        return self.steepest if tensor(key) in self.zero else largest(value) or 1.0

    def gradients(self, found: Tensors, right: Tensors) -> Error:
        differences = {key: found[key] - right[key] for key in self.keys}
        return Error(
            norm=norm(differences.values()) / norm(right[key] for key in self.keys),
            largest=max(map(largest, differences.values())) / self.steepest,
            tensor=max(largest(value) / self.scale(key, right[key]) for key, value in differences.items()),
        )

    def worst(self, kind: str, ours: Tensors, theirs: Tensors, allowing: bool = False) -> tuple[float, str]:
        """The largest difference of the tensors of a kind, and where it is; `allowing` for rounding."""
        found = [(0.0, "")]
        for key in self.of(kind, theirs):
            difference = largest(ours[key] - theirs[key]) / self.scale(key, theirs[key])
            if allowing:
                difference -= ROUNDING * self.rounding(kind, key, theirs)
            found.append((difference, key))
        return max(found)

    def of(self, kind: str, tensors: Tensors) -> list[str]:
        """The keys of a kind, without those that steps of rounding change."""
        keys = [key for key in tensors if key.partition(".")[0] == kind]
        return [key for key in keys if not (kind in STEPPED and tensor(key) in self.zero)]

    def rounding(self, kind: str, key: str, theirs: Tensors) -> float:
        """What PyTorch itself is off by, as a part of the tensor's largest value."""
        if kind in STEPPED:
            return self.furthest(kind, theirs) or 0.0
        nearby = self.apart[key] if self.apart else 0.0
        return max(nearby, largest(theirs[key] - self.exact[key])) / self.scale(key, theirs[key])

    def furthest(self, kind: str, theirs: Tensors) -> float | None:
        """How far PyTorch's tensors of a kind lie from those of cases nearby: the worst, since a ReLU that one
        start passes and another does not moves any of them."""
        if self.apart is None:
            return None
        return max(self.apart[key] / self.scale(key, theirs[key]) for key in self.of(kind, theirs))


@dataclass(frozen=True)
class Outcomes:
    """What the sides make of a case. Whether it has steps; what PyTorch and we make of it; the pass of PyTorch in
    double precision; in single precision ours without Winograd; how far cases nearby lie apart in PyTorch, where
    that is asked."""

    stepped: bool
    theirs: Tensors
    ours: Tensors
    exact: Tensors
    direct: Tensors | None
    apart: dict[str, float] | None = None

    def measure(self, name: str, precision: str) -> Measures:
        """All measures."""
        self.check()
        judge = Judge(precision, self.exact, self.apart)
        kinds = ["inference", "logits", "loss", "statistics", *(STEPPED if self.stepped else ())]
        worst = {kind: judge.worst(kind, self.ours, self.theirs) for kind in kinds}
        gradient = judge.gradients(self.ours, self.theirs)
        own = judge.gradients(self.theirs, self.exact)
        one_pass, sgd, adamw = TOLERANCES[precision]
        limits = {"sgd": sgd, "adamw": adamw}
        checked = {kind: judge.worst(kind, self.ours, self.theirs, allowing=True) for kind in [*kinds, "gradient"]} | {
            "norm": (gradient.norm - ROUNDING * own.norm, "all gradients as one vector"),
            "largest": (gradient.largest - ROUNDING * own.largest, "the largest gradient"),
        }
        return Measures(
            name=name,
            precision=precision,
            parameters=sum(self.exact[key].numel() for key in judge.keys),
            **(dict.fromkeys(STEPPED) | {kind: error for kind, (error, _) in worst.items()}),
            **{f"apart_{kind}": judge.furthest(kind, self.theirs) if self.stepped else None for kind in STEPPED},
            gradient=gradient,
            theirs=own if precision == "f32" else None,
            ours=judge.gradients(self.ours, self.exact) if precision == "f32" else None,
            direct=judge.gradients(self.direct, self.exact) if self.direct else None,
            bad=[f"{error:.1e} at {key}" for kind, (error, key) in checked.items() if error > limits.get(kind, one_pass)],
        )

    def check(self) -> None:
        """Both sides have the same tensors, of numbers."""
        assert self.ours.keys() == self.theirs.keys(), self.ours.keys() ^ self.theirs.keys()
        for key, value in self.theirs.items():
            assert self.ours[key].shape == value.shape, key
            assert self.ours[key].isfinite().all() and value.isfinite().all(), f"{key}: no numbers"


def tensor(key: str) -> str:
    return key.partition(".")[2]


def largest(value: torch.Tensor) -> float:
    return value.abs().max().item()


def norm(values: Iterable[torch.Tensor]) -> float:
    return sum(value.square().sum().item() for value in values) ** 0.5

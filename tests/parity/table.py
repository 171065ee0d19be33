"""The results of a comparison as a page."""

import statistics
from pathlib import Path

from measure import Measures

INTRODUCTION = """\
# Parity with PyTorch

This page compares the networks of `tests/parity/nets.csv` on both sides, with the same random weights and the same
two images: the model that KSDSL generates (dfdx, our kernels, on a CPU) and the module of `ksn export pytorch`
(PyTorch {torch} on a CPU). `tests/parity/parity.py` generates it, with torch, numpy and safetensors:

```sh
python tests/parity/parity.py --table docs/parity.md
```

Every difference is relative to the largest value of its tensor. Of several tensors the worst counts.

| column | comparison |
| --- | --- |
| inference, logits, loss | outputs in inference mode; logits and loss of a training pass |
| gradients (L2) | all gradients as one vector: the relative Euclidean norm of the difference |
| gradients (largest) | the largest difference relative to the largest gradient of the network |
| gradients (tensor) | the worst tensor: its largest difference relative to its largest gradient |
| statistics | running statistics after the pass |
| SGD, AdamW | all tensors after ten steps, with momentum and weight decay; empty if not run |

A gradient that is zero except for rounding (less than 1e-6 of the network's largest in single precision, 1e-10 in
double), such as that of a bias before a batch norm, is compared relative to the network's largest gradient, and its
parameter is excluded from the optimiser columns.
"""

DOUBLE = """\
## Double precision

In double precision rounding hides no difference between the two sides.

{summary}
"""

SINGLE = """\
## Single precision

{summary}

In networks with ReLU, the parameters of norms (or the biases of convolutions without a norm) keep the inputs of ReLUs
away from zero. Otherwise rounding decides whether a value near zero passes a ReLU, and gradients differ by per cents,
also between PyTorch in single and in double precision. The double-precision networks are not adjusted. AdamW's epsilon
is 1e-3 instead of 1e-8, because 1e-8 gives steps of the size of the learning rate however small the gradient.
"""

ROUNDING = """\
## Rounding of both sides

This table gives the errors of single-precision gradients relative to PyTorch's in double precision: PyTorch's, ours, and
ours with all 3x3 convolutions computed directly, without Winograd's algorithm; on the left with all gradients as one
vector, on the right for the worst tensor.

{summary}
"""


def page(measures: list[Measures], missing: list[str], torch_version: str) -> str:
    """The whole page; `missing` was not compared yet."""
    double = [found for found in measures if found.precision == "f64"]
    single = [found for found in measures if found.precision == "f32"]
    return "\n".join(
        [
            INTRODUCTION.format(torch=torch_version) + not_yet(missing),
            DOUBLE.format(summary=double_summary(double)),
            differences(double),
            SINGLE.format(summary=single_summary(single)),
            differences(single),
            ROUNDING.format(summary=rounding_summary(single)),
            rounding(single),
        ]
    )


def double_summary(double: list[Measures]) -> str:
    one_pass = max(max(found.inference, found.logits, found.loss, found.statistics, found.gradient.tensor) for found in double)
    steps = max(max(found.sgd or 0.0, found.adamw or 0.0) for found in double)
    stepped = sum(found.sgd is not None for found in double)
    return (
        f"The {len(double)} networks differ by at most {number(one_pass)} in one pass, and the {stepped} of them that "
        f"took ten steps by at most {number(steps)} after these.{unstable(double)}"
    )


def unstable(measures: list[Measures]) -> str:
    """The networks whose steps make so much of rounding that PyTorch was asked for its own."""
    found = [
        f"`{found.name}` (SGD {number(found.apart_sgd)}, AdamW {number(found.apart_adamw)})"
        for found in measures
        if found.apart_sgd is not None
    ]
    if not found:
        return ""
    return (
        " Some networks amplify rounding in ten steps. There, changing the last bits of the initial weights moves PyTorch's "
        f"own result by: {', '.join(found)}."
    )


def single_summary(single: list[Measures]) -> str:
    def within(measure) -> int:
        return sum(max(found.inference, found.logits, found.loss, measure(found)) <= 1e-5 for found in single)

    def steps(find) -> str:
        return number(max(find(found) or 0.0 for found in single))

    return (
        f"Of {len(single)} networks, logits, loss and gradients agree within 1e-5 for "
        f"{within(lambda found: found.gradient.norm)} with all gradients as one vector, for "
        f"{within(lambda found: found.gradient.largest)} by the largest difference, and for "
        f"{within(lambda found: found.gradient.tensor)} for every tensor by itself. Relative to PyTorch in double "
        f"precision, our single-precision gradients do so for {within(lambda found: found.ours.norm)}, "
        f"{within(lambda found: found.ours.largest)} and {within(lambda found: found.ours.tensor)} networks. After ten "
        f"steps tensors differ by at most {steps(lambda found: found.sgd)} (SGD) and "
        f"{steps(lambda found: found.adamw)} (AdamW). Larger differences are rounding, often more PyTorch's than ours: "
        f"see [below](#rounding-of-both-sides).{unstable(single)}"
    )


def rounding_summary(single: list[Measures]) -> str:
    def mean(values: list[float]) -> str:
        return f"{statistics.geometric_mean(values):.2f}" if values else "no"

    ours = [found.ours.norm / found.theirs.norm for found in single]
    tensor = [found.ours.tensor / found.theirs.tensor for found in single]
    both = [found for found in single if found.direct]
    direct = [(found.ours.norm / found.theirs.norm, found.direct.norm / found.theirs.norm) for found in both]
    worse = [found.name for found in single if found.ours.norm > 2 * found.theirs.norm]
    more = ", ".join(f"`{name}`" for name in worse) or "none"
    return (
        f"In the geometric mean over {len(single)} networks, our error is {mean(ours)} times PyTorch's with all gradients "
        f"as one vector, and {mean(tensor)} times for the worst tensor. For the {len(both)} networks that were also "
        f"computed directly, the first is {mean([ours for ours, _ in direct])} times, and "
        f"{mean([direct for _, direct in direct])} times with direct convolutions. Networks with more than twice PyTorch's "
        f"error as one vector: {more}."
    )


def differences(measures: list[Measures]) -> str:
    head = ["network", "parameters", "inference", "logits", "loss", "gradients (L2)", "gradients (largest)"]
    head += ["gradients (tensor)", "statistics", "SGD", "AdamW"]
    rows = [
        [f"`{found.name}`", f"{found.parameters:,}"]
        + [number(value) for value in (found.inference, found.logits, found.loss)]
        + [number(value) for value in (found.gradient.norm, found.gradient.largest, found.gradient.tensor)]
        + [number(value) for value in (found.statistics, found.sgd, found.adamw)]
        for found in measures
    ]
    return table(head, rows)


def rounding(single: list[Measures]) -> str:
    head = ["network", "PyTorch (L2)", "ours (L2)", "direct (L2)", "PyTorch (tensor)", "ours (tensor)", "direct (tensor)"]
    rows = []
    for found in single:
        errors = (found.theirs, found.ours, found.direct)
        numbers = [error and error.norm for error in errors] + [error and error.tensor for error in errors]
        rows.append([f"`{found.name}`", *map(number, numbers)])
    return table(head, rows)


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(value: float | None) -> str:
    """In two digits; nothing where nothing was compared."""
    if value is None:
        return ""
    return f"{value:.1e}" if value else "0"


def not_yet(missing: list[str]) -> str:
    if not missing:
        return ""
    return f"\nNot compared yet: {', '.join(f'`{name}`' for name in missing)}.\n"


def load(folder: Path, names: list[str], precisions: dict[str, list[str]]) -> tuple[list[Measures], list[str]]:
    """The kept results, in the order of the list, and those that are not there."""
    wanted = [folder / f"{name}.{precision}.json" for name in names for precision in precisions[name]]
    missing = [path.stem.replace(".", " in ") for path in wanted if not path.exists()]
    return [Measures.load(path) for path in wanted if path.exists()], missing

"""The results of a comparison as a page."""

import statistics
from pathlib import Path

from measure import Measures

INTRODUCTION = """\
# Parity with PyTorch

`tests/parity/parity.py` wrote this page. It gives every network of `tests/parity/nets.csv` to both sides, with
the same random weights and the same two images: the model that KSDSL generates (dfdx, our kernels, on a CPU)
and the module of `ksn export pytorch` (PyTorch {torch} on a CPU). To do it again, with torch, numpy and
safetensors:

```sh
python tests/parity/parity.py --table docs/parity.md
```

A difference is a part of the largest value of its tensor; where there are several tensors, the worst counts.

| column | what is compared |
| --- | --- |
| inference, logits, loss | of the mode for inference, and of a training pass |
| gradients (L2) | all gradients as one vector: the Euclidean norm of the difference, as a part of the vector's |
| gradients (largest) | the largest difference of all, as a part of the largest gradient of all |
| gradients (tensor) | the worst tensor by itself: its largest difference, as a part of its largest gradient |
| statistics | running statistics after the pass |
| SGD, AdamW | all tensors after ten steps, with momentum and weight decay; empty where the steps were left out |

A gradient that is zero but for rounding (less than 1e-6 of the largest of all in single precision, 1e-10 in double),
such as that of a bias before a batch norm, is compared with the largest of all, and what the optimisers make of it is
left out.
"""

DOUBLE = """\
## Double precision

Here rounding hides nothing: what remains shows that both sides compute the same.

{summary}
"""

SINGLE = """\
## Single precision

{summary}

In networks with ReLU the norms (where it follows convolutions, their biases) are set so that its inputs keep away
from zero. Otherwise a value that is zero but for rounding passes a ReLU on one side and not on the other, and
gradients differ by per cents, of PyTorch in single precision from PyTorch in double precision too. In double
precision the norms are not set so. AdamW's epsilon is 1e-3 instead of 1e-8, with which its steps have the size of the
rate however small the gradient.
"""

ROUNDING = """\
## Whose rounding

The same gradients in single precision, each from those of PyTorch in double precision: of PyTorch, ours, and
ours with all 3x3 convolutions computed directly, without Winograd's algorithm. On the left all gradients as one
vector, on the right the worst tensor by itself.

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
        f"{len(double)} networks: in one pass nothing differs by more than {number(one_pass)}, after ten steps, "
        f"which {stepped} of them took, by {number(steps)}.{unstable(double)}"
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
        " Some networks make much of rounding in ten steps. So far apart are PyTorch and PyTorch there, if the last bits "
        f"of the first weights change: {', '.join(found)}."
    )


def single_summary(single: list[Measures]) -> str:
    def within(measure) -> int:
        return sum(max(found.inference, found.logits, found.loss, measure(found)) <= 1e-5 for found in single)

    def steps(find) -> str:
        return number(max(find(found) or 0.0 for found in single))

    return (
        f"Of {len(single)} networks, logits, loss and gradients are within 1e-5 for "
        f"{within(lambda found: found.gradient.norm)} with all gradients as one vector, for "
        f"{within(lambda found: found.gradient.largest)} by the largest difference of all, and for "
        f"{within(lambda found: found.gradient.tensor)} with every tensor by itself. Our gradients in single precision "
        f"compared with those of PyTorch in double precision, it is {within(lambda found: found.ours.norm)} and "
        f"{within(lambda found: found.ours.largest)} and {within(lambda found: found.ours.tensor)}. After ten steps "
        f"tensors differ by {steps(lambda found: found.sgd)} (SGD) and {steps(lambda found: found.adamw)} (AdamW) at "
        f"most. What keeps the others from the last is rounding, and often more that of PyTorch than ours: "
        f"[below](#whose-rounding).{unstable(single)}"
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
        f"As geometric means over {len(single)} networks, our error is {mean(ours)} times PyTorch's as one vector and "
        f"{mean(tensor)} times at the worst tensor. Of the {len(both)} that were also computed directly it is "
        f"{mean([ours for ours, _ in direct])} times as one vector, and {mean([direct for _, direct in direct])} times "
        f"directly. More than twice PyTorch's as one vector: {more}."
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

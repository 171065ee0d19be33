"""Agreement before timing, interleaved rounds, statistics."""

import math
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from .contestant import Contestant, Work

# Of the largest logit.
LOGITS_TOLERANCE = 1e-4
LOSS_TOLERANCE = 1e-4
# Of the Euclidean norm of a tensor's step.
STEP_TOLERANCE = 1e-2
AS_FAR = 4
SMALL = 1e-4

Tensors = dict[str, np.ndarray]


class Disagreement(Exception):
    """The results of two systems differ."""


@dataclass(frozen=True)
class Spread:
    """The median and the quartiles of some values."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: list[float]) -> "Spread":
        low, median, high = np.percentile(values, [25, 50, 75])
        return Spread(float(median), float(low), float(high))


Times = dict[str, list[float]]


def interleaved(contestants: list[Contestant], work: Work, rounds: int, turn: float) -> Times:
    """The seconds that each contestant needs, one value for each round.

    In every round each has a turn of about `turn` seconds, in rotating order; its value is the
    median of the turn's runs but for the first, which finds the caches full of others' data.
    """
    repeats = {}
    for contestant in contestants:
        contestant.bind(work)
        # The first may compile.
        fastest = min(contestant.seconds(work, 3)[1:])
        repeats[contestant.name] = min(max(math.ceil(turn / fastest), 2), 50)
    times: Times = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        first = number % len(contestants)
        for contestant in contestants[first:] + contestants[:first]:
            seconds = contestant.seconds(work, 1 + repeats[contestant.name])
            times[contestant.name].append(statistics.median(seconds[1:]))
    return times


def best(times: Times, names: list[str]) -> str:
    """The name with the lowest median."""
    return min(names, key=lambda name: statistics.median(times[name]))


def ratio(times: Times, other: str, this: str) -> Spread:
    """How many times faster `this` is than `other`, round by round."""
    return Spread.of([theirs / own for theirs, own in zip(times[other], times[this], strict=True)])


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest expected value."""
    scale = float(np.abs(expected).max()) or 1.0
    error = float(np.abs(found - expected).max()) / scale
    return error if math.isfinite(error) else math.inf


def check_logits(contestants: list[Contestant]) -> dict[str, float]:
    """Compares everyone's logits with those of the first; gives the largest difference of each."""
    first = contestants[0]
    logits = {contestant.name: np.array(contestant.ask("logits")["logits"]) for contestant in contestants}
    errors = {name: difference(found, logits[first.name]) for name, found in logits.items()}
    for name, error in errors.items():
        if not error <= LOGITS_TOLERANCE:
            raise Disagreement(f"the logits of {name} differ from {first.name}'s by {error:.1e}")
    return errors


@dataclass(frozen=True)
class Step:
    """What a training step gives: the loss before it, and the tensors after it."""

    loss: float
    after: Tensors


def check_training_step(
    references: int, contestants: list[Contestant], weights: Path, folder: Path, truth: Step
) -> dict[str, float]:
    """Takes one step everywhere and compares the losses, and what the step added to each tensor, with
    `truth`, a step in double precision.

    Every contestant must stand at `weights`. The gradients of deep networks are chaotic in single precision,
    whoever computes them (docs/parity.md): a value that flips at a ReLU makes one of PyTorch's layouts up to 40
    times as far from the truth as the other. So the first `references` contestants, PyTorch in its layouts, are
    the measure: everyone else may be `AS_FAR` times as far from the truth as the furthest of them. Gives the
    largest difference of everyone's step to the truth.
    """
    before = load_file(weights)
    losses, steps = {}, {}
    for contestant in contestants:
        path = folder / "after.safetensors"
        loss = contestant.ask("train", repeats=1)["training"]["losses"][0]
        contestant.ask("save", path=str(path))
        losses[contestant.name] = abs(loss - truth.loss) / abs(truth.loss)
        steps[contestant.name] = step_error(before, load_file(path), truth.after)
    for what, tolerance, found in [("loss", LOSS_TOLERANCE, losses), ("step", STEP_TOLERANCE, steps)]:
        furthest = max(found[contestant.name] for contestant in contestants[:references])
        if not math.isfinite(furthest):
            raise Disagreement(f"the {what} of PyTorch is not finite")
        for contestant in contestants[references:]:
            error = found[contestant.name]
            if not error <= max(tolerance, AS_FAR * furthest):
                raise Disagreement(
                    f"the {what} of {contestant.name} differs from double precision by {error:.1e}, PyTorch's by {furthest:.1e}"
                )
    return steps


def step_error(before: Tensors, found: Tensors, expected: Tensors) -> float:
    """The largest difference of a tensor's step from the expected one, relative to that; steps that are nothing
    beside the largest are taken as `SMALL` of it.

    What rounding the sum of tensor and step can make of it does not count.
    """
    steps = {key: float(np.linalg.norm(expected[key] - before[key])) for key in before}
    least = SMALL * max(steps.values())
    errors = []
    for key, step in steps.items():
        rounding = 2 * np.finfo(np.float32).eps * np.abs(before[key])
        excess = np.maximum(np.abs(found[key] - expected[key]) - rounding, 0)
        errors.append(float(np.linalg.norm(excess)) / (max(step, least) or 1.0))
    return max(error if math.isfinite(error) else math.inf for error in errors)

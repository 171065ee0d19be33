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
# Of the Euclidean norm of a tensor's step. Rounding alone makes up to 0.005, PyTorch's `float32`
# gradients of SE-ResNet against its `float64` ones: it decides on which side of zero a ReLU's input
# lies, and each such decision is a jump of the gradient.
STEP_TOLERANCE = 1e-2


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


def check_logits(contestants: list[Contestant]) -> float:
    """Compares everyone's logits with those of the first; gives the largest difference."""
    expected, *others = (np.array(contestant.ask("logits")["logits"]) for contestant in contestants)
    worst = 0.0
    for contestant, logits in zip(contestants[1:], others, strict=True):
        error = difference(logits, expected)
        if not error <= LOGITS_TOLERANCE:
            raise Disagreement(f"the logits of {contestant.name} differ from {contestants[0].name}'s by {error:.1e}")
        worst = max(worst, error)
    return worst


def check_training_step(contestants: list[Contestant], weights: Path, folder: Path) -> float:
    """Takes one step everywhere and compares the losses, and what the step added to each tensor.

    Every contestant must stand at `weights`; gives the largest difference to the first.
    """
    before = load_file(weights)
    outcomes = []
    for contestant in contestants:
        path = folder / "after.safetensors"
        loss = contestant.ask("train", repeats=1)["training"]["losses"][0]
        contestant.ask("save", path=str(path))
        outcomes.append((loss, load_file(path)))
    (expected_loss, expected), *others = outcomes
    worst = 0.0
    for contestant, (loss, after) in zip(contestants[1:], others, strict=True):
        if not abs(loss - expected_loss) <= LOSS_TOLERANCE * abs(expected_loss):
            raise Disagreement(f"{contestant.name}'s loss is {loss}, {contestants[0].name}'s {expected_loss}")
        errors = {key: step_difference(before[key], after[key], expected[key]) for key in before}
        key, error = max(errors.items(), key=lambda item: item[1])
        if not error <= STEP_TOLERANCE:
            raise Disagreement(f"{key} of {contestant.name} differs from {contestants[0].name}'s by {error:.1e}")
        worst = max(worst, error)
    return worst


def step_difference(before: np.ndarray, found: np.ndarray, expected: np.ndarray) -> float:
    """The norm of the difference of two steps from `before`, relative to that of the expected step;
    what rounding the sum of tensor and step can make of it does not count."""
    rounding = 2 * np.finfo(np.float32).eps * np.abs(before)
    excess = np.maximum(np.abs(found - expected) - rounding, 0)
    error = float(np.linalg.norm(excess)) / (float(np.linalg.norm(expected - before)) or 1.0)
    return error if math.isfinite(error) else math.inf

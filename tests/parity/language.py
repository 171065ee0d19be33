#!/usr/bin/env python3
"""Compares the language models of `examples/nets` with transformers, with their authors' code restated, and with PyTorch.

    cargo build --release -p ksdsl --bin ksn --example graph_worker
    python tests/parity/language.py                        all networks
    python tests/parity/language.py target/debug           with the programs of this folder
    python tests/parity/language.py --only 'ouro*'         some, without writing language.csv
    python tests/parity/language.py --table docs/parity.md all, and the section of the page with their results
    python tests/parity/language.py --store tests/data/language   also writes the files of the Rust tests

Each network at a small size, with random weights and batch, in the reference (`looped.py`, `encoders.py`), in the exported
module, and on our graph executor: outputs of inference and of training, the loss, all gradients, and all tensors after ten
steps of AdamW. The loss is the mean cross entropy of all positions of the first output, plus the sum of every other output
with weights from -1 to 2. Writes `language.csv`; fails above the limits. Needs torch, transformers and safetensors.
"""

import argparse
import csv
import fnmatch
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from encoders import GPT2, TRM, Albert, Subformer, TakaseKiyono
from looped import Halting, Huginn, Llama, Ouro, Universal, drawn
from safetensors.torch import load_file, save_file
from section import LANGUAGE_TITLE, put_section
from table import number, table
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples/pytorch"))
from convert import network  # noqa: E402

CSV = ROOT / "tests/parity/language.csv"
KINDS = ["inference", "output", "loss", "gradient", "adamw"]
HEAD = ["network", "reference", "parameters", "system", "precision", *KINDS]
# One pass, and after the steps.
LIMITS = {torch.float64: (*[1e-10] * 4, 1e-8), torch.float32: (*[1e-5] * 4, 1e-3)}
EPS = {torch.float64: 1e-8, torch.float32: 1e-3}
BATCH, STEPS = 4, 10
# A gradient below this part of the largest is zero but for rounding: that of the biases of keys, as softmax ignores them.
ZERO = 1e-10

TEXT = """\
{title}

`tests/parity/language.py` compares the language models of `examples/nets`, at a small size and with random weights, with a
reference: transformers, PyTorch's own layers, or the authors' code restated in `tests/parity/looped.py` and `encoders.py`. The
exported module and the graph executor get the reference's tensors, and all three the same batch. Compared are outputs of
inference (sequences stop at their exits) and of training, the loss, all gradients, and all tensors after ten steps of AdamW;
each difference is the largest one, relative to the largest value of its tensor. In single precision the reference is that in
double precision, and AdamW's epsilon is 1e-3. `tests/parity/language.csv` keeps the results.

```sh
cargo build --release -p ksdsl --bin ksn --example graph_worker
python tests/parity/language.py --table docs/parity.md
```

"""

Tensors = dict[str, Tensor]
SMALL = dict(vocabulary=11, context=6, width=8, heads=2)
LLAMA = SMALL | dict(heads=4, key_heads=2, hidden=12)


@dataclass(frozen=True)
class Model:
    """A network of ours, its settings, and what it must compute."""

    net: str
    name: str
    settings: dict[str, float]
    reference: Callable[[SimpleNamespace], nn.Module]
    file: str = ""
    # The number of ids of each input.
    inputs: tuple[int, ...] = (11,)
    # Whether sequences can stop early.
    exits: bool = False

    def path(self) -> Path:
        return ROOT / f"examples/nets/{self.file or self.net}.ksn"

    def texts(self) -> list[str]:
        return [f"{name}={value}" for name, value in self.settings.items()]


def settings(**changed: float) -> dict[str, float]:
    return SMALL | changed


TWO = settings(hidden=12, depth=6, kernels=3)
MODELS = [
    Model("gpt2", "transformers' GPT2LMHeadModel", settings(depth=2), GPT2),
    Model(
        "albert", "transformers' AlbertForPreTraining", settings(small=4, depth=4, groups=2), Albert, inputs=(11, 2)
    ),
    Model(
        "mobilellm", "transformers' LlamaForCausalLM, each layer twice", LLAMA | dict(depth=2),
        lambda n: Llama(n, [0, 0, 1, 1], "wte"),
    ),
    Model(
        "relaxed_recursive", "transformers' LlamaForCausalLM in a cycle, with LoRA", LLAMA | dict(kernels=2, loops=2, rank=2),
        lambda n: Llama(n, [0, 1, 0, 1], "embedding", n.rank),
    ),
    Model("universal_transformer", "nn.TransformerEncoderLayer", settings(hidden=12, steps=3), Universal),
    Model(
        "halting", "nn.TransformerEncoderLayer", settings(hidden=12, steps=4), Halting, "universal_transformer", exits=True,
    ),
    Model("huginn", "restated", settings(hidden=12, steps=5, gradients=2, before=1, inside=2, after=1), Huginn),
    Model("ouro", "restated", settings(hidden=12, depth=2, steps=4, base=100, threshold=0.6), Ouro, exits=True),
    Model(
        "takase_kiyono", "nn.TransformerEncoderLayer and DecoderLayer", TWO,
        lambda n: TakaseKiyono(n, [0, 0, 1, 1, 2, 2]), inputs=(11, 11),
    ),
    Model(
        "cycle", "nn.TransformerEncoderLayer and DecoderLayer", TWO,
        lambda n: TakaseKiyono(n, [0, 1, 2, 0, 1, 2]), "takase_kiyono", (11, 11),
    ),
    Model(
        "cycle_rev", "nn.TransformerEncoderLayer and DecoderLayer", TWO,
        lambda n: TakaseKiyono(n, [0, 1, 2, 2, 1, 0]), "takase_kiyono", (11, 11),
    ),
    Model(
        "subformer", "nn.TransformerEncoderLayer and DecoderLayer",
        settings(small=4, small_heads=2, hidden=12, depth=5), Subformer, inputs=(11, 11),
    ),
    Model(
        "trm", "restated",
        dict(vocabulary=5, length=6, width=8, heads=2, hidden=12, layers=2, updates=2, rounds=2, steps=2), TRM,
        inputs=(5,), exits=True,
    ),
]  # fmt: skip


def places(module: nn.Module) -> dict[str, str]:
    """Of each path of a layer's tensor the key that ours has for it."""
    keys = {key: key for key in module.state_dict()}
    for key, visits in module.ties.items():
        keys |= dict.fromkeys(visits.split(), key)
    return keys


def gathered(theirs: nn.Module, keys: dict[str, str], of: Callable[[Tensor], Tensor]) -> Tensors:
    return {keys[path]: tensor.detach().clone() for path, tensor in theirs.named(of)}


def of_module(ours: nn.Module, of: Callable[[Tensor], Tensor]) -> Tensors:
    return {key: of(parameter).detach().clone() for key, parameter in ours.named_parameters()}


def randomise(model: nn.Module, generator: torch.Generator) -> None:
    """Norms near the identity, everything else as large as keeps values near 1; numbers of single precision."""
    for key, tensor in model.named_parameters():
        noise = torch.randn(tensor.shape, generator=generator)
        is_scale = tensor.ndim == 1 and key.endswith("weight")
        tensor.data = (1 + 0.2 * noise if is_scale else 0.3 * noise).to(tensor.dtype)


def loss_of(outputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
    loss = F.cross_entropy(outputs[0].flatten(0, 1), targets)
    for y in outputs[1:]:
        loss = loss + (y.flatten() * torch.linspace(-1, 2, y.numel(), dtype=torch.float64).to(y.dtype)).sum()
    return loss


def run(model: nn.Module, batch: list[Tensor], targets: Tensor, eps: float, gather: Callable) -> Tensors:
    """What PyTorch makes of a case; `gather` names the tensors that a function makes of the parameters."""

    def outputs() -> tuple[Tensor, ...]:
        found = model(*batch)
        return found if isinstance(found, tuple) else (found,)

    with torch.no_grad():
        model.eval()
        found = {f"inference.{at}": y for at, y in enumerate(outputs())}
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2, eps=eps)
    for step in range(STEPS):
        model.zero_grad()
        made = outputs()
        loss = loss_of(made, targets)
        loss.backward()
        if step == 0:
            found |= {f"output.{at}": y.detach() for at, y in enumerate(made)} | {"loss": loss.detach()}
            found |= {f"gradient.{key}": it for key, it in gather(lambda it: it.grad).items()}
        optimiser.step()
    found |= {f"adamw.{key}": it for key, it in gather(lambda it: it).items()}
    return {key: it.double().flatten() for key, it in found.items()}


def largest(tensors: Tensors, start: str) -> float:
    return max(it.abs().max().item() for key, it in tensors.items() if key.startswith(start))


def worst(found: Tensors, expected: Tensors) -> list[float]:
    """The largest difference of each kind, relative to the largest value of the tensor; of a gradient that is zero but for
    rounding, relative to the largest gradient."""
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    worst, steepest = dict.fromkeys(KINDS, 0.0), largest(expected, "gradient.")
    for key, value in expected.items():
        assert value.isfinite().all() and found[key].shape == value.shape, key
        kind, most = key.partition(".")[0], value.abs().max().item()
        scale = steepest if kind == "gradient" and most < ZERO * steepest else most
        worst[kind] = max(worst[kind], (found[key].double() - value).abs().max().item() / scale)
    return list(worst.values())


def export(model: Model, ksn: Path, folder: Path) -> nn.Module:
    path = folder / f"{model.net}.py"
    more = [part for text in model.texts() for part in ("--set", text)]
    command = [ksn, "export", "pytorch", model.path(), "--net", model.net, "-o", path, *more]
    subprocess.run(command, check=True)
    found = network(path)
    # Training draws what the executor draws with its first seed.
    names = type(found).forward.__globals__
    if noise := names.get("noise"):
        names["noise"] = lambda x, std, training: x + std * drawn(x.shape).to(x.dtype) if training else noise(x, std, False)
    return found


def check(found: Tensors) -> None:
    """The case shows something: inputs matter, and every parameter has a gradient."""
    first = found["inference.0"].unflatten(0, (BATCH, -1))
    assert (first[0] - first[1]).abs().max() > 1e-3 * first.abs().max(), "the output hardly depends on the input"
    steepest = largest(found, "gradient.")
    for key, value in found.items():
        is_zero = key.startswith("gradient.") and value.abs().max() < ZERO * steepest
        assert is_zero == bool(re.match(r"gradient\..*[._]k(\.\d+)?\.bias", key)), f"{key}: {value.abs().max()}"


def stops(found: Tensors) -> bool:
    """Whether some sequences stop early in inference, and others do not."""
    apart = (found["inference.1"] - found["output.1"]).abs().unflatten(0, (BATCH, -1)) > 1e-6
    return 0 < apart.any(1).sum() < BATCH


@dataclass(frozen=True)
class Case:
    """A reference with random weights, and a batch."""

    model: Model
    theirs: nn.Module
    keys: dict[str, str]
    batch: list[Tensor]
    targets: Tensor

    @staticmethod
    def drawn(model: Model, keys: dict[str, str], seed: int) -> "Case":
        generator = torch.Generator().manual_seed(seed)
        theirs = model.reference(SimpleNamespace(**model.settings)).double()
        randomise(theirs, generator)
        length = model.settings.get("context") or model.settings["length"]
        batch = [torch.randint(most, (BATCH, length), generator=generator) for most in model.inputs]
        targets = torch.randint(model.settings["vocabulary"], (BATCH * length,), generator=generator)
        return Case(model, theirs, keys, batch, targets)

    def weights(self) -> Tensors:
        return gathered(self.theirs, self.keys, lambda it: it)

    def expected(self, eps: float) -> Tensors:
        initial = {key: it.clone() for key, it in self.theirs.state_dict().items()}
        found = run(self.theirs, self.batch, self.targets, eps, lambda of: gathered(self.theirs, self.keys, of))
        self.theirs.load_state_dict(initial)
        return found

    def tensors(self, dtype: torch.dtype) -> Tensors:
        """What the graph executor gets."""
        tensors = {f"weight.{key}": it.to(dtype).contiguous() for key, it in self.weights().items()}
        tensors |= {f"input.{at}": it.to(dtype) for at, it in enumerate(self.batch)} | {"targets": self.targets.to(dtype)}
        return tensors | {"steps": torch.tensor([STEPS], dtype=dtype), "eps": torch.tensor([EPS[dtype]], dtype=dtype)}


def case_of(model: Model, keys: dict[str, str]) -> Case:
    """The first case that shows what it should."""
    for seed in range(100):
        case = Case.drawn(model, keys, seed)
        found = case.expected(EPS[torch.float64])
        if not model.exits or stops(found):
            check(found)
            return case
    raise AssertionError(f"{model.net}: in each case all sequences stop, or none")


def compare(model: Model, tools: Path, folder: Path, store: Path | None) -> list[list[str]]:
    ours = export(model, tools / "ksn", folder).double()
    case = case_of(model, places(ours))
    weights = case.weights()
    assert weights.keys() == ours.state_dict().keys(), weights.keys() ^ ours.state_dict().keys()
    count, rows = f"{sum(it.numel() for it in weights.values()):,}", []
    for dtype, limits in LIMITS.items():
        expected = case.expected(EPS[dtype])
        ours.load_state_dict(weights)
        module = run(ours.to(dtype), case.batch, case.targets, EPS[dtype], lambda of: of_module(ours, of))
        engine = worker(model, tools, case.tensors(dtype), folder)
        if store and dtype == torch.float64:
            text = {"settings": " ".join(model.texts()), "file": model.path().name}
            save_file(case.tensors(dtype) | expected, store / f"{model.net}.safetensors", metadata=text)
        errors = {"exported module": worst(module, expected), "graph executor": worst(engine, expected)}
        for system, found in errors.items():
            # In single precision the module's errors are PyTorch's own.
            own = errors["exported module"] if dtype == torch.float32 else [0.0] * len(KINDS)
            bad = any(error > max(limit, 4 * it) for error, limit, it in zip(found, limits, own, strict=True))
            row = [model.net, model.name, count, system, str(dtype).removeprefix("torch."), *map(number, found)]
            print(*row, "FAILED" if bad else "", flush=True)
            rows.append([*row, bad])
    return rows


def worker(model: Model, tools: Path, case: Tensors, folder: Path) -> Tensors:
    path, outcome = folder / "case.safetensors", folder / f"{model.net}.outcome.safetensors"
    save_file(case, path)
    command = [tools / "examples/graph_worker", "--train", model.path(), model.net, path, outcome, *model.texts()]
    subprocess.run(command, check=True)
    return load_file(outcome)


def section(rows: list[list[str]]) -> str:
    head = ["network", "reference", "parameters", "system", "precision", *KINDS[:4], "after 10 steps of AdamW"]
    return TEXT.format(title=LANGUAGE_TITLE) + table(head, [[f"`{net}`", *rest] for net, *rest in rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tools", nargs="?", type=Path, default=ROOT / "target/release", help="where cargo builds")
    parser.add_argument("--only", default="*", help="a pattern of networks")
    parser.add_argument("--table", type=Path, help="the page whose section to replace")
    parser.add_argument("--store", type=Path, help="where to write cases with the results of the references")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for model in [it for it in MODELS if fnmatch.fnmatch(it.net, options.only)]:
            rows += compare(model, options.tools.resolve(), Path(folder), options.store)
    failed = any(bad for *_, bad in rows)
    rows = [row for *row, _ in rows]
    if options.only == "*" and not failed:
        with CSV.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([HEAD, *rows])
        if options.table:
            put_section(options.table, section(rows), LANGUAGE_TITLE)
    return int(failed or not rows)


if __name__ == "__main__":
    raise SystemExit(main())

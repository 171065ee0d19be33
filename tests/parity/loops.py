#!/usr/bin/env python3
"""What PyTorch makes of networks with loops, by the modules of `ksn export pytorch`: the files of tests/data/loops.

    cargo build -p ksdsl --bin ksn && python tests/parity/loops.py

For each network and each choice of counts: outputs of inference (items stop) and of training, and of training the gradients
of the sum of all outputs with the weights `loss.*`. In double precision. The counts stand in the keys:
`train.inner=1,outer=2.output.0`.
"""

import subprocess
import tempfile
from pathlib import Path

import torch
from networks import ROOT, Net, Tensors
from safetensors.torch import save_file
from torch import Tensor, nn

FOLDER = ROOT / "tests/data/loops"
ITEMS = 6
# Dropout is in the last: of that inference is compared.
CASES = {
    "loop_whole": [{"steps": 1}, {"steps": 2}, {"steps": 4}, {}],
    "loop_truncated": [{"steps": 1}, {"steps": 2}, {"steps": 3}, {}],
    "loop_halting": [{"think": 1}, {"think": 3}, {}],
    "loop_nested": [{}, {"inner": 1, "outer": 2}, {"inner": 2, "outer": 1}],
}


def outputs(model: nn.Module, x: Tensor, counts: dict[str, int]) -> list[Tensor]:
    made = model(x, **counts)
    return list(made) if isinstance(made, tuple) else [made]


def prepare(name: str, model: nn.Module, generator: torch.Generator) -> Tensor:
    """Random weights, and a batch; half of the items stop at or before the second iteration."""
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data += 0.3 * noise
    x = torch.randn(ITEMS, *model.sizes[0], generator=generator, dtype=torch.float64)
    if name == "loop_halting":
        logits = outputs(model.train(), x, {"think": 2})[1].detach().flatten().sort().values
        model.think.linear.bias.data -= logits[ITEMS // 2 - 1 : ITEMS // 2 + 1].mean()
    return x


def train(model: nn.Module, x: Tensor, counts: dict[str, int], case: Tensors, key: str) -> None:
    model.zero_grad()
    x = x.clone().requires_grad_()
    made = outputs(model.train(), x, counts)
    for at, y in enumerate(made):
        case[f"train.{key}.output.{at}"] = y
        case.setdefault(f"loss.{at}", torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view(y.shape))
    sum((y * case[f"loss.{at}"]).sum() for at, y in enumerate(made)).backward()
    case[f"train.{key}.input"] = x.grad
    for name, parameter in model.named_parameters():
        case[f"train.{key}.gradient.{name}"] = parameter.grad


def make(name: str, ksn: Path, folder: Path) -> None:
    net = Net(name, "tests/nets/loops.ksn", name, "", "yes")
    model = net.export(ksn, folder).double()
    x = prepare(name, model, torch.Generator().manual_seed(0))
    case = {"input": x} | {f"weight.{key}": tensor for key, tensor in model.state_dict().items()}
    for counts in CASES[name]:
        key = ",".join(f"{loop}={count}" for loop, count in counts.items())
        for at, y in enumerate(outputs(model.eval(), x, counts)):
            case[f"infer.{key}.output.{at}"] = y
        if name != "loop_nested":
            train(model, x, counts, case, key)
    for wrong in (0, 1000):
        loop = list(CASES[name][1])[0]
        try:
            model(x, **{loop: wrong})
            raise AssertionError(f"{name} runs {wrong} times")
        except ValueError as error:
            assert str(error).startswith(f"the loop `{loop}` runs 1 to "), error
    scripted = torch.jit.script(model.eval())
    assert torch.equal(outputs(scripted, x, {})[0], outputs(model, x, {})[0])
    case = {key: tensor.detach().clone().contiguous() for key, tensor in case.items()}
    save_file(case, FOLDER / f"{name}.safetensors")


def main() -> None:
    ksn = ROOT / "target/debug/ksn"
    subprocess.run([ksn, "--version"], check=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in CASES:
            make(name, ksn, Path(folder))


if __name__ == "__main__":
    main()

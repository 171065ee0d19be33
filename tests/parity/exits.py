#!/usr/bin/env python3
"""Compares the losses of Ouro's two stages (Zhu et al. 2025) on the exported `ouro.ksn` with those on the restated network.

    cargo build --release -p ksdsl --bin ksn
    python tests/parity/exits.py                target/release/ksn
    python tests/parity/exits.py target/debug   with the program of this folder

The reference runs the layers of `looped.Ouro` and reads head and gate after every visit; ours is `supervised=true`, whose
second output has both for all visits. Compares logits, losses, all gradients of the first stage and those of the gate, which the
second trains alone, in double precision; fails above 1e-12. The trainer's own losses are tested against `objective` and
`improvement` in `ksdsl-runtime/train/core/src/loss` and `ksdsl/src/graph/train`. Needs torch and transformers.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from language import network, places, randomise
from looped import Ouro
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = dict(vocabulary=11, context=6, width=8, heads=2, hidden=12, depth=2, steps=4, base=100, threshold=0.6)


def objective(exits: Tensor, targets: Tensor, entropy: float) -> Tensor:
    """The expected cross entropy less `entropy` times the entropy of the visit after which a token leaves. `exits`: positions x
    visits x (gate, logits)."""
    gates, logits = exits[..., 0], exits[..., 1:]
    leave = gates.sigmoid()
    stay = torch.cumprod(1 - leave, -1)
    before = torch.cat([torch.ones_like(stay[..., :1]), stay[..., :-1]], -1)
    p = torch.cat([leave[..., :-1] * before[..., :-1], before[..., -1:]], -1)
    each = [F.cross_entropy(logits[:, t], targets, reduction="none") for t in range(exits.shape[1])]
    return ((p * torch.stack(each, 1)).sum(-1) + entropy * (p * p.log()).sum(-1)).mean()


def improvement(exits: Tensor, targets: Tensor, slope: float = 50.0, threshold: float = 0.005) -> Tensor:
    """The binary cross entropy of staying, whose targets say by how much each visit has lowered the loss."""
    gates, logits = exits[..., 0], exits[..., 1:]
    count = exits.shape[1]
    each = torch.stack([F.cross_entropy(logits[:, t], targets, reduction="none") for t in range(count)], 1).detach()
    w = torch.sigmoid(slope * ((each[:, :-1] - each[:, 1:]).clamp(min=0) - threshold))
    return F.binary_cross_entropy(1 - gates[:, 1:].sigmoid(), w, reduction="none").sum(1).mean() / count


def visits(theirs: Ouro, ids: Tensor) -> Tensor:
    x, exits = theirs.embed_tokens(ids), []
    for _ in range(theirs.n.steps):
        for layer in theirs.layers:
            x = layer(x)
        x = theirs.norm(x)
        exits.append(torch.cat([theirs.early_exit_gate(x), theirs.lm_head(x)], -1))
    return torch.stack(exits, 2).flatten(0, 1)


def export(ksn: Path) -> nn.Module:
    settings = [*(f"{name}={value}" for name, value in SETTINGS.items()), "supervised=true"]
    more = [part for text in settings for part in ("--set", text)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ouro.py"
        subprocess.run([ksn, "export", "pytorch", ROOT / "examples/nets/ouro.ksn", "-o", path, *more], check=True)
        return network(path).double()


def main() -> int:
    tools = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "target/release"
    ours, theirs = export(tools / "ksn"), Ouro(SimpleNamespace(**SETTINGS)).double()
    generator = torch.Generator().manual_seed(1)
    randomise(theirs, generator)
    keys = places(ours)

    def named(of) -> dict[str, Tensor]:
        # The head reads every visit.
        moved = ((path.replace("head.weight", "visits.head.weight"), it) for path, it in theirs.named(of))
        return {keys[path]: it.detach().clone() for path, it in moved}

    ours.load_state_dict(named(lambda it: it))
    ids = torch.randint(SETTINGS["vocabulary"], (4, SETTINGS["context"]), generator=generator)
    targets = torch.randint(SETTINGS["vocabulary"], (ids.numel(),), generator=generator)
    expected = visits(theirs, ids)
    wanted = objective(expected, targets, 0.1)
    wanted.backward()
    logits, exits = ours.train()(ids)
    found = objective(exits.unflatten(2, (SETTINGS["steps"], -1)).flatten(0, 1), targets, 0.1)
    found.backward()
    gradients = named(lambda it: it.grad)
    assert gradients.keys() == {key for key, _ in ours.named_parameters()}
    parameters = list(ours.named_parameters())
    errors = {
        "logits": (logits.flatten(0, 1) - expected[:, -1, 1:]).abs().max().item(),
        "loss": abs(found.item() - wanted.item()),
        "gradients": max(
            ((it.grad - gradients[key]).abs().max() / gradients[key].abs().max()).item() for key, it in parameters
        ),
    }
    gate = {keys[path]: it for path, it in theirs.named(lambda it: it) if it in set(theirs.early_exit_gate.parameters())}
    wanted = improvement(visits(theirs, ids), targets)
    exits = ours(ids)[1].unflatten(2, (SETTINGS["steps"], -1)).flatten(0, 1)
    found = improvement(exits, targets)
    expected = torch.autograd.grad(wanted, list(gate.values()))
    slopes = torch.autograd.grad(found, [dict(parameters)[key] for key in gate])
    errors["second loss"] = abs(found.item() - wanted.item())
    pairs = zip(slopes, expected, strict=True)
    errors["gate"] = max(((a - b.reshape(a.shape)).abs().max() / b.abs().max()).item() for a, b in pairs)
    print(*(f"{name} {error:.1e}" for name, error in errors.items()))
    return int(not all(error < 1e-12 for error in errors.values()))


if __name__ == "__main__":
    raise SystemExit(main())

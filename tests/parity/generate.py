#!/usr/bin/env python3
"""Compares `ksn generate` with the modules of `ksn export pytorch`: same weights, same prompt, the most probable token each time.

    cargo build -p ksdsl --bin ksn
    python tests/parity/generate.py
    python tests/parity/generate.py --ksn target/release/ksn

Ours goes token by token with a cache of keys and values in single precision. PyTorch judges every token by a whole pass
in double precision: it must be the most probable one, or within 1e-5 of it, relative to the largest logit. Needs torch
and safetensors.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# A file beside this one is called as a package that torch imports.
sys.path = [it for it in sys.path if Path(it).resolve() != Path(__file__).resolve().parent]

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ["examples/nets", "tests/nets/known"]
# Ouro's exits are off: a module decides for whole sequences, generation for each token. 32 steps of Huginn's core with such
# weights make rounding visible.
NETS = {
    "nanogpt": [], "gpt2": [], "mobilellm": [], "relaxed_recursive": [], "universal_transformer": [],
    "huginn": ["--set", "steps=4", "--set", "gradients=2"], "ouro": ["--set", "threshold=2"],
    # At full size.
    "mobilellm_125m": [], "mobilellm_ls_125m": [],
}  # fmt: skip
PROMPT = [7, 1, 42, 3, 60]
CONTEXT = 64
LIMIT = 1e-5


def source_of(net: str) -> Path:
    """The specification that has the network."""
    files = [it for folder in FOLDERS for it in sorted((ROOT / folder).glob("*.ksn"))]
    return next(it for it in files if re.search(rf"^net {net}\b", it.read_text(), re.M))


def run(*command: object) -> str:
    done = subprocess.run([str(it) for it in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def module(path: Path) -> torch.nn.Module:
    names: dict[str, object] = {"__name__": "exported"}
    exec(compile(path.read_text(), path, "exec"), names)
    classes = [it for it in names.values() if isinstance(it, type) and it.__module__ == "exported"]
    return classes[-1]().eval()


def randomise(model: torch.nn.Module) -> None:
    """Weights so large that attention looks at single tokens, and small tables: as a head they would repeat the token."""
    for name, tensor in model.named_parameters():
        with torch.no_grad():
            spread = 0.2 if tensor.dim() == 1 else 1.5 / tensor.shape[-1] ** 0.5
            if "wte" in name or "embed" in name:
                spread /= 10
            tensor.copy_(spread * torch.randn_like(tensor) + (tensor.dim() == 1 and name.endswith("weight")))


def compare(ksn: Path, net: str, folder: Path) -> tuple[float, int]:
    """The largest distance of a generated token's logit from the largest, and how many different tokens there are."""
    source, code, weights = source_of(net), folder / "net.py", folder / "net.safetensors"
    run(ksn, "export", "pytorch", source, "--net", net, *NETS[net], "-o", code)
    model = module(code)
    randomise(model)
    save_file({key: tensor.clone() for key, tensor in model.state_dict().items()}, weights)
    count = CONTEXT - len(PROMPT)
    ids = ",".join(map(str, PROMPT))
    text = run(
        ksn, "generate", source, "--net", net, *NETS[net], "--weights", weights, "--ids", ids,
        "--tokens", count, "--temperature", 0,
    )  # fmt: skip
    found = [int(it) for it in text.replace(",", " ").split()]
    if found[: len(PROMPT)] == PROMPT and len(found) > count:
        found = found[len(PROMPT) :]
    if len(found) != count:
        raise RuntimeError(f"{len(found)} tokens instead of {count}: {text}")
    # Causal: a position does not see later tokens, so one pass has the logits of all.
    with torch.no_grad():
        outputs = model.double()(torch.tensor([PROMPT + found]))
    logits = (outputs[0] if isinstance(outputs, tuple) else outputs)[0, len(PROMPT) - 1 : -1]
    chosen = logits.gather(1, torch.tensor(found)[:, None])[:, 0]
    return ((logits.amax(1) - chosen) / logits.abs().amax(1)).max().item(), len(set(found))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ksn", type=Path, default=ROOT / "target/debug/ksn")
    args = parser.parse_args()
    failed = 0
    for net in NETS:
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            distance, different = compare(args.ksn, net, Path(folder))
        fine = distance <= LIMIT and different > 2
        failed += not fine
        print(f"{net}: distance {distance:.1e}, {different} different tokens{'' if fine else ' FAILED'}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

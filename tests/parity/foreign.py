"""Runs the conversions of docs/book/src/foreign.md on models of torchvision and timm and compares the logits.

usage: python tests/parity/foreign.py KSN, where KSN is the command `ksn`

Needs torch, torchvision, timm and safetensors.
"""

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file, save_file
from timm.models.convmixer import ConvMixer
from timm.models.vision_transformer import VisionTransformer

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/book/src/foreign.md").read_text()
sys.path.append(str(ROOT / "examples/pytorch"))
from convert import network  # noqa: E402

VIT = dict(img_size=32, patch_size=4, embed_dim=64, depth=4, num_heads=4, num_classes=10)
MODELS = {
    "resnet18": lambda: torchvision.models.resnet18(),
    "vit": lambda: VisionTransformer(**VIT, class_token=False, global_pool="avg"),
    "convmixer": lambda: ConvMixer(64, 4, kernel_size=5, patch_size=4, num_classes=10, act_layer=torch.nn.ReLU),
}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S)


def randomise(model: torch.nn.Module) -> None:
    """Every tensor at random, so that none can be taken for another."""
    for key, tensor in model.state_dict().items():
        if key.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif key.endswith("running_mean") or tensor.ndim == 1:
            tensor.normal_(0, 0.3)


def run(command: str, ksn: str, folder: Path) -> None:
    words = shlex.split(command)
    words[0] = {"ksn": ksn, "python": sys.executable}[words[0]]
    words = [str(ROOT / word) if word.startswith("examples/") else word for word in words]
    subprocess.run(words, cwd=folder, check=True)


@torch.no_grad()
def compare(name: str, specification: str, commands: list[str], ksn: str) -> float:
    """The largest difference of the logits, as a part of the largest logit."""
    torch.manual_seed(0)
    theirs = MODELS[name]()
    randomise(theirs)
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        (folder / f"{name}.ksn").write_text(specification)
        save_file(theirs.state_dict(), folder / "theirs.safetensors")
        for command in commands:
            run(command, ksn, folder)
        run(f"ksn fuse {name}.ksn unshared.safetensors -o shared.safetensors", ksn, folder)
        ours = network(folder / f"{name}.py")
        ours.load_state_dict(load_file(folder / "unshared.safetensors"))
    size = 224 if name == "resnet18" else 32
    images = torch.randn(2, 3, size, size)
    expected = theirs.eval()(images)
    return ((ours.eval()(images) - expected).abs().max() / expected.abs().max()).item()


def main() -> int:
    ksn = str(Path(sys.argv[1]).resolve())
    worst = 0.0
    for specification in blocks("ksn"):
        name = re.search(r"net (\w+)", specification)[1]
        block = next(it for it in blocks("sh") if f"export pytorch {name}.ksn" in it)
        error = compare(name, specification, block.strip().splitlines(), ksn)
        print(f"{name}: {error:.1e}")
        worst = max(worst, error)
    return 0 if worst < 1e-5 else 1


if __name__ == "__main__":
    raise SystemExit(main())

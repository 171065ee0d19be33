#!/usr/bin/env python3
"""Compares the networks of `tests/nets/known` with their reference implementations: same weights, same input, inference.

    python tests/parity/known.py                          all networks, with the command `ksn`
    python tests/parity/known.py target/release/ksn       with this command
    python tests/parity/known.py --only 'vit*'            some, without writing known.csv
    python tests/parity/known.py --table docs/parity.md   all, and the section of the page with their results

Exports each network, copies the reference's tensors into it and compares the outputs in double and single precision.
Writes `known.csv`; fails above 1e-10 in double or 1e-5 in single precision. Needs torch, torchvision, timm, transformers
and safetensors.
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
from importlib.metadata import version
from pathlib import Path

import timm
import torch
import torchvision.models as tv
import transformers
from references import ResNetA, TiedConvolutional, TiedDeep, UNet, dcgan_generator
from section import KNOWN_TITLE, put_section
from table import number, table
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples/pytorch"))
from convert import network  # noqa: E402

NETS = ROOT / "tests/nets/known"
CSV = ROOT / "tests/parity/known.csv"
HEAD = ["file", "network", "reference", "versions", "difference f64", "difference f32"]
LIMITS = {torch.float64: 1e-10, torch.float32: 1e-5}

TEXT = """\
{title}

`tests/parity/known.py` compares the networks of `tests/nets/known` with their reference implementations: the exported
module gets the reference's weights and running statistics, and both compute the same random input in inference mode.
Vectors are random, and running statistics are those of an input, changed at random, so that all of them matter. Of the
recurrent networks, only the last hidden state is compared. References marked as restated are those of
`tests/parity/references.py`; the others come from the package. The difference is the largest one, relative to the largest
output. `tests/parity/known.csv` keeps the results.

```sh
python tests/parity/known.py --table docs/parity.md
```

"""

Named = list[tuple[str, Tensor]]


@dataclass(frozen=True)
class Known:
    """A network of ours, and what it must compute."""

    file: str
    net: str
    name: str
    package: str
    reference: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Tensor, ...]]
    # The order in which our network has the reference's tensors: patterns of their keys.
    order: tuple[str, ...] = ()
    outputs: Callable[..., tuple[Tensor, ...]] = lambda y: (y,)


def images(*shape: int) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.randn(2, *shape, dtype=torch.float64),)


def albert() -> nn.Module:
    config = transformers.AlbertConfig(
        hidden_size=768, num_attention_heads=12, intermediate_size=3072, embedding_size=128
    )
    return transformers.AlbertModel(config)


def albert_inputs() -> tuple[Tensor, ...]:
    return torch.randint(30000, (2, 512)), torch.randint(2, (2, 512))


def albert_call(model: nn.Module) -> Callable[..., object]:
    return lambda ids, types: model(input_ids=ids, token_type_ids=types)


ALBERT_ORDER = (
    "query", "key", "value", "dense", "attention.LayerNorm", "ffn\\.", "ffn_output", "full_layer_layer_norm",
    "word_emb", "token_type", "position", "embeddings.LayerNorm", "mapping_in", "pooler",
)  # fmt: skip
VIT_ORDER = ("conv_proj", "class_token", "pos_embedding", "encoder.layers", "encoder.ln", "heads")
DEIT_ORDER = ("patch_embed", "cls_token", "pos_embed", "blocks", "^norm", "head")
BARE = dict(aux_logits=False, init_weights=False, transform_input=False)
IMAGE = images(3, 224, 224)
SEQUENCE = images(5, 128)

KNOWN = [
    Known("unet", "small", "milesial/Pytorch-UNet, restated", "torch", UNet, images(3, 64, 64)),
    Known("dcgan", "generator", "pytorch/examples dcgan, restated", "torch", dcgan_generator, images(100, 1, 1)),
    Known("resnet_a", "resnet_20", "akamaster/pytorch_resnet_cifar10, restated", "torch", ResNetA, images(3, 32, 32)),
    Known("mobilenet_v2", "full", "mobilenet_v2", "torchvision", tv.mobilenet_v2, IMAGE),
    Known("squeezenet", "one_zero", "squeezenet1_0", "torchvision", tv.squeezenet1_0, IMAGE),
    Known("googlenet", "plain", "googlenet", "torchvision", lambda: tv.googlenet(**BARE), IMAGE),
    Known("convnext", "tiny", "convnext_tiny", "torchvision", tv.convnext_tiny, IMAGE),
    Known("vit_class_token", "base", "vit_b_16", "torchvision", tv.vit_b_16, IMAGE, VIT_ORDER),
    Known(
        "vit_class_token", "deit_tiny", "deit_tiny_patch16_224", "timm",
        lambda: timm.create_model("deit_tiny_patch16_224"), IMAGE, DEIT_ORDER,
    ),
    Known(
        "gpt2", "small", "GPT2LMHeadModel", "transformers",
        lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config()),
        lambda: (torch.randint(50257, (2, 1024)),), outputs=lambda y: (y.logits,),
    ),
    Known(
        "albert_base", "base", "AlbertModel", "transformers", albert, albert_inputs, ALBERT_ORDER,
        outputs=lambda y: (y.last_hidden_state, y.pooler_output),
    ),
    Known(
        "recurrent", "lstm_256", "nn.LSTM", "torch", lambda: nn.LSTM(128, 256, batch_first=True), SEQUENCE,
        ("_ih_", "_hh_"), lambda y: (y[1][0][0],),
    ),
    Known(
        "recurrent", "gru_256", "nn.GRU", "torch", lambda: nn.GRU(128, 256, batch_first=True), SEQUENCE,
        ("_ih_", "_hh_"), lambda y: (y[1][0],),
    ),
    Known(
        "autoencoders", "deep", "Hinton & Salakhutdinov 2006, restated", "torch", TiedDeep, images(784),
        ("weight", "encoder", "decoder"),
    ),
    Known(
        "autoencoders", "convolutional", "Masci et al. 2011, restated", "torch", TiedConvolutional, images(1, 28, 28),
        ("weight", "down", "up"),
    ),
]  # fmt: skip


def randomise(model: nn.Module) -> None:
    """All vectors at random: biases, norms, scales, class tokens; and matrices of zeros, such as the head of torchvision's
    ViT. Otherwise zeros and ones hide an error."""
    for key, tensor in model.state_dict().items():
        if not tensor.is_floating_point() or tensor.numel() != max(tensor.shape):
            if tensor.ndim > 1 and not tensor.any():
                tensor.normal_(0, 0.02)
        elif key.endswith(("running_var", "weight", "layer_scale")):
            tensor.uniform_(0.5, 1.5)
        else:
            tensor.normal_(0, 0.3)


def statistics_of(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Running statistics near those of an input, each changed at random. Those of another input would let a deep network
    forget its input."""
    norms = [it for it in model.modules() if isinstance(it, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = 1.0
    model.train()(*inputs)
    model.eval()
    for norm in norms:
        norm.running_mean += 0.3 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.5, 1.5)


def parts(tensors: Named) -> Named:
    """Splits joint projections into those of queries, keys and values; Conv1D of GPT-2 has transposed weights."""
    result: Named = []
    for key, tensor in tensors:
        if re.search(r"c_(attn|proj|fc)\.weight", key):
            tensor = tensor.T
        if not re.search(r"in_proj_|qkv\.|c_attn\.", key):
            result.append((key, tensor))
        elif key.endswith("weight"):
            weights = tensor.chunk(3)
        else:
            pairs = zip(weights, tensor.chunk(3), strict=True)
            result += [(key, part) for pair in pairs for part in pair]
    return result


def scales_last(tensors: Named) -> Named:
    """ConvNeXt's blocks use their scale last; torchvision stores it first, before the other eight tensors."""
    for at in [i for i, (key, _) in enumerate(tensors) if key.endswith("layer_scale")]:
        tensors.insert(at + 8, tensors.pop(at))
    return tensors


def copy(theirs: nn.Module, ours: nn.Module, order: tuple[str, ...]) -> None:
    """Copies all tensors, in the order of our network's."""
    tied = ("num_batches_tracked", "lm_head.weight")
    tensors = parts([(key, it) for key, it in theirs.state_dict().items() if not key.endswith(tied)])
    tensors = scales_last(tensors)
    if order:
        ranks = {key: next(i for i, pattern in enumerate(order) if re.search(pattern, key)) for key, _ in tensors}
        tensors.sort(key=lambda item: ranks[item[0]])
    for (key, source), (name, target) in zip(tensors, ours.state_dict().items(), strict=True):
        if source.squeeze().shape != target.squeeze().shape:
            raise ValueError(f"{key} has the shape {tuple(source.shape)}, but {name} {tuple(target.shape)}")
        target.copy_(source.reshape(target.shape))


def difference(known: Known, theirs: nn.Module, ours: nn.Module, dtype: torch.dtype) -> float:
    """The largest difference of an output, relative to its largest value."""
    inputs = [it.to(dtype) if it.is_floating_point() else it for it in known.inputs()]
    theirs.to(dtype), ours.to(dtype)
    call = albert_call(theirs) if known.file == "albert_base" else theirs
    expected = known.outputs(call(*inputs))
    found = ours(*inputs)
    found = found if isinstance(found, tuple) else (found,)
    worst = 0.0
    for y, z in zip(found, expected, strict=True):
        if y.shape != z.shape or not z.isfinite().all():
            raise ValueError(f"{known.net}: shapes {tuple(y.shape)} and {tuple(z.shape)}, or values that are not finite")
        if (z[0] - z[1]).abs().max() < 1e-3 * z.abs().max():
            raise ValueError(f"{known.net}: the output hardly depends on the input, so that it shows nothing")
        worst = max(worst, ((y - z).abs().max() / z.abs().max()).item())
    return worst


@torch.no_grad()
def compare(known: Known, ksn: str) -> list[float]:
    """The differences in double and in single precision."""
    torch.manual_seed(0)
    theirs = known.reference().eval()
    randomise(theirs)
    statistics_of(theirs, tuple(it.float() for it in known.inputs()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ours.py"
        file = NETS / f"{known.file}.ksn"
        subprocess.run([ksn, "export", "pytorch", file, "--net", known.net, "-o", path], check=True)
        ours = network(path).eval()
    copy(theirs, ours, known.order)
    return [difference(known, theirs, ours, dtype) for dtype in LIMITS]


def versions(known: Known) -> str:
    names = dict.fromkeys((known.package, "torch"))
    return ", ".join(f"{name} {version(name)}" for name in names)


def section(rows: list[list[str]]) -> str:
    head = ["network", "reference", "versions", "double precision", "single precision"]
    cells = [[f"`{net}` of `{file}.ksn`", *rest] for file, net, *rest in rows]
    return TEXT.format(title=KNOWN_TITLE) + table(head, cells)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ksn", nargs="?", default="ksn", help="the command `ksn`")
    parser.add_argument("--only", default="*", help="a pattern of files")
    parser.add_argument("--table", type=Path, help="the page whose section to replace")
    options = parser.parse_args()
    rows, failed = [], False
    for known in [it for it in KNOWN if fnmatch.fnmatch(it.file, options.only)]:
        errors = compare(known, options.ksn)
        bad = any(not error <= limit for error, limit in zip(errors, LIMITS.values(), strict=True))
        failed |= bad
        rows.append([known.file, known.net, known.name, versions(known), *map(number, errors)])
        print(*rows[-1], "FAILED" if bad else "", flush=True)
    if options.only == "*" and not failed:
        with CSV.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([HEAD, *rows])
        if options.table:
            put_section(options.table, section(rows), KNOWN_TITLE)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())

#!/usr/bin/env python3
"""Compares the networks of `tests/nets/known` with their reference implementations: same weights, same input, inference.

    cargo build --release -p ksdsl --bin ksn --example graph_worker
    python tests/parity/known.py                          all networks
    python tests/parity/known.py target/debug             with the programs of this folder
    python tests/parity/known.py --only 'vit*'            some, without writing known.csv
    python tests/parity/known.py --table docs/parity.md   all, and the section of the page with their results

Exports each network, copies the reference's tensors into it and compares the outputs in double and single precision. Then
our engine runs the network, without compiling it, with the same tensors in single precision; its outputs are compared with
those of the reference in double precision. Writes `known.csv`; fails above 1e-10 in double or 1e-5 in single precision.
Needs torch, torchvision, timm, transformers and safetensors.
"""

import argparse
import csv
import fnmatch
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import timm
import torch
import torchvision.models as tv
import transformers
from packaged import albert, albert_call, albert_inputs, gates, llama, retinanet, retinanet_call
from references import MultiTask, ResNetA, Siamese, TiedConvolutional, TiedDeep, UNet, dcgan_generator
from safetensors.torch import load_file, save_file
from section import KNOWN_TITLE, put_section
from table import number, table
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples/pytorch"))
from convert import network  # noqa: E402

NETS = ROOT / "tests/nets/known"
CSV = ROOT / "tests/parity/known.csv"
HEAD = ["file", "network", "reference", "versions", "difference f64", "difference f32", "engine f32"]
LIMITS = {torch.float64: 1e-10, torch.float32: 1e-5}

TEXT = """\
{title}

`tests/parity/known.py` compares the networks of `tests/nets/known` with their reference implementations: the exported
module gets the reference's weights and running statistics, and both compute the same random input in inference mode.
Vectors are random, and running statistics are those of an input, changed at random, so that all of them matter. Of the
recurrent networks, only the last hidden state is compared. References marked as restated are those of
`tests/parity/references.py`; the others come from the package. The engine is the graph executor on the CPU, in single
precision with the same weights and input, against the reference in double precision. The difference is the largest one,
relative to the largest output. `tests/parity/known.csv` keeps the results.

```sh
cargo build --release -p ksdsl --bin ksn --example graph_worker
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
    # What computes the reference's outputs.
    call: Callable[[nn.Module], Callable[..., object]] = lambda model: model
    # The order of the tensors of a block: a pattern of what its keys begin with, and patterns of keys.
    blocks: tuple[str, ...] = ()


def images(*shape: int) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.randn(2, *shape, dtype=torch.float64),)


ALBERT_ORDER = (
    "query", "key", "value", "dense", "attention.LayerNorm", "ffn\\.", "ffn_output", "full_layer_layer_norm",
    "word_emb", "token_type", "position", "embeddings.LayerNorm", "mapping_in", "pooler",
)  # fmt: skip
VIT_ORDER = ("conv_proj", "class_token", "pos_embedding", "encoder.layers", "encoder.ln", "heads")
DEIT_ORDER = ("patch_embed", "cls_token", "pos_embed", "blocks", "^norm", "head")
RETINA_ORDER = (
    "classification", "regression", "body", "inner_blocks.2", "layer_blocks.2", "extra", "inner_blocks.1",
    "layer_blocks.1", "inner_blocks.0", "layer_blocks.0",
)  # fmt: skip
RES2NET_BLOCKS = (r"layer\d\.\d+\.", "conv1|bn1", r"s\.0", r"s\.1", r"s\.2", "conv3|bn3", "downsample")
NFNET_BLOCKS = (
    r"stages\.\d\.\d+\.", "conv1", r"conv2\.", "conv2b", "conv3", "attn_last", "skipinit_gain", "downsample",
)  # fmt: skip
LLAMA_BLOCKS = (r"model\.layers\.\d+\.", "input_layernorm", "self_attn", "post_attention", "mlp")
CONVNEXT_BLOCKS = (r"features\.\d\.\d+\.(?=block|layer_scale)", "block", "layer_scale")
BARE = dict(aux_logits=False, init_weights=False, transform_input=False)
IMAGE = images(3, 224, 224)
SEQUENCE = images(5, 128)
GREY = images(1, 28, 28)
LLAMA_IDS = lambda: (torch.randint(32000, (2, 512)),)  # noqa: E731
LLAMA_ORDER = (
    "embed_tokens", "input_layernorm", "q_proj", "k_proj", "v_proj", "o_proj", "post_attention", "gate", "up_", "down",
    "model.norm",
)  # fmt: skip

KNOWN = [
    Known("unet", "small", "milesial/Pytorch-UNet, restated", "torch", UNet, images(3, 64, 64)),
    Known("dcgan", "generator", "pytorch/examples dcgan, restated", "torch", dcgan_generator, images(100, 1, 1)),
    Known("resnet_a", "resnet_20", "akamaster/pytorch_resnet_cifar10, restated", "torch", ResNetA, images(3, 32, 32)),
    Known(
        "mobilenet_v1", "full", "mobilenetv1_100", "timm", lambda: timm.create_model("mobilenetv1_100"), IMAGE,
    ),
    Known("mobilenet_v2", "full", "mobilenet_v2", "torchvision", tv.mobilenet_v2, IMAGE),
    Known("squeezenet", "one_zero", "squeezenet1_0", "torchvision", tv.squeezenet1_0, IMAGE),
    Known("googlenet", "plain", "googlenet", "torchvision", lambda: tv.googlenet(**BARE), IMAGE),
    Known("convnext", "tiny", "convnext_tiny", "torchvision", tv.convnext_tiny, IMAGE, blocks=CONVNEXT_BLOCKS),
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
        outputs=lambda y: (y.last_hidden_state, y.pooler_output), call=albert_call,
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
    Known(
        "res2net", "res2net_50", "res2net50_26w_4s", "timm",
        lambda: timm.create_model("res2net50_26w_4s"), IMAGE, blocks=RES2NET_BLOCKS,
    ),
    Known(
        "mobilellm", "mobilellm_125m", "LlamaForCausalLM", "transformers", lambda: llama(1), LLAMA_IDS,
        outputs=lambda y: (y.logits,), blocks=LLAMA_BLOCKS,
    ),
    Known(
        "mobilellm", "mobilellm_ls_125m", "LlamaForCausalLM, each layer twice", "transformers", lambda: llama(2),
        LLAMA_IDS, LLAMA_ORDER, lambda y: (y.logits,),
    ),
    Known(
        "retinanet", "resnet_50_fpn", "retinanet_resnet50_fpn", "torchvision", retinanet, images(3, 256, 256),
        RETINA_ORDER, tuple, retinanet_call,
    ),
    Known(
        "poolformer", "s12", "poolformer_s12", "timm", lambda: timm.create_model("poolformer_s12"), IMAGE,
    ),
    Known(
        "nfnet", "f0", "dm_nfnet_f0", "timm", lambda: timm.create_model("dm_nfnet_f0"), images(3, 192, 192),
        blocks=NFNET_BLOCKS,
    ),
    Known("gates", "eca_and_cbam", "layers EcaModule and CbamModule", "timm", gates, images(3, 20, 20)),
    Known("siamese", "pair", "Koch et al. 2015, restated", "torch", Siamese, lambda: (*GREY(), *GREY())),
    Known(
        "multi_task", "class_and_box", "Caruana 1997, restated", "torch", MultiTask, images(3, 32, 32), outputs=tuple
    ),
]  # fmt: skip


def randomise(model: nn.Module) -> None:
    """All vectors at random: biases, norms, scales, class tokens; and matrices of zeros, such as the head of torchvision's
    ViT. Otherwise zeros and ones hide an error."""
    for key, tensor in model.state_dict().items():
        if not tensor.is_floating_point() or tensor.numel() != max(tensor.shape, default=1):
            if tensor.ndim > 1 and not tensor.any():
                tensor.normal_(0, 0.02)
        elif key.endswith(("running_var", "weight", "scale", "gain")):
            tensor.uniform_(0.5, 1.5)
        else:
            tensor.normal_(0, 0.3)


def statistics_of(model: nn.Module, known: Known) -> None:
    """Running statistics near those of an input, each changed at random. Those of another input would let a deep network
    forget its input."""
    norms = [it for it in model.modules() if isinstance(it, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = 1.0
    known.call(model.train())(*(it.float() for it in known.inputs()))
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


def arranged(tensors: Named, block: str, *order: str) -> Named:
    """The same tensors, those of each block in this order."""

    def rank(item: tuple[str, Tensor]) -> int:
        return next(i for i, pattern in enumerate(order) if re.search(pattern, item[0]))

    result: Named = []
    for start, group in groupby(tensors, lambda item: (re.match(block, item[0]) or [""])[0]):
        result += sorted(group, key=rank) if start else group
    return result


def copy(theirs: nn.Module, ours: nn.Module, known: Known) -> None:
    """Copies all tensors, in the order of our network's; of those that are one only the first."""
    tied = ("num_batches_tracked", "lm_head.weight")
    distinct = {it.data_ptr(): (key, it) for key, it in reversed(theirs.state_dict().items()) if not key.endswith(tied)}
    tensors = parts(list(reversed(distinct.values())))
    if known.blocks:
        tensors = arranged(tensors, *known.blocks)
    if order := known.order:
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
    expected = known.outputs(known.call(theirs)(*inputs))
    found = ours(*inputs)
    return distance(known, found if isinstance(found, tuple) else (found,), expected)


def engine(known: Known, theirs: nn.Module, ours: nn.Module, tools: Path) -> float:
    """The same for our engine in single precision and the reference in double precision."""
    theirs.double(), ours.float()
    drawn = known.inputs()
    inputs = [it.float() for it in drawn]
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{name}.safetensors" for name in ("weights", "inputs", "outputs")]
        save_file({key: it.contiguous() for key, it in ours.state_dict().items()}, files[0])
        save_file({f"input.{at}": it for at, it in enumerate(inputs)}, files[1])
        command = [tools / "examples/graph_worker", NETS / f"{known.file}.ksn", known.net, *files]
        subprocess.run(command, check=True)
        outputs = load_file(files[2])
    # Token ids stay integers; other inputs are what single precision has of them.
    exact = [it.double() if was.is_floating_point() else was for was, it in zip(drawn, inputs, strict=True)]
    expected = known.outputs(known.call(theirs)(*exact))
    found = [outputs[f"output.{at}"].reshape(it.shape) for at, it in enumerate(expected)]
    return distance(known, found, expected)


def distance(known: Known, found: Iterable[Tensor], expected: Iterable[Tensor]) -> float:
    """The largest difference of an output, relative to its largest value."""
    worst = 0.0
    for y, z in zip(found, expected, strict=True):
        if y.shape != z.shape or not z.isfinite().all():
            raise ValueError(f"{known.net}: shapes {tuple(y.shape)} and {tuple(z.shape)}, or values that are not finite")
        if (z[0] - z[1]).abs().max() < 1e-3 * z.abs().max():
            raise ValueError(f"{known.net}: the output hardly depends on the input, so that it shows nothing")
        worst = max(worst, ((y - z).abs().max() / z.abs().max()).item())
    return worst


@torch.no_grad()
def compare(known: Known, tools: Path) -> list[float]:
    """The differences in double and in single precision, and that of our engine."""
    torch.manual_seed(0)
    theirs = known.reference().eval()
    randomise(theirs)
    statistics_of(theirs, known)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ours.py"
        file = NETS / f"{known.file}.ksn"
        subprocess.run([tools / "ksn", "export", "pytorch", file, "--net", known.net, "-o", path], check=True)
        ours = network(path).eval()
    copy(theirs, ours, known)
    errors = [difference(known, theirs, ours, dtype) for dtype in LIMITS]
    return [*errors, engine(known, theirs, ours, tools)]


def versions(known: Known) -> str:
    names = dict.fromkeys((known.package, "torch"))
    return ", ".join(f"{name} {version(name)}" for name in names)


def section(rows: list[list[str]]) -> str:
    head = ["network", "reference", "versions", "double precision", "single precision", "our engine, single precision"]
    cells = [[f"`{net}` of `{file}.ksn`", *rest] for file, net, *rest in rows]
    return TEXT.format(title=KNOWN_TITLE) + table(head, cells)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tools", nargs="?", type=Path, default=ROOT / "target/release", help="where cargo builds")
    parser.add_argument("--only", default="*", help="a pattern of files")
    parser.add_argument("--table", type=Path, help="the page whose section to replace")
    options = parser.parse_args()
    rows, failed = [], False
    for known in [it for it in KNOWN if fnmatch.fnmatch(it.file, options.only)]:
        errors = compare(known, options.tools.resolve())
        limits = [*LIMITS.values(), LIMITS[torch.float32]]
        bad = any(not error <= limit for error, limit in zip(errors, limits, strict=True))
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

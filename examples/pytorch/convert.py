"""Converts a checkpoint of another PyTorch model into one of a KSDSL network without sharing.

    ksn export pytorch net.ksn --set shared=false -o net.py
    python convert.py theirs.safetensors net.py ours.safetensors --rename 'downsample.0=project.conv'

The exported module says which tensors there must be, with which shapes. Every tensor of the checkpoint must end up in
one of them. Needs torch and safetensors.
"""

import argparse
import importlib.util
import re
from difflib import get_close_matches
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def network(path: Path) -> nn.Module:
    """The network of an exported module: its last class."""
    spec = importlib.util.spec_from_file_location("exported", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    classes = [it for it in vars(module).values() if isinstance(it, type) and it.__module__ == "exported"]
    return classes[-1]()


def pair(text: str) -> tuple[str, str]:
    pattern, separator, replacement = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError("expected PATTERN=REPLACEMENT")
    return pattern, replacement


def split(tensors: dict[str, Tensor], pattern: str, names: list[str]) -> dict[str, Tensor]:
    """Cuts tensors such as `qkv.weight` into equal parts along the first dimension."""
    result = {}
    for key, tensor in tensors.items():
        if not re.search(pattern, key):
            result[key] = tensor
            continue
        for name, part in zip(names, tensor.chunk(len(names)), strict=True):
            result[re.sub(pattern, name, key)] = part
    return result


def fit(tensor: Tensor, shape: torch.Size) -> Tensor | None:
    """The tensor in the shape of the network, where that holds the same numbers."""
    if tensor.shape == shape:
        return tensor
    # A linear layer on tokens is a 1x1 convolution.
    if shape[2:] == (1, 1) and tensor.shape == shape[:2]:
        return tensor.reshape(shape)
    # Tokens by features become features by rows and columns.
    if tensor.ndim == 3 and len(shape) == 4 and tensor.shape == (1, shape[2] * shape[3], shape[1]):
        return tensor.transpose(1, 2).reshape(shape)
    return None


def convert(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Our tensors, and what does not fit."""
    result, problems = {}, []
    for key, tensor in theirs.items():
        if key not in ours:
            near = "".join(f"; did you mean {name}?" for name in get_close_matches(key, ours, 1))
            problems.append(f"{key} is no tensor of the network{near}")
        elif (fitted := fit(tensor, ours[key].shape)) is None:
            problems.append(f"{key} has the shape {list(tensor.shape)} instead of {list(ours[key].shape)}")
        else:
            result[key] = fitted.contiguous().clone()
    problems += [f"{key} is missing" for key in ours if key not in theirs]
    return result, problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("checkpoint", type=Path, help="a state dict: .safetensors, or what torch.save wrote")
    parser.add_argument("module", type=Path, help="what `ksn export pytorch` wrote for the network without sharing")
    parser.add_argument("output", type=Path, help="the safetensors file to write")
    parser.add_argument("--rename", type=pair, action="append", default=[], metavar="PATTERN=REPLACEMENT",
                        help="replaces a regular expression in all keys; applied in order")  # fmt: skip
    parser.add_argument("--split", type=pair, action="append", default=[], metavar="PATTERN=NAME,NAME",
                        help="cuts tensors into equal parts along the first dimension, before renaming")  # fmt: skip
    options = parser.parse_args()

    theirs = {key: it for key, it in read(options.checkpoint).items() if not key.endswith("num_batches_tracked")}
    for pattern, names in options.split:
        theirs = split(theirs, pattern, names.split(","))
    for pattern, replacement in options.rename:
        theirs = {re.sub(pattern, replacement, key): tensor for key, tensor in theirs.items()}
    tensors, problems = convert(theirs, network(options.module).state_dict())
    if problems:
        print("\n".join(problems))
        return 1
    save_file(tensors, options.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

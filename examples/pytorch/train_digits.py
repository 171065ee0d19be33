"""Trains an exported digits network on several processes and writes a checkpoint for Rust.

    ksn export pytorch examples/nets/digits.ksn --net digits_shared -o digits_shared.py
    torchrun --nproc-per-node 2 examples/pytorch/train_digits.py digits_shared.py digits.safetensors
    cargo run --release -p ksdsl-examples --bin load_digits -- digits.safetensors

Needs torch, numpy and safetensors. Each process sees its part of every batch; PyTorch averages the
gradients, so a shared kernel gets the sum over its visits in every process, averaged over the
processes.
"""

import argparse
import gzip
import importlib.util
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.nn.parallel import DistributedDataParallel

DIGITS = Path(__file__).resolve().parents[2] / "ksdsl-runtime/train/core/data/digits.csv.gz"
# Images from this index on are the validation set.
TRAINING = 1437


def network(path: Path) -> nn.Module:
    """The network of an exported file, its last class."""
    spec = importlib.util.spec_from_file_location("network", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [value for value in vars(module).values() if isinstance(value, type)][-1]()


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised images and labels; mean and standard deviation are those of the training set."""
    table = torch.from_numpy(np.loadtxt(gzip.open(DIGITS), delimiter=",", dtype=np.float32))
    pixels = table[:, :64]
    pixels = (pixels - pixels[:TRAINING].mean()) / pixels[:TRAINING].std(correction=0)
    return pixels.reshape(-1, 1, 8, 8), table[:, 64].long()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("network", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--logits", type=Path, help="write the logits of the validation set to this file")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64, help="images per step, over all processes")
    options = parser.parse_args()

    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    # The same initial weights and order of the images everywhere; DDP sends those of the first.
    torch.manual_seed(0)
    model = network(options.network)
    parallel = DistributedDataParallel(model)
    optimiser = torch.optim.SGD(parallel.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    images, classes = digits()
    order = np.random.default_rng(0)
    for epoch in range(options.epochs):
        parallel.train()
        for batch in np.array_split(order.permutation(TRAINING), TRAINING // options.batch):
            mine = torch.from_numpy(batch[rank::world])
            loss = F.cross_entropy(parallel(images[mine]), classes[mine])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        model.eval()
        with torch.no_grad():
            logits = model(images[TRAINING:])
        accuracy = (logits.argmax(1) == classes[TRAINING:]).float().mean().item()
        if rank == 0:
            print(f"epoch {epoch + 1}: validation accuracy {100 * accuracy:.2f} %", flush=True)
    if rank == 0:
        save_file(model.state_dict(), options.output, metadata=model.ties)
        if options.logits:
            save_file({"logits": logits}, options.logits)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

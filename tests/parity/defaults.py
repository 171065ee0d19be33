"""Compares the columns of docs/book/src/defaults.md with PyTorch, torchvision and timm.

Every value in code quotes that the table gives for one of them and that is listed below is read from the library.
Needs torch, torchvision and timm.
"""

import inspect
from pathlib import Path

import timm
import torch
import torchvision
from timm.data.auto_augment import rand_augment_transform
from timm.layers import SEModule
from timm.optim import create_optimizer_v2
from torch import nn, optim

PAGE = Path(__file__).parents[2] / "docs/book/src/defaults.md"


def default(function, name):
    return inspect.signature(function).parameters[name].default


def timm_group(name):
    """The parameter group of an optimiser that timm makes."""
    return create_optimizer_v2(nn.Linear(1, 1), opt=name, lr=1).param_groups[-1]


def cells(setting):
    """PyTorch's and timm's cell of a row."""
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| {setting} |"))
    return row.split(" | ")[2:4]


VIT = timm.create_model("vit_tiny_patch16_224")
RESNET = timm.create_model("resnet18")
EXPECTED = {
    "`conv`: `bias`": (default(nn.Conv2d, "bias"), RESNET.conv1.bias is not None),
    "`linear`: `bias`": (default(nn.Linear, "bias"), RESNET.fc.bias is not None),
    "`squeeze_excite`: `bias`": (torchvision.ops.SqueezeExcitation(16, 4).fc1.bias is not None, default(SEModule, "bias")),
    "`squeeze_excite`: `reduction`": (None, round(1 / default(SEModule, "rd_ratio"))),
    "`layer_norm`: `eps`": (default(nn.LayerNorm, "eps"), VIT.norm.eps),
    "`batch_norm`: `eps`": (default(nn.BatchNorm2d, "eps"), RESNET.bn1.eps),
    "`batch_norm`: `momentum`": (default(nn.BatchNorm2d, "momentum"), RESNET.bn1.momentum),
    "`sgd`: `momentum`": (default(optim.SGD, "momentum"), timm_group("sgd")["momentum"]),
    "`sgd`: `nesterov`": (default(optim.SGD, "nesterov"), timm_group("sgd")["nesterov"]),
    "`sgd`: `decay`": (default(optim.SGD, "weight_decay"), default(create_optimizer_v2, "weight_decay")),
    "`adam_w`: `decay`": (default(optim.AdamW, "weight_decay"), default(create_optimizer_v2, "weight_decay")),
    "`adam_w`: `eps`": (default(optim.AdamW, "eps"), timm_group("adamw")["eps"]),
    "recipe: `rate`": (default(optim.SGD, "lr"), None),
    "erasing: largest area": (default(torchvision.transforms.RandomErasing, "scale")[1], None),
}


def claims():
    """What the tables say in words."""
    attention, torchvision_vit = nn.MultiheadAttention(64, 4), torchvision.models.vit_b_16()
    largest = lambda tensor: tensor.abs().max().item()
    yield "attention is Xavier uniform", 0.98 < largest(attention.in_proj_weight) / (6 / 256) ** 0.5 <= 1
    yield "its biases are zero", largest(attention.in_proj_bias) == largest(attention.out_proj.bias) == 0
    yield "torchvision's ViT has 1e-6", torchvision_vit.encoder.layers[0].ln_1.eps == 1e-6
    yield "its positions are normal", abs(torchvision_vit.encoder.pos_embedding.std().item() / 0.02 - 1) < 0.02
    yield "its patches have 1 / sqrt(fan_in)", abs(torchvision_vit.conv_proj.weight.std().item() * 768**0.5 - 1) < 0.02
    yield "timm's patches are Conv2d's", 0.98 < largest(VIT.patch_embed.proj.weight) * 768**0.5 <= 1.001
    yield "timm's projections are normal", abs(VIT.blocks[0].attn.qkv.weight.std().item() / 0.02 - 1) < 0.02
    yield "timm's biases are zero", largest(VIT.blocks[0].attn.qkv.bias) == 0
    yield "timm spares positions", "pos_embed" in VIT.no_weight_decay()
    spared = [group for group in create_optimizer_v2(VIT, opt="sgd", lr=1, weight_decay=1).param_groups if not group["weight_decay"]]
    yield "and 1-d parameters", {tensor.ndim for group in spared for tensor in group["params"]} == {1, 3}
    yield "fan_out of all groups", nn.init._calculate_fan_in_and_fan_out(torch.empty(32, 4, 3, 3)) == (36, 288)
    yield "the momentum cycles", default(optim.lr_scheduler.OneCycleLR, "cycle_momentum") is True
    yield "buffers are copied", default(optim.swa_utils.AveragedModel, "use_buffers") is False
    yield "timm averages buffers", default(timm.utils.ModelEmaV3, "exclude_buffers") is False
    yield "torchvision has 14 operations", len(torchvision.transforms.RandAugment()._augmentation_space(31, (8, 8))) == 14
    operations = rand_augment_transform("rand-m9", {}).ops
    yield "timm has 15", len(operations) == 15 and all(operation.prob == 0.5 for operation in operations)


def main():
    wrong = [claim for claim, holds in claims() if not holds]
    for setting, values in EXPECTED.items():
        for cell, value in zip(cells(setting), values):
            if value is not None and not cell.startswith(f"`{value}`"):
                wrong.append(f"{setting}: {cell} is {value}")
    print("\n".join(wrong) or f"{len(EXPECTED)} rows agree with PyTorch {torch.__version__} and timm {timm.__version__}")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())

"""The networks of `examples/nets` in PyTorch.

The layers have the names of the specification, so a network's `state_dict` has the keys of our
checkpoints, but for the shared kernels: those are `shared.<group>.weight` in ours.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Network(nn.Module):
    """A network that knows which of its parameters several layers share."""

    shared: dict[str, nn.Parameter]

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and running statistics by their keys in our checkpoints, each once."""
        ours = {f"shared.{key}": tensor for key, tensor in self.shared.items()}
        shared = {id(tensor) for tensor in ours.values()}
        for key, tensor in self.state_dict(keep_vars=True).items():
            if id(tensor) not in shared and not key.endswith("num_batches_tracked"):
                ours[key] = tensor
        return ours


def tie(groups: dict[str, list[nn.Module]]) -> dict[str, nn.Parameter]:
    """Lets the layers of each group use the parameters of the first."""
    shared = {}
    for group, layers in groups.items():
        for name, parameter in list(layers[0].named_parameters()):
            shared[f"{group}.{name}"] = parameter
            for layer in layers[1:]:
                setattr(layer, name, parameter)
    return shared


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        self.reduce = nn.Linear(channels, channels // reduction, bias=False)
        self.expand = nn.Linear(channels // reduction, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Basic(nn.Module):
    """A basic block with squeeze-and-excitation."""

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.batch_norm = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.batch_norm_2 = nn.BatchNorm2d(width)
        self.squeeze_excite = SqueezeExcite(width)
        self.project = None
        if inputs != width or stride != 1:
            conv = nn.Conv2d(inputs, width, 1, stride, bias=False)
            self.project = nn.Sequential(OrderedDict(conv=conv, batch_norm=nn.BatchNorm2d(width)))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.batch_norm(self.conv1(x)))
        y = self.squeeze_excite(self.batch_norm_2(self.conv2(y)))
        return F.relu(y + (x if self.project is None else self.project(x)))


class SeResNet(Network):
    """`se_resnet.ksn`."""

    def __init__(self, depth: int, shared: bool):
        super().__init__()
        conv = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.stem = nn.Sequential(OrderedDict(conv=conv, batch_norm=nn.BatchNorm2d(16), relu=nn.ReLU()))
        self.s1 = self.stage(depth, 16, 64, 1)
        self.s2 = self.stage(depth, 64, 128, 2)
        self.s3 = self.stage(depth, 128, 256, 2)
        self.head = nn.ModuleDict({"linear": nn.Linear(256, 10)})
        groups = {}
        for name in ("s1", "s2", "s3") if shared else ():
            blocks = list(getattr(self, name))
            later = [conv for block in blocks[1:] for conv in (block.conv1, block.conv2)]
            groups[f"{name}_conv"] = [blocks[0].conv2, *later]
        self.shared = tie(groups)

    @staticmethod
    def stage(depth: int, inputs: int, width: int, stride: int) -> nn.Sequential:
        return nn.Sequential(Basic(inputs, width, stride), *(Basic(width, width, 1) for _ in range(depth - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.s3(self.s2(self.s1(self.stem(x))))
        return self.head["linear"](x.mean((2, 3)))


class Mixer(nn.Module):
    """A block of ConvMixer."""

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, kernel, groups=width, padding=kernel // 2)
        self.batch_norm = nn.BatchNorm2d(width)
        self.pointwise = nn.Conv2d(width, width, 1)
        self.batch_norm_2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.batch_norm(F.gelu(self.depthwise(x)))
        return self.batch_norm_2(F.gelu(self.pointwise(x)))


class ConvMixer(Network):
    """`convmixer.ksn`."""

    def __init__(self, width: int, shared: bool, depth: int = 16, kernel: int = 9):
        super().__init__()
        conv = nn.Conv2d(3, width, 1)
        self.stem = nn.Sequential(OrderedDict(conv=conv, gelu=nn.GELU(), batch_norm=nn.BatchNorm2d(width)))
        self.mixer = nn.Sequential(*(Mixer(width, kernel) for _ in range(depth)))
        self.head = nn.ModuleDict({"linear": nn.Linear(width, 10)})
        kinds = ("depthwise", "pointwise") if shared else ()
        self.shared = tie({f"mixer_{kind}": [getattr(block, kind) for block in self.mixer] for kind in kinds})

    def forward(self, x: Tensor) -> Tensor:
        return self.head["linear"](self.mixer(self.stem(x)).mean((2, 3)))


def build(name: str) -> Network:
    """The network of a name such as `se_resnet_10_unshared` (depth) or `convmixer_256` (width)."""
    shared = not name.endswith("_unshared")
    family, _, size = name.removesuffix("_unshared").rpartition("_")
    networks = {"se_resnet": SeResNet, "convmixer": ConvMixer}
    return networks[family](int(size), shared)

"""Networks of the literature that no package has, as their authors' code computes them, in short; for `known.py`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Double(nn.Sequential):
    """`DoubleConv` of github.com/milesial/Pytorch-UNet, unet/unet_parts.py."""

    def __init__(self, inputs: int, outputs: int):
        layers = []
        for channels in (inputs, outputs):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        super().__init__(*layers)


class Up(nn.Module):
    """`Up` of milesial's U-Net with `bilinear=False`; the sizes agree, so that nothing is padded."""

    def __init__(self, channels: int):
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)
        self.conv = Double(channels, channels // 2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv(torch.cat([skip, self.up(x)], 1))


class UNet(nn.Module):
    """`UNet(n_channels=3, n_classes=2)` of github.com/milesial/Pytorch-UNet."""

    def __init__(self, channels: int = 3, classes: int = 2):
        super().__init__()
        widths = [64, 128, 256, 512, 1024]
        self.down = nn.ModuleList(map(Double, [channels, *widths], widths))
        self.up = nn.ModuleList(map(Up, widths[:0:-1]))
        self.outc = nn.Conv2d(64, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for i, down in enumerate(self.down):
            x = down(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        skips.pop()
        for up in self.up:
            x = up(x, skips.pop())
        return self.outc(x)


def dcgan_generator(nz: int = 100, ngf: int = 64, nc: int = 3) -> nn.Module:
    """`Generator` of github.com/pytorch/examples, dcgan/main.py."""
    layers: list[nn.Module] = [nn.ConvTranspose2d(nz, ngf * 8, 4, 1, 0, bias=False), nn.BatchNorm2d(ngf * 8), nn.ReLU()]
    for factor in (8, 4, 2):
        outputs = ngf * factor // 2
        layers += [nn.ConvTranspose2d(ngf * factor, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False), nn.Tanh())


class BasicA(nn.Module):
    """`BasicBlock` of github.com/akamaster/pytorch_resnet_cifar10, resnet.py, with option A."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.inputs, self.outputs = inputs, outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.inputs != self.outputs:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.outputs // 4, self.outputs // 4))
        return F.relu(y + x)


class ResNetA(nn.Module):
    """`resnet20()` of github.com/akamaster/pytorch_resnet_cifar10."""

    def __init__(self, depth: int = 3, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks, inputs = [], 16
        for outputs in (16, 32, 64):
            for i in range(depth):
                blocks.append(BasicA(inputs, outputs, 2 if i == 0 and outputs > 16 else 1))
                inputs = outputs
        self.layers = nn.Sequential(*blocks)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(F.relu(self.bn1(self.conv1(x))))
        return self.linear(F.avg_pool2d(x, x.shape[3]).flatten(1))


class TiedDeep(nn.Module):
    """The autoencoder of Hinton & Salakhutdinov 2006 with tied weights."""

    def __init__(self, sizes: tuple[int, ...] = (784, 1000, 500, 250, 30)):
        super().__init__()
        self.encoder = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.decoder_bias = nn.ParameterList([torch.zeros(size) for size in sizes[-2::-1]])
        # Large, so that eight sigmoids let the input through.
        for layer in self.encoder:
            nn.init.xavier_normal_(layer.weight, 4.0)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.encoder[:-1]:
            x = torch.sigmoid(layer(x))
        x = self.encoder[-1](x)
        for layer, bias in zip(reversed(self.encoder), self.decoder_bias, strict=True):
            x = torch.sigmoid(x @ layer.weight + bias)
        return x


class TiedConvolutional(nn.Module):
    """A convolutional autoencoder with tied weights: the kernels of `nn.Conv2d` and `nn.ConvTranspose2d` coincide."""

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(1, 16, 4, 2, 1), nn.Conv2d(16, 32, 4, 2, 1)])
        self.up_bias = nn.ParameterList([torch.zeros(16), torch.zeros(1)])

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.down
        x = F.relu(second(F.relu(first(x))))
        x = F.relu(F.conv_transpose2d(x, second.weight, self.up_bias[0], 2, 1))
        return torch.sigmoid(F.conv_transpose2d(x, first.weight, self.up_bias[1], 2, 1))


class Siamese(nn.Module):
    """One tower for two images and a weighted L1 distance (Koch et al. 2015, section 3.1), with a smaller tower."""

    def __init__(self, features: int = 64):
        super().__init__()
        self.tower = nn.Sequential(
            nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(800, features), nn.Sigmoid(),
        )  # fmt: skip
        self.linear = nn.Linear(features, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.linear((self.tower(left) - self.tower(right)).abs())


class MultiTask(nn.Module):
    """A trunk with a head for each task (Caruana 1997)."""

    def __init__(self, classes: int = 10):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 16), (16, 32), (32, 48)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.label = nn.Linear(48, classes)
        self.box = nn.Sequential(nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 4), nn.Sigmoid())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(x).mean((2, 3))
        return self.label(features), self.box(features)

"""The networks in plain PyTorch, with the weight names of Multipath, so that one file of weights serves both."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


class Stem(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(3, width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn1(self.conv1(x)), inplace=True)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, as torchvision's."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv3x3(outputs, outputs), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += shortcut
        return F.relu(y, inplace=True)


class ResNet20(Stem):
    """He et al. (arXiv 1512.03385), section 4.2, with 1x1 convolutions where a shortcut changes shape."""

    def __init__(self, classes: int = 10):
        super().__init__(16)
        self.layer1 = nn.Sequential(BasicBlock(16, 16, 1), BasicBlock(16, 16, 1), BasicBlock(16, 16, 1))
        self.layer2 = nn.Sequential(BasicBlock(16, 32, 2), BasicBlock(32, 32, 1), BasicBlock(32, 32, 1))
        self.layer3 = nn.Sequential(BasicBlock(32, 64, 2), BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(super().forward(x))))
        return self.fc(x.mean(dim=(2, 3)))


class Gate(nn.Module):
    """Weights g_ij of source path i in target path j, decided per image by two dense layers over the pooled source.

    Each source has its own layers; those of all sources run as one batched product.
    """

    def __init__(self, paths: int, channels: int, hidden: int = 16):
        super().__init__()
        self.weight1 = nn.Parameter(torch.empty(paths, hidden, channels).uniform_(-1, 1) * channels**-0.5)
        self.bias1 = nn.Parameter(torch.empty(paths, hidden).uniform_(-1, 1) * channels**-0.5)
        self.weight2 = nn.Parameter(torch.empty(paths, paths, hidden).uniform_(-1, 1) * hidden**-0.5)
        self.bias2 = nn.Parameter(torch.empty(paths, paths).uniform_(-1, 1) * hidden**-0.5)

    def forward(self, xs: list[Tensor]) -> Tensor:
        pooled = torch.stack([x.mean(dim=(2, 3)) for x in xs])
        hidden = torch.baddbmm(self.bias1.unsqueeze(1), pooled, self.weight1.transpose(1, 2)).relu()
        logits = torch.baddbmm(self.bias2.unsqueeze(1), hidden, self.weight2.transpose(1, 2))
        return logits.float().softmax(dim=2)


class CrossConnection(nn.Module):
    """Target j is the sum over i of g_ij x_i: Tissera et al. (arXiv 2107.02450), section 3."""

    def __init__(self, paths: int, channels: int):
        super().__init__()
        self.gate = Gate(paths, channels)

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        weights = self.gate(xs).to(xs[0].dtype)[..., None, None, None]
        targets = []
        for j in range(len(xs)):
            target = weights[0, :, j] * xs[0]
            for i in range(1, len(xs)):
                target.addcmul_(weights[i, :, j], xs[i])
            targets.append(target)
        return targets


class Paths(nn.Module):
    """One layer a path, named `path1`, `path2`, ...; with `cross`, features cross between the paths before it."""

    def __init__(self, make: Callable[[], nn.Module], paths: int, cross: nn.Module | None = None):
        super().__init__()
        self.cross = cross
        self.names = [f"path{j}" for j in range(1, paths + 1)]
        for name in self.names:
            self.add_module(name, make())

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        if self.cross is not None:
            xs = self.cross(xs)
        return [getattr(self, name)(x) for name, x in zip(self.names, xs, strict=True)]


class Head(nn.Module):
    def __init__(self, inputs: int, classes: int):
        super().__init__()
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean(dim=(2, 3)))


class MultipathResNet20(nn.Module):
    """Parallel ResNet-20s whose logits are averaged; with `routed`, cross-connections at the three stage starts."""

    def __init__(self, paths: int, routed: bool, classes: int = 10):
        super().__init__()
        self.paths = paths
        self.stem = nn.Sequential(Paths(lambda: Stem(16), paths))
        for number, (inputs, outputs) in enumerate([(16, 16), (16, 32), (32, 64)], start=1):
            first = partial(BasicBlock, inputs, outputs, 1 if number == 1 else 2)
            further = partial(BasicBlock, outputs, outputs, 1)
            cross = CrossConnection(paths, inputs) if routed else None
            layers = [Paths(first, paths, cross), Paths(further, paths), Paths(further, paths)]
            self.add_module(f"stage{number}", nn.Sequential(*layers))
        self.head = Paths(lambda: Head(64, classes), paths)

    def forward(self, x: Tensor) -> Tensor:
        xs = self.stem([x] * self.paths)
        logits = self.head(self.stage3(self.stage2(self.stage1(xs))))
        return torch.stack([each.float() for each in logits]).mean(dim=0)


NETWORKS = {
    "resnet20": ResNet20,
    "resnet20_x3": partial(MultipathResNet20, 3, routed=False),
    "resnet20_x3_cc": partial(MultipathResNet20, 3, routed=True),
}

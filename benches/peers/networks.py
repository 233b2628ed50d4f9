"""The networks in PyTorch, with the weight names of Multipath, so that one file of weights serves both: ResNet-20s in plain
PyTorch, the others from torchvision and timm."""

import re
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
    """Two 3x3 convolutions and a shortcut, as torchvision's; a cross-prediction may stand for the first convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int, predicted: bool = False):
        super().__init__()
        self.conv1 = None if predicted else conv3x3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv3x3(outputs, outputs), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.joined(self.conv1(x), x)

    def joined(self, y: Tensor, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(y), inplace=True)
        y = self.bn2(self.conv2(y))
        y += shortcut
        return F.relu(y, inplace=True)


class ResNet20(Stem):
    """He et al. (arXiv 1512.03385), section 4.2, with 1x1 convolutions where a shortcut changes shape."""

    def __init__(self, width: int = 16, classes: int = 10):
        super().__init__(width)
        channels = width
        for number, outputs in enumerate([width, 2 * width, 4 * width], start=1):
            first = BasicBlock(channels, outputs, 1 if number == 1 else 2)
            further = [BasicBlock(outputs, outputs, 1) for _ in range(2)]
            self.add_module(f"layer{number}", nn.Sequential(first, *further))
            channels = outputs
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(super().forward(x))))
        return self.fc(x.mean(dim=(2, 3)))


class Gate(nn.Module):
    """Weights g_ij [B, S, T] of source path i in target path j: two dense layers over the pooled source.

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
        return logits.float().softmax(dim=2).transpose(0, 1)


def mix(xs: list[Tensor], weights: Tensor) -> list[Tensor]:
    """Sources and weights [B, S, T] to targets."""
    weights = weights.to(xs[0].dtype)[..., None, None, None]
    targets = []
    for j in range(weights.shape[2]):
        target = weights[:, 0, j] * xs[0]
        for i in range(1, len(xs)):
            target.addcmul_(weights[:, i, j], xs[i])
        targets.append(target)
    return targets


class CrossConnection(nn.Module):
    """Target j is the sum over i of g_ij x_i: Tissera et al. (arXiv 2107.02450), section 3."""

    def __init__(self, paths: int, channels: int):
        super().__init__()
        self.gate = Gate(paths, channels)

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        return mix(xs, self.gate(xs))


class Predictions(nn.Module):
    """The convolutions W_ij * x_i + b_ij by which all sources i predict one target j."""

    def __init__(self, paths: int, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.inputs, self.stride = inputs, stride
        # The weights from all sources side by side.
        self.weight = nn.Parameter(torch.empty(outputs, paths * inputs, 3, 3).uniform_(-1, 1) * (9 * inputs) ** -0.5)
        self.bias = nn.Parameter(torch.empty(paths, outputs).uniform_(-1, 1) * (9 * inputs) ** -0.5)

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        each = zip(xs, self.weight.split(self.inputs, dim=1), self.bias, strict=True)
        return [F.conv2d(x, weight, bias, self.stride, padding=1) for x, weight, bias in each]


class CrossPrediction(nn.Module):
    """Target j is the sum over i of g_ij (W_ij * x_i + b_ij): the same paper. The blocks' shortcuts are mixed alike."""

    def __init__(self, paths: int, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.gate = Gate(paths, inputs)
        self.names = [f"target{j}" for j in range(1, paths + 1)]
        for name in self.names:
            self.add_module(name, Predictions(paths, inputs, outputs, stride))

    def forward(self, xs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        weights = self.gate(xs)
        targets = []
        for j, name in enumerate(self.names):
            targets += mix(getattr(self, name)(xs), weights[:, :, j : j + 1])
        return targets, mix(xs, weights)


class Paths(nn.Module):
    """One layer a path, named `path1`, `path2`, ...; with `cross`, features cross between the paths before it."""

    def __init__(self, make: Callable[[], nn.Module], paths: int, cross: nn.Module | None = None):
        super().__init__()
        self.cross = cross
        self.names = [f"path{j}" for j in range(1, paths + 1)]
        for name in self.names:
            self.add_module(name, make())

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        layers = [getattr(self, name) for name in self.names]
        if isinstance(self.cross, CrossPrediction):
            predicted, shortcuts = self.cross(xs)
            return [layer.joined(y, x) for layer, y, x in zip(layers, predicted, shortcuts, strict=True)]
        if self.cross is not None:
            xs = self.cross(xs)
        return [layer(x) for layer, x in zip(layers, xs, strict=True)]


class Head(nn.Module):
    def __init__(self, inputs: int, classes: int):
        super().__init__()
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean(dim=(2, 3)))


class MultipathResNet20(nn.Module):
    """Parallel ResNet-20s whose logits are averaged.

    `mechanism` says how features cross between the paths, "cc" or "cp" (`None`: not at all), and `everywhere` whether
    they do so before every block or only at the three stage starts.
    """

    def __init__(self, paths: int, mechanism: str | None, everywhere: bool, classes: int = 10):
        super().__init__()
        self.paths = paths
        self.stem = nn.Sequential(Paths(lambda: Stem(16), paths))
        channels = 16
        for number, width in enumerate([16, 32, 64], start=1):
            layers = []
            for index in range(3):
                stride = 2 if number > 1 and index == 0 else 1
                kind = mechanism if everywhere or index == 0 else None
                cross = crossing(kind, paths, channels, width, stride)
                block = partial(BasicBlock, channels, width, stride, predicted=kind == "cp")
                layers.append(Paths(block, paths, cross))
                channels = width
            self.add_module(f"stage{number}", nn.Sequential(*layers))
        self.head = Paths(lambda: Head(64, classes), paths)

    def forward(self, x: Tensor) -> Tensor:
        xs = self.stem([x] * self.paths)
        logits = self.head(self.stage3(self.stage2(self.stage1(xs))))
        return torch.stack([each.float() for each in logits]).mean(dim=0)


def crossing(mechanism: str | None, paths: int, inputs: int, outputs: int, stride: int) -> nn.Module | None:
    if mechanism == "cc":
        return CrossConnection(paths, inputs)
    if mechanism == "cp":
        return CrossPrediction(paths, inputs, outputs, stride)
    return None


NAME = re.compile(
    r"resnet20(?:_w(?P<width>\d+))?(?:_x(?P<paths>\d+)(?:_(?P<mechanism>cc|cp))?)?(?:@positions=(?P<at>\w+))?"
)


# How a network of torchvision is made where its name alone does not say it. Drawing Inception's weights takes a minute.
TORCHVISION = {
    "googlenet": {"init_weights": False, "transform_input": False},
    "inception_v3": {"init_weights": False, "transform_input": False},
}


def build(name: str) -> nn.Module:
    """The network of a name as `mp-train bench` takes it: `resnet20_x3_cc@positions=blocks`, `densenet121`."""
    found = NAME.fullmatch(name)
    if found is None and not name.startswith("resnet20"):
        return public(name)
    if found is None or found["at"] not in (None, "stages", "blocks") or (found["width"] and found["paths"]):
        known = "resnet20, resnet20_wWIDTH, resnet20_xPATHS[_cc|_cp[@positions=blocks]]"
        raise ValueError(f"{name}: no such network here, expected {known}")
    if found["paths"] is None:
        return ResNet20(int(found["width"] or 16))
    return MultipathResNet20(int(found["paths"]), found["mechanism"], found["at"] == "blocks")


def public(name: str) -> nn.Module:
    """A network of torchvision, else of timm."""
    import torchvision

    if name in torchvision.models.list_models(torchvision.models):
        return torchvision.models.get_model(name, **TORCHVISION.get(name, {}))
    import timm

    if not timm.is_model(name):
        raise ValueError(f"{name}: no such network here, in torchvision or in timm")
    return timm.create_model(name)


def size_of(name: str) -> int:
    """Height and width of the images that a network is made for."""
    if name.startswith("resnet20"):
        return 32
    return 299 if name.startswith("inception") else 224


def classes_of(name: str) -> int:
    return 10 if name.startswith("resnet20") else 1000

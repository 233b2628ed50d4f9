"""Writes the golden files that `tests/torchvision.rs` compares the zoo with.

    pip install torch==2.13.0 torchvision==0.28.0 safetensors numpy
    python make_golden.py                 # writes beside itself; a second run writes the same bytes

The networks are torchvision's own: its blocks, its `_make_layer`, its `forward`, its names.

Files
    NAME.safetensors        the whole state_dict of a narrow network, as torchvision would save it
                            (float32; `num_batches_tracked` is int64 and has no dimensions)
    expected.safetensors    `input`: two images of 8x8 pixels, [2, 3, 8, 8]; the networks see each pixel repeated,
                            4x4 times (an image of 32x32) or 8x8 times (of 64x64), so that the images differ in
                            what survives pooling;
                            `NAME/logits`: what the network NAME gives for them in evaluation mode, the CIFAR forms
                            (resnet20, resnet32) at 32x32, the others at 64x64
    torchvision.json        for each full-size network of torchvision: its parameter count, and name and shape of
                            every tensor of its state_dict, in order

Expected values are computed in float64 and stored as float32, so that they are the rounded truth and not one
machine's order of summation.

Weights come from a formula, so that another language can fill the full-size networks (100 MB) without a file.
Element k (counted from 0, row-major) of the tensor with the name n:

    seed = FNV-1a, 64 bit, of the UTF-8 bytes of n
    z    = seed + (k + 1) * 0x9E3779B97F4A7C15                     all modulo 2^64: this is the generator
    z    = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9                    splitmix64 with that seed, and z is its
    z    = (z ^ (z >> 27)) * 0x94D049BB133111EB                    output number k
    z    = z ^ (z >> 31)
    v    = (z >> 40) / 2^23 - 1                                    in [-1, 1), exact in float32

and then, by the first rule that holds, each `*` and `+` being one float32 operation:

    n is `input`                        v
    two or more dimensions              v * float32(sqrt(3 / fan_in)), fan_in = product of all but the first dimension,
                                        the root taken in float64: variance 1 / fan_in
    n ends with `running_var`           1 + v / 2
    n ends with `weight`                1 + v / 2                  scales of batch normalisation
    otherwise                           v / 8                      biases and running means
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

HERE = Path(__file__).parent
CLASSES = 10


class Narrow(ResNet):
    """torchvision's ResNet with the first stage `width` channels wide instead of 64, and any number of stages.

    The CIFAR form has a 3x3 stem of stride 1 and no pooling behind it.
    """

    def __init__(self, block: type, layers: list[int], width: int, cifar: bool = False):
        nn.Module.__init__(self)
        self._norm_layer = nn.BatchNorm2d
        self.inplanes = width
        self.dilation, self.groups, self.base_width = 1, 1, 64
        if cifar:
            self.conv1 = nn.Conv2d(3, width, kernel_size=3, padding=1, bias=False)
        else:
            self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if cifar else nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for stage in range(4):
            if stage < len(layers):
                made = self._make_layer(block, width << stage, layers[stage], stride=1 if stage == 0 else 2)
            else:
                made = nn.Identity()
            self.add_module(f"layer{stage + 1}", made)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(self.inplanes, CLASSES)


NARROW = {
    "resnet18_w4": lambda: Narrow(BasicBlock, [2, 2, 2, 2], 4),
    "resnet34_w4": lambda: Narrow(BasicBlock, [3, 4, 6, 3], 4),
    "resnet50_w4": lambda: Narrow(Bottleneck, [3, 4, 6, 3], 4),
    "resnet20_w8": lambda: Narrow(BasicBlock, [3, 3, 3], 8, cifar=True),
    "resnet32_w4": lambda: Narrow(BasicBlock, [5, 5, 5], 4, cifar=True),
}
FULL = {
    "resnet18": torchvision.models.resnet18,
    "resnet34": torchvision.models.resnet34,
    "resnet50": torchvision.models.resnet50,
}


def fnv1a(text: str) -> int:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def formula(name: str, shape: torch.Size) -> Tensor:
    """The tensor that the module's docstring defines for this name and shape."""
    k = np.arange(1, math.prod(shape) + 1, dtype=np.uint64)
    z = np.uint64(fnv1a(name)) + k * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    v = (z >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    if name == "input":
        pass
    elif len(shape) >= 2:
        v *= np.float32(math.sqrt(3 / math.prod(shape[1:])))
    elif name.endswith(("running_var", "weight")):
        v = np.float32(1) + v / np.float32(2)
    else:
        v = v / np.float32(8)
    return torch.from_numpy(v).reshape(shape)


def fill(model: nn.Module) -> nn.Module:
    """Fills every parameter and buffer by the formula; counters of seen batches stay at zero."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                tensor.copy_(formula(name, tensor.shape))
    return model.eval()


def evaluate(model: nn.Module, x: Tensor) -> Tensor:
    """The model's output in float64, rounded to float32; checked against PyTorch's own float32 run."""
    with torch.no_grad():
        single = model(x)
        double = model.double()(x.double()).float()
    torch.testing.assert_close(single, double, rtol=1e-4, atol=1e-4 * double.abs().max().item())
    return double.contiguous()


def enlarge(pixels: Tensor, times: int) -> Tensor:
    return pixels.repeat_interleave(times, dim=2).repeat_interleave(times, dim=3)


def signature(model: nn.Module) -> dict:
    state = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    return {"parameters": sum(p.numel() for p in model.parameters()), "state": state}


def write_json(path: Path, models: dict) -> None:
    """One tensor a line, so that a change shows as a readable difference."""
    blocks = []
    for name, entry in models.items():
        lines = ",\n".join(f'      {json.dumps(key)}: {json.dumps(shape)}' for key, shape in entry["state"].items())
        blocks.append(
            f'  {json.dumps(name)}: {{\n    "parameters": {entry["parameters"]},\n    "state": {{\n{lines}\n    }}\n  }}'
        )
    path.write_text("{\n" + ",\n".join(blocks) + "\n}\n")


def main() -> None:
    pixels = formula("input", torch.Size([2, 3, 8, 8]))
    input32, input64 = enlarge(pixels, 4), enlarge(pixels, 8)
    expected = {"input": pixels}

    for name, make in NARROW.items():
        model = fill(make())
        save_file({key: t.contiguous() for key, t in model.state_dict().items()}, HERE / f"{name}.safetensors")
        cifar = name.startswith(("resnet20", "resnet32"))
        expected[f"{name}/logits"] = evaluate(model, input32 if cifar else input64)

    signatures = {}
    for name, make in FULL.items():
        model = fill(make())
        signatures[name] = signature(model)
        expected[f"{name}/logits"] = evaluate(model, input64)

    signatures["vgg13_bn"] = signature(torchvision.models.vgg13_bn(init_weights=False))

    save_file(expected, HERE / "expected.safetensors")
    write_json(HERE / "torchvision.json", signatures)
    for name, tensor in expected.items():
        apart = (tensor[0] - tensor[1]).abs().mean().item()
        print(f"{name:20} {list(tensor.shape)}  largest {tensor.abs().max():.3f}  images apart {apart:.3f}")


if __name__ == "__main__":
    main()

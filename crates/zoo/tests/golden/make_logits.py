"""Writes `logits.json`: what torchvision's and timm's networks answer when every tensor is filled by a formula.

    pip install torch==2.13.0 torchvision==0.28.0 timm==1.0.31 numpy
    python make_logits.py                      # writes beside itself; some minutes on one core
    python make_logits.py resnet18 vgg11       # prints the lines of these networks, writes nothing
    python make_logits.py --names DIRECTORY    # also writes DIRECTORY/NAME.txt: "name shape" of every tensor, in order

Both sides fill every tensor by the formula, so that a few logits stand for a file of weights.

The formula
    h    = FNV-1a, 64 bit, of the UTF-8 bytes of the tensor's full name in the state_dict
    k(i) = (i * i * 2654435769 + h) mod 2^32              i counts the elements from 0, row-major
    s(i) = sin(2 pi k(i) / 2^32)                          in float64

    and then, by the first rule that holds, rounded to float32:

    `num_batches_tracked`                  0              int64, no axes
    `running_var`                          variance * (1 + 0.5 s)
    `running_mean`                         0.1 s
    one axis, the name ends with `weight`  1 + 0.1 s
    one axis                               0.1 s
    two or more axes                       2 s / sqrt(fan_in), fan_in = product of all axes but the first

`variance` belongs to the entry. It is 1 where layers follow one another or are concatenated, and 2 where they are
added to a shortcut. With 1, a residual sum doubles with every block: the logits of resnet152 reach 2e12, where no bias
counts, and gates amplify rounding up to 4e-3 of the logits. With 2, an Inception network forgets its image: the two
rows of inception_v4 differ by 2e-5. The two deepest, resnest200e and resnest269e, take 2.5: with 2, float32 is off by
9e-5 and 0.4 of the largest logit.

The input is the tensor named `input` of shape [2, 3, size, size], with the values s. The networks run in evaluation
mode. What is written was computed in float64 from the float32 weights, so that it is the rounded truth and not one
machine's order of summation; the networks themselves, in float32, come within 2e-6 of the largest logit.

An entry
    name           ours; `@64` is the input's height and width where they are not the full network's
    source         torchvision or timm, of the version at the top of the file
    reference      the name there, or the class for a network of our own making
    made           the expression that builds it
    size           height and width of the input
    classes        number of logits
    variance       see above
    parameters     number of trainable parameters
    keys           number of entries of the state_dict
    names          FNV-1a, 64 bit, of the lines "name shape", sorted by bytes and joined with newlines; a shape reads
                   64x3x7x7, and `scalar` without axes
    multiply_adds  of convolutions and linear layers, for one image; padding counts, unused heads do not
    logits         for each image, the 8 classes floor(j * classes / 8), j = 0..7
    sum            for each image, the sum of all logits; they cancel, so compare it on the scale of rms * classes
    rms            for each image, the root of the mean square of all logits

`formula` at the top holds a few elements of a few tensors, to tell a wrong formula from a wrong network.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from torch import Tensor, nn

HERE = Path(__file__).parent
CHANNELS = 3
IMAGES = 2
KEPT = 8


def fnv1a(text: str) -> int:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def waves(name: str, count: int) -> np.ndarray:
    """The first `count` values of s for a name."""
    out = np.empty(count)
    step = 1 << 20
    for start in range(0, count, step):
        i = np.arange(start, min(count, start + step), dtype=np.uint64)
        k = (i * i * np.uint64(2654435769) + np.uint64(fnv1a(name))) & np.uint64(0xFFFFFFFF)
        out[start : start + step] = np.sin(2 * np.pi * k.astype(np.float64) / 2**32)
    return out


def formula(name: str, shape: tuple[int, ...], variance: float) -> Tensor:
    """The tensor that the module's docstring defines for this name and shape."""
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    s = waves(name, math.prod(shape)).reshape(shape)
    if last == "running_var":
        s = variance * (1 + 0.5 * s)
    elif last == "running_mean":
        s = 0.1 * s
    elif len(shape) == 1:
        s = 1 + 0.1 * s if name.endswith("weight") else 0.1 * s
    else:
        s = s * (2 / math.sqrt(math.prod(shape[1:])))
    return torch.from_numpy(s.astype(np.float32))


def images(size: int) -> Tensor:
    shape = (IMAGES, CHANNELS, size, size)
    return torch.from_numpy(waves("input", math.prod(shape)).reshape(shape).astype(np.float32))


def entry(name: str, made: str, variance: float, size: int = 224) -> dict:
    source, _, call = made.partition(".")
    function, _, arguments = call.partition("(")
    if function == "create_model":
        reference = arguments.split("'")[1]
    else:
        reference = function.rpartition(".")[2]
    return {"name": name, "source": source, "reference": reference, "made": made, "size": size, "variance": variance}


def from_torchvision(name: str, variance: float, arguments: str = "", ours: str | None = None, size: int = 224) -> dict:
    return entry(ours or name, f"torchvision.models.{name}({arguments})", variance, size)


def from_timm(name: str, size: int = 224, variance: float = 2) -> dict:
    return entry(name, f"timm.create_model('{name}')", variance, size)


def full_networks() -> list[dict]:
    made = [from_torchvision("alexnet", 1)]
    for depth in (11, 13, 16, 19):
        made += [from_torchvision(f"vgg{depth}{norm}", 1) for norm in ("", "_bn")]
    for ours, arguments in {
        "googlenet": "aux_logits=False, transform_input=False",
        "googlenet_transform": "aux_logits=False, transform_input=True",
        "googlenet_aux": "aux_logits=True, transform_input=False",
    }.items():
        made.append(from_torchvision("googlenet", 1, f"{arguments}, init_weights=False", ours))
    for ours, arguments in {
        "inception_v3": "aux_logits=False, transform_input=False",
        "inception_v3_aux": "aux_logits=True, transform_input=False",
        "inception_v3_aux_transform": "aux_logits=True, transform_input=True",
    }.items():
        made.append(from_torchvision("inception_v3", 1, f"{arguments}, init_weights=False", ours, 299))
    for name in (
        "resnet18 resnet34 resnet50 resnet101 resnet152 wide_resnet50_2 wide_resnet101_2 "
        "resnext50_32x4d resnext101_32x8d resnext101_64x4d"
    ).split():
        made.append(from_torchvision(name, 2))
    made += [from_torchvision(f"densenet{depth}", 1) for depth in (121, 161, 169, 201)]
    made += [from_timm("inception_v4", 299, 1), from_timm("inception_resnet_v2", 299)]
    made += [from_timm(f"seresnet{depth}") for depth in (18, 34, 50, 101, 152)]
    made.append(from_timm("seresnext50_32x4d"))
    made += [from_timm(f"legacy_seresnet{depth}") for depth in (18, 34, 50, 101, 152)]
    for name in (
        "legacy_seresnext50_32x4d legacy_senet154 ecaresnet50d ecaresnet101d resnest14d resnest26d resnest50d "
        "resnest50d_1s4x24d resnest50d_4s2x40d"
    ).split():
        made.append(from_timm(name))
    made += [from_timm("resnest101e", 256), from_timm("resnest200e", 320, 2.5), from_timm("resnest269e", 416, 2.5)]
    made += [from_timm(f"resnetv2_{depth}") for depth in (18, 34, 50, 101)]
    return made


def small_networks() -> list[dict]:
    """The same code in less time: ten classes and a small image."""
    ten = "num_classes=10"
    bare = "aux_logits=False, transform_input=False, init_weights=False"
    return [
        from_torchvision("alexnet", 1, ten, "alexnet_c10@64", 64),
        from_torchvision("googlenet", 1, f"{ten}, {bare}", "googlenet_c10@97", 97),
        from_torchvision("inception_v3", 1, f"{ten}, {bare}", "inception_v3_c10@107", 107),
        entry("inception_v4_c10@107", f"timm.create_model('inception_v4', {ten})", 1, 107),
        entry("inception_resnet_v2_c10@107", f"timm.create_model('inception_resnet_v2', {ten})", 2, 107),
    ]


def lines_of(network: nn.Module) -> list[str]:
    return [
        f"{name} {'x'.join(map(str, tensor.shape)) or 'scalar'}" for name, tensor in network.state_dict().items()
    ]


def count_multiply_adds(network: nn.Module) -> list[int]:
    """Starts counting; the next pass adds one number a layer to the list that is returned."""
    counted: list[int] = []

    def count(layer: nn.Module, _: tuple, output: Tensor) -> None:
        counted.append(output.numel() // output.shape[0] * layer.weight[0].numel())

    for layer in network.modules():
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(count)
    return counted


def rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.9g}") for value in values]


def measure(described: dict, names: Path | None) -> dict:
    # Without storage at first: the initial values would take longer to draw than those of the formula.
    with torch.device("meta"):
        network = eval(described["made"]).eval()
    network.to_empty(device="cpu")
    state = network.state_dict()
    for name, tensor in state.items():
        tensor.copy_(formula(name, tuple(tensor.shape), described["variance"]))
    lines = lines_of(network)
    if names is not None:
        (names / f"{described['name']}.txt").write_text("\n".join(lines) + "\n")

    x = images(described["size"])
    multiply_adds = count_multiply_adds(network)
    start = time.monotonic()
    single = network(x).double()
    seconds = time.monotonic() - start
    total = sum(multiply_adds)
    logits = network.double()(x.double())
    report(described["name"], logits, single, seconds)

    classes = logits.shape[1]
    kept = [j * classes // KEPT for j in range(KEPT)]
    keys = ("name", "source", "reference", "made", "size")
    return {key: described[key] for key in keys} | {
        "classes": classes,
        "variance": described["variance"],
        "parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "keys": len(state),
        "names": f"{fnv1a(chr(10).join(sorted(lines))):016x}",
        "multiply_adds": total,
        "logits": [rounded(row[kept].tolist()) for row in logits],
        "sum": rounded(logits.sum(1).tolist()),
        "rms": rounded(logits.square().mean(1).sqrt().tolist()),
    }


def report(name: str, logits: Tensor, single: Tensor, seconds: float) -> None:
    """Prints what decides whether a tolerance means anything: size, spread, and the float32 network's error."""
    rms = logits.square().mean().sqrt()
    rows = (logits[0] - logits[1]).square().mean().sqrt() / rms
    spread = logits.std(1).min() / rms
    deviation = (single - logits).abs().max() / logits.abs().max()
    print(
        f"{name}\trms {rms:.3g}\timages {rows:.2g}\tclasses {spread:.2g}",
        f"float32 {deviation:.1e}\tseconds {seconds:.1f}",
        sep="\t",
        flush=True,
    )


def formula_samples() -> list[dict]:
    samples = []
    for name, shape in (
        ("input", (2, 3, 224, 224)),
        ("conv1.weight", (64, 3, 7, 7)),
        ("bn1.weight", (64,)),
        ("bn1.bias", (64,)),
        ("bn1.running_mean", (64,)),
        ("bn1.running_var", (64,)),
        ("fc.weight", (1000, 2048)),
    ):
        values = images(shape[-1]) if name == "input" else formula(name, shape, 1)
        count = values.numel()
        at = [0, 1, 2, count // 2, count - 1]
        samples.append({"name": name, "shape": shape, "at": at, "values": rounded(values.flatten()[at].tolist())})
    return samples


def document(measured: list[dict]) -> str:
    versions = {library.__name__: library.__version__.partition("+")[0] for library in (torch, torchvision, timm)}
    head = ",\n".join(f"{json.dumps(library)}: {json.dumps(version)}" for library, version in versions.items())
    samples = ",\n".join(json.dumps(each) for each in formula_samples())
    networks = ",\n".join(json.dumps(each) for each in measured)
    return f'{{\n{head},\n"formula": [\n{samples}\n],\n"networks": [\n{networks}\n]\n}}\n'


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("only", nargs="*")
    parser.add_argument("--names", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    if options.names is not None:
        options.names.mkdir(parents=True, exist_ok=True)

    described = full_networks() + small_networks()
    unknown = set(options.only) - {each["name"] for each in described}
    if unknown:
        parser.error(f"no network of the name {', '.join(sorted(unknown))}")
    measured = [measure(each, options.names) for each in described if not options.only or each["name"] in options.only]
    if options.only:
        print("\n".join(json.dumps(each) for each in measured))
    else:
        (HERE / "logits.json").write_text(document(measured))


if __name__ == "__main__":
    main()

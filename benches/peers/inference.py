"""Times a forward pass for inference in Multipath and in ONNX Runtime, in turns, on the same weights, and prints the ratio.

    cargo build --release -p mp-cli
    pip install torch==2.13.0 torchvision==0.28.0 onnx onnxruntime onnxscript safetensors
    python benches/peers/inference.py
    python benches/peers/inference.py --models resnet18 resnet20_x3_cc --batches 1 --rounds 20 --json

Networks are exported from torchvision or timm, those for 32x32 images from `networks.py`. Both sides get the weights
that `mp-train weights` writes, with running statistics moved away from 0 and 1, classify the same images first, and must
agree. README.md beside this file says how turns are taken and how to read a ratio.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from networks import build, size_of
from training_step import REPOSITORY, Side, mp_train, processor, surroundings
from safetensors.torch import load_file, save_file

AGREEMENT = 1e-4


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    found = []
    for model in options.models:
        for batch in options.batches:
            found.append(compare(model, batch, options))
            if not options.json:
                print("{model}, batch {batch}: ours {ours:.2f} ms, ONNX Runtime {theirs:.2f} ms, ratio {ratio:.2f} "
                      "({low:.2f} to {high:.2f})".format(**found[-1]), flush=True)
    if options.json:
        versions = {"onnxruntime": onnxruntime.__version__, "torch": torch.__version__}
        print(json.dumps({"processor": processor(), "threads": options.threads, **versions, "networks": found}, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["resnet18", "resnet50", "resnet20_x3_cc"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--passes", type=int, default=10, help="timed passes of a turn, of which the median counts")
    parser.add_argument("--mp-train", type=Path, default=REPOSITORY / "target/release/mp-train")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.device = "cpu"
    return options


def compare(model: str, batch: int, options: argparse.Namespace) -> dict:
    size = size_of(model)
    with tempfile.TemporaryDirectory() as folder:
        exported = prepare(model, batch, size, Path(folder), options)
        command = [options.mp_train, "bench", model, "--turns", "--forward", "--batch", batch]
        command += ["--threads", options.threads]
        others = [sys.executable, Path(__file__).with_name("inference_worker.py"), exported, "--threads", options.threads]
        both = [Side([str(word) for word in words], surroundings(options), options).ready() for words in (command, others)]
        rounds = []
        for number in range(options.rounds):
            # Another side begins each time.
            order = [0, 1] if number % 2 == 0 else [1, 0]
            timed = {side: both[side].turn(options.passes) for side in order}
            rounds.append((timed[0], timed[1]))
        for side in both:
            side.close()
    ratios = sorted(mine / other for mine, other in rounds)
    return {
        "model": model,
        "batch": batch,
        "ours": statistics.median(mine for mine, _ in rounds),
        "theirs": statistics.median(other for _, other in rounds),
        "ratio": statistics.median(ratios),
        "low": ratios[0],
        "high": ratios[-1],
    }


def prepare(model: str, batch: int, size: int, folder: Path, options: argparse.Namespace) -> Path:
    """The network as ONNX Runtime reads it, once both sides have given the same logits for the same weights."""
    start, weights, exported = (folder / name for name in ("start.safetensors", "weights.safetensors", "model.onnx"))
    mp_train(options, "weights", model, "--out", start)
    network = build(model)
    network.load_state_dict(load_file(start))
    torch.manual_seed(0)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    network.eval()
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, weights)
    images = torch.randn(batch, 3, size, size)
    torch.onnx.export(network, (images,), str(exported), input_names=["x"], dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])

    file, logits = folder / "images.npy", folder / "logits.npy"
    np.save(file, images.numpy())
    mp_train(options, "predict", "--model", model, "--weights", weights, file, "--logits", logits)
    ours, theirs = np.load(logits), session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]
    apart = np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max())
    if not apart <= AGREEMENT:
        sys.exit(f"{model} is not the same network on both sides: logits differ by {apart}")
    return exported


if __name__ == "__main__":
    main()

"""Times one training step of a ResNet-20 in PyTorch eager and in Multipath, interleaved, and prints the ratio.

    cargo build --release -p mp-train
    python benches/peers/resnet20_step.py [--model resnet20_x3_cc] [--precision bf16] [--json]

README.md beside this file says what is the same on both sides and how to read the result.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from networks import NETWORKS
from safetensors.torch import save_file
from torch import nn

REPOSITORY = Path(__file__).resolve().parents[2]
AGREEMENT = 1e-4


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = NETWORKS[options.model]()
    check_agreement(model, options)

    peer = Peer(model, options)
    rounds = []
    for number in range(options.rounds):
        # Alternating which side goes first cancels a machine that slows down or speeds up evenly.
        sides = [("multipath", lambda: ours(options)), ("pytorch", peer.run)]
        timed = {name: run() for name, run in (sides if number % 2 == 0 else reversed(sides))}
        rounds.append(timed)
        if not options.json:
            show_round(number, timed)
    report(rounds, options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=sorted(NETWORKS), default="resnet20")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=6, help="how often each side has its turn")
    parser.add_argument("--steps", type=int, default=10, help="timed steps in a turn; the turn's figure is their median")
    parser.add_argument("--warmup", type=int, default=2, help="untimed steps at the start of PyTorch's turn; ours has two")
    parser.add_argument("--mp-train", type=Path, default=REPOSITORY / "target/release/mp-train")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    options = parser.parse_args()
    if not options.mp_train.exists():
        parser.error(f"no mp-train at {options.mp_train}: run `cargo build --release -p mp-train` or give --mp-train")
    return options


class Peer:
    """The PyTorch side: one model, one optimiser and one batch for the whole run."""

    def __init__(self, model: nn.Module, options: argparse.Namespace):
        self.options = options
        self.model = model.to(memory_format=torch.channels_last).train()
        groups = [{"params": [], "weight_decay": 0.0}, {"params": [], "weight_decay": 5e-4}]
        for name, parameter in model.named_parameters():
            decays = parameter.dim() > 1 and "bias" not in name
            groups[decays]["params"].append(parameter)
        self.optimiser = torch.optim.SGD(groups, lr=1e-4, momentum=0.9, nesterov=True)
        self.images = torch.randn(options.batch, 3, 32, 32).to(memory_format=torch.channels_last)
        self.labels = torch.randint(10, (options.batch,))

    def step(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.precision == "bf16"):
            logits = self.model(self.images)
        nn.functional.cross_entropy(logits.float(), self.labels).backward()
        self.optimiser.step()

    def run(self) -> float:
        for _ in range(self.options.warmup):
            self.step()
        times = []
        for _ in range(self.options.steps):
            start = time.perf_counter()
            self.step()
            times.append(1e3 * (time.perf_counter() - start))
        return statistics.median(times)


def mp_train(options: argparse.Namespace, *words: str | Path) -> str:
    """Runs mp-train on the CPU with as many threads as PyTorch has here; gives what it printed."""
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads), "CUDA_VISIBLE_DEVICES": ""}
    command = [str(options.mp_train), *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def ours(options: argparse.Namespace) -> float:
    printed = mp_train(
        options, "bench", options.model, "--json", "--train", "--precision", options.precision,
        "--batch", options.batch, "--threads", options.threads, "--rounds", options.steps,
    )  # fmt: skip
    found = json.loads(printed)
    asked = {"device": "cpu", "threads": options.threads, "batch": options.batch, "mode": "train"}
    asked["precision"] = options.precision
    differing = {key: (found[key], value) for key, value in asked.items() if found[key] != value}
    if differing:
        sys.exit(f"mp-train did not measure what PyTorch does (found, asked): {differing}")
    return found["models"][0]["ms_median"]


def check_agreement(model: nn.Module, options: argparse.Namespace) -> None:
    """The same weights and images through both sides in evaluation mode: what is timed is the same network."""
    model.eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        weights, images, logits = (Path(folder) / name for name in ("w.safetensors", "images.npy", "logits.npy"))
        # Running statistics other than 0 and 1, so that they count.
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.uniform_(0.5, 1.5)
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, weights)
        x = torch.randn(4, 3, 32, 32)
        np.save(images, x.numpy())
        mp_train(options, "predict", "--model", options.model, "--weights", weights, images, "--logits", logits)
        theirs = model(x)
        apart = (torch.from_numpy(np.load(logits)) - theirs).abs().max().item()
    if not apart <= AGREEMENT * max(1.0, theirs.abs().max().item()):
        sys.exit(f"{options.model} is not the same network on both sides: logits differ by {apart}")


def show_round(number: int, timed: dict[str, float]) -> None:
    ratio = timed["multipath"] / timed["pytorch"]
    print(f"round {number + 1}: multipath {timed['multipath']:.1f} ms, pytorch {timed['pytorch']:.1f} ms, {ratio:.3f}")


def report(rounds: list[dict[str, float]], options: argparse.Namespace) -> None:
    result = {
        "model": options.model,
        "precision": options.precision,
        "batch": options.batch,
        "threads": options.threads,
        "rounds": options.rounds,
        "steps": options.steps,
        "multipath_ms": statistics.median(r["multipath"] for r in rounds),
        "pytorch_ms": statistics.median(r["pytorch"] for r in rounds),
        "ratio": statistics.median(r["multipath"] / r["pytorch"] for r in rounds),
        "ratios": [r["multipath"] / r["pytorch"] for r in rounds],
        "versions": {
            "mp-train": mp_train(options, "--version").strip().removeprefix("mp-train "),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "machine": {
            "processor": processor(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "system": platform.platform(),
        },
    }
    if options.json:
        print(json.dumps(result))
        return
    print(
        f"{options.model}, training step, {options.precision}, batch {options.batch}, {options.threads} threads\n"
        f"multipath {result['multipath_ms']:.1f} ms, pytorch {result['pytorch_ms']:.1f} ms; "
        f"multipath takes {result['ratio']:.3f} of pytorch's time (median of {options.rounds} rounds, "
        f"{min(result['ratios']):.3f} to {max(result['ratios']):.3f})\n"
        f"mp-train {result['versions']['mp-train']}, torch {torch.__version__}, {processor()}, {platform.platform()}"
    )


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()

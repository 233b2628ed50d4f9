"""Times one training step of a network in PyTorch and in Multipath, turn by turn, and prints the ratios.

    cargo build --release -p mp-cli
    python benches/peers/training_step.py [--model resnet20_x3_cc@positions=blocks] [--precision bf16] [--json]
    python benches/peers/training_step.py --model resnet50 densenet121 --precision bf16 fp32 --sides eager compile

README.md beside this file says what is the same on all sides and how to read the result.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from networks import build, size_of
from safetensors.torch import load_file, save_file

REPOSITORY = Path(__file__).resolve().parents[2]
AGREEMENT = 1e-4
# What mp-train asks of the allocator (crates/native/cpp/memory.cpp), in the words of glibc's environment.
KEEP_FREED_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
    "MALLOC_TOP_PAD_": str(256 << 20),
}
SIDES = ["eager", "compile", "eager+malloc", "compile+malloc"]
CUDA_SIDES = ["eager", "compile", "reduce-overhead"]


def main() -> None:
    options = arguments()
    for model in options.models:
        for precision in options.precisions:
            options.model, options.precision = model, precision
            options.batch = options.images or (128 if size_of(model) == 32 else 16)
            compare(options)


def compare(options: argparse.Namespace) -> None:
    """One network in one number format."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        mp_train(options, "weights", options.model, weights)
        apart = check_agreement(weights, options)
        say(options, f"logits agree to {apart:.1e}")
        sides = {"multipath": ours(options).ready()}
        for name in options.sides:
            sides[name] = theirs(name, weights, options).ready()
            say(options, f"{name} is ready after {sides[name].about['seconds_to_start']} s")
        rounds = [take_turns(number, sides, options) for number in range(options.rounds)]
        for side in sides.values():
            side.close()
    report(rounds, apart, options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", dest="models", nargs="+", default=["resnet20"], help="one or several, as mp-train bench takes them"
    )
    parser.add_argument("--precision",
        dest="precisions",
        nargs="+",
        choices=["fp32", "tf32", "bf16", "fp16"],
        default=["fp32"],
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--passes", type=positive, help="steps between two waits for the device; default: 1, on a GPU 20"
    )
    parser.add_argument("--no-graphs", action="store_true", help="our steps op by op on a GPU")
    parser.add_argument(
        "--batch", dest="images", type=positive, help="default: 128 for images of 32x32, 16 for larger ones"
    )
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=positive, default=6, help="how often each side has its turn")
    parser.add_argument("--steps", type=positive, default=4, help="timed steps in a turn; their median counts")
    parser.add_argument("--sides", nargs="+", choices=[*SIDES, "reduce-overhead"], help="forms of PyTorch")
    parser.add_argument("--mp-train", type=Path, default=REPOSITORY / "target/release/mp-train")
    parser.add_argument("--json", action="store_true", help="print a JSON object for each network instead of text")
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    options.passes = options.passes or (20 if on_gpu else 1)
    options.sides = options.sides or (CUDA_SIDES if on_gpu else SIDES)
    if not options.mp_train.exists():
        parser.error(f"no mp-train at {options.mp_train}: run `cargo build --release -p mp-cli` or give --mp-train")
    try:
        for model in options.models:
            build(model)
    except ValueError as error:
        parser.error(str(error))
    return options


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


NAMES = {"cpu": "cpu", "cuda": "cuda:0"}


class Side:
    """A process that times steps of one network when it is asked to.

    Out of turn it is stopped: threads that wait actively for more work would take the cores from the other sides.
    """

    def __init__(self, command: list[str], environment: dict[str, str], options: argparse.Namespace):
        self.command = command
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )  # fmt: skip
        self.expected = {"device": NAMES[options.device], "threads": options.threads}

    def ready(self) -> "Side":
        """Waits until it is warm, and stops it."""
        self.about = self.answer()
        found = {key: self.about[key] for key in ("device", "threads")}
        if found != self.expected:
            sys.exit(f"{' '.join(self.command)} runs on {found}, expected {self.expected}")
        self.process.send_signal(signal.SIGSTOP)
        return self

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self.command)} ended with {self.process.wait()}")
        return json.loads(line)

    def turn(self, steps: int) -> float:
        self.process.send_signal(signal.SIGCONT)
        # The first step of a turn finds the caches full of another side's work.
        self.process.stdin.write(f"1 {steps}\n")
        self.process.stdin.flush()
        found = statistics.median(self.answer()["ms"])
        self.process.send_signal(signal.SIGSTOP)
        return found

    def close(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()


def surroundings(options: argparse.Namespace) -> dict[str, str]:
    """The environment of every side: the device, as many threads, and no setting of the allocator that we inherited."""
    kept = {name: value for name, value in os.environ.items() if name not in KEEP_FREED_MEMORY}
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if options.device == "cpu" else {}
    return kept | {"OMP_NUM_THREADS": str(options.threads)} | hidden


def ours(options: argparse.Namespace) -> Side:
    command = [options.mp_train, "bench", options.model, "--turns", "--train", "--precision", options.precision]
    command += ["--batch", options.batch, "--threads", options.threads]
    command += ["--device", options.device, "--passes", options.passes]
    command += ["--no-graphs"] if options.no_graphs else []
    return Side([str(word) for word in command], surroundings(options), options)


def theirs(name: str, weights: Path, options: argparse.Namespace) -> Side:
    form, _, malloc = name.partition("+")
    command = [sys.executable, Path(__file__).with_name("worker.py"), options.model, weights]
    command += ["--precision", options.precision, "--batch", options.batch, "--threads", options.threads]
    command += ["--device", options.device, "--passes", options.passes]
    command += ["--compile", "default" if form == "compile" else form] if form != "eager" else []
    environment = surroundings(options) | (KEEP_FREED_MEMORY if malloc else {})
    return Side([str(word) for word in command], environment, options)


def take_turns(number: int, sides: dict[str, Side], options: argparse.Namespace) -> dict[str, float]:
    # Another side begins each time: a machine that slows down or speeds up evenly favours none.
    names = list(sides)
    first = number % len(names)
    timed = {name: sides[name].turn(options.steps) for name in names[first:] + names[:first]}
    say(options, f"round {number + 1}: " + ", ".join(f"{name} {timed[name]:.1f} ms" for name in names))
    return timed


def mp_train(options: argparse.Namespace, *words: str | Path) -> str:
    """Runs mp-train; gives what it printed."""
    command = [str(options.mp_train), *map(str, words)]
    done = subprocess.run(command, env=surroundings(options), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def check_agreement(weights: Path, options: argparse.Namespace) -> float:
    """The same weights and images through both sides in evaluation mode: what is timed is the same network.

    Returns by how much the logits differ, relative to the largest where that is above 1.
    """
    # Strict: every name and shape of ours is one of theirs, and the other way round.
    model = build(options.model)
    model.load_state_dict(load_file(weights))
    model.eval()
    images, moved = (weights.with_name(name) for name in ("images.npy", "moved.safetensors"))
    torch.manual_seed(0)
    size = size_of(options.model)
    x = torch.randn(4, 3, size, size)
    np.save(images, x.numpy())
    apart = 0.0
    for file in (weights, moved):
        if file == moved:
            # Running statistics other than 0 and 1, so that they count.
            for name, buffer in model.named_buffers():
                if name.endswith(("running_mean", "running_var")):
                    buffer.uniform_(0.5, 1.5)
            save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, moved)
        logits = file.with_suffix(".npy")
        mp_train(options, "predict", "--model", options.model, "--weights", file, images, "--logits", logits)
        with torch.no_grad():
            expected = model(x)
        difference = (torch.from_numpy(np.load(logits)) - expected).abs().max().item()
        apart = max(apart, difference / max(1.0, expected.abs().max().item()))
    if not apart <= AGREEMENT:
        sys.exit(f"{options.model} is not the same network on both sides: logits differ by {apart}")
    return apart


def say(options: argparse.Namespace, text: str) -> None:
    print(text, file=sys.stderr if options.json else sys.stdout, flush=True)


def report(rounds: list[dict[str, float]], apart: float, options: argparse.Namespace) -> None:
    def summary(name: str) -> dict:
        ratios = [r["multipath"] / r[name] for r in rounds]
        return {"ms": statistics.median(r[name] for r in rounds), "ratio": statistics.median(ratios), "ratios": ratios}

    result = {
        "model": options.model,
        "precision": options.precision,
        "batch": options.batch,
        "threads": options.threads,
        "rounds": options.rounds,
        "steps": options.steps,
        "logits_apart": apart,
        "multipath_ms": statistics.median(r["multipath"] for r in rounds),
        "pytorch": {name: summary(name) for name in options.sides},
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
        print(json.dumps(result), flush=True)
        return
    print(
        f"\n{options.model}, training step, {options.precision}, batch {options.batch}, {options.threads} threads, "
        f"median of {options.rounds} rounds\n"
        f"multipath {result['multipath_ms']:.1f} ms"
    )
    for name, found in result["pytorch"].items():
        low, high = min(found["ratios"]), max(found["ratios"])
        spread = f"({low:.3f} to {high:.3f})"
        print(f"pytorch {name} {found['ms']:.1f} ms; multipath takes {found['ratio']:.3f} of it {spread}")
    versions = result["versions"]
    print(f"mp-train {versions['mp-train']}, torch {versions['torch']}, {processor()}, {platform.platform()}")


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()

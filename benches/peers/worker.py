"""One PyTorch side of `training_step.py`: a process that times training steps whenever it is asked to.

It speaks as `mp-train bench --turns` does. After its first steps it writes {"device", "threads", ...}; each line
that it then reads holds two numbers, steps that are not timed and steps that are, and is answered by {"ms": [...]}.
"""

import argparse
import json
import sys
import time

import torch
from networks import build, classes_of, size_of
from safetensors.torch import load_file
from torch import nn

WARM_UP = 2
# What the losses of auxiliary heads count, as in Multipath.
AUXILIARY = {"googlenet": 0.3, "inception_v3": 0.4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("weights")
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16", "fp16"], required=True)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--passes", type=int, default=1, help="steps between two waits for the device")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--compile", choices=["default", "reduce-overhead"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    start = time.perf_counter()
    side = Side(options)
    for _ in range(WARM_UP):
        side.step()
    # Compiling takes place in the first step.
    ready = time.perf_counter() - start
    answer({"device": side.name, "threads": torch.get_num_threads(), "seconds_to_start": round(ready, 1)})
    for line in sys.stdin:
        untimed, timed = map(int, line.split())
        for _ in range(untimed):
            side.step()
        answer({"ms": [side.timed() for _ in range(timed)]})


class Side:
    """One model, one optimiser and one batch for the whole run."""

    def __init__(self, options: argparse.Namespace):
        self.device, self.passes = options.device, options.passes
        self.name = "cuda:0" if self.device == "cuda" else "cpu"
        self.narrow = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(options.precision)
        for backend in (torch.backends.cudnn, torch.backends.cuda.matmul):
            backend.allow_tf32 = options.precision == "tf32"
        torch.backends.cudnn.benchmark = True
        model = build(options.model)
        model.load_state_dict(load_file(options.weights))
        model = model.to(device=self.device, memory_format=torch.channels_last).train()
        groups = [{"params": [], "weight_decay": 0.0}, {"params": [], "weight_decay": 5e-4}]
        for name, parameter in model.named_parameters():
            decays = parameter.dim() > 1 and "bias" not in name
            groups[decays]["params"].append(parameter)
        fused = True if self.device == "cuda" else None
        self.optimiser = torch.optim.SGD(groups, lr=1e-4, momentum=0.9, nesterov=True, fused=fused)
        self.model = torch.compile(model, mode=options.compile) if options.compile else model
        self.scaler = torch.amp.GradScaler(self.device, enabled=options.precision == "fp16")
        size = size_of(options.model)
        images = torch.randn(options.batch, 3, size, size, device=self.device)
        self.images = images.to(memory_format=torch.channels_last)
        self.labels = torch.randint(classes_of(options.model), (options.batch,), device=self.device)
        self.auxiliary = AUXILIARY.get(options.model, 0.0)

    def step(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device, self.narrow, enabled=self.narrow is not None):
            found = self.model(self.images)
        # Networks with auxiliary heads give the final logits first.
        heads = found if isinstance(found, tuple) else (found,)
        final, *others = [nn.functional.cross_entropy(logits.float(), self.labels) for logits in heads]
        self.scaler.scale(final + self.auxiliary * sum(others)).backward()
        self.scaler.step(self.optimiser)
        self.scaler.update()

    def timed(self) -> float:
        start = time.perf_counter()
        for _ in range(self.passes):
            self.step()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return 1e3 * (time.perf_counter() - start) / self.passes


def answer(value: dict) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()

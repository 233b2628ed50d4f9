"""Writes optimisers.json: what PyTorch's own SGD and AdamW make of a fixed stream of gradients.

Run it with any PyTorch (written with 2.13): python optimisers.py > optimisers.json
The gradients are sin(7 t + k), for step t = 1, 2, ... and element k; the rate changes at every step.
"""

import json
import math

import torch

WEIGHT = [0.5, -1.0, 2.0, 0.25, -0.125, 3.0]
BIAS = [0.1, -0.2, 0.3]
RATES = [0.1, 0.05, 0.2, 0.025, 0.1]


def trajectory(make):
    weight = torch.tensor(WEIGHT, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(BIAS, dtype=torch.float64, requires_grad=True)
    optimiser = make(weight, bias)
    steps = []
    for t, rate in enumerate(RATES, start=1):
        for parameter in (weight, bias):
            parameter.grad = torch.tensor([math.sin(7 * t + k) for k in range(parameter.numel())], dtype=torch.float64)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        steps.append({"weight": weight.tolist(), "bias": bias.tolist()})
    return steps


def sgd(decay, **options):
    def make(weight, bias):
        groups = [{"params": [weight], "weight_decay": decay}, {"params": [bias], "weight_decay": 0.0}]
        return torch.optim.SGD(groups, lr=RATES[0], **options)

    return trajectory(make)


def adamw(decay, **options):
    def make(weight, bias):
        groups = [{"params": [weight], "weight_decay": decay}, {"params": [bias], "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=RATES[0], **options)

    return trajectory(make)


def clipped():
    weight = torch.tensor(WEIGHT, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.tensor([3.0, 4.0, 0.0, 0.0, 0.0, 12.0], dtype=torch.float64)
    norm = torch.nn.utils.clip_grad_norm_([weight], max_norm=2.0)
    return {"norm": norm.item(), "gradient": weight.grad.tolist()}


print(
    json.dumps(
        {
            "weight": WEIGHT,
            "bias": BIAS,
            "rates": RATES,
            "sgd": sgd(0.0),
            "sgd_decay": sgd(0.01),
            "sgd_momentum": sgd(0.01, momentum=0.9),
            "sgd_nesterov": sgd(0.01, momentum=0.9, nesterov=True),
            "adamw": adamw(0.05, betas=(0.9, 0.999), eps=1e-8),
            "adamw_short_memory": adamw(0.0, betas=(0.5, 0.8), eps=1e-3),
            "clipped": clipped(),
        },
        indent=1,
    )
)

"""Writes tests/golden/train/optimizer.json: weights along 24 steps of torch.optim's SGD and AdamW on a small case.

Gradients are exact in float32: a small fraction by formula plus half of the parameter. Learning rates follow the recipes' schedule: linear
warm-up over 5 steps, then a half cosine to zero at step 24. Groups as the recipes have them: the head at 10 times the rate, no weight decay
on biases and norms. Run: python tools/golden/train.py (needs torch).
"""

import json
import math
import pathlib

import torch

STEPS, WARMUP, PEAK = 24, 5, 0.02
# name, shape, in the head, has weight decay
PARAMETERS = [
    ("conv.weight", (3, 2), False, True),
    ("bn.weight", (3,), False, False),
    ("bn.bias", (3,), False, False),
    ("fc.weight", (2, 3), True, True),
    ("fc.bias", (2,), True, False),
]
CASES = [
    {"name": "sgd", "kind": "sgd", "momentum": 0.0, "weight_decay": 0.0, "clip_norm": 0.0},
    {"name": "sgd_momentum_decay", "kind": "sgd", "momentum": 0.9, "weight_decay": 0.01, "clip_norm": 0.0},
    {"name": "sgd_momentum_clipped", "kind": "sgd", "momentum": 0.9, "weight_decay": 0.01, "clip_norm": 1.0},
    {"name": "adamw", "kind": "adamw", "momentum": 0.0, "weight_decay": 0.05, "clip_norm": 0.0},
]


def learning_rate(step):
    if step < WARMUP:
        return PEAK * (step + 1) / (WARMUP + 1)
    return PEAK * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def initial(index, shape):
    count = math.prod(shape)
    return torch.tensor([((i * 5 + index * 3) % 9 - 4) / 8 for i in range(count)]).reshape(shape)


def gradient(index, step, parameter):
    fraction = torch.tensor([((i * 7 + step * 13 + index * 4) % 11 - 5) / 8 for i in range(parameter.numel())])
    return fraction.reshape(parameter.shape) + 0.5 * parameter.detach()


def run(case):
    parameters = [torch.nn.Parameter(initial(i, shape)) for i, (_, shape, _, _) in enumerate(PARAMETERS)]
    groups = [
        {"params": [p], "weight_decay": case["weight_decay"] if decays else 0.0, "multiplier": 10 if head else 1}
        for p, (_, _, head, decays) in zip(parameters, PARAMETERS)
    ]
    if case["kind"] == "sgd":
        optimizer = torch.optim.SGD(groups, lr=PEAK, momentum=case["momentum"], foreach=False)
    else:
        optimizer = torch.optim.AdamW(groups, lr=PEAK, foreach=False)
    along = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step) * group["multiplier"]
        for index, parameter in enumerate(parameters):
            parameter.grad = gradient(index, step, parameter)
        if case["clip_norm"] > 0:
            torch.nn.utils.clip_grad_norm_(parameters, case["clip_norm"])
        optimizer.step()
        along.append([value for p in parameters for value in p.detach().flatten().tolist()])
    return {**case, "weights": along}


def main():
    golden = {
        "generator": f"torch {torch.__version__}",
        "steps": STEPS,
        "warmup": WARMUP,
        "peak": PEAK,
        "parameters": [{"name": n, "shape": list(s), "in_head": h, "decays": d} for n, s, h, d in PARAMETERS],
        "learning_rates": [learning_rate(step) for step in range(STEPS)],
        "cases": [run(case) for case in CASES],
    }
    target = pathlib.Path(__file__).parents[2] / "tests/golden/train/optimizer.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

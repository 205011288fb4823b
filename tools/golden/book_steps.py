#!/usr/bin/env python3
"""Writes tests/golden/train/book_steps.json: 20 steps of the book's PyTorch recipe, step by step.

    python tools/golden/book_steps.py        (needs torch, torchvision, numpy)

ResNet-18 in float32 with the weights and images that tests/unit/model/generated.h computes by the same formula as tools/golden/model.py;
two classes, batches of 16 images of 64 x 64 pixels whose brightness depends a little on their class. Three forms, as the chapter and its
exercise 3 have them: "finetuned" (backbone 5e-5, head 5e-4), "scratch" (5e-4 for all), "frozen" (head alone, norms in evaluation mode).
Everywhere plain SGD, weight decay 0.001 on every parameter, the sum of the losses differentiated. Kept: the loss of every step, and at
some steps every trained parameter and running statistic as (L2 norm, dot product with a generated vector) in the order of the names.
"""
import json
import pathlib

import torch
import torchvision
from generated import generate, weight_range
from model import state_tensors, summary

STEPS, KEPT, BATCH, SIZE, CLASSES = 20, (1, 10, 20), 16, 64, 2
FORMS = {"finetuned": (5e-5, 5e-4), "scratch": (5e-4, 5e-4), "frozen": (None, 5e-4)}


def batch(step):
    labels = torch.arange(BATCH) % CLASSES
    noise = torch.from_numpy(generate(f"batch:{step}", BATCH * 3 * SIZE * SIZE, -2.0, 2.0)).float().view(BATCH, 3, SIZE, SIZE)
    return noise + (labels.float() - 0.5).view(-1, 1, 1, 1), labels


def run(backbone_lr, head_lr):
    network = torchvision.models.resnet18(num_classes=CLASSES)
    with torch.no_grad():
        for key, tensor in state_tensors(network).items():
            low, high = weight_range(key, tensor.shape)
            tensor.copy_(torch.from_numpy(generate(key, tensor.numel(), low, high)).view(tensor.shape))
    head = [p for key, p in network.named_parameters() if key.startswith("fc.")]
    backbone = [p for key, p in network.named_parameters() if not key.startswith("fc.")]
    groups = [{"params": head, "lr": head_lr}]
    if backbone_lr is None:
        for parameter in backbone:
            parameter.requires_grad_(False)
    else:
        groups.append({"params": backbone, "lr": backbone_lr})
    optimizer = torch.optim.SGD(groups, lr=head_lr, weight_decay=0.001)
    network.train(backbone_lr is not None)
    losses, states = [], {}
    for step in range(1, STEPS + 1):
        images, labels = batch(step)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), labels, reduction="none").sum()
        loss.backward()
        optimizer.step()
        losses.append(float(f"{loss.item():.9g}"))
        if step in KEPT:
            moved = {k: t for k, t in state_tensors(network).items() if backbone_lr is not None or k.startswith("fc.")}
            states[str(step)] = [[float(f"{v:.8g}") for v in summary(key, tensor)] for key, tensor in moved.items()]
    return {"losses": losses, "states": states}


def main():
    torch.manual_seed(0)
    golden = {
        "generator": {"script": "tools/golden/book_steps.py", "torch": torch.__version__, "torchvision": torchvision.__version__},
        "batch": BATCH, "size": SIZE, "classes": CLASSES,
        "forms": {name: run(*rates) for name, rates in FORMS.items()},
    }
    target = pathlib.Path(__file__).parents[2] / "tests" / "golden" / "train" / "book_steps.json"
    target.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(target.name, target.stat().st_size, {name: form["losses"][::5] for name, form in golden["forms"].items()})


if __name__ == "__main__":
    main()

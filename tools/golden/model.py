#!/usr/bin/env python3
"""Golden values of the model layer: logits, loss, gradients and running statistics of every architecture in float64.

    python tools/golden/model.py [--out tests/golden/model] [--only resnet18 ...]

needs torch, torchvision, numpy and efficientnet_lite_pytorch. For each architecture it writes
    NAME_tensors.json  names and shapes of the published state dict, in order, without num_batches_tracked
    NAME.json          values, for the generated weights and input that tests/unit/model/generated.h computes by the same formula

Every generated value is exact in float32. The reference is float64 because rounding then plays no part: a difference is an error in the
architecture. Gradients and running statistics are kept as (L2 norm, dot product with a generated vector) in the order of the names.
"""
import argparse
import json
import math
import pathlib

import efficientnet_lite_pytorch
import numpy as np
import torch
import torchvision

CLASSES = 5
LABELS = [1, 3]
# Lite2's published resolution, 260, is halved to odd sizes (65, 33, 17, 9); 66 is as well, and meets both kinds of "same" padding.
SIZES = {"efficientnet_lite2": 66}
NAMES = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]


def generate(key, count, low, high):
    """Float64 values in [low, high) that are exact in float32: SplitMix64 of FNV-1a(key) and the index."""
    state = 0xCBF29CE484222325
    for byte in key.encode():
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    uniform = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (low + (high - low) * uniform).astype(np.float32).astype(np.float64)


def weight_range(name, shape):
    if name.endswith("running_var"):
        return 0.5, 1.5
    if len(shape) == 1 and name.endswith("weight"):
        return (0.7, 1.3) if name.startswith("_") else (0.4, 0.9)  # evaluation mode: ResNet's sums must not grow, Lite's chain not fade
    if len(shape) == 1:
        return -0.2, 0.2
    bound = math.sqrt((6.0 if len(shape) == 4 else 3.0) / math.prod(shape[1:]))
    return -bound, bound


def build(name, size):
    if name.startswith("resnet"):
        return getattr(torchvision.models, name)(num_classes=CLASSES)
    return efficientnet_lite_pytorch.EfficientNet.from_name(
        name.replace("_", "-"), num_classes=CLASSES, image_size=size, dropout_rate=0.0, drop_connect_rate=0.0)


def state_tensors(network):
    return {name: tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}


def summary(name, tensor):
    values = tensor.detach().double().numpy().ravel()
    probe = generate("probe:" + name, values.size, -1.0, 1.0)
    return [digits(np.linalg.norm(values)), digits(values @ probe)]


def digits(value):
    return float(f"{value:.10g}")


def golden(name):
    size = SIZES.get(name, 64)
    network = build(name, size).double()
    with torch.no_grad():
        for key, tensor in state_tensors(network).items():
            low, high = weight_range(key, tensor.shape)
            tensor.copy_(torch.from_numpy(generate(key, tensor.numel(), low, high)).view(tensor.shape))
    images = torch.from_numpy(generate("input", 2 * 3 * size * size, -2.0, 2.0)).view(2, 3, size, size)
    result = {"size": size, "classes": CLASSES, "labels": LABELS}
    for mode in ("eval", "train"):  # in this order: training changes the running statistics
        network.train(mode == "train")
        network.zero_grad()
        logits = network(images)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(LABELS))
        loss.backward()
        result[mode] = {
            "logits": [[digits(v) for v in row] for row in logits.tolist()],
            "loss": digits(loss.item()),
            "gradients": [summary(key, p.grad) for key, p in network.named_parameters()],
        }
    result["running"] = [summary(key, t) for key, t in state_tensors(network).items() if "running_" in key]
    return network, result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "tests" / "golden" / "model")
    parser.add_argument("--only", nargs="*", default=NAMES)
    arguments = parser.parse_args()
    generator = {"script": "tools/golden/model.py", "torch": torch.__version__, "torchvision": torchvision.__version__,
                 "numpy": np.__version__, "efficientnet_lite_pytorch": "0.1.0"}
    torch.manual_seed(0)
    for name in arguments.only:
        network, result = golden(name)
        tensors = [[key, list(tensor.shape)] for key, tensor in state_tensors(network).items()]
        for suffix, content in (("_tensors", {"generator": generator, "tensors": tensors}), ("", {"generator": generator, **result})):
            path = arguments.out / f"{name}{suffix}.json"
            path.write_text(json.dumps(content, separators=(",", ":")) + "\n")
            print(path.name, path.stat().st_size, result["eval"]["logits"][0][:3] if not suffix else "")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Golden values of the model layer: logits, loss, gradients and running statistics of every architecture in float64.

    python tools/golden/model.py [--out tests/golden/model] [--only resnet18 ...]

needs torch, torchvision, numpy and efficientnet_lite_pytorch; Gluon's networks are written here with PyTorch's modules, from MXNet 1.9's
gluon/model_zoo/vision/resnet.py, without a look at src/model. For each architecture it writes
    NAME_tensors.json  names and shapes of the published state dict, in order, without num_batches_tracked
    NAME.json          values, for the generated weights and input that tests/unit/model/generated.h computes by the same formula

Every generated value is exact in float32. The reference is float64 because rounding then plays no part: a difference is an error in the
architecture. Gradients and running statistics are kept as (L2 norm, dot product with a generated vector) in the order of the names.
"""
import argparse
import json
import pathlib

import efficientnet_lite_pytorch
import numpy as np
import torch
import torchvision
from generated import generate, weight_range

CLASSES = 5
LABELS = [1, 3]
# Lite2's published resolution, 260, is halved to odd sizes (65, 33, 17, 9); 66 is as well, and meets both kinds of "same" padding.
SIZES = {"efficientnet_lite2": 66}
NAMES = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2",
         "resnet18_v1", "resnet34_v1", "resnet50_v1", "resnet18_v2", "resnet34_v2", "resnet50_v2"]
GLUON_BLOCKS = {"18": [2, 2, 2, 2], "34": [3, 4, 6, 3], "50": [3, 4, 6, 3]}


class Norm(torch.nn.BatchNorm2d):
    """Gluon's BatchNorm: epsilon 1e-5, momentum 0.9 of the old statistics. With scale=center=False (fix_gamma, no gradient for beta) gamma
    is stored but taken as 1, and beta is a constant."""

    def __init__(self, channels, learned=True):
        super().__init__(channels, eps=1e-5, momentum=0.1)
        self.learned = learned
        if not learned:
            gamma, beta = self.weight.data, self.bias.data
            del self.weight, self.bias
            statistics = {name: self._buffers.pop(name) for name in list(self._buffers)}
            for name, tensor in {"weight": gamma, "bias": beta, **statistics}.items():
                self.register_buffer(name, tensor)

    def forward(self, x):
        if self.learned:
            return super().forward(x)
        return torch.nn.functional.batch_norm(x, self.running_mean, self.running_var, None, self.bias, self.training, 0.1, 1e-5)


def convolution(inputs, outputs, kernel, stride, bias=False):
    return torch.nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias)


class BlockV1(torch.nn.Module):
    def __init__(self, inputs, outputs, stride, bottleneck):
        super().__init__()
        relu, width = torch.nn.ReLU, outputs // 4
        if bottleneck:
            layers = [convolution(inputs, width, 1, stride, True), Norm(width), relu(), convolution(width, width, 3, 1), Norm(width), relu(),
                      convolution(width, outputs, 1, 1, True), Norm(outputs)]
        else:
            layers = [convolution(inputs, outputs, 3, stride), Norm(outputs), relu(), convolution(outputs, outputs, 3, 1), Norm(outputs)]
        self.body = torch.nn.Sequential(*layers)
        self.downsample = torch.nn.Sequential(convolution(inputs, outputs, 1, stride), Norm(outputs)) if inputs != outputs else None

    def forward(self, x):
        return torch.relu(self.body(x) + (x if self.downsample is None else self.downsample(x)))


class BlockV2(torch.nn.Module):
    def __init__(self, inputs, outputs, stride, bottleneck):
        super().__init__()
        width = outputs // 4 if bottleneck else outputs
        self.bn1 = Norm(inputs)
        self.conv1 = convolution(inputs, width, 1, 1) if bottleneck else convolution(inputs, width, 3, stride)
        self.bn2 = Norm(width)
        self.conv2 = convolution(width, width, 3, stride if bottleneck else 1)
        self.bn3 = Norm(width) if bottleneck else None
        self.conv3 = convolution(width, outputs, 1, 1) if bottleneck else None
        self.downsample = convolution(inputs, outputs, 1, stride) if inputs != outputs else None

    def forward(self, x):
        y = torch.relu(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(y)
        y = self.conv2(torch.relu(self.bn2(self.conv1(y))))
        if self.bn3 is not None:
            y = self.conv3(torch.relu(self.bn3(y)))
        return y + shortcut


class GluonResNet(torch.nn.Module):
    def __init__(self, depth, version):
        super().__init__()
        block, bottleneck = (BlockV1, BlockV2)[version - 1], depth == "50"
        layers = [] if version == 1 else [Norm(3, learned=False)]
        layers += [torch.nn.Conv2d(3, 64, 7, 2, 3, bias=False), Norm(64), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1)]
        channels = 64
        for stage, count in enumerate(GLUON_BLOCKS[depth]):
            outputs = 64 * 2**stage * (4 if bottleneck else 1)
            blocks = [block(channels if i == 0 else outputs, outputs, 2 if stage > 0 and i == 0 else 1, bottleneck) for i in range(count)]
            layers.append(torch.nn.Sequential(*blocks))
            channels = outputs
        if version == 2:
            layers += [Norm(channels), torch.nn.ReLU()]
        self.features = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        self.output = torch.nn.Linear(channels, CLASSES)

    def forward(self, x):
        return self.output(self.features(x))


def build(name, size):
    if "_v" in name:
        return GluonResNet(name[6:8], int(name[-1]))
    if name.startswith("resnet"):
        return getattr(torchvision.models, name)(num_classes=CLASSES)
    return efficientnet_lite_pytorch.EfficientNet.from_name(
        name.replace("_", "-"), num_classes=CLASSES, image_size=size, dropout_rate=0.0, drop_connect_rate=0.0)


def published(network, name):
    """The published name of a tensor: Gluon calls a norm's scale and shift gamma and beta."""
    layer, _, field = name.rpartition(".")
    if isinstance(network, GluonResNet) and isinstance(network.get_submodule(layer), Norm):
        field = {"weight": "gamma", "bias": "beta"}.get(field, field)
    return f"{layer}.{field}"


def state_tensors(network):
    """By published name, in Gluon's order: a layer's scale, shift and statistics, whether they are learned or not."""
    return {published(network, name): tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}


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
            "gradients": [summary(published(network, key), p.grad) for key, p in network.named_parameters()],
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

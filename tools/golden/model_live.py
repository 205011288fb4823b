#!/usr/bin/env python3
"""Prints PyTorch's logits of photos as JSON, for tests/unit/model/live_test.cpp to compare with.

    python tools/golden/model_live.py ARCHITECTURE WEIGHTS PHOTO...

needs torch, torchvision and Pillow, for EfficientNet-Lite efficientnet_lite_pytorch as well. Pixels as the published evaluation code
prepares them: torchvision's Resize and CenterCrop on a PIL image; evaluation mode; float32.
Output: {"generator": {...}, "logits": [[...] per photo]}.
"""
import json
import sys

import PIL
import torch
import torchvision
from PIL import Image, ImageOps
from torchvision import transforms
from torchvision.transforms import InterpolationMode

LITE_SIZES = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}


def build(architecture):
    if architecture not in LITE_SIZES:
        return getattr(torchvision.models, architecture)()
    from efficientnet_lite_pytorch import EfficientNet
    return EfficientNet.from_name(architecture.replace("_", "-"))


def preprocessing(architecture):
    crop = LITE_SIZES.get(architecture, 224)
    lite = architecture in LITE_SIZES
    mean, std = ([0.498] * 3, [0.502] * 3) if lite else ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return transforms.Compose([
        transforms.Resize(crop + 32, InterpolationMode.BICUBIC if lite else InterpolationMode.BILINEAR),
        transforms.CenterCrop(crop), transforms.ToTensor(), transforms.Normalize(mean, std)])


def main():
    architecture, weights, photos = sys.argv[1], sys.argv[2], sys.argv[3:]
    torch.set_num_threads(1)
    network = build(architecture)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.eval()
    prepare = preprocessing(architecture)
    images = torch.stack([prepare(ImageOps.exif_transpose(Image.open(photo)).convert("RGB")) for photo in photos])
    with torch.no_grad():
        logits = network(images)
    generator = {"torch": torch.__version__, "torchvision": torchvision.__version__, "pillow": PIL.__version__}
    print(json.dumps({"generator": generator, "logits": logits.tolist()}))


if __name__ == "__main__":
    main()

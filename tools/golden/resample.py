#!/usr/bin/env python3
"""Golden values of resizing, views and normalisation: tests/golden/image/resample.json.

Run with Pillow >= 13, torch, torchvision and numpy:  python tools/golden/resample.py
Sources are made by formulas that tests/unit/image/resample_support.h repeats. Results are stored as the first 16 hex digits of the SHA-256 of
their bytes, a few small ones whole.
"""

import hashlib
import json
import pathlib
import random

import numpy as np
import PIL
import torch
import torchvision
import torchvision.transforms.functional as F
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}
OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "image" / "resample.json"


def picture(kind: str, height: int, width: int) -> Image.Image:
    """noise: a 32-bit hash of (x, y, channel); waves: triangle waves, smooth with sharp turns."""
    y, x, c = np.meshgrid(*(np.arange(n, dtype=np.uint64) for n in (height, width, 3)), indexing="ij")
    if kind == "noise":
        mixed = (x * 73856093 + y * 19349663 + c * 83492791) & 0xFFFFFFFF
        mixed = ((mixed ^ (mixed >> 15)) * 2654435761) & 0xFFFFFFFF
        values = mixed >> 24
    else:
        phase = (x * (3 + c) + y * (5 - c)) % 510
        values = np.where(phase < 256, phase, 510 - phase)
    return Image.fromarray(values.astype(np.uint8))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def source_case(rng: random.Random, sizes) -> dict:
    height, width = rng.choice(sizes)
    return {"kind": rng.choice(["noise", "waves"]), "source": [height, width]}


def random_box(rng: random.Random, width: int, height: int) -> list:
    style = rng.choice(["whole", "integer", "fraction", "whole"])
    if style == "whole":
        return [0, 0, width, height]
    if style == "integer":
        left, top = rng.randrange(width), rng.randrange(height)
        return [left, top, rng.randint(left + 1, width), rng.randint(top + 1, height)]
    xs = sorted(round(rng.uniform(0, width), 3) for _ in range(2))
    ys = sorted(round(rng.uniform(0, height), 3) for _ in range(2))
    return [xs[0], ys[0], xs[1], ys[1]]


def resize_case(case: dict) -> bytes:
    height, width = case["source"]
    image = picture(case["kind"], height, width)
    left, top, right, bottom = case["box"]
    out_height, out_width = case["size"]
    resample = FILTERS[case["filter"]]
    if case["order"] == "pillow13":
        return image.resize((out_width, out_height), resample, box=(left, top, right, bottom)).tobytes()
    # One pass at a time, the horizontal one first, which is what Pillow did before 13.
    image = image.resize((out_width, height), resample, box=(left, 0, right, height))
    return image.resize((out_width, out_height), resample, box=(0, top, out_width, bottom)).tobytes()


def resize_cases() -> list:
    rng = random.Random(20260101)
    sizes = [(375, 500), (500, 375), (64, 48), (33, 17), (7, 5), (1, 1), (1, 90), (90, 1), (2, 3), (480, 640), (13, 400), (400, 13), (224, 224)]
    outputs = [(224, 224), (1, 1), (2, 2), (3, 5), (31, 29), (64, 64), (100, 7), (7, 100), (128, 96), (300, 50), (50, 300)]
    cases = []
    for index in range(170):
        case = source_case(rng, sizes)
        height, width = case["source"]
        case |= {"box": random_box(rng, width, height), "size": list(rng.choice(outputs)), "filter": ["bilinear", "bicubic"][index % 2]}
        case["order"] = "horizontal_first" if index % 5 == 4 else "pillow13"
        cases.append(case)
    shortcuts = [([0, 0, 48, 64], [64, 48]), ([5, 7, 35, 47], [40, 30]), ([5, 0, 35, 64], [64, 30]), ([0, 7, 48, 47], [40, 48]),
                 ([5, 0, 35, 64], [20, 30]), ([0, 7, 48, 47], [40, 20]), ([5.5, 7, 35.5, 47], [40, 30]), ([4, 4, 4, 4], [3, 3])]
    for box, size in shortcuts:
        for name in FILTERS:
            cases.append({"kind": "noise", "source": [64, 48], "box": box, "size": size, "filter": name, "order": "pillow13"})
    for case in cases:
        data = resize_case(case)
        case["sha256"] = digest(data)
        if len(data) <= 75 and case["source"] not in ([480, 640], [375, 500]):
            case["pixels"] = data.hex()
    return cases


def preprocess_cases() -> list:
    cases = []
    sizes = [(375, 500), (500, 375), (256, 256), (224, 224), (100, 150), (150, 100), (300, 299), (60, 500), (500, 60), (333, 257), (9, 5), (256, 341), (1, 40)]
    settings = [(256, 224), (232, 224), (224, 224), (100, 160), (64, 65), (64, 63), (33, 40)]
    for index, (height, width) in enumerate(sizes):
        for number, (resize, crop) in enumerate(settings):
            name = ["bilinear", "bicubic"][(index + number) % 2]
            squash = (index + number) % 3 == 0
            image = picture("noise" if number % 2 else "waves", height, width)
            result = CenterCrop(crop)(Resize([resize, resize] if squash else resize, MODES[name])(image))
            cases.append({"kind": "noise" if number % 2 else "waves", "source": [height, width], "resize": resize, "crop": crop, "squash": squash,
                          "filter": name, "sha256": digest(result.tobytes())})
    return cases


def view_cases() -> list:
    rng = random.Random(7)
    cases = []
    for index in range(40):
        case = source_case(rng, [(375, 500), (500, 375), (120, 90), (33, 17), (640, 480)])
        height, width = case["source"]
        top, left = rng.randrange(height), rng.randrange(width)
        region = [top, left, rng.randint(1, height - top), rng.randint(1, width - left)]
        flip, name, size = bool(index % 2), ["bilinear", "bicubic"][index // 2 % 2], rng.choice([32, 96, 224])
        result = F.resized_crop(picture(case["kind"], height, width), *region, [size, size], MODES[name])
        if flip:
            result = F.hflip(result)
        cases.append(case | {"region": region, "size": size, "flip": flip, "filter": name, "sha256": digest(result.tobytes())})
    return cases


def normalize_cases() -> list:
    """Every value of every channel: pixel i is (i, i, i)."""
    pixels = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2))
    cases = []
    for mean, std in [((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0.498,) * 3, (0.502,) * 3), ((0.0, 0.5, 1.0), (1.0, 0.25, 3.7)),
                      ((0.1, -0.2, 123.0), (-0.3, 1e-3, 1e6))]:
        values = F.normalize(F.to_tensor(pixels), mean, std).permute(1, 2, 0).contiguous()
        cases.append({"mean": [float(np.float32(m)) for m in mean], "std": [float(np.float32(s)) for s in std],
                      "float32": digest(values.numpy().tobytes()), "bfloat16": digest(values.to(torch.bfloat16).view(torch.int16).numpy().tobytes()),
                      "first_bits": values.reshape(-1)[:6].view(torch.int32).tolist()})
    return cases


def main() -> None:
    assert int(PIL.__version__.split(".")[0]) >= 13, "the order of passes is that of Pillow 13"
    content = {
        "generator": {"script": "tools/golden/resample.py", "pillow": PIL.__version__, "torchvision": torchvision.__version__.split("+")[0],
                      "torch": torch.__version__.split("+")[0], "numpy": np.__version__},
        "resize": resize_cases(), "preprocess": preprocess_cases(), "view": view_cases(), "normalize": normalize_cases()}
    lines = ["{"]
    for key, value in content.items():
        comma = "," if key != "normalize" else ""
        if isinstance(value, dict):
            lines.append(f'"{key}": {json.dumps(value)}{comma}')
        else:
            lines.append(f'"{key}": [\n' + ",\n".join(json.dumps(case, separators=(",", ":")) for case in value) + f"\n]{comma}")
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text("\n".join(lines + ["}"]) + "\n")
    print(f"{OUTPUT.name}: {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()

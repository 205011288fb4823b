#!/usr/bin/env python3
"""Photos to normalised training batches: headstart beside torchvision, one thread each, run in turn.

    python bench/pixels.py --photos PHOTOS --bench build/bench/bench/pixels_bench [--rounds 7] [--seconds 3]

PHOTOS holds train/ with class folders. Every pipeline reads JPEG files, makes random resized crops of 224 x 224 (bilinear, antialiased), flips
half of them and normalises. torchvision's first is that of its references (PIL picture, PIL transforms, to_tensor, normalize); the second
decodes to a tensor and transforms that (decode_jpeg, transforms.v2). Prints medians, their spread and ratios as a Markdown table.
Requirements: bench/requirements.txt; build with -DHEADSTART_BENCH=ON.
"""
import argparse
import json
import pathlib
import random
import statistics
import subprocess
import sys
import time

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def pil_pipeline():
    from PIL import Image
    from torchvision import transforms as t
    transform = t.Compose([t.RandomResizedCrop(224), t.RandomHorizontalFlip(), t.ToTensor(), t.Normalize(MEAN, STD)])

    def view(path):
        with open(path, "rb") as file:
            return transform(Image.open(file).convert("RGB"))
    return view


def tensor_pipeline():
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg, read_file
    from torchvision.transforms import v2 as t
    transform = t.Compose([t.RandomResizedCrop(224, antialias=True), t.RandomHorizontalFlip(), t.ToDtype(torch.float32, scale=True),
                           t.Normalize(MEAN, STD)])
    return lambda path: transform(decode_jpeg(read_file(str(path)), mode=ImageReadMode.RGB))


class Torchvision:
    """One thread; batches of 32 are stacked, as a DataLoader would. A round goes over the photos in a random order until time is up."""

    def __init__(self, view, photos):
        self.view, self.photos = view, photos
        self.measure(0.5)

    def measure(self, seconds):
        import torch
        order = random.sample(self.photos, len(self.photos))
        done, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            torch.stack([self.view(order[(done + i) % len(order)]) for i in range(32)])
            done += 32
        return done / (time.perf_counter() - begin)


class Headstart:
    def __init__(self, bench, photos, mode, dtype, kept_mb=512):
        self.command, self.kept_mb = [bench, "views", photos, mode, dtype, "0"], str(kept_mb)

    def measure(self, seconds):
        output = subprocess.run([*self.command, str(seconds), self.kept_mb], check=True, capture_output=True, text=True).stdout
        return json.loads(output)["views_a_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=pathlib.Path, required=True)
    parser.add_argument("--bench", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args()
    import torch
    torch.set_num_threads(1)
    torch.manual_seed(1)
    random.seed(1)
    photos = sorted(path for path in (args.photos / "train").rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    pil, tensor = "torchvision, PIL pictures, float32", "torchvision, tensors (v2), float32"
    runners = {pil: Torchvision(pil_pipeline(), photos), tensor: Torchvision(tensor_pipeline(), photos)}
    for mode in ("exact", "fast"):
        for dtype in ("float32", "bfloat16"):
            runners[f"headstart, {mode}, {dtype}"] = Headstart(args.bench, args.photos, mode, dtype)
        runners[f"headstart, {mode}, float32, files read each time"] = Headstart(args.bench, args.photos, mode, "float32", 0)
    rates = {name: [] for name in runners}
    for number in range(args.rounds):
        for name, runner in runners.items():
            rates[name].append(runner.measure(args.seconds))
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    # Ratios are taken within a round, then their median: what slows a whole round down falls out.
    print("| pipeline | views a second (least to most) | of PIL | of tensors |\n|---|---|---|---|")
    for name, values in rates.items():
        over = [statistics.median(a / b for a, b in zip(values, rates[base])) for base in (pil, tensor)]
        print(f"| {name} | {statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f}) | {over[0]:.1f} | {over[1]:.1f} |")


if __name__ == "__main__":
    main()

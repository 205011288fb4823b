#!/usr/bin/env python3
"""Writes tests/golden/image/resample_opencv.json: digests of cv2.resize(INTER_LINEAR).

    python tools/golden/resample_opencv.py        needs opencv-python-headless and numpy

The pictures are those of tests/unit/image/resample_testing.h. OpenCV 4.5.5 and 5.0.0 give the same file but for its versions.
"""
import hashlib
import json
import pathlib
import random

import cv2
import numpy as np

OUTPUT = pathlib.Path(__file__).parents[2] / "tests" / "golden" / "image" / "resample_opencv.json"


def picture(kind, height, width):
    x = np.arange(width, dtype=np.int64)[None, :, None]
    y = np.arange(height, dtype=np.int64)[:, None, None]
    c = np.arange(3, dtype=np.int64)[None, None, :]
    if kind == "noise":
        mixed = (x * 73856093 + y * 19349663 + c * 83492791) & 0xFFFFFFFF
        return ((((mixed ^ (mixed >> 15)) * 2654435761) & 0xFFFFFFFF) >> 24).astype(np.uint8)
    phase = (x * (3 + c) + y * (5 - c)) % 510
    return np.where(phase < 256, phase, 510 - phase).astype(np.uint8)


def main():
    rng = random.Random(20260102)
    sizes = [(375, 500), (500, 375), (64, 48), (33, 17), (7, 5), (1, 1), (1, 90), (90, 1), (2, 3), (480, 640), (448, 448)]
    outputs = [(256, 256), (224, 224), (1, 1), (2, 2), (3, 5), (31, 29), (32, 24), (100, 7), (7, 100), (300, 50), (1000, 3)]
    cases = []
    for index in range(200):
        height, width = rng.choice(sizes)
        out_height, out_width = rng.choice(outputs)
        region = [0, 0, height, width]  # top, left, height, width
        if index % 2:
            top, left = rng.randrange(height), rng.randrange(width)
            region = [top, left, rng.randint(1, height - top), rng.randint(1, width - left)]
        kind = ("noise", "waves")[index % 3 == 0]
        crop = picture(kind, height, width)[region[0]:region[0] + region[2], region[1]:region[1] + region[3]]
        result = cv2.resize(np.ascontiguousarray(crop), (out_width, out_height), interpolation=cv2.INTER_LINEAR)
        cases.append({"kind": kind, "source": [height, width], "region": region, "size": [out_height, out_width],
                      "sha256": hashlib.sha256(result.tobytes()).hexdigest()[:16]})
    content = {"generator": {"script": "tools/golden/resample_opencv.py", "opencv": cv2.__version__, "numpy": np.__version__}}
    rows = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    OUTPUT.write_text(f'{{"generator": {json.dumps(content["generator"])},\n"resize": [\n{rows}\n]}}\n')
    print(OUTPUT.name, OUTPUT.stat().st_size, "bytes")


main()

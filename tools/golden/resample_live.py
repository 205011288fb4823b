#!/usr/bin/env python3
"""Resizes with the Pillow of this machine, for tests/unit/image/resample_pillow_test.cpp.

resample_live.py FOLDER reads FOLDER/cases.json and FOLDER/sources.bin (RGB bytes, one case after the other), writes FOLDER/results.bin and, last,
FOLDER/version. Needs nothing but Pillow.
"""

import json
import pathlib
import sys

import PIL
from PIL import Image

FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    sources = memoryview((folder / "sources.bin").read_bytes())
    offset = 0
    with open(folder / "results.bin", "wb") as results:
        for case in json.loads((folder / "cases.json").read_text()):
            height, width = case["source"]
            image = Image.frombytes("RGB", (width, height), bytes(sources[offset : offset + height * width * 3]))
            offset += height * width * 3
            results.write(image.resize(tuple(reversed(case["size"])), FILTERS[case["filter"]], tuple(case["box"])).tobytes())
    (folder / "version").write_text(PIL.__version__)


if __name__ == "__main__":
    main()

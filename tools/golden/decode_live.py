"""What the Pillow of this machine sees, for the test that compares with it.

    python tools/golden/decode_live.py OUT [FOLDER [EVERY]]

Writes into OUT numbered files: N.in (encoded), N.rgb (convert("RGB") after exif_transpose), or N.error where Pillow raises, and index.tsv with
number, name, height and width. Pictures are those of decode_pictures.py in several sizes and, below FOLDER, every EVERYth file.
"""
import io
import pathlib
import sys
import warnings

import numpy
from PIL import Image, ImageOps

import decode_pictures


def cases(folder, every):
    for size in ((1, 1), (1, 7), (17, 3), (33, 40)):
        for name, encoded in decode_pictures.pictures(size):
            yield f"{size[0]}x{size[1]}/{name}", encoded
    for name, encoded in decode_pictures.orientations((5, 8)):
        yield name, encoded
    if folder:
        files = sorted(p for p in pathlib.Path(folder).rglob("*") if p.is_file())
        for path in files[::every]:
            yield str(path.relative_to(folder)), path.read_bytes()


def main(out, folder=None, every="1"):
    warnings.simplefilter("ignore")
    out = pathlib.Path(out)
    with open(out / "index.tsv", "w") as index:
        for number, (name, encoded) in enumerate(cases(folder, int(every))):
            (out / f"{number}.in").write_bytes(encoded)
            try:
                image = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB")
                (out / f"{number}.rgb").write_bytes(numpy.asarray(image).tobytes())
                size = (image.height, image.width)
            except Exception as error:  # whatever Pillow raises is its verdict
                (out / f"{number}.error").write_text(f"{type(error).__name__}: {error}")
                size = (0, 0)
            index.write(f"{number}\t{name}\t{size[0]}\t{size[1]}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Writes tests/golden/image/decode/: small encoded pictures and decode.json with the digests of the pixels that Pillow sees.

    python tools/golden/decode_golden.py tests/golden/image/decode

`pixels`: convert("RGB"); `upright`: the same after ImageOps.exif_transpose, where it differs; `white`: pasted on white with its own alpha,
where it has one. Digests are the first 16 hexadecimal digits of SHA-256 over u8 [height, width, 3].
"""
import hashlib
import io
import json
import pathlib
import sys
import warnings

import numpy
import PIL
from PIL import Image, ImageOps, features

import decode_pictures

SIZE = (9, 10)  # crosses block borders of JPEG and byte borders of packed samples
LEFT_OUT = ("_be.", "_progressive_", "422_progressive", "webp_rgb_lossless", "bmp_8bit", "jpeg_restart_rows", "png_c2_16bit.", "png_c4_16bit.",
            "png_c3_1bit.", "png_c0_2bit.", "tiff_grey_lzw", "tiff_rgba_lzw", "tiff_palette_lzw", "tiff_grey16_lzw", "bmp_grey", "bmp_palette", "bmp_rle8",
            "jpeg_grey_progressive", "jpeg_rgb", "exif_0.jpg", "exif_3.jpg", "exif_4.jpg", "exif_9.jpg", "gif_grey", "gif_animated", "png_c6_16bit.")


def digest(image):
    return hashlib.sha256(numpy.asarray(image).tobytes()).hexdigest()[:16]


def on_white(image):
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return None
    rgba = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def describe(encoded):
    image = Image.open(io.BytesIO(encoded))
    image.load()
    entry = {"size": [image.height, image.width], "pixels": digest(image.convert("RGB"))}
    upright = digest(ImageOps.exif_transpose(image).convert("RGB"))
    if upright != entry["pixels"]:
        entry["upright"] = upright
    white = on_white(image)
    if white is not None and image.mode != "I;16":  # Pillow compares such a colour with its low byte only
        entry["white"] = digest(white)
    return entry


def main(folder):
    warnings.simplefilter("ignore")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = list(decode_pictures.pictures(SIZE)) + list(decode_pictures.orientations((4, 6)))
    pictures = [p for p in pictures if not any(part in p[0] for part in LEFT_OUT)]
    entries = {}
    for name, encoded in pictures:
        (folder / name).write_bytes(encoded)
        entries[name] = describe(encoded)
    versions = {"pillow": PIL.__version__, "numpy": numpy.__version__}
    versions.update({kind: features.version(kind) for kind in ("libjpeg_turbo", "zlib", "webp", "libtiff")})
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry, separators=(',', ':'))}" for name, entry in entries.items())
    (folder / "decode.json").write_text(f'{{"script": "tools/golden/decode_golden.py", "versions": {json.dumps(versions)},\n "pictures": {{\n{lines}\n}}}}\n')
    total = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{len(entries)} pictures, {total} bytes")
    if total > 50_000:
        sys.exit("more than 50 KB: leave some out")


if __name__ == "__main__":
    main(sys.argv[1])

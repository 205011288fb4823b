"""Small synthetic pictures in every format and pixel layout that the decoders know, as (file name, encoded bytes).

Shared by decode_golden.py (which commits them with the pixels that Pillow sees) and decode_live.py (which compares at test time).
Formats that Pillow cannot write, or writes in one way only, are assembled here byte by byte.
"""
import io
import struct
import zlib

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo


def scene(height, width, channels=3, top=255):
    """A smooth pattern with edges; the same on every machine."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * (7 + 5 * c) + y * (11 - 3 * c) + (x // 5 + y // 3) % 2 * 60) % 256 for c in range(channels)]
    return np.stack(planes, -1) * (top // 255)


def noise(seed, count):
    return np.random.RandomState(seed).randint(0, 256, count).astype(np.uint8).tobytes()


def save(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def modes(height, width):
    rgb = Image.fromarray(scene(height, width).astype(np.uint8))
    rgba = Image.fromarray(scene(height, width, 4).astype(np.uint8))
    grey = rgb.convert("L")
    return {
        "rgb": rgb,
        "rgba": rgba,
        "grey": grey,
        "grey_alpha": rgba.convert("LA"),
        "palette": rgb.quantize(31, Image.Quantize.MEDIANCUT),
        "bits": grey.point(lambda v: 255 if v > 127 else 0).convert("1"),
        "cmyk": Image.frombytes("CMYK", (width, height), scene(height, width, 4).astype(np.uint8).tobytes()),
        "grey16": Image.fromarray(scene(height, width, 1, 65535)[..., 0].astype(np.uint16)),
    }


def with_app14(jpeg, transform):
    """Adds an Adobe marker with this colour transform behind the start of the picture."""
    return jpeg[:2] + b"\xff\xee\x00\x0eAdobe" + struct.pack(">HHHB", 100, 0, 0, transform) + jpeg[2:]


def without_app14(jpeg):
    at = jpeg.find(b"\xff\xee")
    length = struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
    return jpeg[:at] + jpeg[at + 2 + length :]


def jpegs(size):
    m = modes(*size)
    for sampling, name in ((0, "444"), (1, "422"), (2, "420")):
        yield f"jpeg_{name}.jpg", save(m["rgb"], "JPEG", quality=80, subsampling=sampling)
        yield f"jpeg_{name}_progressive.jpg", save(m["rgb"], "JPEG", quality=70, subsampling=sampling, progressive=True)
    # 4:1:1 and 4:4:0: the same entropy-coded blocks under other sampling factors are other pictures, and as good for a comparison.
    yield "jpeg_440.jpg", save(m["rgb"], "JPEG", quality=80, subsampling=1).replace(b"\x01\x21\x00\x02\x11", b"\x01\x12\x00\x02\x11")
    yield "jpeg_411.jpg", save(m["rgb"], "JPEG", quality=80, subsampling=2).replace(b"\x01\x22\x00\x02\x11", b"\x01\x41\x00\x02\x11")
    yield "jpeg_grey.jpg", save(m["grey"], "JPEG", quality=60)
    yield "jpeg_grey_progressive.jpg", save(m["grey"], "JPEG", quality=60, progressive=True)
    yield "jpeg_cmyk.jpg", save(m["cmyk"], "JPEG", quality=80)
    yield "jpeg_ycck.jpg", with_app14(without_app14(save(m["cmyk"], "JPEG", quality=80)), 2)
    yield "jpeg_cmyk_no_adobe.jpg", without_app14(save(m["cmyk"], "JPEG", quality=80))
    yield "jpeg_rgb.jpg", save(m["rgb"], "JPEG", quality=90, keep_rgb=True)
    yield "jpeg_restart.jpg", save(m["rgb"], "JPEG", quality=50, restart_marker_blocks=2)
    yield "jpeg_restart_rows.jpg", save(m["rgb"], "JPEG", quality=95, restart_marker_rows=1, optimize=True)


def pngs(size):
    m = modes(*size)
    for name in ("rgb", "rgba", "grey", "grey_alpha", "palette", "bits", "grey16"):
        yield f"png_{name}.png", save(m[name], "PNG")
    yield "png_palette_one_transparent.png", save(m["palette"], "PNG", transparency=3)
    yield "png_palette_alphas.png", save(m["palette"], "PNG", transparency=bytes([0, 128, 255, 7]))
    yield "png_grey_transparent.png", save(m["grey"], "PNG", transparency=m["grey"].getpixel((0, 0)))
    yield "png_rgb_transparent.png", save(m["rgb"], "PNG", transparency=m["rgb"].getpixel((0, 0)))
    yield "png_bits_transparent.png", save(m["bits"], "PNG", transparency=0)
    height, width = size
    for colour, depth, channels in ((0, 1, 1), (0, 2, 1), (0, 4, 1), (0, 16, 1), (2, 16, 3), (3, 1, 1), (3, 2, 1), (3, 4, 1), (4, 16, 2), (6, 16, 4)):
        for interlaced in (False, True):
            name = f"png_c{colour}_{depth}bit" + ("_interlaced" if interlaced else "")
            yield name + ".png", raw_png(height, width, colour, depth, channels, interlaced)
    for colour, channels in ((0, 1), (2, 3), (3, 1), (4, 2), (6, 4)):
        yield f"png_c{colour}_8bit_interlaced.png", raw_png(height, width, colour, 8, channels, True)


def raw_png(height, width, colour, depth, channels, interlaced):
    """Noise with every row filter in turn, as one frame or in seven passes."""
    bits = depth * channels
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)] if interlaced else [(0, 0, 1, 1)]
    data, row = b"", 0
    for top, left, step_y, step_x in passes:
        columns = -(-(width - left) // step_x)
        for _ in range(top, height, step_y):
            if columns > 0:
                data += bytes([row % 5]) + noise(row, (columns * bits + 7) // 8)
            row += 1

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced)))
    if colour == 3:
        out += chunk(b"PLTE", noise(99, 3 * (1 << depth)))
    return out + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def webps(size):
    m = modes(*size)
    for name in ("rgb", "rgba"):
        yield f"webp_{name}.webp", save(m[name], "WEBP", quality=60)
        yield f"webp_{name}_lossless.webp", save(m[name], "WEBP", lossless=True, exact=True)
    frames = [m["rgba"].transpose(Image.Transpose.FLIP_TOP_BOTTOM)]
    yield "webp_animated.webp", save(m["rgba"], "WEBP", save_all=True, append_images=frames, duration=50, quality=50)
    yield "webp_animated_lossless.webp", save(m["rgb"], "WEBP", save_all=True, append_images=frames, duration=50, lossless=True)


def raw_tiff(size, bits, samples, photometric, order="<", planar=False, tile=None, rows=None, extra=None, sample_format=None,
             compression=1, orientation=None, fill_order=1, fields=None):
    """A TIFF of noise (of numbers around 0 to 255 for floats)."""
    height, width = size
    planes, interleaved = (samples, 1) if planar else (1, samples)
    blocks = []
    for plane in range(planes):
        if tile:
            shapes = [tile for _ in range(0, height, tile[0]) for _ in range(0, width, tile[1])]
        else:
            shapes = [(min(rows or height, height - y), width) for y in range(0, height, rows or height)]
        for number, (block_height, block_width) in enumerate(shapes):
            seed = plane * 100 + number
            if sample_format == 3:
                values = np.random.RandomState(seed).rand(block_height * block_width * interleaved) * 300 - 20
                blocks.append(values.astype(order + "f4").tobytes())
            else:
                blocks.append(noise(seed, (block_width * bits * interleaved + 7) // 8 * block_height))
    if compression == 8:
        blocks = [zlib.compress(block, 9) for block in blocks]
    tags = {256: [width], 257: [height], 258: [bits] * samples, 259: [compression], 262: [photometric], 277: [samples]}
    tags.update({274: [orientation]} if orientation else {})
    tags.update({266: [fill_order]} if fill_order != 1 else {})
    tags.update({284: [2]} if planar else {})
    tags.update({338: extra} if extra is not None else {})
    tags.update({339: [sample_format] * samples} if sample_format else {})
    tags.update({320: np.frombuffer(noise(7, 6 << bits), np.uint16).tolist()} if photometric == 3 else {})
    tags.update({323: [tile[0]], 322: [tile[1]]} if tile else {278: [rows or height]})
    tags.update(fields or {})
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0))
    offsets = []
    for block in blocks:
        offsets.append(len(out))
        out += block + b"\0" * (len(block) % 2)
    tags[324 if tile else 273] = offsets
    tags[325 if tile else 279] = [len(block) for block in blocks]
    entries = b""
    for tag in sorted(tags):
        long = tag in (273, 279, 324, 325)
        value = struct.pack(f"{order}{len(tags[tag])}{'I' if long else 'H'}", *tags[tag])
        if len(value) > 4:
            at = len(out)
            out += value + b"\0" * (len(value) % 2)
            value = struct.pack(order + "I", at)
        entries += struct.pack(order + "HHI", tag, 4 if long else 3, len(tags[tag])) + value.ljust(4, b"\0")
    out[4:8] = struct.pack(order + "I", len(out))
    return bytes(out) + struct.pack(order + "H", len(tags)) + entries + b"\0" * 4


def tiffs(size):
    m = modes(*size)
    for name in ("rgb", "grey", "rgba", "grey_alpha", "palette", "bits", "cmyk", "grey16"):
        yield f"tiff_{name}_lzw.tif", save(m[name], "TIFF", compression="tiff_lzw")
    yield "tiff_rgb_packbits.tif", save(m["rgb"], "TIFF", compression="packbits")
    yield "tiff_rgb_jpeg.tif", save(m["rgb"], "TIFF", compression="jpeg", quality=80)
    yield "tiff_bits_group4.tif", save(m["bits"], "TIFF", compression="group4")
    yield "tiff_ycbcr_jpeg.tif", save(m["rgb"].convert("YCbCr"), "TIFF", compression="jpeg", quality=80)
    for order, suffix in (("<", "le"), (">", "be")):
        yield f"tiff_grey_white_zero_1bit_{suffix}.tif", raw_tiff(size, 1, 1, 0, order)
        yield f"tiff_grey_white_zero_{suffix}.tif", raw_tiff(size, 8, 1, 0, order, rows=4)
        yield f"tiff_grey_2bit_{suffix}.tif", raw_tiff(size, 2, 1, 1, order)
        yield f"tiff_grey_4bit_{suffix}.tif", raw_tiff(size, 4, 1, 1, order, compression=8)
        yield f"tiff_grey_16bit_{suffix}.tif", raw_tiff(size, 16, 1, 1, order, rows=5)
        yield f"tiff_grey_float_{suffix}.tif", raw_tiff(size, 32, 1, 1, order, sample_format=3)
        yield f"tiff_palette_4bit_{suffix}.tif", raw_tiff(size, 4, 1, 3, order)
        yield f"tiff_rgb_tiled_{suffix}.tif", raw_tiff(size, 8, 3, 2, order, tile=(16, 16), compression=8)
        yield f"tiff_rgb_16bit_{suffix}.tif", raw_tiff(size, 16, 3, 2, order)
        yield f"tiff_rgb_planar_{suffix}.tif", raw_tiff(size, 8, 3, 2, order, planar=True, rows=3, compression=8)
        yield f"tiff_rgba_premultiplied_{suffix}.tif", raw_tiff(size, 8, 4, 2, order, extra=[1])
        yield f"tiff_rgbx_{suffix}.tif", raw_tiff(size, 8, 4, 2, order, extra=[0])
    yield "tiff_grey_12bit.tif", raw_tiff(size, 12, 1, 1)
    yield "tiff_fill_order.tif", raw_tiff(size, 1, 1, 1, fill_order=2)


def raw_bmp(size, bits, data=None, palette=b"", compression=0, header=40, masks=(), top_down=False, colours=0):
    height, width = size
    if data is None:
        data = noise(bits, (width * bits + 31) // 32 * 4 * height)
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IIiHHIIIIII", header, width, -height if top_down else height, 1, bits, compression, len(data), 0, 0, colours, 0)
        extra = b"".join(struct.pack("<I", mask) for mask in masks)
        info += extra if header == 40 else extra.ljust(header - 40, b"\0")
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + palette + data


def run_lengths(size, bits):
    """Rows of runs, literals and (in the last row) a jump; ends with its marker."""
    height, width = size
    out = b""
    for y in range(height):
        literal = min(width, 5)
        count = (literal + 1) // 2 if bits == 4 else literal
        out += bytes([0, literal]) + noise(y, count) + b"\0" * (count % 2) if literal >= 3 else bytes([literal, y])
        out += bytes([width - literal, 17 * y % 256]) if width > literal else b""
        out += b"\0\0"
    return out + b"\0\1"


def bmps(size):
    m = modes(*size)
    for name in ("rgb", "grey", "palette", "bits"):
        yield f"bmp_{name}.bmp", save(m[name], "BMP")
    for bits in (1, 4, 8):
        palette = noise(bits + 50, 4 << bits)
        yield f"bmp_{bits}bit_top_down.bmp", raw_bmp(size, bits, palette=palette, top_down=True)
        if bits < 8:
            yield f"bmp_{bits}bit_os2.bmp", raw_bmp(size, bits, palette=noise(bits + 60, 3 << bits), header=12)
    yield "bmp_rle4.bmp", raw_bmp(size, 4, run_lengths(size, 4), noise(54, 64), 2, colours=16)
    yield "bmp_rle8.bmp", raw_bmp(size, 8, run_lengths(size, 8), noise(58, 80), 1, colours=20)
    yield "bmp_16bit.bmp", raw_bmp(size, 16)
    yield "bmp_16bit_565.bmp", raw_bmp(size, 16, compression=3, masks=(0xF800, 0x7E0, 0x1F))
    yield "bmp_32bit.bmp", raw_bmp(size, 32)
    yield "bmp_32bit_alpha.bmp", raw_bmp(size, 32, compression=3, header=124, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000))


def pnms(size):
    height, width = size
    head = b"%d %d" % (width, height)
    count = height * width

    def text(n, top):
        return b" ".join(b"%d" % (v * top // 255) for v in noise(top, n))

    yield "pnm_p1.pbm", b"P1\n# comment\n" + head + b"\n" + bytes(48 + v % 2 for v in noise(1, count))
    yield "pnm_p2.pgm", b"P2 " + head + b" 100\n" + text(count, 100)
    yield "pnm_p3.ppm", b"P3 " + head + b" 200 # c\n" + text(count * 3, 200)
    yield "pnm_p4.pbm", b"P4\n" + head + b"\n" + noise(4, (width + 7) // 8 * height)
    yield "pnm_p5.pgm", b"P5 " + head + b"\n255\n" + noise(5, count)
    yield "pnm_p5_15.pgm", b"P5 " + head + b"\n15\n" + bytes(v % 16 for v in noise(5, count))
    yield "pnm_p5_16bit.pgm", b"P5 " + head + b"\n65535\n" + noise(6, count * 2)
    yield "pnm_p5_10bit.pgm", b"P5 " + head + b"\n1023\n" + (np.frombuffer(noise(6, count * 2), ">u2") % 1024).astype(">u2").tobytes()
    yield "pnm_p6.ppm", b"P6 " + head + b"\n255\n" + noise(7, count * 3)
    yield "pnm_p6_16bit.ppm", b"P6 " + head + b"\n65535\n" + noise(8, count * 6)


def gifs(size):
    m = modes(*size)
    yield "gif_palette.gif", save(m["palette"], "GIF", interlace=0)
    yield "gif_interlaced.gif", save(m["palette"], "GIF", interlace=1)
    yield "gif_grey.gif", save(m["grey"], "GIF")
    yield "gif_transparent.gif", save(m["palette"], "GIF", transparency=4)
    frames = [m["palette"].transpose(Image.Transpose.FLIP_TOP_BOTTOM)]
    yield "gif_animated.gif", save(m["palette"], "GIF", save_all=True, append_images=frames)
    whole = save(m["palette"], "GIF", transparency=4)
    grown = struct.pack("<HH", size[1] + 3, size[0] + 2)
    yield "gif_frame_inside_screen.gif", whole[:6] + grown + whole[10:]
    yield "gif_frame_beyond_screen.gif", whole[:6] + struct.pack("<HH", 2, 2) + whole[10:]


def orientations(size):
    rgb = modes(*size)["rgb"]
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"exif_{orientation}.jpg", save(rgb, "JPEG", quality=40, exif=exif)
        xmp = f'<rdf:Description tiff:Orientation="{orientation}"/>'.encode()
        if orientation in (0, 3, 6, 8, 9):
            yield f"exif_{orientation}.png", save(rgb, "PNG", exif=exif)
            yield f"exif_{orientation}.webp", save(rgb, "WEBP", lossless=True, exif=exif)
        if orientation in (2, 4, 5, 7):
            yield f"tag_{orientation}.tif", raw_tiff(size, 8, 3, 2, orientation=orientation, compression=8)
        if orientation == 6:
            yield "xmp_6.jpg", save(rgb, "JPEG", quality=40, xmp=xmp)
            yield "xmp_6.webp", save(rgb, "WEBP", lossless=True, xmp=xmp)
            for compressed in (False, True):
                info = PngInfo()
                info.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=compressed)
                yield f"xmp_6_{int(compressed)}.png", save(rgb, "PNG", pnginfo=info)
                info = PngInfo()
                block = exif.tobytes()
                info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=compressed)
                yield f"raw_profile_6_{int(compressed)}.png", save(rgb, "PNG", pnginfo=info)


def pictures(size):
    for family in (jpegs, pngs, webps, tiffs, bmps, pnms, gifs):
        yield from family(size)

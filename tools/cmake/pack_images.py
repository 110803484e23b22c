"""Packs the images of the kernels into one file, for addons that share it: native/cuda/image_file.h reads it.

    python3 pack_images.py LIST OUT ID_HEADER

LIST has a line "ARCHITECTURE DRIVER NAME PATH" for each image, those of an architecture in a row. ID_HEADER is written,
too: an addon that was built with it takes no other file.
"""

import hashlib
import lzma
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MAGIC = b"dinov3-flow images 2".ljust(24, b"\0")
HEADER = struct.Struct("<24s32sQ")  # magic, id, number of images
ENTRY = struct.Struct("<24s40s4Q")  # architecture, name, offset, size, size when unpacked, driver
# The kernels are many variants of a few. LZMA finds them alike from one end of an image to the other, and halves what
# DEFLATE makes of them, which sees 32 KB.
LZMA = [{"id": lzma.FILTER_LZMA1, "preset": 9, "nice_len": 128, "lc": 3, "lp": 0, "pb": 2}]


def pack(image):
    return lzma.compress(image, format=lzma.FORMAT_RAW, filters=LZMA)


def main(list_path, out_path, id_header_path):
    lines = [line.split(" ", 3) for line in Path(list_path).read_text().splitlines()]
    start = HEADER.size + ENTRY.size * len(lines)
    images = [Path(path).read_bytes() for *_, path in lines]
    with ThreadPoolExecutor() as pool:
        all_packed = list(pool.map(pack, images))
    entries, body = b"", b""
    for (architecture, driver, name, _), image, packed in zip(lines, images, all_packed):
        offset = start + len(body)
        entries += ENTRY.pack(architecture.encode(), name.encode(), offset, len(packed), len(image), int(driver))
        body += packed
    identity = hashlib.sha256(entries + body).hexdigest()[:31]
    Path(out_path).write_bytes(HEADER.pack(MAGIC, identity.encode(), len(lines)) + entries + body)
    Path(id_header_path).write_text(f'#define FLOW_IMAGES_ID "{identity}"\n')


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Decodes a PNG of 8-bit RGB without interlacing to raw pixels, with the standard library alone.

    python3 png_to_rgb.py IN.png OUT.rgb [IN.png OUT.rgb ...]
"""

import struct
import sys
import zlib


def chunks(data):
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("not a PNG")
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def paeth(left, up, corner):
    estimate = left + up - corner
    distances = abs(estimate - left), abs(estimate - up), abs(estimate - corner)
    if distances[0] <= distances[1] and distances[0] <= distances[2]:
        return left
    return up if distances[1] <= distances[2] else corner


def decode(data):
    """(width, height, pixels)"""
    header, compressed = None, b""
    for kind, content in chunks(data):
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", content)
        elif kind == b"IDAT":
            compressed += content
    width, height, *form = header
    if form != [8, 2, 0, 0, 0]:
        raise ValueError("not 8-bit RGB without interlacing")
    lines, size, step = zlib.decompress(compressed), 3 * width, 3
    before, pixels = bytearray(size), bytearray()
    for y in range(height):
        start = y * (size + 1)
        kind, line = lines[start], bytearray(lines[start + 1 : start + 1 + size])
        if kind == 1:
            for i in range(step, size):
                line[i] = (line[i] + line[i - step]) & 255
        elif kind == 2:
            line = bytearray((a + b) & 255 for a, b in zip(line, before))
        elif kind == 3:
            for i in range(size):
                left = line[i - step] if i >= step else 0
                line[i] = (line[i] + (left + before[i]) // 2) & 255
        elif kind == 4:
            for i in range(size):
                left, corner = (line[i - step], before[i - step]) if i >= step else (0, 0)
                line[i] = (line[i] + paeth(left, before[i], corner)) & 255
        elif kind != 0:
            raise ValueError(f"line {y} has the unknown filter {kind}")
        pixels += line
        before = line
    return width, height, bytes(pixels)


def main(paths):
    if not paths or len(paths) % 2:
        sys.exit("usage: png_to_rgb.py IN.png OUT.rgb [IN.png OUT.rgb ...]")
    for source, target in zip(paths[::2], paths[1::2]):
        with open(source, "rb") as file:
            width, height, pixels = decode(file.read())
        with open(target, "wb") as file:
            file.write(pixels)
        print(f"{target}: {width} x {height}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Readers and writers of image and optical flow files. Flow arrays are float32 (2, H, W): x, then y, in pixels."""

from __future__ import annotations

import os
import re
import struct
from typing import Union

import cv2
import numpy as np

Path = Union[str, "os.PathLike[str]"]

FLO_MAGIC = 202021.25
MAX_SIDE = 99_999
"""No real image is wider; a larger size in a header means a damaged or foreign file."""

_PFM_HEADER = re.compile(rb"(PF|Pf)\s+(\d{1,9})\s+(\d{1,9})\s+([-+]?[0-9.]+(?:[eE][-+]?\d+)?)(?:\r?\n|[ \t])")


def _is_size(width: int, height: int) -> bool:
    return 1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE


def _check_size(path: Path, width: int, height: int) -> None:
    if not _is_size(width, height):
        raise ValueError(f"{path}: bad size in the header, {width} x {height}")


def _check_length(path: Path, got: int, expected: int, what: str) -> None:
    if got != expected:
        raise ValueError(f"{path}: {what} take {expected} bytes, but the file has {got} after its header")


def _read_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def read_flo(path: Path) -> np.ndarray:
    """Reads Middlebury .flo. Returns float32 (2, H, W)."""
    data = _read_bytes(path)
    if len(data) < 12:
        raise ValueError(f"{path}: {len(data)} bytes are too few for the 12-byte header of a .flo file")
    magic, width, height = struct.unpack("<fii", data[:12])
    if magic != FLO_MAGIC:
        raise ValueError(f"{path}: not a .flo file, it starts with {data[:4]!r} and not with {FLO_MAGIC}")
    _check_size(path, width, height)
    _check_length(path, len(data) - 12, 8 * width * height, f"{width} x {height} motions")
    pixels = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)


def write_flo(path: Path, flow: np.ndarray) -> None:
    """Writes flow (2, H, W) as Middlebury .flo."""
    if flow.ndim != 3 or flow.shape[0] != 2:
        raise ValueError(f"{path}: flow to write is (2, H, W), got {tuple(flow.shape)}")
    _, height, width = flow.shape
    if not _is_size(width, height):
        raise ValueError(f"{path}: cannot write flow of {width} x {height}")
    with open(path, "wb") as file:
        file.write(struct.pack("<fii", FLO_MAGIC, width, height))
        file.write(flow.transpose(1, 2, 0).astype("<f4").tobytes())


def read_pfm(path: Path) -> np.ndarray:
    """Reads PFM of either byte order. Returns float32, top row first: (H, W) for Pf, (H, W, 3) for PF."""
    data = _read_bytes(path)
    header = _PFM_HEADER.match(data)
    if header is None:
        raise ValueError(f"{path}: not a PFM file, it starts with {data[:16]!r} and not with PF or Pf, size and scale")
    channels = 3 if header[1] == b"PF" else 1
    width, height = int(header[2]), int(header[3])
    _check_size(path, width, height)
    try:
        scale = float(header[4])
    except ValueError:
        scale = 0.0
    if scale == 0 or not np.isfinite(scale):
        raise ValueError(f"{path}: bad PFM scale {header[4].decode()}")
    what = f"{width} x {height} pixels of {channels} channel(s)"
    _check_length(path, len(data) - header.end(), 4 * channels * width * height, what)
    # Only the sign counts: it tells the byte order. The data sets store true values whatever the magnitude.
    values = np.frombuffer(data, "<f4" if scale < 0 else ">f4", offset=header.end())
    shape = (height, width, 3) if channels == 3 else (height, width)
    return np.ascontiguousarray(values.reshape(shape)[::-1], dtype=np.float32)


def read_flow(path: Path) -> np.ndarray:
    """Reads flow from .flo, or from the first two channels of a .pfm. Returns float32 (2, H, W)."""
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix == ".flo":
        return read_flo(path)
    if suffix != ".pfm":
        raise ValueError(f"{path}: flow is read from .flo or .pfm, not from {suffix!r}")
    pixels = read_pfm(path)
    if pixels.ndim != 3:
        raise ValueError(f"{path}: flow needs a PFM of 3 channels (PF), this one has 1 (Pf)")
    return np.ascontiguousarray(pixels[..., :2].transpose(2, 0, 1))


def _decode(path: Path, flags: int) -> np.ndarray:
    data = np.frombuffer(_read_bytes(path), np.uint8)
    try:
        # Decoded from memory, as cv2.imread answers a missing file and a damaged one alike.
        image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"{path}: not an image that OpenCV reads, or damaged")
    return image


def read_kitti_flow(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads KITTI's 16-bit PNG flow. Returns flow float32 (2, H, W), 0 where unknown, and valid bool (H, W)."""
    image = _decode(path, cv2.IMREAD_UNCHANGED)
    if image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{path}: KITTI flow is 16-bit of 3 channels, this is {image.dtype} of shape {image.shape}")
    # OpenCV gives blue, green, red; the file holds x in red, y in green, validity in blue.
    valid = image[..., 0] > 0
    flow = (image[..., :0:-1].astype(np.float32) - 2**15) / 64
    flow = np.ascontiguousarray(flow.transpose(2, 0, 1), dtype=np.float32)
    flow[:, ~valid] = 0
    return flow, valid


def read_image(path: Path) -> np.ndarray:
    """Reads any image that OpenCV reads. Returns uint8 (H, W, 3), RGB."""
    # Rotation by EXIF would part the frame from its flow.
    image = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

"""Reads a safetensors file: eight bytes of header length, a JSON header, then the values."""

import json
import struct

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8"}


def read_safetensors(path):
    """Every tensor of the file, by name, as a float32 numpy array."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: _values(data, entry) for name, entry in header.items()}


def _values(data, entry):
    start, end = entry["data_offsets"]
    values = np.frombuffer(data[start:end], dtype=DTYPES[entry["dtype"]])
    return values.reshape(entry["shape"]).astype(np.float32)

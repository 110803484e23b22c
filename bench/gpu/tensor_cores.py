"""Counts tensor-core instructions in the machine code of kernels, and fails where a matrix kernel of 16-bit operands has
none.

    python3 tensor_cores.py PATH --expect gemm attention

PATH is a cubin, such as gemm.sm_86.cubin, or a folder of them, at any depth. Neither cuobjdump nor nvdisasm is needed: a
cubin is an ELF file with a section for every kernel.
"""

import argparse
import json
import re
import struct
import sys
from pathlib import Path

FAMILIES = ("attention", "correlation", "gemm", "mask_upsample")
TYPES = ("f16", "bf16")
# Since compute capability 7.0 an instruction has 16 bytes, whose lowest 12 bits say which it is.
HMMA = 0x23C


def needs_tensor_cores(kernel, architecture):
    if int(re.match(r"\d+", architecture)[0]) < 80 and "bf16" in kernel.split("_"):
        return False  # such a device has no bfloat16: the kernel is a stub
    return kernel.startswith(FAMILIES) and any(name in kernel.split("_") for name in TYPES)


def sections(elf):
    """(name, bytes) of every section of a 64-bit little-endian ELF file."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<3H", elf, 58)
    headers = [struct.unpack_from("<2I4Q", elf, table + size * index) for index in range(count)]
    start = headers[names][4]
    for name, _, _, _, offset, length in headers:
        end = elf.index(0, start + name)
        yield elf[start + name : end].decode(), elf[offset : offset + length]


def count(cubin):
    """[(kernel, architecture, tensor-core instructions)]"""
    architecture = re.search(r"_(\w+)\.cubin$", cubin.name)[1]
    found = []
    for name, code in sections(cubin.read_bytes()):
        if name.startswith(".text."):
            number = sum(low & 0xFFF == HMMA for low, _ in struct.iter_unpack("<2Q", code))
            found.append((name.removeprefix(".text."), architecture, number))
    return found


def judge(found, expected):
    """What is wrong, a line each."""
    needed = [(kernel, arch, number) for kernel, arch, number in found if needs_tensor_cores(kernel, arch)]
    wrong = [f"{kernel}, sm_{arch}: no tensor-core instruction" for kernel, arch, number in needed if number == 0]
    missing = [family for family in expected if not any(kernel.startswith(family) for kernel, _, _ in needed)]
    return wrong + [f"there is no kernel of {family} for 16-bit operands" for family in missing]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--expect", nargs="+", choices=FAMILIES, default=[], help="families that must be there")
    parser.add_argument("--json", action="store_true", help="say how many are in every kernel")
    options = parser.parse_args()

    cubins = [options.path] if options.path.is_file() else options.path.rglob("*.cubin")
    found = sorted(entry for cubin in cubins for entry in count(cubin))
    wrong = judge(found, options.expect)
    if options.json:
        kernels = [
            {"kernel": kernel, "architecture": arch, "instructions": number, "needed": needs_tensor_cores(kernel, arch)}
            for kernel, arch, number in found
        ]
        print(json.dumps({"kernels": kernels, "wrong": wrong}))
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

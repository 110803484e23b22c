"""Says of every kernel how many tensor-core instructions are in it, and fails where a matrix kernel of 16-bit operands
has none: HMMA in the machine code or, where only nvcc is there, mma.sync in its PTX.

    python3 tensor_cores.py --images FATBIN...                       as built; needs cuobjdump
    python3 tensor_cores.py --sources FILE.cu... --architecture 90a  compiled again by nvcc; nvdisasm, if it is there

With both it takes the images where there is cuobjdump, and otherwise the sources.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

FAMILIES = ("attention", "correlation", "gemm", "mask_upsample")
TYPES = ("f16", "bf16")


def needs_tensor_cores(kernel, architecture):
    if int(re.match(r"\d+", architecture)[0]) < 80 and "bf16" in kernel.split("_"):
        return False  # such a device has no bfloat16: the kernel is a stub
    return kernel.startswith(FAMILIES) and any(name in kernel.split("_") for name in TYPES)


def output_of(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed ({done.returncode}): {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def count(text, begin, instruction):
    """{kernel: instructions}: `begin` matches the line that opens a kernel, and names it."""
    counts, kernel = {}, None
    for line in text.splitlines():
        if opened := begin.search(line):
            kernel = opened[1]
            counts.setdefault(kernel, 0)
        elif kernel is not None and instruction.search(line):
            counts[kernel] += 1
    return counts


HMMA = re.compile(r"\bHMMA\b")


def by_cuobjdump(cuobjdump, image):
    """Of every architecture that is in a fatbin."""
    found = []
    for part in re.split(r"^\s*arch = sm_", output_of(cuobjdump, "-sass", image), flags=re.MULTILINE)[1:]:
        architecture = re.match(r"\w+", part)[0]
        counts = count(part, re.compile(r"Function : (\w+)"), HMMA)
        found += [(kernel, architecture, number) for kernel, number in counts.items()]
    return found


def by_nvcc(source, architecture, kind):
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"{source.stem}.{kind}"
        name = f"{'sm' if kind == 'cubin' else 'compute'}_{architecture}"
        output_of("nvcc", f"-{kind}", "-std=c++20", "-O3", f"-arch={name}", "-o", target, source)
        if kind == "cubin":
            return output_of("nvdisasm", "-c", target)
        return target.read_text()


def by_nvdisasm(architecture, source):
    counts = count(by_nvcc(source, architecture, "cubin"), re.compile(r"^\.text\.(\w+):"), HMMA)
    return [(kernel, architecture, number) for kernel, number in counts.items()]


def by_ptx(architecture, source):
    counts = count(by_nvcc(source, architecture, "ptx"), re.compile(r"\.entry (\w+)"), re.compile(r"\bmma\.sync\b"))
    return [(kernel, architecture, number) for kernel, number in counts.items()]


def look(options):
    """What was looked for, and [(kernel, architecture, instructions)]."""
    if options.images and shutil.which(options.cuobjdump):
        what = "HMMA in the machine code, by cuobjdump"
        inputs, read = options.images, partial(by_cuobjdump, options.cuobjdump)
    elif not options.sources or not options.architecture or not shutil.which("nvcc"):
        sys.exit("there is no cuobjdump for images, and no nvcc, sources and architecture to do without it")
    elif shutil.which("nvdisasm"):
        what = "HMMA in the machine code, by nvdisasm"
        inputs, read = options.sources, partial(by_nvdisasm, options.architecture)
    else:
        what = "mma.sync in the PTX, by nvcc: there is neither cuobjdump nor nvdisasm"
        inputs, read = options.sources, partial(by_ptx, options.architecture)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return what, [entry for entries in pool.map(read, inputs) for entry in entries]


def judge(found, expected):
    """What is wrong, a line each."""
    needed = [(kernel, arch, number) for kernel, arch, number in found if needs_tensor_cores(kernel, arch)]
    wrong = [f"{kernel}, sm_{arch}: no tensor-core instruction" for kernel, arch, number in needed if number == 0]
    missing = [family for family in expected if not any(kernel.startswith(family) for kernel, _, _ in needed)]
    return wrong + [f"there is no kernel of {family} for 16-bit operands" for family in missing]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", nargs="+", type=Path, default=[])
    parser.add_argument("--sources", nargs="+", type=Path, default=[])
    parser.add_argument("--architecture")
    parser.add_argument("--cuobjdump", default="cuobjdump")
    parser.add_argument("--expect", nargs="+", choices=FAMILIES, default=[], help="families that must be there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    what, found = look(options)
    wrong = judge(found, options.expect)
    if options.json:
        kernels = [
            {"kernel": kernel, "architecture": arch, "instructions": number, "needed": needs_tensor_cores(kernel, arch)}
            for kernel, arch, number in found
        ]
        print(json.dumps({"what": what, "kernels": kernels, "wrong": wrong}))
    else:
        print(what)
        for kernel, arch, number in found:
            print(f"{number:5}  sm_{arch}  {kernel}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

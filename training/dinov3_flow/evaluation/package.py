"""The built package for Node.js as a method: a process of package.mjs answers requests."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor

from .methods import Method, Prediction, eight_bits

SCRIPT = Path(__file__).with_name("package.mjs")
ENTRY = Path(__file__).parents[3] / "dist" / "index.js"


class PackageError(RuntimeError):
    """What the package threw; `code` is a FlowError's."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.code = code


class Answer(NamedTuple):
    """Flow (2, H, W) px, the maps that were wanted, and what the computation took.

    Confidence and occlusion are (H, W). What confidence is computed from is (8 * (H // 2), W // 2).
    """

    flow: Tensor
    confidence: Tensor | None
    occlusion: Tensor | None
    measures: Tensor | None
    seconds: float


class Package:
    """A process with the package, for `with`."""

    def __init__(self, entry: str | os.PathLike = ENTRY, command: Sequence[str] | None = None) -> None:
        """`entry` is the package's module; `command` is another process that speaks package.mjs's protocol."""
        if command is None and not Path(entry).is_file():
            raise FileNotFoundError(f"{entry}: not there; `npm run build` builds the package")
        self.command = list(command) if command else ["node", str(SCRIPT), str(entry)]
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Package:
        self._process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def _read(self, count: int) -> bytes:
        data = self._process.stdout.read(count)
        if len(data) != count:
            raise self._ended()
        return data

    def _ended(self) -> PackageError:
        return PackageError(f"the process ended with code {self._process.wait()}: {' '.join(self.command)}")

    def request(self, frame1: Tensor, frame2: Tensor, options: dict[str, Any], want: Sequence[str] = ()) -> Answer:
        """The flow of two frames (3, H, W) in 0..1; `options` and `want` are those that package.mjs describes."""
        height, width = frame1.shape[1:]
        line = {"height": height, "width": width, "options": options, "want": list(want)}
        try:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            for frame in (frame1, frame2):
                self._process.stdin.write(eight_bits(frame).tobytes())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        head = self._process.stdout.readline()
        if not head:
            raise self._ended()
        told = json.loads(head)
        if "error" in told:
            raise PackageError(told["error"], told.get("code"))
        maps = {}
        for name, shape in zip(told["maps"], told["shapes"]):
            values = np.frombuffer(self._read(4 * int(np.prod(shape))), "<f4").reshape(shape)
            maps[name] = torch.from_numpy(values.copy())
        wanted = (maps.get(name) for name in ("confidence", "occlusion", "measures"))
        return Answer(maps["flow"], *wanted, told["ms"] / 1000)

    def method(self, options: dict[str, Any]) -> Method:
        """Options of FlowModel.load as `load`, of flow as `flow`, and under `want` the maps besides the flow."""
        options = dict(options)
        want = options.pop("want", [])

        def compute(frame1: Tensor, frame2: Tensor) -> Prediction:
            answer = self.request(frame1, frame2, options, want)
            return Prediction(answer.flow, answer.confidence, answer.seconds)

        return compute

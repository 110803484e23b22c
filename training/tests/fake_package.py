"""A process that speaks the protocol of evaluation/package.mjs, without a network.

Its flow is options.flow.shift everywhere; its confidence and occlusion are the red channels of frames 1 and 2.
"""

import json
import sys

import numpy as np

for line in iter(sys.stdin.buffer.readline, b""):
    request = json.loads(line)
    height, width, options = request["height"], request["width"], request["options"]
    frames = np.frombuffer(sys.stdin.buffer.read(6 * height * width), np.uint8).reshape(2, height, width, 3)
    flow = options.get("flow", {})
    if "exit" in flow:
        sys.exit(flow["exit"])
    if "error" in flow:
        answer, maps = {"error": flow["error"], "code": "ERR_ARGUMENT"}, []
    else:
        shapes = [[2, height, width], *[[height, width]] * len(request["want"])]
        answer = {"maps": ["flow", *request["want"]], "shapes": shapes, "ms": 1500}
        maps = [np.broadcast_to(np.float32(flow["shift"])[:, None, None], (2, height, width))]
        red = {"confidence": frames[0, ..., 0], "occlusion": frames[1, ..., 0]}
        maps += [red[name] / np.float32(255) for name in request["want"]]
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + b"".join(m.astype("<f4").tobytes() for m in maps))
    sys.stdout.buffer.flush()

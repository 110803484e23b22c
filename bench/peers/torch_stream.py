"""Latency of one frame of a stream in PyTorch: the same network in the seed's configuration, compiled by torch.compile
with max-autotune, which tunes its kernels and replays CUDA graphs. The peer of bench/gpu/latency.

    python3 bench/peers/torch_stream.py [--precision fp16] [--frames 1000] [--warm-up 50] [--json]

A frame is what bench/gpu/latency counts: from 8-bit pixels in page-locked memory until the flow is in page-locked
memory; the backbone on the new frame, then the head on its features and those of the frame before. Weights are random,
which changes no time.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "training"))
from dinov3_flow.network import IMAGENET_MEAN, IMAGENET_STD, BackboneConfig, FlowNetwork, HeadConfig  # noqa: E402

PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
SEED = BackboneConfig(dim=384, depth=12, heads=6, hidden=1536)


class Step(torch.nn.Module):
    """Pixels (1, H, W, 3) of 8 bits and the features of the frame before, to the flow and this frame's features."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = FlowNetwork(SEED, HeadConfig()).to(dtype)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN, dtype=dtype).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD, dtype=dtype).view(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor, before: torch.Tensor) -> "tuple[torch.Tensor, torch.Tensor]":
        frame = pixels.permute(0, 3, 1, 2).to(self.mean.dtype) / 255
        features = self.network.backbone((frame - self.mean) / self.std)
        return self.network.head(before, features).flow.float(), features


def quantile(values: "list[float]", share: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


@torch.inference_mode()
def measure(args: argparse.Namespace) -> dict:
    device = torch.device(args.device)
    cuda = device.type == "cuda"
    step = Step(PRECISIONS[args.precision]).eval().to(device)
    run = step if args.eager else torch.compile(step, mode="max-autotune")
    height, width = args.size
    frames = [torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8) for _ in range(4)]
    flow = torch.empty(1, 2, height, width)
    if cuda:
        frames, flow = [frame.pin_memory() for frame in frames], flow.pin_memory()
    before = torch.zeros(1, SEED.dim, height // 16, width // 16, dtype=PRECISIONS[args.precision], device=device)
    times, began = [], time.perf_counter()
    for i in range(-args.warm_up, args.frames):
        start = time.perf_counter()
        if cuda and not args.eager:
            torch.compiler.cudagraph_mark_step_begin()
        out, features = run(frames[i % 4].to(device, non_blocking=True), before)
        flow.copy_(out, non_blocking=True)
        # A graph's outputs are overwritten by its next run.
        before = features.clone()
        if cuda:
            torch.cuda.synchronize()
        if i >= 0:
            times.append(1e3 * (time.perf_counter() - start))
        elif i == -args.warm_up:
            compiling = time.perf_counter() - began
    p50, p99 = quantile(times, 0.5), quantile(times, 0.99)
    return {
        "peer": f"PyTorch {torch.__version__}, " + ("eager" if args.eager else "torch.compile, max-autotune"),
        "device": torch.cuda.get_device_name() if cuda else "CPU",
        "precision": args.precision, "height": height, "width": width, "frames": args.frames,
        "frameMs": {"p50": p50, "p90": quantile(times, 0.9), "p99": p99, "max": max(times), "p99OverP50": p99 / p50},
        "firstFrameSeconds": compiling, "finite": bool(flow.isfinite().all()),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Latency of one frame of a stream in PyTorch, compiled.")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp16")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--warm-up", type=int, default=50)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.warm_up < 1 or args.frames < 1:
        parser.error("--warm-up and --frames are at least 1")
    result = measure(args)
    if args.json:
        print(json.dumps(result))
    else:
        print(f"{result['peer']} on {result['device']}, {args.precision}, {args.size[0]} x {args.size[1]}, ms per frame")
        print("  ".join(f"{name} {value:.4f}" for name, value in result["frameMs"].items()))
    if not result["finite"]:
        raise SystemExit("the flow is NaN or infinite")


if __name__ == "__main__":
    main()

"""Save a sheet of scenes: python3 -m dinov3_flow.scenes.preview --seed 1 -o preview.png"""

from __future__ import annotations

import argparse

import cv2
import numpy as np

from .render import Scene, SceneOptions, render
from .textures import HELD_OUT_KINDS, TRAIN_KINDS


def flow_colours(flow: np.ndarray, largest: float | None = None) -> np.ndarray:
    """(2,H,W) px -> BGR (H,W,3): hue is direction, value is size against `largest`, or else the picture's largest."""
    size, angle = np.hypot(flow[0], flow[1]), np.arctan2(flow[1], flow[0]) % (2 * np.pi)
    largest = max(float(np.percentile(size, 99)), 0.05) if largest is None else largest
    value = 255 * np.clip(size / largest, 0, 1)
    hsv = np.stack([angle * 90 / np.pi, np.full_like(angle, 230), value], -1).astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def sheet(scene: Scene, columns: int = 2) -> np.ndarray:
    """BGR sheet; each cell shows frame1, frame2, flow, and occlusion (white; red where invalid)."""
    cells = []
    for i in range(len(scene.flow)):
        frames = [(f[i].permute(1, 2, 0).cpu().numpy()[..., ::-1] * 255).astype(np.uint8)
                  for f in (scene.frame1, scene.frame2)]
        colours = flow_colours(scene.flow[i].cpu().numpy())
        largest = float(scene.flow[i].norm(dim=0).max())
        cv2.putText(colours, f"{largest:.2f} px", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
        hidden = np.repeat(scene.occluded[i].cpu().numpy()[..., None].astype(np.uint8) * 255, 3, 2)
        hidden[~scene.valid[i].cpu().numpy()] = (0, 0, 255)
        cells.append(np.concatenate([*frames, colours, hidden], 1))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.concatenate(cells[i:i + columns], 1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--size", type=int, nargs=2, default=(192, 192), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--held-out", action="store_true", help="use the held-out texture kinds")
    parser.add_argument("-o", "--output", default="preview.png")
    args = parser.parse_args()
    options = SceneOptions(kinds=HELD_OUT_KINDS if args.held_out else TRAIN_KINDS)
    scene = render(args.seed, args.index, args.batch, args.size[0], args.size[1], options)
    if not cv2.imwrite(args.output, sheet(scene)):
        raise SystemExit(f"cannot write {args.output}")


if __name__ == "__main__":
    main()

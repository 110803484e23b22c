"""The test pairs, by name. All of them are functions of an index, so that every method sees the same ones."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..datasets import FlowPair, Kitti, Sintel
from ..formats import read_image
from ..metrics import length
from ..scenes import SceneOptions, render
from ..scenes.camera import luma
from ..scenes.textures import HELD_OUT_KINDS
from .camera import exposed, night
from .chairs import chairs
from .far import far
from .pictures import ellipses, leaves, warped
from .repeated import repeated
from .thin import thin

# Pair i of a suite takes the base seed plus i, so bases lie far apart. Training takes seeds from 0. Nothing is tuned on
# the pairs of this one: work on the method and the suites themselves has 2,000,000.
SEED = 7_000_000


class Suite(NamedTuple):
    """`pair(i)` for i below `count`."""

    name: str
    about: str
    count: int
    pair: Callable[[int], FlowPair]

    def pairs(self) -> Iterator[FlowPair]:
        return (self.pair(i) for i in range(self.count))


def _in_8_bits(frame: Tensor) -> Tensor:
    """As a camera delivers it."""
    return (frame * 255).round() / 255


def _scene(seed: int, index: int, size: tuple[int, int], options: SceneOptions) -> FlowPair:
    """A scene of held-out seeds and texture kinds."""
    scene = render(seed, index, 1, *size, options)
    return FlowPair(_in_8_bits(scene.frame1[0]), _in_8_bits(scene.frame2[0]), scene.flow[0], scene.valid[0])


def _held_out(seed: int, index: int) -> FlowPair:
    """Most pairs move by more than 16 px, as mean errors tell little about pairs that hardly move."""
    options = SceneOptions(
        kinds=HELD_OUT_KINDS, static_share=0, subpixel_share=0, moving_shares=(0.1, 0.2, 0.7),
        relative_motion=(0.3, 1.0),
    )  # fmt: skip
    return _scene(seed, index, (512, 512), options)


def _large(seed: int, index: int) -> FlowPair:
    """Only motions of 40 to 100 px count, of the first scene of the index's own in which a tenth moves so far."""
    options = SceneOptions(
        kinds=HELD_OUT_KINDS, max_displacement=140, static_share=0, subpixel_share=0, moving_shares=(0, 0, 1),
        relative_motion=(0.5, 1.0), nonrigid_share=0, textures=4,
    )  # fmt: skip
    for attempt in itertools.count(100_000 + 1000 * index):
        pair = _scene(seed, attempt, (376, 1240), options)
        motion = length(pair.flow)
        far = pair.valid & (motion >= 40) & (motion <= 100)
        if far.float().mean() >= 0.1:
            return pair._replace(valid=far)


def _grey(pair: FlowPair) -> FlowPair:
    """The same without colour."""
    frame1, frame2 = (_in_8_bits(luma(frame)).expand_as(frame) for frame in (pair.frame1, pair.frame2))
    return pair._replace(frame1=frame1, frame2=frame2)


def _still(seed: int) -> FlowPair:
    """The same frame twice but for a shift below a tenth of a pixel, sensor noise and a slight change of exposure."""
    pair = warped(leaves(seed, 490, 650), seed, largest=0.1)
    noise = torch.randn((2, *pair.frame1.shape), generator=torch.Generator().manual_seed(seed)) * 0.01
    frames = (pair.frame1 + noise[0], 1.03 * pair.frame2 + noise[1])
    frame1, frame2 = (_in_8_bits(frame.clamp(0, 1)) for frame in frames)
    return pair._replace(frame1=frame1, frame2=frame2)


def _picture(seed: int, changed: bool = False) -> FlowPair:
    """A rendered picture and its warp."""
    return warped(leaves(seed, 560, 720), seed, changed=changed)


def _plain(seed: int) -> FlowPair:
    """A picture or, in every second pair, ellipses."""
    return ellipses(seed) if seed % 2 else _picture(seed)


def _small(seed: int, index: int, largest: float = 3.0) -> FlowPair:
    """Ellipses, a picture or a scene in turns, of which only motions below `largest` px count: nearly all."""
    if index % 3 == 0:
        pair = ellipses(seed + index, largest=0.8 * largest)
    elif index % 3 == 1:
        pair = warped(leaves(seed + index, 490, 650), seed + index, largest=largest)
    else:
        options = SceneOptions(
            kinds=HELD_OUT_KINDS, max_displacement=0.7 * largest, static_share=0, subpixel_share=0,
            moving_shares=(0.5, 0.5, 0), relative_motion=(0.3, 1.0),
        )  # fmt: skip
        pair = _scene(seed, 200_000 + index, (480, 640), options)
    return pair._replace(valid=pair.valid & (length(pair.flow) < largest))


def rendered(count: int, seed: int = SEED) -> list[Suite]:
    """The suites that need no file, with `count` pairs each; `seed` is the base.

    Those of long motion have half as many again, since their pairs differ more.
    """
    more = count + (count + 1) // 2
    return [
        Suite("scenes", "procedural scenes of held-out seeds and texture kinds, 512 x 512, to 64 px", count,
              lambda i: _held_out(seed, i)),
        Suite("ellipses", "clouded ellipses, 480 x 640, to 40 px", count, lambda i: ellipses(seed + i)),
        Suite("picture", "a rendered picture and its warp under a homography, 480 x 640, to 40 px", count,
              lambda i: _picture(seed + i)),
        Suite("picture changed", "that picture with frame 2 brighter, blurred and noisy", count,
              lambda i: _picture(seed + i, changed=True)),
        Suite("picture grey", "that picture without colour", count, lambda i: _grey(_picture(seed + i))),
        Suite("large", "scenes of 376 x 1240, of which only motions of 40 to 100 px count", more,
              lambda i: _large(seed, i)),
        Suite("still", "a picture, 480 x 640, that moves by less than 0.1 px", count, lambda i: _still(seed + i)),
        Suite("small", "ellipses, pictures and scenes, 480 x 640, of which only motions below 3 px count", count,
              lambda i: _small(seed, i)),
        Suite("thin", "strokes of 1.5 to 6 px over a background that moves differently, 480 x 640, to 25 px", count,
              lambda i: thin(seed + i)),
        Suite("repeated", "windows, bricks, pickets and tiles, 480 x 640, that move by up to two periods", count,
              lambda i: repeated(seed + i)),
        Suite("exposure", "pictures and ellipses under a gain of 0.6 to 1.6 that varies over rows and time", count,
              lambda i: exposed(_plain(seed + i), seed + i)),
        Suite("noise", "dark pictures and ellipses with strong sensor noise and streaks of rain", count,
              lambda i: night(_plain(seed + i), seed + i)),
        Suite("large far", "objects of 512 x 1240, of which only motions of 140 to 300 px that stay visible count",
              more, lambda i: far(seed + i)),
        Suite("chairs", "furniture that flies over a picture, 384 x 512, moving as in FlyingChairs", count,
              lambda i: chairs(seed + i)),
    ]  # fmt: skip


def photographs(folder: str, count: int, seed: int = SEED) -> list[Suite]:
    """Photographs of a folder: their warps, as the rendered picture's, and as backgrounds."""
    files = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg", ".ppm"))
    if not files:
        raise FileNotFoundError(f"{folder}: has no .png, .jpg or .ppm")

    def picture(index: int) -> np.ndarray:
        return read_image(files[index % len(files)]).astype("float32") / 255

    def pair(index: int, changed: bool) -> FlowPair:
        return warped(picture(index), seed + index, changed=changed)

    return [
        Suite("photographs", "photographs and their warps under a homography, to 40 px", count,
              lambda i: pair(i, False)),
        Suite("photographs changed", "the same with frame 2 brighter, blurred and noisy", count,
              lambda i: pair(i, True)),
        Suite("chairs photographs", "furniture that flies over photographs, 384 x 512", count,
              lambda i: chairs(seed + i, picture(i))),
    ]  # fmt: skip


def on_disk(sintel: str | None, kitti: str | None) -> list[Suite]:
    """Whole data sets."""
    suites = []
    if sintel is not None:
        for name in ("clean", "final"):
            data = Sintel(sintel, name)
            suites.append(Suite(f"sintel {name}", f"MPI Sintel, training, {name}", len(data), data.__getitem__))
    if kitti is not None:
        data = Kitti(kitti)
        suites.append(Suite("kitti", "KITTI, training, flow_occ", len(data), data.__getitem__))
    return suites


def chosen(suites: list[Suite], names: list[str] | None) -> list[Suite]:
    """Those of these names, or all."""
    unknown = sorted(set(names or ()) - {suite.name for suite in suites})
    if unknown:
        raise ValueError(f"no suite {', '.join(unknown)}; there is {', '.join(suite.name for suite in suites)}")
    return [suite for suite in suites if not names or suite.name in names]

"""Random changes of a `FlowPair` for training: colours, erased patches, scale, flips, crop."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .datasets import FlowPair
from .network import resize_flow

_TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def _uniform(generator: Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand((), generator=generator).item()


def _integer(generator: Generator, low: int, high: int) -> int:
    """From low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def _grey(frames: Tensor) -> Tensor:
    return (frames * frames.new_tensor(_TO_YIQ[0])[:, None, None]).sum(1, keepdim=True)


def _turn_hue(frames: Tensor, turns: Tensor) -> Tensor:
    """Turns the hue of (N, 3, H, W) by (N,) full turns, as a rotation of YIQ's chroma plane."""
    to_yiq = torch.tensor(_TO_YIQ, dtype=torch.float64)
    cos, sin = (f(2 * torch.pi * turns.double()) for f in (torch.cos, torch.sin))
    rotation = torch.eye(3, dtype=torch.float64).repeat(len(turns), 1, 1)
    rotation[:, 1, 1], rotation[:, 1, 2], rotation[:, 2, 1], rotation[:, 2, 2] = cos, -sin, sin, cos
    matrix = (torch.linalg.inv(to_yiq) @ rotation @ to_yiq).to(frames)
    return (matrix @ frames.flatten(2)).view_as(frames)


def hflip(pair: FlowPair) -> FlowPair:
    """Mirrors left and right."""
    flow = pair.flow.flip(-1) * pair.flow.new_tensor([-1.0, 1.0])[:, None, None]
    return FlowPair(pair.frame1.flip(-1), pair.frame2.flip(-1), flow, pair.valid.flip(-1))


def vflip(pair: FlowPair) -> FlowPair:
    """Mirrors top and bottom."""
    flow = pair.flow.flip(-2) * pair.flow.new_tensor([1.0, -1.0])[:, None, None]
    return FlowPair(pair.frame1.flip(-2), pair.frame2.flip(-2), flow, pair.valid.flip(-2))


def resize(pair: FlowPair, height: int, width: int) -> FlowPair:
    """Resizes frames, flow and valid to (height, width), and scales the motions along."""
    size = (height, width)
    if size == pair.valid.shape:
        return pair
    frames = torch.stack((pair.frame1, pair.frame2))
    frames = F.interpolate(frames, size=size, mode="bilinear", align_corners=False)
    if bool(pair.valid.all()):
        flow = resize_flow(pair.flow[None], height, width)[0]
        valid = pair.valid.new_ones(size)
    else:
        # Blending would mix unknown motions into known ones, and of KITTI's sparse points leave none.
        flow = resize_flow(pair.flow[None], height, width, "nearest-exact")[0]
        valid = F.interpolate(pair.valid[None, None].float(), size=size, mode="nearest-exact")[0, 0] > 0.5
    return FlowPair(frames[0], frames[1], flow, valid)


class Augment:
    """Augments one pair; the result is `crop` (H, W) large. Scales are powers of 2, hue is in full turns."""

    def __init__(
        self,
        crop: tuple[int, int],
        *,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.5 / 3.14,
        asymmetric_prob: float = 0.2,
        eraser_prob: float = 0.5,
        eraser_size: tuple[int, int] = (50, 100),
        scale: tuple[float, float] = (-0.2, 0.5),
        scale_prob: float = 0.8,
        stretch: float = 0.2,
        stretch_prob: float = 0.8,
        hflip_prob: float = 0.5,
        vflip_prob: float = 0.1,
    ) -> None:
        if min(crop) < 1:
            raise ValueError(f"crop is a (H, W) above 0, got {crop}")
        self.crop = crop
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue
        self.asymmetric_prob = asymmetric_prob
        self.eraser_prob, self.eraser_size = eraser_prob, eraser_size
        self.scale, self.scale_prob = scale, scale_prob
        self.stretch, self.stretch_prob = stretch, stretch_prob
        self.hflip_prob, self.vflip_prob = hflip_prob, vflip_prob

    def __call__(self, pair: FlowPair, generator: Generator) -> FlowPair:
        """Returns a new pair of the crop's size; the given one stays as it is."""
        pair = self.spatial(self.erase(self.photometric(pair, generator), generator), generator)
        return FlowPair(*(tensor.contiguous() for tensor in pair))

    def photometric(self, pair: FlowPair, generator: Generator) -> FlowPair:
        """Changes colours: mostly both frames alike, at times each by itself."""
        symmetric = not self._chance(generator, self.asymmetric_prob)
        frames = torch.stack((pair.frame1, pair.frame2))

        def draw(middle: float, reach: float) -> Tensor:
            values = middle + reach * (2 * torch.rand(2, generator=generator) - 1)
            return values[:1].expand(2) if symmetric else values

        def factor(reach: float) -> Tensor:
            return draw(1, reach).clamp(min=0).view(2, 1, 1, 1).to(frames)

        for step in torch.randperm(4, generator=generator).tolist():
            if step == 0:
                frames = frames * factor(self.brightness)
            elif step == 1:
                # One mean for both where they change alike: else a pixel would not keep its colour from 1 to 2.
                mean = _grey(frames).mean(dim=(0, 1, 2, 3) if symmetric else (1, 2, 3), keepdim=True)
                frames = mean + (frames - mean) * factor(self.contrast)
            elif step == 2:
                grey = _grey(frames)
                frames = grey + (frames - grey) * factor(self.saturation)
            elif self.hue > 0:
                frames = _turn_hue(frames, draw(0, self.hue))
            frames = frames.clamp(0, 1)
        return pair._replace(frame1=frames[0], frame2=frames[1])

    def erase(self, pair: FlowPair, generator: Generator) -> FlowPair:
        """Fills 1 to 3 rectangles of frame 2 with its mean colour, as if something hid them."""
        if not self._chance(generator, self.eraser_prob):
            return pair
        frame = pair.frame2.clone()
        height, width = frame.shape[1:]
        mean = frame.mean(dim=(1, 2))[:, None, None]
        for _ in range(_integer(generator, 1, 3)):
            top, left = _integer(generator, 0, height - 1), _integer(generator, 0, width - 1)
            tall, wide = (_integer(generator, *self.eraser_size) for _ in range(2))
            # Slices end at the border, which clips the rectangle.
            frame[:, top: top + tall, left: left + wide] = mean
        return pair._replace(frame2=frame)

    def spatial(self, pair: FlowPair, generator: Generator) -> FlowPair:
        """Scales, flips and crops."""
        height, width = pair.valid.shape
        crop_height, crop_width = self.crop
        x_scale = y_scale = 1.0
        if self._chance(generator, self.scale_prob):
            x_scale = y_scale = 2 ** _uniform(generator, *self.scale)
            if self._chance(generator, self.stretch_prob):
                x_scale *= 2 ** _uniform(generator, -self.stretch, self.stretch)
                y_scale *= 2 ** _uniform(generator, -self.stretch, self.stretch)
        # The crop has to fit; the same floor for both sides, so as not to distort a frame that is too small.
        floor = max(crop_height / height, crop_width / width)
        new_height = max(crop_height, round(height * max(y_scale, floor)))
        new_width = max(crop_width, round(width * max(x_scale, floor)))
        pair = resize(pair, new_height, new_width)
        if self._chance(generator, self.hflip_prob):
            pair = hflip(pair)
        if self._chance(generator, self.vflip_prob):
            pair = vflip(pair)
        top = _integer(generator, 0, new_height - crop_height)
        left = _integer(generator, 0, new_width - crop_width)
        return FlowPair(*(t[..., top: top + crop_height, left: left + crop_width] for t in pair))

    @staticmethod
    def _chance(generator: Generator, probability: float) -> bool:
        return torch.rand((), generator=generator).item() < probability

"""Where batches come from: pairs on disk, or procedural scenes that are rendered on the way."""

from __future__ import annotations

from typing import Iterator, NamedTuple

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

from .augment import Augment
from .datasets import FlowPair
from .scenes import SceneOptions, render


class Batch(NamedTuple):
    """Frames (B, 3, H, W) in 0..1, flow (B, 2, H, W) px; valid, and visible in both frames, bool (B, H, W)."""

    frame1: Tensor
    frame2: Tensor
    flow: Tensor
    valid: Tensor
    visible: Tensor


class Augmented(Dataset):
    """A data set whose pairs come out augmented, or cropped in the middle where there is no augmentation.

    What happens to a pair depends on the seed, the epoch and its index, so that a resumed epoch is the same one.
    """

    def __init__(self, pairs: Dataset, crop: tuple[int, int], augment: Augment | None, seed: int, epoch: int) -> None:
        self.pairs, self.crop, self.augment = pairs, crop, augment
        self.seed, self.epoch = seed, epoch

    def __len__(self) -> int:
        return len(self.pairs)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> FlowPair:
        pair = self.pairs[index]
        if self.augment is not None:
            mixed = (self.seed * 1_000_003 + self.epoch) * 1_000_003 + index
            return self.augment(pair, Generator().manual_seed(mixed % 2**63))
        return centre_crop(pair, self.crop)


def centre_crop(pair: FlowPair, crop: tuple[int, int]) -> FlowPair:
    """The middle of a pair. Raises ValueError where the pair is smaller."""
    height, width = pair.valid.shape
    if height < crop[0] or width < crop[1]:
        raise ValueError(f"a crop of {crop[0]} x {crop[1]} does not fit a frame of {height} x {width}")
    top, left = (height - crop[0]) // 2, (width - crop[1]) // 2
    return FlowPair(*(part[..., top : top + crop[0], left : left + crop[1]].contiguous() for part in pair))


def dataset_batches(
    pairs: Dataset, batch: int, seed: int, epoch: int, workers: int, skip: int = 0, shuffle: bool = True
) -> Iterator[Batch]:
    """One epoch, in an order that follows from seed and epoch, without its first `skip` batches."""
    count = len(pairs)  # type: ignore[arg-type]
    generator = Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(count, generator=generator) if shuffle else torch.arange(count)
    # The last batch would be a smaller one, whose batch statistics are worse: it is left out, but not where it is all.
    kept = count // batch * batch if shuffle and count >= batch else count
    batches = order[:kept].split(batch)[skip:]
    for pair in DataLoader(pairs, batch_sampler=[b.tolist() for b in batches], num_workers=workers):
        yield Batch(*pair, visible=pair[3])


class ScenePool:
    """Procedural scenes, each of them used about `reuse` times, mirrored and recoloured, before it is replaced.

    Rendering on a CPU takes as long as a step of training; a graphics processor renders so fast that `reuse` is 1.
    """

    def __init__(
        self,
        options: SceneOptions,
        size: tuple[int, int],
        seed: int,
        index: int,
        device: torch.device,
        *,
        reuse: float = 1.0,
        capacity: int = 256,
        render_batch: int = 8,
    ) -> None:
        self.options, self.size, self.seed, self.index, self.device = options, size, seed, index, device
        self.reuse, self.capacity, self.render_batch = reuse, capacity, render_batch
        self._scenes: list[Batch] = []  # oldest first
        self._owed = 0.0
        self._generator = Generator().manual_seed(seed * 1_000_003 + index)

    def batch(self, count: int) -> Batch:
        """`count` pairs, drawn without repetition; at most `capacity`."""
        if count > self.capacity:
            raise ValueError(f"a batch of {count} is more than the pool of {self.capacity} scenes")
        self._owed += count / self.reuse
        # A pool must be several batches large, or the first ones would repeat themselves.
        few = count if self.reuse == 1 else min(self.capacity, 4 * count)
        while self._owed > 0 or len(self._scenes) < few:
            self._render()
            self._owed -= self.render_batch
        chosen = torch.randperm(len(self._scenes), generator=self._generator)[:count]
        if self.reuse == 1:
            pairs, self._scenes = self._scenes[:count], self._scenes[count:]
        else:
            pairs = [self._scenes[i] for i in chosen.tolist()]
        return self._vary(Batch(*(torch.stack(parts) for parts in zip(*pairs))))

    def _render(self) -> None:
        scene = render(self.seed, self.index, self.render_batch, *self.size, self.options, self.device)
        self.index += 1
        parts = (scene.frame1, scene.frame2, scene.flow, scene.valid, ~scene.occluded)
        self._scenes += [Batch(*pair) for pair in zip(*parts)]
        self._scenes = self._scenes[-self.capacity :]

    def _vary(self, batch: Batch) -> Batch:
        """One of the eight symmetries of a square (four of a rectangle), and another order of the colours."""

        def chance() -> bool:
            return bool(torch.rand((), generator=self._generator) < 0.5)

        if chance():
            sign = batch.flow.new_tensor([-1, 1]).view(2, 1, 1)
            batch = Batch(*(part.flip(-1) for part in batch))._replace(flow=batch.flow.flip(-1) * sign)
        if chance():
            sign = batch.flow.new_tensor([1, -1]).view(2, 1, 1)
            batch = Batch(*(part.flip(-2) for part in batch))._replace(flow=batch.flow.flip(-2) * sign)
        if self.size[0] == self.size[1] and chance():
            turned = Batch(*(part.transpose(-1, -2) for part in batch))
            batch = turned._replace(flow=turned.flow.flip(1))
        colours = torch.randperm(3, generator=self._generator).to(batch.frame1.device)
        frame1, frame2 = batch.frame1[:, colours], batch.frame2[:, colours]
        if chance():
            frame1, frame2 = 1 - frame1, 1 - frame2
        return Batch(*(part.contiguous() for part in batch._replace(frame1=frame1, frame2=frame2)))

"""Optical flow data sets on disk, as torch Datasets of `FlowPair`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Union

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .formats import read_flow, read_image, read_kitti_flow

Root = Union[str, "os.PathLike[str]"]

UNKNOWN_FLOW = 1e9
"""Middlebury marks an unknown motion by a value above this."""


class FlowPair(NamedTuple):
    """Two frames, float32 (3, H, W) RGB in 0..1; flow from 1 to 2, float32 (2, H, W) px; valid, bool (H, W)."""

    frame1: Tensor
    frame2: Tensor
    flow: Tensor
    valid: Tensor


class Files(NamedTuple):
    """The three files of a pair."""

    frame1: Path
    frame2: Path
    flow: Path


def read_frame(path: Path) -> Tensor:
    """A picture as float32 (3, H, W) RGB in 0..1."""
    return torch.from_numpy(read_image(path)).permute(2, 0, 1).contiguous().float() / 255


class FlowDataset(Dataset):
    """A list of `Files`, read one by one."""

    def __init__(self, root: Root, layout: str, pairs: list[Files]) -> None:
        if not pairs:
            raise FileNotFoundError(f"{type(self).__name__}: no pairs in {root}; expected {layout}")
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def _read_flow(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        flow = read_flow(path)
        valid = (np.abs(flow) < UNKNOWN_FLOW).all(0)
        # 0 and not NaN, which resizing would spread to its neighbours.
        flow[:, ~valid] = 0
        return flow, valid

    def __getitem__(self, index: int) -> FlowPair:
        files = self.pairs[index]
        frame1, frame2 = read_frame(files.frame1), read_frame(files.frame2)
        flow, valid = self._read_flow(files.flow)
        sizes = [tuple(frame1.shape[1:]), tuple(frame2.shape[1:]), flow.shape[1:]]
        if len(set(sizes)) != 1:
            raise ValueError(f"{files.flow}: frames and flow differ in size (H, W): {sizes}")
        return FlowPair(frame1, frame2, torch.from_numpy(flow), torch.from_numpy(valid))


def _folder(dataset: FlowDataset, root: Root, layout: str, *choices: str) -> Path:
    """The first of the choices that is a folder in root."""
    for choice in choices:
        if (Path(root) / choice).is_dir():
            return Path(root) / choice
    names = " or ".join(str(Path(root) / choice) for choice in choices)
    raise FileNotFoundError(f"{type(dataset).__name__}: no folder {names}; expected {layout}")


def _need(dataset: FlowDataset, path: Path, layout: str) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{type(dataset).__name__}: no file {path}; expected {layout}")
    return path


def _split(split: str) -> str:
    if split not in ("train", "val"):
        raise ValueError(f"split is 'train' or 'val', got {split!r}")
    return split


class FlyingChairs(FlowDataset):
    """NNNNN_img1.ppm, NNNNN_img2.ppm, NNNNN_flow.flo in root or root/data, and the split file in either."""

    LAYOUT = (
        "NNNNN_img1.ppm, NNNNN_img2.ppm, NNNNN_flow.flo in the root or its data/, with FlyingChairs_train_val.txt or "
        "FlyingChairs_train_val_split.txt (a line per pair: 1 = train, 2 = val)"
    )
    SPLIT_FILES = ("FlyingChairs_train_val.txt", "FlyingChairs_train_val_split.txt")

    def __init__(self, root: Root, split: str = "train") -> None:
        code = {"train": 1, "val": 2}[_split(split)]
        data = _folder(self, root, self.LAYOUT, "data", ".")
        candidates = [folder / name for folder in (Path(root), data) for name in self.SPLIT_FILES]
        listed = next((path for path in candidates if path.is_file()), candidates[0])
        words = _need(self, listed, self.LAYOUT).read_text().split()
        if not set(words) <= {"1", "2"}:
            raise ValueError(f"{listed}: holds {sorted(set(words) - {'1', '2'})[:3]}, each line is 1 or 2")
        flows = sorted(data.glob("*_flow.flo"))
        if len(flows) != len(words):
            raise ValueError(f"{listed}: splits {len(words)} pairs, but {data} has {len(flows)} *_flow.flo")
        pairs = []
        for flow, word in zip(flows, words):
            if int(word) == code:
                stem = flow.name[: -len("_flow.flo")]
                one, two = (_need(self, data / f"{stem}_img{i}.ppm", self.LAYOUT) for i in (1, 2))
                pairs.append(Files(one, two, flow))
        super().__init__(root, self.LAYOUT, pairs)


class FlyingThings3D(FlowDataset):
    """The FlyingThings3D subset, left camera, clean pass, motion into the future and into the past."""

    LAYOUT = (
        "the subset's {train,val}/image_clean/left/NNNNNNN.png and "
        "{train,val}/flow/left/{into_future,into_past}/NNNNNNN.flo or .pfm"
    )

    def __init__(self, root: Root, split: str = "train") -> None:
        images = _folder(self, root, self.LAYOUT, f"{_split(split)}/image_clean/left")
        # One listing: asking for each of 20 000 frames by itself is slow on a network disk.
        frames = {path.stem: path for path in images.glob("*.png")}
        pairs = []
        for direction, step in (("into_future", 1), ("into_past", -1)):
            folder = _folder(self, root, self.LAYOUT, f"{split}/flow/left/{direction}")
            # By stem, so that a frame with flow in both formats counts once.
            flows = {path.stem: path for ext in ("pfm", "flo") for path in folder.glob(f"*.{ext}")}
            for stem, flow in sorted(flows.items()):
                if not stem.isdecimal():
                    continue
                # The other frame is absent where a sequence begins or ends.
                other = frames.get(str(int(stem) + step).zfill(len(stem)))
                if stem in frames and other is not None:
                    pairs.append(Files(frames[stem], other, flow))
        super().__init__(root, self.LAYOUT, pairs)


class Sintel(FlowDataset):
    """MPI Sintel's training half, one render pass."""

    LAYOUT = "training/{clean,final}/SCENE/frame_NNNN.png and training/flow/SCENE/frame_NNNN.flo"

    def __init__(self, root: Root, render_pass: str = "clean") -> None:
        if render_pass not in ("clean", "final"):
            raise ValueError(f"render_pass is 'clean' or 'final', got {render_pass!r}")
        images = _folder(self, root, self.LAYOUT, f"training/{render_pass}")
        flows = _folder(self, root, self.LAYOUT, "training/flow")
        pairs = []
        for flow in sorted(flows.glob("*/frame_*.flo")):
            number = int(flow.stem[len("frame_"):])
            scene = images / flow.parent.name
            one, two = (_need(self, scene / f"frame_{n:04d}.png", self.LAYOUT) for n in (number, number + 1))
            pairs.append(Files(one, two, flow))
        super().__init__(root, self.LAYOUT, pairs)


class Kitti(FlowDataset):
    """KITTI 2015 (image_2) or 2012 (colored_0), training half, flow_occ."""

    LAYOUT = (
        "training/image_2 (2015) or training/colored_0 (2012) with NNNNNN_10.png and NNNNNN_11.png, and "
        "training/flow_occ/NNNNNN_10.png"
    )

    def __init__(self, root: Root) -> None:
        images = _folder(self, root, self.LAYOUT, "training/image_2", "training/colored_0")
        flows = _folder(self, root, self.LAYOUT, "training/flow_occ")
        pairs = []
        for flow in sorted(flows.glob("*_10.png")):
            second = flow.name.replace("_10.png", "_11.png")
            one, two = (_need(self, images / name, self.LAYOUT) for name in (flow.name, second))
            pairs.append(Files(one, two, flow))
        super().__init__(root, self.LAYOUT, pairs)

    def _read_flow(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        return read_kitti_flow(path)

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dinov3_flow.datasets import FlowPair, FlyingChairs, FlyingThings3D, Kitti, Sintel
from dinov3_flow.formats import write_flo

H, W = 4, 6


def image(path, value):
    """An image whose red is `value`, to tell frames apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((H, W, 3), (0, 0, value), np.uint8))


def flo(path, value, shape=(2, H, W)):
    path.parent.mkdir(parents=True, exist_ok=True)
    flow = np.full(shape, value, np.float32)
    flow[1] += 0.5
    write_flo(path, flow)


def red(frame):
    return round(frame[0, 0, 0].item() * 255)


def check(pair, one, two, flow):
    assert isinstance(pair, FlowPair)
    for frame in (pair.frame1, pair.frame2):
        assert frame.shape == (3, H, W) and frame.dtype == torch.float32 and 0 <= frame.min() and frame.max() <= 1
    assert pair.flow.shape == (2, H, W) and pair.flow.dtype == torch.float32
    assert pair.valid.shape == (H, W) and pair.valid.dtype == torch.bool
    got = (red(pair.frame1), red(pair.frame2), pair.flow[0, 0, 0].item(), pair.flow[1, 0, 0].item())
    assert got == (one, two, flow, flow + 0.5)


def chairs(root, data, name="FlyingChairs_train_val.txt"):
    for i in (1, 2, 3):
        image(data / f"{i:05d}_img1.ppm", 10 * i)
        image(data / f"{i:05d}_img2.ppm", 10 * i + 1)
        flo(data / f"{i:05d}_flow.flo", i)
    (root / name).write_text("1\n2\n1\n")


@pytest.mark.parametrize("folder", [".", "data"])
@pytest.mark.parametrize("name", FlyingChairs.SPLIT_FILES)
def test_chairs(tmp_path, folder, name):
    chairs(tmp_path, tmp_path / folder, name)
    train, val = FlyingChairs(tmp_path, "train"), FlyingChairs(tmp_path, "val")
    assert (len(train), len(val)) == (2, 1)
    check(train[1], 30, 31, 3)
    check(val[0], 20, 21, 2)
    assert train[0].valid.all()


def test_chairs_batches(tmp_path):
    chairs(tmp_path, tmp_path)
    batch = next(iter(DataLoader(FlyingChairs(tmp_path), batch_size=2)))
    assert isinstance(batch, FlowPair) and batch.flow.shape == (2, 2, H, W)


def test_chairs_errors(tmp_path):
    with pytest.raises(ValueError, match="split is"):
        FlyingChairs(tmp_path, "test")
    with pytest.raises(FileNotFoundError, match="expected NNNNN_img1.ppm"):
        FlyingChairs(tmp_path)
    chairs(tmp_path, tmp_path)
    (tmp_path / "00003_img2.ppm").unlink()
    with pytest.raises(FileNotFoundError, match="00003_img2.ppm"):
        FlyingChairs(tmp_path)
    (tmp_path / "FlyingChairs_train_val.txt").write_text("1\n2\n")
    with pytest.raises(ValueError, match="splits 2 pairs"):
        FlyingChairs(tmp_path)
    (tmp_path / "FlyingChairs_train_val.txt").write_text("1\n2\n3\n")
    with pytest.raises(ValueError, match="each line is 1 or 2"):
        FlyingChairs(tmp_path)


def test_things(tmp_path):
    for i in (9, 10, 11, 20):
        image(tmp_path / f"train/image_clean/left/{i:07d}.png", i)
    flows = tmp_path / "train/flow/left"
    flo(flows / "into_future/0000009.flo", 9)
    flo(flows / "into_future/0000011.flo", 11)  # no frame 12
    flo(flows / "into_past/0000009.flo", 9)  # no frame 8
    pixels = np.full((H, W, 3), -11, np.float32)
    pixels[..., 1] = -10.5
    pixels[-1, -1, 0] = np.nan
    (flows / "into_past/0000011.pfm").write_bytes(f"PF\n{W} {H}\n-1\n".encode() + pixels[::-1].astype("<f4").tobytes())
    data = FlyingThings3D(tmp_path, "train")
    assert len(data) == 2
    check(data[0], 9, 10, 9)
    check(data[1], 11, 10, -11)
    assert not data[1].valid[-1, -1] and data[1].valid.sum() == H * W - 1
    assert data[1].flow[:, -1, -1].tolist() == [0, 0]
    with pytest.raises(FileNotFoundError, match="val/image_clean/left.*expected the subset"):
        FlyingThings3D(tmp_path, "val")


def test_things_without_pairs(tmp_path):
    for folder in ("image_clean/left", "flow/left/into_future", "flow/left/into_past"):
        (tmp_path / "train" / folder).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no pairs"):
        FlyingThings3D(tmp_path)


def test_sintel(tmp_path):
    for scene, base in (("alley_1", 0), ("cave_2", 100)):
        for i in (1, 2, 3):
            image(tmp_path / f"training/final/{scene}/frame_{i:04d}.png", base + i)
        for i in (1, 2):
            flo(tmp_path / f"training/flow/{scene}/frame_{i:04d}.flo", base + i)
    data = Sintel(tmp_path, "final")
    assert len(data) == 4
    check(data[1], 2, 3, 2)
    check(data[2], 101, 102, 101)
    with pytest.raises(FileNotFoundError, match="training/clean.*expected training/"):
        Sintel(tmp_path, "clean")
    with pytest.raises(ValueError, match="render_pass"):
        Sintel(tmp_path, "albedo")


@pytest.mark.parametrize("images", ["image_2", "colored_0"])
def test_kitti(tmp_path, images):
    image(tmp_path / f"training/{images}/000007_10.png", 1)
    image(tmp_path / f"training/{images}/000007_11.png", 2)
    image(tmp_path / f"training/{images}/000008_10.png", 3)  # no flow: not a pair
    raw = np.full((H, W, 3), (1, 2**15 + 64 * 3.5, 2**15 + 64 * 3), np.uint16)
    raw[1, 2] = 0
    flow = tmp_path / "training/flow_occ"
    flow.mkdir()
    cv2.imwrite(str(flow / "000007_10.png"), raw)
    data = Kitti(tmp_path)
    assert len(data) == 1
    check(data[0], 1, 2, 3)
    assert not data[0].valid[1, 2] and data[0].valid.sum() == H * W - 1


def test_kitti_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="image_2.*colored_0.*expected"):
        Kitti(tmp_path)


def test_sizes_that_differ_are_refused(tmp_path):
    chairs(tmp_path, tmp_path)
    flo(tmp_path / "00001_flow.flo", 1, (2, H, W + 1))
    with pytest.raises(ValueError, match="differ in size"):
        FlyingChairs(tmp_path)[0]

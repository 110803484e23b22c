import struct

import cv2
import numpy as np
import pytest

from dinov3_flow.formats import read_flo, read_flow, read_image, read_kitti_flow, read_pfm, write_flo


def ramp(*shape):
    return (np.arange(np.prod(shape), dtype=np.float32) - 7.25).reshape(shape)


def test_flo_round_trip_and_bytes(tmp_path):
    path = tmp_path / "a.flo"
    flow = ramp(2, 3, 4)
    write_flo(path, flow)
    data = path.read_bytes()
    assert data[:4] == b"PIEH"
    assert struct.unpack("<ii2f", data[4:20]) == (4, 3, flow[0, 0, 0], flow[1, 0, 0])
    got = read_flo(path)
    assert got.dtype == np.float32 and got.flags.writeable
    np.testing.assert_array_equal(got, flow)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PIEH", "too few"),
        (struct.pack("<fii", 1.0, 1, 1) + bytes(8), "not a .flo"),
        (struct.pack("<fii", 202021.25, 0, 1), "bad size"),
        (struct.pack("<fii", 202021.25, 1, -1), "bad size"),
        (struct.pack("<fii", 202021.25, 2, 1) + bytes(15), "take 16 bytes"),
        (struct.pack("<fii", 202021.25, 2, 1) + bytes(17), "take 16 bytes"),
    ],
)
def test_bad_flo(tmp_path, data, reason):
    path = tmp_path / "bad.flo"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"bad.flo.*{reason}"):
        read_flo(path)


def test_write_flo_refuses_other_shapes(tmp_path):
    with pytest.raises(ValueError, match=r"\(2, H, W\)"):
        write_flo(tmp_path / "a.flo", ramp(3, 4, 2))
    assert not (tmp_path / "a.flo").exists()


@pytest.mark.parametrize(("scale", "order"), [("-1.0", "<"), ("1", ">")])
@pytest.mark.parametrize("channels", [1, 3])
def test_pfm(tmp_path, scale, order, channels):
    path = tmp_path / "a.pfm"
    pixels = ramp(2, 3, 3) if channels == 3 else ramp(2, 3)
    kind = "PF" if channels == 3 else "Pf"
    path.write_bytes(f"{kind}\n3 2\n{scale}\n".encode() + pixels[::-1].astype(order + "f4").tobytes())
    got = read_pfm(path)
    assert got.dtype == np.float32 and got.dtype.isnative
    np.testing.assert_array_equal(got, pixels)
    if channels == 3:
        np.testing.assert_array_equal(read_flow(path), pixels[..., :2].transpose(2, 0, 1))
    else:
        with pytest.raises(ValueError, match="3 channels"):
            read_flow(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"P6\n1 1\n255\n", "not a PFM"),
        (b"Pf\n0 1\n-1\n", "bad size"),
        (b"Pf\n1 1\n0\n" + bytes(4), "bad PFM scale"),
        (b"Pf\n1 1\n1.2.3\n" + bytes(4), "bad PFM scale"),
        (b"PF\n1 1\n-1\n" + bytes(4), "take 12 bytes"),
    ],
)
def test_bad_pfm(tmp_path, data, reason):
    path = tmp_path / "bad.pfm"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"bad.pfm.*{reason}"):
        read_pfm(path)


def test_kitti_flow(tmp_path):
    path = tmp_path / "a.png"
    x = np.array([[2**15, 2**15 + 64, 0]], np.uint16)
    y = np.array([[2**15 - 32, 2**15, 0]], np.uint16)
    valid = np.array([[1, 1, 0]], np.uint16)
    cv2.imwrite(str(path), np.dstack((valid, y, x)))
    flow, known = read_kitti_flow(path)
    np.testing.assert_array_equal(flow, np.array([[[0, 1, 0]], [[-0.5, 0, 0]]], np.float32))
    assert flow.dtype == np.float32
    assert known.tolist() == [[True, True, False]]


def test_kitti_flow_refuses_8_bits(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="16-bit"):
        read_kitti_flow(path)


@pytest.mark.parametrize("suffix", ["ppm", "png"])
def test_image_is_rgb(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    cv2.imwrite(str(path), rgb[..., ::-1])
    np.testing.assert_array_equal(read_image(path), rgb)


@pytest.mark.parametrize("data", [b"", b"no image"])
def test_bad_image(tmp_path, data):
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="bad.png"):
        read_image(path)


def test_missing_files_and_other_suffixes(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")
    with pytest.raises(ValueError, match="not from '.txt'"):
        read_flow(tmp_path / "a.txt")

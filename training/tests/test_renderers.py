"""Tests of the renderers of evaluation pairs: what they draw moves as their flow says."""

import numpy as np
import pytest
import torch
from warping import warp

from dinov3_flow.evaluation.camera import GAINS, exposed, gains, night, rain
from dinov3_flow.evaluation.chairs import chairs
from dinov3_flow.evaluation.far import far
from dinov3_flow.evaluation.furniture import picture
from dinov3_flow.evaluation.layers import Layer, affine, compose, cut, sheet
from dinov3_flow.evaluation.pictures import clouded, ellipses
from dinov3_flow.evaluation.repeated import repeated
from dinov3_flow.evaluation.thin import strokes_distance, thin

SEED = 2_000_100


@pytest.fixture(scope="module")
def two_layers():
    """A disc of radius 20 that moves to the right and hides what the background, which moves up, shows."""
    rng = np.random.default_rng(1)
    centre = np.array([50.0, 40.0])
    disc = cut(sheet(clouded(rng, 180, 220), 40), lambda places: np.linalg.norm(places - centre, axis=-1) - 20)
    layers = [
        Layer(sheet(clouded(rng, 180, 220), 40), affine(np.eye(2), centre, np.array([0.0, -6.5]))),
        Layer(disc, affine(np.eye(2), centre, np.array([12.25, 0.0])), (29, 19, 71, 61)),
    ]
    return layers, compose(layers, 100, 140)


def test_a_pixel_moves_with_the_foremost_layer(two_layers):
    made = two_layers[1]
    distance = np.hypot(*(np.indices((100, 140)) - np.array([40, 50])[:, None, None]))
    assert np.array_equal(made.top == 1, distance < 20)
    assert np.allclose(made.flow[made.top == 1], (12.25, 0)) and np.allclose(made.flow[made.top == 0], (0, -6.5))


def test_visible_is_what_the_other_frame_shows(two_layers):
    made = two_layers[1]
    rows, columns = np.indices((100, 140))
    # The background leaves at the top; the disc, then at x = 62.25, hides some of it.
    hidden = np.hypot(rows - 6.5 - 40, columns - 62.25) < 20
    expected = np.where(made.top == 1, True, (rows >= 6.5) & ~hidden)
    assert (made.visible != expected).mean() < 0.005


def test_boxes_change_nothing_but_speed(two_layers):
    layers, made = two_layers
    for a, b in zip(made, compose([layer._replace(box=None) for layer in layers], 100, 140)):
        assert np.array_equal(a, b)


def test_frame_2_holds_what_frame_1_shows(two_layers):
    made = two_layers[1]
    frame1, frame2, flow = (torch.from_numpy(a.transpose(2, 0, 1).astype(np.float32)) for a in made[:3])
    error = (warp(frame2[None], flow[None])[0] - frame1).abs().mean(0)[torch.from_numpy(made.visible)]
    assert float(error.median()) < 0.01 and float((error < 0.05).float().mean()) > 0.95


@pytest.mark.parametrize("make", [thin, repeated, far, chairs], ids=lambda make: make.__name__)
def test_renderers_move_what_they_draw(make):
    pair = make(SEED)
    error = (warp(pair.frame2[None], pair.flow[None])[0] - pair.frame1).abs().mean(0)[pair.valid]
    # Some is hidden or left the frame, and frame 2 is a little softer.
    assert float(error.median()) < 0.03 and float((error < 0.1).float().mean()) > 0.7
    wrong = (warp(pair.frame2[None], pair.flow[None] + 3)[0] - pair.frame1).abs().mean(0)[pair.valid]
    assert float(error.mean()) < 0.6 * float(wrong.mean())
    again = make(SEED)
    assert torch.equal(pair.frame2, again.frame2) and torch.equal(pair.flow, again.flow)


def test_the_distance_to_a_stroke_is_negative_inside_and_tapers():
    ends, widths = np.array([((0.0, 0.0), (10.0, 0.0))]), np.array([(4.0, 2.0)])
    places = np.array([(0.0, 0.0), (10.0, 3.0), (5.0, -1.5), (-3.0, 0.0)])
    assert strokes_distance(ends, widths, places).tolist() == pytest.approx([-2, 2, 0, 1])


def test_motions_of_chairs_are_distributed_as_those_of_flyingchairs():
    motion = torch.cat([torch.hypot(*chairs(SEED + i).flow).flatten()[::97] for i in range(12)])
    assert 4 < float(motion.median()) < 9
    assert 12 < float(motion.quantile(0.95)) < 40


def test_furniture_has_holes_and_a_transparent_border():
    rng = np.random.default_rng(4)
    for _ in range(3):
        rgba = picture(rng, 120)
        cover = rgba[..., 3]
        assert not cover[[0, -1]].any() and not cover[:, [0, -1]].any()
        assert 0.03 < (cover > 0.5).mean() < 0.9
        assert (rgba[..., :3] <= cover[..., None] + 1e-5).all()


def test_gains_are_smooth_and_keep_to_their_range():
    first, second = gains(np.random.default_rng(2), 120, 160)
    for field in (first, second):
        assert GAINS[0] <= field.min() and field.max() <= GAINS[1] and field.max() > 1.2 * field.min()
        assert np.abs(np.diff(field[..., 0], axis=0)).max() < 0.1
    assert np.abs(first - second).max() > 0.1


def test_light_and_noise_leave_the_flow_alone():
    pair = ellipses(SEED, 96, 128, 8)
    for changed in (exposed(pair, SEED), night(pair, SEED)):
        assert torch.equal(changed.flow, pair.flow) and torch.equal(changed.valid, pair.valid)
        assert float((changed.frame2 - pair.frame2).abs().mean()) > 0.02
    dark = night(pair, SEED)
    assert float(dark.frame1.mean()) < 0.8 * float(pair.frame1.mean())


def test_rain_falls_differently_in_each_frame():
    rng = np.random.default_rng(3)
    first, second = (rain(rng, 96, 128) for _ in range(2))
    assert 0.005 < (first > 0.03).mean() < 0.3
    assert ((first > 0.03) & (second > 0.03)).mean() < 0.5 * (first > 0.03).mean()

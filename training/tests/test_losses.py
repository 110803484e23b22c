import pytest
import torch
import torch.nn.functional as F

from dinov3_flow.losses import MATCH, LossWeights, coarse_target, matching_losses, training_loss
from dinov3_flow.metrics import masked_l1
from dinov3_flow.network import FlowPrediction, correlate

NAN = float("nan")
ONE = torch.ones(())


def constant(x, y, height, width, batch=1):
    return torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1).repeat(batch, 1, height, width)


def everywhere(height, width, batch=1):
    return torch.ones(batch, height, width, dtype=torch.bool)


def prediction(batch=2, cells=6, cell=4, radius=2):
    torch.manual_seed(0)
    side = cells * cell
    shapes = ((2 * radius + 1) ** 2, cells), (2, cells), (2, cells), (2, side)
    return FlowPrediction(*(torch.randn(batch, c, n, n).requires_grad_() for c, n in shapes))


# ---- coarse target ---------------------------------------------------------------------------------------------------


def test_a_constant_flow_is_the_same_in_cells():
    target, there = coarse_target(constant(8, -4, 12, 16), everywhere(12, 16), 4)
    assert torch.equal(target, constant(2, -1, 3, 4)) and there.shape == (1, 3, 4) and there.all()


def test_a_cell_is_the_mean_of_what_is_known_where_that_is_a_half():
    flow, mask = constant(8, -4, 4, 12), everywhere(4, 12)
    mask[:, 2:, :4] = False  # a half of the first cell
    mask[:, :, 4:8] = False
    mask[:, 0, 4:8] = True  # a quarter of the second
    flow[:, :, :2, :2] = 16
    flow.masked_fill_(~mask[:, None], NAN)
    target, there = coarse_target(flow, mask, 4)
    assert there.tolist() == [[[True, False, True]]]
    torch.testing.assert_close(target[0, :, 0, 0], torch.tensor([3.0, 1.5]))  # means of 8 and 16, of -4 and 16
    assert torch.isfinite(target).all() and target[0, :, 0, 2].tolist() == [2, -1]


def test_no_cell_where_nothing_is_known():
    target, there = coarse_target(constant(NAN, NAN, 8, 8), ~everywhere(8, 8), 4)
    assert not there.any() and torch.count_nonzero(target) == 0


# ---- matching --------------------------------------------------------------------------------------------------------


def matching_loss(*arguments):
    return matching_losses(*arguments)[0]


@pytest.mark.parametrize("dx,dy", [(1, -1), (-1, 0), (0, 0)])
def test_matching_is_smallest_at_the_true_displacement(dx, dy):
    losses = []
    for index in range(25):
        correlation = torch.zeros(1, 25, 4, 4)
        correlation[:, index] = 5
        losses.append(matching_loss(correlation, constant(dx, dy, 4, 4), everywhere(4, 4), ONE))
    assert int(torch.stack(losses).argmin()) == 5 * (dy + 2) + dx + 2


def test_matching_finds_what_correlates():
    features = F.normalize(torch.randn(1, 32, 8, 8, generator=torch.Generator().manual_seed(0)), dim=1) * 32**0.5
    correlation = correlate(features, features.roll((1, 2), (2, 3)), 2)  # moves down by 1, right by 2
    at = {(x, y): matching_loss(correlation, constant(x, y, 8, 8), everywhere(8, 8), ONE)
          for x in (-1.5, 0, 1, 1.5, 1.999) for y in (-1, 0, 1)}  # fmt: skip
    assert min(at, key=at.get) == (1.999, 1)


def test_fractional_targets_are_shared_out_bilinearly():
    scores = torch.randn(1, 25, 3, 3)
    mask = ~everywhere(3, 3)
    mask[0, 1, 1] = True
    loss = matching_loss(scores, constant(0.25, -0.5, 3, 3), mask, 3 * ONE)
    s = 3 * scores[0, :, 1, 1]
    # Middle of the window is 12; its neighbour on the right 13, those above 7 and 8.
    hit = 0.375 * s[7] + 0.125 * s[8] + 0.375 * s[12] + 0.125 * s[13]
    torch.testing.assert_close(loss, torch.logsumexp(s, 0) - hit)


def test_matching_is_a_mean_over_the_cells_that_count():
    scores, mask = torch.randn(2, 9, 3, 3), ~everywhere(3, 3, 2)
    mask[0, 1, 1] = mask[1, 2, 0] = True
    loss = matching_loss(scores, constant(0, 0, 3, 3, 2), mask, ONE)
    cells = [F.cross_entropy(cell[None], torch.tensor([4])) for cell in (scores[0, :, 1, 1], scores[1, :, 2, 0])]
    torch.testing.assert_close(loss, sum(cells) / 2)


def test_contrast_is_nothing_where_the_match_alone_correlates():
    correlation, target = torch.zeros(1, 25, 4, 4), constant(0.25, 1, 4, 4)
    mask = everywhere(4, 4)
    correlation[:, 17], correlation[:, 18] = 0.75 * MATCH, 0.25 * MATCH
    # The lowest row leaves the frame, and the last column.
    assert matching_losses(correlation, target, mask, ONE)[1] == 0
    correlation[:, 3] = MATCH / 2
    torch.testing.assert_close(matching_losses(correlation, target, mask, ONE)[1], torch.tensor(0.25))


def test_only_cells_that_are_known_and_stay_in_window_and_frame_count():
    correlation = torch.randn(1, 25, 4, 5).requires_grad_()
    target, mask = constant(0, 0, 4, 5), everywhere(4, 5)
    mask[0, 0, 0] = False
    target[0, :, 0, 0] = 1e6
    target[0, 0, 1, 1] = 2  # as far as the window goes
    target[0, 0, 2, 4] = 0.5  # out at the right
    target[0, 1, 0, 2] = -1  # out at the top
    temperature = torch.ones((), requires_grad=True)
    loss = sum(matching_losses(correlation, target, mask, temperature))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(correlation.grad).all() and torch.isfinite(temperature.grad)
    without = {(0, 0), (1, 1), (2, 4), (0, 2)}
    for y in range(4):
        for x in range(5):
            assert bool(correlation.grad[0, :, y, x].any()) == ((y, x) not in without)


def test_no_cell_at_all_gives_nothing():
    correlation = torch.randn(1, 25, 4, 4).requires_grad_()
    loss = sum(matching_losses(correlation, constant(0, 0, 4, 4), ~everywhere(4, 4), ONE))
    loss.backward()
    assert loss == 0 and torch.count_nonzero(correlation.grad) == 0


@pytest.mark.parametrize("size", [(5, 7), (2, 2)])
def test_correlation_and_its_gradient_are_those_of_the_definition(size):
    def plain(a, b, radius):
        height, width = a.shape[2:]
        padded, side = F.pad(b, (radius,) * 4), range(2 * radius + 1)
        moved = (padded[:, :, y : y + height, x : x + width] for y in side for x in side)
        return torch.stack([(a * other).sum(1) for other in moved], 1) / 4**0.5

    frames = [torch.randn(2, 4, *size, requires_grad=True) for _ in range(2)]
    got, expected = correlate(*frames, 3), plain(*frames, 3)
    torch.testing.assert_close(got, expected)
    weights = torch.randn_like(got)
    for one, other in zip(*(torch.autograd.grad((c * weights).sum(), frames) for c in (got, expected))):
        torch.testing.assert_close(one, other)


# ---- their sum -------------------------------------------------------------------------------------------------------


def test_by_default_it_is_the_original_loss():
    guess, flow, valid = prediction(), torch.randn(2, 2, 24, 24), torch.rand(2, 24, 24) < 0.8
    loss, terms = training_loss(guess, flow, valid, valid, LossWeights(), ONE)
    assert torch.equal(loss, masked_l1(guess.flow, flow, valid)) and set(terms) == {"flow"}
    assert torch.equal(loss, terms["flow"])


def test_it_is_the_weighted_sum_of_its_terms():
    weights = LossWeights(0.5, 2, 3, 4)
    loss, terms = training_loss(prediction(), torch.randn(2, 2, 24, 24), *[everywhere(24, 24, 2)] * 2, weights, ONE)
    assert set(terms) == {"flow", "coarse", "matching", "contrast"}
    expected = sum(w * terms[t] for w, t in ((0.5, "flow"), (2, "coarse"), (3, "matching"), (4, "contrast")))
    torch.testing.assert_close(loss, expected)


def test_the_coarse_term_is_in_pixels_and_of_both_guesses():
    flow, seen = constant(8, -4, 24, 24, 2), everywhere(24, 24, 2)
    guess = prediction()._replace(coarse=constant(2, -1, 6, 6, 2), refined=constant(3, -1, 6, 6, 2))
    terms = training_loss(guess, flow, seen, seen, LossWeights(coarse=1), ONE)[1]
    assert terms["coarse"] == 2  # a cell of 4 px in one of two components


def test_what_is_hidden_counts_but_not_for_matching():
    # Whole eighths in powers of two, of which float32 makes exact sums and means in any order.
    guess = FlowPrediction(*(part.mul(8).round() / 8 for part in prediction(cells=8)))
    flow, seen = torch.randn(2, 2, 32, 32).mul(8).round(), everywhere(32, 32, 2)
    hidden = seen.clone()
    hidden[:, :, 16:] = False
    one, other = (training_loss(guess, flow, seen, v, LossWeights(1, 1, 1), ONE)[1] for v in (seen, hidden))
    assert one["flow"] == other["flow"] and one["coarse"] == other["coarse"] and one["matching"] != other["matching"]


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_unknown_pixels_leave_loss_and_gradient_finite(share):
    guess, flow = prediction(), torch.randn(2, 2, 24, 24)
    unknown = torch.rand(2, 24, 24) < share
    flow.masked_fill_(unknown[:, None], NAN)
    flow[0, 0, 0, 0] = float("inf")  # and valid by mistake
    temperature = torch.ones((), requires_grad=True)
    loss, _ = training_loss(guess, flow, ~unknown, everywhere(24, 24, 2), LossWeights(1, 1, 1), temperature)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(part.grad).all() for part in (*guess, temperature))

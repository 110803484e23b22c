import torch
from torch import nn

from dinov3_flow.statistics import RunningStatistics


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def test_training_and_inference_give_the_same():
    net = network()
    statistics = RunningStatistics(net)
    statistics.train()
    for _ in range(3):
        net(torch.randn(2, 3, 8, 8))
    x = torch.randn(2, 3, 8, 8) + 5
    trained = net(x)
    assert torch.equal(trained, net.eval()(x))


def test_the_first_batch_counts_in_full_and_later_ones_by_the_momentum():
    net = network()
    RunningStatistics(net, momentum=0.25).train()
    layer = net[1]
    seen = []
    for shift in range(6):
        x = torch.randn(2, 3, 8, 8) + shift
        before = layer.running_mean.clone()
        net(x)
        inside = net[0](x)
        rate = max(0.25, 1 / (shift + 1))
        expected = before + rate * (inside.mean((0, 2, 3)) - before)
        assert torch.allclose(layer.running_mean, expected, atol=1e-6)
        seen.append(inside.var((0, 2, 3)))
    assert int(layer.num_batches_tracked) == 6
    assert bool((layer.running_var > 0.5 * torch.stack(seen).amin(0)).all())


def test_inference_leaves_the_statistics_alone():
    net = network()
    RunningStatistics(net).train()
    net(torch.randn(2, 3, 8, 8))
    kept = net[1].running_mean.clone()
    net.eval()(torch.randn(2, 3, 8, 8) + 9)
    assert torch.equal(kept, net[1].running_mean)


def test_a_map_that_is_alike_everywhere_keeps_its_value():
    net = network()
    statistics = RunningStatistics(net)
    statistics.train()
    for _ in range(50):
        net(torch.randn(2, 3, 8, 8))
    # The statistics of this batch alone would make of both the same.
    low, high = (net(torch.full((2, 3, 8, 8), value)) for value in (-1.0, 1.0))
    assert float((high - low).abs().min(1).values.mean()) > 0.1


def test_what_seldom_speaks_does_not_shout():
    layer = nn.BatchNorm2d(5)
    net = nn.Sequential(layer)
    RunningStatistics(net).train()
    x = torch.randn(2, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    x[:, 0] = 0
    net(x)
    assert torch.allclose(layer.running_var, torch.tensor([0.25, 1, 1, 1, 1]), atol=0.2)
    word = torch.zeros_like(x)
    word[0, 0, 0, 0] = 1
    assert float(net.eval()(word).amax()) < 3

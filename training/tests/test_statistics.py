import torch

from dinov3_flow.initialise import initialise_head
from dinov3_flow.network import FlowHead, HeadConfig
from dinov3_flow.statistics import RunningStatistics


def in_training(momentum: float = 0.01) -> tuple[FlowHead, RunningStatistics]:
    torch.manual_seed(0)
    head = FlowHead(HeadConfig(proj=16, radius=2, fusion=32, layers=1, refine=1, up=8), 8)
    initialise_head(head)
    statistics = RunningStatistics(head, momentum)
    head.train()
    statistics.keep()
    return head, statistics


def features(shift: float = 0) -> torch.Tensor:
    return torch.randn(2, 8, 6, 6) + shift


def test_training_and_inference_give_the_same():
    head, _ = in_training()
    for _ in range(3):
        head(features(), features())
    first, second = features(5), features(5)
    trained = head(first, second).flow
    assert torch.equal(trained, head.eval()(first, second).flow)


def test_the_first_batch_counts_in_full_and_later_ones_by_the_momentum():
    head, _ = in_training(momentum=0.25)
    for shift in range(6):
        x = features(shift)
        before = head.bn1.running_mean.clone()
        head(x, x)
        expected = before + max(0.25, 1 / (shift + 1)) * (head.proj1(x).mean((0, 2, 3)) - before)
        assert torch.allclose(head.bn1.running_mean, expected, atol=1e-5)
    assert int(head.bn1.num_batches_tracked) == 6
    assert not torch.equal(head.bn1.running_var, torch.ones(16))


def test_only_the_projections_statistics_run():
    head, _ = in_training()
    begun = {name: value.clone() for name, value in head.state_dict().items()}
    head(features(3), features(3))
    moved = {name for name, value in head.state_dict().items() if not torch.equal(value, begun[name])}
    parts = ("running_mean", "running_var", "num_batches_tracked")
    assert moved == {f"{layer}.{part}" for layer in ("bn1", "bn2") for part in parts}


def test_inference_leaves_the_statistics_alone():
    head, _ = in_training()
    head(features(), features())
    kept = head.bn1.running_mean.clone()
    head.eval()(features(9), features(9))
    assert torch.equal(kept, head.bn1.running_mean)


def test_a_map_that_is_alike_everywhere_keeps_its_value():
    head, _ = in_training()
    for _ in range(50):
        head(features(), features())
    # The statistics of this batch alone would make of both the same.
    low, high = (head.bn1(head.proj1(torch.full((2, 8, 6, 6), value))) for value in (-1.0, 1.0))
    assert float((high - low).abs().min(1).values.mean()) > 0.1

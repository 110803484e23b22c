"""The network against the outputs of an independent oracle, stage by stage."""

from pathlib import Path

import pytest
import torch
from synthetic import synthesise

from dinov3_flow.checkpoint import backbone_config, head_config, load_safetensors, load_state_dict
from dinov3_flow.datasets import read_frame
from dinov3_flow.network import (
    Backbone, BackboneConfig, FlowHead, FlowNetwork, HeadConfig, correlate, normalise, resize_flow,
)  # fmt: skip

FIXTURES = Path(__file__).parents[2] / "test" / "fixtures"
TINY = FIXTURES / "tiny"
TINY_BACKBONE = BackboneConfig(dim=64, depth=2, heads=2, hidden=128)
TINY_HEAD = HeadConfig(proj=32, radius=4, fusion=48, layers=2, refine=1)


def load_module(kind, config, path, *arguments):
    state = load_state_dict(path)
    module = kind(config(state), *arguments).eval()
    missing, unexpected = module.load_state_dict(state, strict=False)
    # an .safetensors head has no counters of batches, and nothing here masks tokens
    assert [name for name in missing if not name.endswith("num_batches_tracked")] == []
    assert [name for name in unexpected if name != "mask_token"] == []
    return module


@pytest.fixture(scope="module")
def oracle():
    return load_safetensors(TINY / "activations.safetensors")[0]


@pytest.fixture(scope="module", params=["safetensors", "pth"])
def backbone(request):
    return load_module(Backbone, backbone_config, TINY / f"backbone.{request.param}")


@pytest.fixture(scope="module", params=["safetensors", "pth"])
def head(request):
    return load_module(FlowHead, head_config, TINY / f"head.{request.param}", 64)


def relative(actual, expected):
    return float((actual - expected).norm() / expected.norm())


@pytest.mark.parametrize("frame", ["frame1", "frame2"])
def test_backbone_matches_the_oracle_after_every_block(backbone, oracle, frame):
    seen = {}
    stages = {"patch_tokens": backbone.patch_embed, **{f"block{i}": block for i, block in enumerate(backbone.blocks)}}
    hooks = [
        stage.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out))
        for name, stage in stages.items()
    ]
    with torch.no_grad():
        seen["features"] = backbone(oracle[f"{frame}.input"])
    for hook in hooks:
        hook.remove()
    assert set(seen) == {"patch_tokens", "block0", "block1", "features"}
    for stage, actual in seen.items():
        assert relative(actual, oracle[f"{frame}.{stage}"]) < 1e-5, stage


def test_head_matches_the_oracle_in_every_stage(head, oracle):
    seen = {}
    mask = head.convex_upsampler.mask_head.register_forward_hook(lambda _, __, out: seen.__setitem__("mask", out))
    with torch.no_grad():
        prediction = head(oracle["frame1.features"], oracle["frame2.features"])
    mask.remove()
    seen.update(
        correlation=prediction.correlation, coarse_flow=prediction.coarse, refined_flow=prediction.refined,
        flow_up=prediction.flow,
    )  # fmt: skip
    for stage, actual in seen.items():
        assert relative(actual, oracle[f"head.{stage}"]) < 1e-5, stage
    assert float((prediction.flow - oracle["head.flow"]).abs().max()) < 1e-3


def test_flow_of_another_size_matches_the_oracle(oracle):
    expected = load_safetensors(TINY / "flow_150x203.safetensors")[0]
    (flow,) = (tensor for tensor in expected.values())
    assert float((resize_flow(oracle["head.flow"], 150, 203) - flow).abs().max()) < 1e-3


def test_network_is_backbone_and_head_on_normalised_frames(backbone, head, oracle):
    network = FlowNetwork(backbone.config, head.config).eval()
    network.backbone, network.head = backbone, head
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    frames = [oracle[f"{frame}.input"] * std + mean for frame in ("frame1", "frame2")]
    with torch.no_grad():
        prediction = network(*frames)
    assert float((prediction.flow - oracle["head.flow"]).abs().max()) < 1e-3


def test_synthetic_weights_are_those_of_the_golden_data():
    for module, name in ((Backbone(TINY_BACKBONE), "backbone"), (FlowHead(TINY_HEAD, 64), "head")):
        expected = load_state_dict(TINY / f"{name}.safetensors")
        for key, value in synthesise(module).state_dict().items():
            if not key.endswith("num_batches_tracked"):
                torch.testing.assert_close(value, expected[key], atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("frames,backbone,head,golden,bars", [
    ("tiny/frame{}.png", BackboneConfig(dim=96, depth=3, heads=3, hidden=256, ffn="mlp"),
     HeadConfig(proj=24, radius=3, fusion=40, layers=1, refine=0), "tiny/mlp_r3_norefine", (1e-5, 1e-3, 1e-3)),
    ("seed/frame{}_640.png", BackboneConfig(dim=384, depth=12, heads=6, hidden=1536),
     HeadConfig(), "seed/outputs", (2e-5, 0.05, 0.005)),
], ids=["MLP, radius 3, no refinement", "the original's configuration"])  # fmt: skip
def test_other_networks_match_the_oracle_from_pixels_to_flow(frames, backbone, head, golden, bars):
    expected = load_safetensors(FIXTURES / f"{golden}.safetensors")[0]
    vit, flow_head = synthesise(Backbone(backbone)).eval(), synthesise(FlowHead(head, backbone.dim)).eval()
    features_bar, worst, mean = bars
    with torch.no_grad():
        features = [vit(normalise(read_frame(FIXTURES / frames.format(i))[None])) for i in (1, 2)]
        flow = flow_head(*features).flow
    golden_features = [name for name in expected if name.startswith("features")]
    assert golden_features
    for name in golden_features:
        actual = features[int(name[-1]) - 1]
        assert relative(actual, expected[name].view_as(actual)) < features_bar
    difference = (flow - expected["flow"].view_as(flow)).abs()
    assert float(difference.max()) < worst and float(difference.mean()) < mean


@pytest.mark.parametrize("batch,height,width,radius", [(2, 3, 4, 1), (1, 2, 5, 3)])
def test_correlation_is_its_definition_and_has_its_gradient(batch, height, width, radius):
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(batch, 3, height, width, generator=generator, dtype=torch.double) for _ in range(2))
    side = 2 * radius + 1
    expected = torch.zeros(batch, side, side, height, width, dtype=torch.double)
    for dy, dx, y, x in torch.cartesian_prod(*map(torch.arange, (side, side, height, width))).tolist():
        ty, tx = y + dy - radius, x + dx - radius
        if 0 <= ty < height and 0 <= tx < width:
            expected[:, dy, dx, y, x] = (a[:, :, y, x] * b[:, :, ty, tx]).sum(1) / 3**0.5
    torch.testing.assert_close(correlate(a, b, radius), expected.flatten(1, 2))
    assert torch.autograd.gradcheck(lambda a, b: correlate(a, b, radius), (a.requires_grad_(), b.requires_grad_()))

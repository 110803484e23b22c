"""Checkpoints are read as they were written, and refused where they lie."""

import struct
from pathlib import Path

import pytest
import torch

from dinov3_flow.checkpoint import (
    backbone_config, fill, head_config, load_network, load_safetensors, load_state_dict, save_safetensors,
)  # fmt: skip
from dinov3_flow.network import Backbone, BackboneConfig, FlowHead, FlowNetwork, HeadConfig

FIXTURES = Path(__file__).parents[2] / "test" / "fixtures"


def test_a_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    tensors = {
        "b": torch.randn(2, 3).half(), "a": torch.randn(4), "c": torch.randn(2).bfloat16(),
        "count": torch.tensor(7), "none": torch.empty(0, 3),
    }  # fmt: skip
    save_safetensors(path, tensors, {"licence": "Apache-2.0"})
    read, metadata = load_safetensors(path)
    assert metadata == {"licence": "Apache-2.0"}
    assert set(read) == set(tensors)
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name], tensor), name
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("config", [
    BackboneConfig(dim=64, depth=2, heads=2, hidden=128, patch=16),
    BackboneConfig(dim=96, depth=3, heads=3, hidden=256, ffn="mlp", patch=8, storage_tokens=1),
])  # fmt: skip
def test_shapes_of_a_backbone_imply_its_configuration(config):
    assert backbone_config(Backbone(config).state_dict()) == config


@pytest.mark.parametrize("config", [
    HeadConfig(), HeadConfig(proj=24, radius=3, fusion=40, layers=1, up=8, refine=0),
])  # fmt: skip
def test_shapes_of_a_head_imply_its_configuration(config):
    assert head_config(FlowHead(config, 64).state_dict()) == config


@pytest.mark.parametrize("name", ["head.pth", "head_nested.pth", "head_legacy.pth"])
def test_every_form_of_a_pth_file_holds_the_same_head(name):
    expected = load_state_dict(FIXTURES / "tiny" / "head.safetensors")
    state = load_state_dict(FIXTURES / "tiny" / name)
    for key, tensor in expected.items():
        assert torch.equal(state[key].float(), tensor), key


def test_a_header_that_claims_more_than_the_file_is_refused(tmp_path):
    path = tmp_path / "long.safetensors"
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(ValueError, match="long.safetensors: its header"):
        load_safetensors(path)


def test_a_tensor_past_the_end_is_refused(tmp_path):
    header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    path = tmp_path / "short.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with pytest.raises(ValueError, match="short.safetensors: w should have 8 bytes"):
        load_safetensors(path)


def test_a_file_that_lacks_a_tensor_is_refused_and_named(tmp_path):
    config = BackboneConfig(dim=32, depth=1, heads=1, hidden=32, patch=8), HeadConfig(proj=8, radius=1, fusion=8, up=8)
    state = FlowNetwork(*config).state_dict()
    path = tmp_path / "model.safetensors"
    save_safetensors(path, {k: v for k, v in state.items() if not k.endswith(("num_batches_tracked", "bias_mask"))})
    load_network(path)
    del state["head.flow_head.1.bias"]
    save_safetensors(path, state)
    with pytest.raises(ValueError, match="model.safetensors: lacks head.flow_head.1.bias$"):
        load_network(path)
    del state["backbone.norm.bias"]
    save_safetensors(path, state)
    with pytest.raises(ValueError, match="and 1 more"):
        load_network(path)


def test_what_is_no_backbone_is_refused():
    for name in ("backbone_hf.safetensors", "head.safetensors"):
        with pytest.raises(ValueError, match="no patch_embed.proj.weight, but "):
            backbone_config(load_state_dict(FIXTURES / "tiny" / name))
    with pytest.raises(ValueError, match="lacks cls_token"):
        fill(Backbone(BackboneConfig(dim=32, depth=1, heads=1, hidden=32)), {}, "nothing.pth")

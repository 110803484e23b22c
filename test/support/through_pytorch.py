"""Models in PyTorch, in the structure of DINOv3 and of optical_flow_dinov3. Training's network stands for theirs.

Run in training/:

    through_pytorch.py load FLOW.flo FRAME1 FRAME2 BACKBONE.pth HEAD.pth BOTH...
        loads two files strictly, and writes the flow; each of BOTH must have the same tensors as the two
    through_pytorch.py save FLOW.flo FRAME1 FRAME2 BACKBONE.pth HEAD.pth BOTH.pth
        makes a model of random weights, saves its parts and the whole, and writes its flow
"""

import sys
from pathlib import Path

import torch

from dinov3_flow.checkpoint import backbone_config, head_config, load_state_dict
from dinov3_flow.datasets import read_frame
from dinov3_flow.formats import write_flo
from dinov3_flow.network import BackboneConfig, FlowNetwork, HeadConfig


def load(frames, backbone_path, head_path, *both_paths):
    # As torch.hub's entries of DINOv3 and dinov3_ros do.
    backbone, head = (torch.load(path, map_location="cpu") for path in (backbone_path, head_path))
    parts = {"backbone": backbone, "head": head}
    both = {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}
    for path in both_paths:
        state = load_state_dict(path)
        assert state.keys() == both.keys(), path
        for name, value in state.items():
            assert torch.equal(value, both[name]), f"{path}: {name}"
    network = FlowNetwork(backbone_config(backbone), head_config(head))
    mask_token = backbone.pop("mask_token")  # of DINOv3's module for pre-training; training's network has none
    assert mask_token.shape == (1, network.backbone.config.dim)
    network.backbone.load_state_dict(backbone, strict=True)
    network.head.load_state_dict(head, strict=True)
    return network


def save(frames, backbone_path, head_path, both_path):
    torch.manual_seed(1)
    backbone = BackboneConfig(dim=96, depth=2, heads=3, hidden=160, ffn="mlp", patch=8, storage_tokens=2)
    network = FlowNetwork(backbone, HeadConfig(proj=24, radius=3, fusion=32, layers=1, up=8, refine=1))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.1)
        network.head.flow_head[1].weight.mul_(30)  # flows of some pixels
        network.train()(*frames)  # gives statistics to the batch normalisations
    torch.save(network.backbone.state_dict(), backbone_path)
    torch.save(network.head.state_dict(), head_path)
    torch.save(network.state_dict(), both_path)
    return network


if __name__ == "__main__":
    command, flow_path, first, second, *paths = sys.argv[1:]
    frames = [read_frame(Path(path))[None] for path in (first, second)]
    network = {"load": load, "save": save}[command](frames, *paths).eval()
    with torch.no_grad():
        write_flo(flow_path, network(*frames).flow[0].numpy())

"""Synthetic backbones with massive activations, and the oracle's features: the files of test/fixtures/massive.

    python3 training/tests/massive.py      from the root of the repository

Trained vision transformers have them (Sun et al., Massive Activations in Large Language Models, 2024): a few hidden values of
a few tokens are beyond 1e5, and make a few channels of those tokens about 1,000 times the others. Here the first block's
FFN of a network of synthetic weights (synthetic.py) gets three such hidden values.

A file holds only the tensors that differ from the synthetic ones, features1 and features2 (dim x h x w, of
test/fixtures/tiny/frame1.png and frame2.png, computed in double precision), and `hidden`, the largest hidden value.
"""

from pathlib import Path

import torch
from synthetic import synthesise

from dinov3_flow.checkpoint import save_safetensors
from dinov3_flow.datasets import read_frame
from dinov3_flow.network import Backbone, BackboneConfig, normalise

FIXTURES = Path(__file__).parents[2] / "test" / "fixtures"
BACKBONES = {
    "swiglu": BackboneConfig(dim=64, depth=2, heads=2, hidden=128),
    "mlp": BackboneConfig(dim=96, depth=3, heads=3, hidden=256, ffn="mlp"),
}
HIDDEN = {"5e4": 5e4, "1e6": 1e6}
CHANNELS = (5, 40, 77)  # of the hidden layer
RESIDUAL = (3, 50)  # channels of the residual stream that get them
TIMES = 1000  # what those become, in a stream whose values are of the order of 1


def frames():
    return torch.cat([normalise(read_frame(FIXTURES / "tiny" / f"frame{i}.png")[None]) for i in (1, 2)])


def capture(module, network, inputs):
    """The input of a module while the network runs."""
    seen = []
    hook = module.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    network(inputs)
    hook.remove()
    return seen[0]


def rare_directions(tokens):
    """For each of CHANNELS a unit vector along which one to three tokens are far ahead of all others, a value between
    them and the others, and the largest. `tokens`: (images, tokens, dim)."""
    flat = tokens.flatten(0, 1)
    unit = flat / flat.norm(dim=1, keepdim=True)
    ordered = (unit @ flat.T).sort(1, descending=True).values  # [direction, rank]
    lead, ahead = (ordered[:, :3] - ordered[:, 1:4]).max(1)
    taken = []
    for direction in lead.argsort(descending=True):
        if any(unit[direction] @ unit[other] > 0.5 for other in taken):
            continue  # the same token of the other image, or one like it
        taken.append(direction)
        last, next = ordered[direction, ahead[direction]], ordered[direction, ahead[direction] + 1]
        yield unit[direction], (last + next) / 2, ordered[direction, 0]
        if len(taken) == len(CHANNELS):
            return


@torch.no_grad()
def make_massive(network, pictures, hidden):
    """Changes the first block's FFN so that its largest hidden value is about `hidden`."""
    block = network.blocks[0]
    tokens = capture(block.mlp, network, pictures)
    gated = network.config.ffn == "swiglu"
    root = hidden**0.5 if gated else hidden
    for channel, (direction, threshold, top) in zip(CHANNELS, rare_directions(tokens)):
        gain = root / (top - threshold)
        first = block.mlp.w1 if gated else block.mlp.fc1
        first.weight[channel] = gain * direction
        first.bias[channel] = -gain * threshold
        if gated:
            block.mlp.w2.weight[channel] = root / top * direction
            block.mlp.w2.bias[channel] = 0
    last = block.mlp.w3 if gated else block.mlp.fc2
    last.weight[:, CHANNELS] = 0
    for i, residual in enumerate(RESIDUAL):
        last.weight[residual, CHANNELS] = (-1) ** i * TIMES / (hidden * block.ls2.gamma[residual])


@torch.no_grad()
def massive(ffn, hidden):
    """The tensors of a file."""
    network = synthesise(Backbone(BACKBONES[ffn])).eval().double()
    plain = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    pictures = frames().double()
    make_massive(network, pictures, hidden)
    network.float().double()  # the weights are stored as float32
    changed = {name: tensor.float() for name, tensor in network.state_dict().items() if (tensor != plain[name]).any()}
    last = network.blocks[0].mlp.w3 if ffn == "swiglu" else network.blocks[0].mlp.fc2
    largest = capture(last, network, pictures).abs().max().float().reshape(1)
    features = network(pictures).float()
    return {**changed, "features1": features[0], "features2": features[1], "hidden": largest}


if __name__ == "__main__":
    folder = FIXTURES / "massive"
    folder.mkdir(exist_ok=True)
    for ffn in BACKBONES:
        for name, hidden in HIDDEN.items():
            save_safetensors(folder / f"{ffn}_{name}.safetensors", massive(ffn, hidden))

"""Exports backbone.onnx and head.onnx for the onnxruntime peer, at one fixed image size.

    node test/support/synthetic-checkpoint.mjs dinov3_vits16plus build/peers/backbone.safetensors
    node test/support/synthetic-checkpoint.mjs head:seed build/peers/head.safetensors 384
    python3 bench/peers/export_onnx.py build/peers/backbone.safetensors build/peers/head.safetensors build/peers/tuned
    python3 bench/peers/export_onnx.py build/peers/backbone.safetensors build/peers/head.safetensors build/peers/plain --plain

Two graphs of the same network: one in the form that onnxruntime runs fastest, with its own operators, and one as a plain
export of the PyTorch code gives it.

Needs numpy and PyTorch (1.13 or later; 2.x needs the package onnx too).
"""

import argparse
import inspect
import pathlib
import warnings

import torch

from backbone import Backbone
from checkpoint import read_safetensors
from fused_ops import DOMAIN, FUSED, PLAIN
from head import Head
from plain_backbone import PlainBackbone

# The first opset with LayerNormalization as one operator.
OPSET = 17


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone", help="safetensors with the keys of Meta's checkpoints")
    parser.add_argument("head", help="safetensors of the flow head")
    parser.add_argument("out", type=pathlib.Path, help="folder for backbone.onnx and head.onnx")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 640), metavar=("H", "W"))
    parser.add_argument("--plain", action="store_true", help="standard operators only, as a plain export has them")
    options = parser.parse_args()
    operators = PLAIN if options.plain else FUSED

    height, width = options.size
    make_backbone = PlainBackbone if options.plain else Backbone
    backbone = make_backbone(read_safetensors(options.backbone), height, width).eval()
    head = Head(read_safetensors(options.head), backbone.rows, backbone.columns, operators).eval()
    image = torch.zeros(1, 3, height, width)
    features = torch.zeros(1, backbone.dim, backbone.rows, backbone.columns)

    options.out.mkdir(parents=True, exist_ok=True)
    export(backbone, (image,), options.out / "backbone.onnx", ["image"], "features")
    export(head, (features, features.clone()), options.out / "head.onnx", ["features1", "features2"], "flow")


def export(module, example, path, inputs, output):
    # Later versions of PyTorch default to another exporter, which does not know symbolic().
    chosen = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with torch.no_grad(), warnings.catch_warnings():
        # It cannot infer shapes through onnxruntime's own operators, says so at length, and need not.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            example,
            str(path),
            input_names=inputs,
            output_names=[output],
            opset_version=OPSET,
            custom_opsets={DOMAIN: 1},
            **chosen,
        )
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

"""Makes similarity.onnx, a network without weights: how alike the features of some places of a frame are to those of a query.

    pip install onnx && python similarity.py
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

inputs = [
    # As FeatureMap.read gives them.
    helper.make_tensor_value_info("features", TensorProto.FLOAT, ["height", "width", "dim"]),
    # x, y of each place: -1 to 1 from one border of the frame to the other.
    helper.make_tensor_value_info("places", TensorProto.FLOAT, ["count", 2]),
    helper.make_tensor_value_info("query", TensorProto.FLOAT, ["dim"]),
]
outputs = [
    helper.make_tensor_value_info("sampled", TensorProto.FLOAT, ["count", "dim"]),
    helper.make_tensor_value_info("similarity", TensorProto.FLOAT, ["count"]),
]
nodes = [
    # The features between patches: bilinear.
    helper.make_node("Transpose", ["features"], ["planes"], perm=[2, 0, 1]),
    helper.make_node("Unsqueeze", ["planes", "first"], ["image"]),
    helper.make_node("Unsqueeze", ["places", "first_two"], ["grid"]),
    helper.make_node("GridSample", ["image", "grid"], ["picked"], padding_mode="border"),
    helper.make_node("Squeeze", ["picked", "first_and_third"], ["columns"]),
    helper.make_node("Transpose", ["columns"], ["sampled"]),
    # Their cosines with the query.
    helper.make_node("LpNormalization", ["sampled"], ["units"], axis=1),
    helper.make_node("LpNormalization", ["query"], ["unit"], axis=0),
    helper.make_node("MatMul", ["units", "unit"], ["similarity"]),
]
axes = {"first": [0], "first_two": [0, 1], "first_and_third": [0, 2]}
constants = [helper.make_tensor(name, TensorProto.INT64, [len(axis)], axis) for name, axis in axes.items()]
graph = helper.make_graph(nodes, "similarity", inputs, outputs, constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, Path(__file__).with_name("similarity.onnx"))

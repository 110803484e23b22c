"""Checkpoints as safetensors, and the configuration that their shapes imply."""

from __future__ import annotations

import json
import os
import struct
from typing import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from .network import BackboneConfig, FlowNetwork, HeadConfig

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def load_safetensors(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file.

    Raises ValueError, naming the file, where the header or a tensor does not fit the file.
    """
    with open(path, "rb") as file:
        content = file.read()
    if len(content) < 8:
        raise ValueError(f"{path}: not a safetensors file, it has {len(content)} bytes")
    (length,) = struct.unpack_from("<Q", content)
    data = 8 + length
    if data > len(content):
        raise ValueError(f"{path}: its header should have {length} bytes, which is more than the file has")
    header = json.loads(content[8:data])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        dtype, shape, (begin, end) = _DTYPES.get(entry["dtype"]), entry["shape"], entry["data_offsets"]
        if dtype is None:
            raise ValueError(f"{path}: {name} has the type {entry['dtype']}, which PyTorch has not")
        size = torch.empty(0, dtype=dtype).element_size() * int(np.prod(shape, dtype=object))
        if not 0 <= begin <= end <= len(content) - data or end - begin != size:
            raise ValueError(f"{path}: {name} should have {size} bytes, not those from {begin} to {end}")
        flat = torch.frombuffer(bytearray(content[data + begin : data + end]), dtype=dtype) if size else torch.empty(0)
        tensors[name] = flat.reshape(shape).to(dtype)
    return tensors, metadata


def save_safetensors(
    path: str | os.PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors in the order of their names. The file is there whole or not at all."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    blobs, offset = [], 0
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        # numpy has no bfloat16: its bytes are taken as those of int16
        blob = (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().tobytes()
        end = offset + len(blob)
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        blobs.append(blob)
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    partial = f"{os.fspath(path)}.part"
    with open(partial, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for blob in blobs:
            file.write(blob)
    os.replace(partial, path)


def load_state_dict(path: str | os.PathLike) -> dict[str, Tensor]:
    """The tensors of a .safetensors or a .pth file; those under "state_dict" or "model" where it nests them.

    A .pth file is a pickle, which can run code: load only those that you trust.
    """
    if os.fspath(path).endswith(".safetensors"):
        return load_safetensors(path)[0]
    state = torch.load(path, map_location="cpu")
    for key in ("state_dict", "model"):
        if isinstance(state.get(key), Mapping):
            state = state[key]
    return dict(state)


def load_network(path: str | os.PathLike) -> FlowNetwork:
    """The network of a file that holds backbone and head, in float32."""
    state = load_state_dict(path)
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    parts = {}
    for part in ("backbone", "head"):
        parts[part] = {name[len(part) + 1 :]: value for name, value in state.items() if name.startswith(f"{part}.")}
        if not parts[part]:
            raise ValueError(f"{path}: holds no {part}, none of its names begins with {part}.")
    network = FlowNetwork(backbone_config(parts["backbone"]), head_config(parts["head"]))
    fill(network, state, path)
    return network


# What a file need not hold: constants of the architecture and counters of training.
_OPTIONAL = ("num_batches_tracked", "bias_mask", "periods")


def fill(module: nn.Module, state: Mapping[str, Tensor], path: str | os.PathLike) -> None:
    """Gives a module the tensors of a file. Raises ValueError where one is missing; what is too many is left alone."""
    missing = [name for name in module.load_state_dict(state, strict=False)[0] if not name.endswith(_OPTIONAL)]
    if missing:
        raise ValueError(f"{path}: lacks {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else ""))


def backbone_config(state: Mapping[str, Tensor]) -> BackboneConfig:
    """What the shapes of a DINOv3 state dict imply. Raises ValueError where it is none."""
    if "patch_embed.proj.weight" not in state:
        raise ValueError(
            "not a DINOv3 backbone under its original names: there is no patch_embed.proj.weight, but "
            + (f"{min(state)}" if state else "nothing")
        )
    patch = state["patch_embed.proj.weight"]
    dim = patch.shape[0]
    periods = state.get("rope_embed.periods")
    head_dim = 64 if periods is None else 4 * len(periods)
    swiglu = "blocks.0.mlp.w1.weight" in state
    return BackboneConfig(
        dim=dim,
        depth=_count("blocks.{}.norm1.weight", state),
        heads=dim // head_dim,
        hidden=state[f"blocks.0.mlp.{'w1' if swiglu else 'fc1'}.weight"].shape[0],
        ffn="swiglu" if swiglu else "mlp",
        patch=patch.shape[-1],
        storage_tokens=state["storage_tokens"].shape[1] if "storage_tokens" in state else 0,
    )


def head_config(state: Mapping[str, Tensor]) -> HeadConfig:
    """What the shapes of a flow head's state dict imply."""
    proj = state["proj1.weight"].shape[0]
    fusion, fused = state["fuse_in.0.pw.weight"].shape[:2]
    return HeadConfig(
        proj=proj,
        radius=(round((fused - 3 * proj) ** 0.5) - 1) // 2,
        fusion=fusion,
        layers=_count("fuse_trunk.net.{}.dw.weight", state, 3),
        up=round((state["convex_upsampler.mask_head.2.weight"].shape[0] / 9) ** 0.5),
        refine=_count("refine.1.net.{}.dw.weight", state, 3),
    )


def _count(name: str, state: Mapping[str, Tensor], step: int = 1) -> int:
    count = 0
    while name.format(step * count) in state:
        count += 1
    return count

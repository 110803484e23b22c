"""How to train, from a TOML file: networks, terms of the loss, and stages."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Any, Mapping, TypeVar

from .losses import LossWeights
from .network import BackboneConfig, HeadConfig
from .scenes import SceneOptions

try:
    import tomllib
except ModuleNotFoundError:  # Python before 3.11
    import tomli as tomllib

DATA = ("scenes", "chairs", "things")
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class Stage:
    """A part of the training: as long as its epochs, of a data set, or its minutes, of scenes, last."""

    data: str  # "scenes", "chairs" or "things"
    batch: int
    size: tuple[int, int]  # (H, W) px, of the crop or of the scene
    lr: float
    epochs: int = 0
    minutes: float = 0.0
    schedule: str = "constant"  # or "cosine": a warm-up over `warmup`, then down to a hundredth
    warmup: float = 0.02  # share of the stage
    augment: bool = True
    rope_scale: float = 1.0  # y and x are each scaled by a factor from this to 1, as in a part of a larger frame
    reuse: float = 1.0  # how often a scene is shown
    frozen: tuple[str, ...] = ()  # parameters whose names begin so stay as they are
    scenes: SceneOptions = SceneOptions()
    loss: LossWeights | None = None  # where it is another than the run's


@dataclass(frozen=True)
class TrainConfig:
    """A whole run."""

    stages: tuple[Stage, ...]
    head: HeadConfig = HeadConfig()
    backbone: BackboneConfig | None = None  # None: frozen, its weights are given at the start
    seed: int = 0
    precision: str = "fp32"  # or "bf16"
    weight_decay: float = 1e-4
    clip: float = 1.0  # of the gradient's norm; 0: none
    ema: float = 0.0  # decay of the weights' running mean, which is what is saved; 0: none
    loss: LossWeights = LossWeights()
    statistics: str = "batch"  # of batch normalisation in training; or "fixed": those that it begins with


T = TypeVar("T")


def _build(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(table) - names)
    if unknown:
        raise ValueError(f"{where}: does not know {', '.join(unknown)}; there is {', '.join(sorted(names))}")
    try:
        return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in table.items()})
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None


def _stage(table: Mapping[str, Any], where: str) -> Stage:
    table = dict(table)
    if "loss" in table:
        table["loss"] = _build(LossWeights, table["loss"], f"{where}.loss")
    if "scenes" in table:
        table["scenes"] = _build(SceneOptions, table["scenes"], f"{where}.scenes")
    stage = _build(Stage, table, where)
    if stage.data not in DATA or stage.schedule not in SCHEDULES:
        raise ValueError(f"{where}: data is one of {', '.join(DATA)}, schedule one of {', '.join(SCHEDULES)}")
    if len(stage.size) != 2 or min(stage.size) < 1 or stage.batch < 1:
        raise ValueError(f"{where}: size is [height, width], batch at least 1")
    if (stage.epochs > 0) == (stage.minutes > 0):
        raise ValueError(f"{where}: lasts either epochs or minutes")
    if stage.data == "scenes" and stage.epochs:
        raise ValueError(f"{where}: scenes have no epochs, give minutes")
    if not 0 < stage.rope_scale <= 1 or stage.reuse < 1 or not 0 < stage.warmup < 1:
        raise ValueError(f"{where}: rope_scale is above 0 and at most 1, reuse at least 1, warmup between 0 and 1")
    return stage


def load_config(path: str | os.PathLike) -> TrainConfig:
    """Raises ValueError, naming the place, for what it does not know."""
    with open(path, "rb") as file:
        table = tomllib.load(file)
    if not isinstance(table.get("stage", []), list):
        raise ValueError(f"{path}: stages are written as [[stage]]")
    stages = tuple(_stage(s, f"{path}: stage {i + 1}") for i, s in enumerate(table.pop("stage", ())))
    if not stages:
        raise ValueError(f"{path}: has no [[stage]]")
    for name, kind in (("head", HeadConfig), ("backbone", BackboneConfig), ("loss", LossWeights)):
        if name in table:
            table[name] = _build(kind, table[name], f"{path}: {name}")
    config = _build(TrainConfig, {**table, "stages": stages}, str(path))
    if config.precision not in ("fp32", "bf16"):
        raise ValueError(f"{path}: precision is fp32 or bf16")
    if config.statistics not in ("batch", "fixed"):
        raise ValueError(f"{path}: statistics is batch or fixed")
    cell = config.head.up
    if config.backbone is not None and config.backbone.patch != cell:
        raise ValueError(f"{path}: head.up is the backbone's patch, {config.backbone.patch}, not {cell}")
    for i, stage in enumerate(stages):
        if stage.size[0] % cell or stage.size[1] % cell:
            raise ValueError(f"{path}: stage {i + 1}: {stage.size} is not in whole patches of {cell} px")
    return config

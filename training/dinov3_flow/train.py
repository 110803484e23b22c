"""Train: python3 -m dinov3_flow.train configs/small-cpu.toml -o runs/small

Goes on where the run in the output folder stopped. The folder holds state.pth, which is what going on needs,
model.safetensors and model.pth, and log.csv. Ctrl-C stops after the step and saves.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import signal
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Iterator, NamedTuple, Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .augment import Augment
from .checkpoint import backbone_config, fill, load_state_dict, save_safetensors
from .config import Stage, TrainConfig, load_config
from .datasets import FlowDataset, FlyingChairs, FlyingThings3D
from .features import FeatureCache
from .initialise import initialise
from .losses import training_loss
from .metrics import Metrics, epe_map
from .network import Backbone, FlowHead, FlowNetwork, FlowPrediction, normalise
from .sources import Augmented, Batch, ScenePool, dataset_batches

DATASETS = {"chairs": FlyingChairs, "things": FlyingThings3D}
# Held-out scenes have seeds from here on.
VALIDATION_SEED = 1_000_000_000
LOG_COLUMNS = (
    "stage", "step", "seconds", "lr", "loss", "flow", "coarse", "matching", "contrast", "epe",
    "val_epe", "val_out1", "val_out3", "val_out5",
)  # fmt: skip


def learning_rate(stage: Stage, progress: float) -> float:
    """At `progress`, 0..1, of a stage."""
    if stage.schedule == "constant":
        return stage.lr
    if progress < stage.warmup:
        return stage.lr * (0.01 + 0.99 * progress / stage.warmup)
    rest = (progress - stage.warmup) / (1 - stage.warmup)
    return stage.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(rest, 1))))


def seconds_of_product(dtype: torch.dtype) -> float:
    """Of a product of two matrices on the CPU, the least of some."""
    a, least = torch.ones(256, 256, dtype=dtype), math.inf
    for _ in range(4):
        began = time.perf_counter()
        a @ a
        least = min(least, time.perf_counter() - began)
    return least


def affordable(config: TrainConfig, device: torch.device) -> TrainConfig:
    """In float32 where bfloat16 would not be faster: CPUs without instructions for it take ten times as long."""
    if device.type != "cpu" or config.precision == "fp32":
        return config
    if seconds_of_product(torch.bfloat16) < seconds_of_product(torch.float32):
        return config
    print("this CPU is slower in bf16: training in fp32")
    return replace(config, precision="fp32")


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict]:
    """Matrices and filters decay; gains, biases and tokens do not."""
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    decays = [p for name, p in trained if p.ndim > 1 and "token" not in name]
    rest = [p for name, p in trained if not (p.ndim > 1 and "token" not in name)]
    return [{"params": decays, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


class RunningMean:
    """Exponential mean of the weights and of the batch statistics, which predicts better than the last step's."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def add(self, network: nn.Module) -> None:
        self.steps += 1
        # The first steps' weights should be forgotten sooner.
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)


class Start(NamedTuple):
    """Weights to begin with: of a file those whose names begin with one of these."""

    path: str
    beginnings: tuple[str, ...] = ("",)


class Trainer:
    """A run: a network, its optimiser, and how far it is."""

    def __init__(
        self,
        config: TrainConfig,
        output: Path,
        device: torch.device,
        *,
        backbone: str | None = None,
        init: Sequence[Start] = (),
        data: dict[str, str] | None = None,
        workers: int = 4,
        cache: str | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.output, self.device = config, output, device
        self.workers, self.roots = workers, data or {}
        self._flow_data: dict[tuple[str, str], FlowDataset] = {}
        for stage in config.stages:
            if stage.data in DATASETS:
                if stage.data not in self.roots:
                    raise ValueError(f"this configuration trains on {stage.data}: give --data {stage.data}=FOLDER")
                # What is missing should be said before the first stage, not after it.
                for split in ("train", "val"):
                    self.dataset(stage.data, split)
        if config.backbone is None:
            if backbone is None:
                raise ValueError("this configuration trains a head on a frozen backbone: give --backbone FILE")
            state = load_state_dict(backbone)
            frozen = Backbone(backbone_config(state))
            fill(frozen, state, backbone)
            self.backbone: Backbone | None = frozen.to(device).eval().requires_grad_(False)
            self.network: nn.Module = FlowHead(config.head, frozen.config.dim)
            if frozen.config.patch != config.head.up:
                raise ValueError(f"{backbone}: has patches of {frozen.config.patch} px, head.up is {config.head.up}")
        else:
            self.backbone = None
            self.network = FlowNetwork(config.backbone, config.head)
            initialise(self.network)
        for start in init:
            self.begin_with(start)
        self.began_with = [{"file": Path(start.path).name, "names": start.beginnings} for start in init]
        names = [name for name, _ in self.network.named_parameters()]
        for beginning in sum((stage.frozen for stage in config.stages), ()):
            if not any(name.startswith(beginning) for name in names):
                raise ValueError(f"no parameter's name begins with {beginning!r}, as stage.frozen has it")
        self.network.to(device)
        self.cache = None if cache is None or self.backbone is None else FeatureCache(cache, self.backbone)
        # A number of the loss, not of the network, in its logarithm.
        self.temperature = nn.Parameter(torch.zeros((), device=device))
        groups = parameter_groups(self.network, config.weight_decay)
        self.optimiser = torch.optim.AdamW(
            [*groups, {"params": [self.temperature], "weight_decay": 0.0}], betas=(0.9, 0.99)
        )
        self.mean = RunningMean(self.network, config.ema) if config.ema else None
        # How far: of a stage its steps, its seconds, its epochs and the batches of the present one.
        self.at = {"stage": 0, "step": 0, "seconds": 0.0, "epoch": 0, "skip": 0, "index": 0}
        self.stopping = False
        # Up to here time has been counted as training, or was something else.
        self.counted = time.monotonic()

    def begin_with(self, start: Start) -> None:
        """Takes what fits by name and shape from another network, of another width of the head perhaps."""
        own = self.network.state_dict()
        state = {name: v for name, v in load_state_dict(start.path).items() if name.startswith(start.beginnings)}
        fits = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
        if not fits:
            raise ValueError(f"{start.path}: nothing in it fits this network")
        print(f"begins with {len(fits)} of {len(own)} tensors from {start.path}")
        self.network.load_state_dict({**own, **fits})

    # ---- keeping -----------------------------------------------------------------------------------------------------

    def state(self) -> dict:
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "temperature": self.temperature.detach(),
            "mean": None if self.mean is None else {"steps": self.mean.steps, "state": self.mean.state},
            "at": self.at,
        }

    def resume(self) -> bool:
        """Goes on from the output folder's state; false where there is none."""
        path = self.output / "state.pth"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device)
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise ValueError(f"{path} is of another network: choose another folder, or delete it ({error})") from None
        self.optimiser.load_state_dict(state["optimiser"])
        self.temperature.data.copy_(state["temperature"])
        if self.mean is not None and state["mean"] is not None:
            self.mean.steps = state["mean"]["steps"]
            self.mean.state = {name: value.to(self.device) for name, value in state["mean"]["state"].items()}
        self.at = state["at"]
        return True

    def provenance(self) -> dict:
        """How the weights came about: the configuration, what they began with, and how far the run is."""
        return {**asdict(self.config), "began_with": self.began_with, "at": self.at}

    def weights(self) -> dict[str, Tensor]:
        """What is worth keeping: the running mean, where there is one."""
        return self.network.state_dict() if self.mean is None else self.mean.state

    def save(self) -> None:
        self.output.mkdir(parents=True, exist_ok=True)
        weights = {name: value.cpu() for name, value in self.weights().items()}
        save_safetensors(self.output / "model.safetensors", weights, {"training": json.dumps(self.provenance())})
        for name, content in (("model.pth", weights), ("state.pth", self.state())):
            partial = self.output / f"{name}.part"
            torch.save(content, partial)
            os.replace(partial, self.output / name)

    # ---- computing ---------------------------------------------------------------------------------------------------

    def train_mode(self) -> None:
        """With statistics "fixed", batch normalisations do the same in training as later: a gain and an offset each."""
        self.network.train()
        if self.config.statistics == "fixed":
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def freeze(self, stage: Stage) -> None:
        """Lets all that the stage trains have gradients, and nothing else."""
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not name.startswith(stage.frozen))

    def autocast(self):
        if self.config.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def predict(self, frame1: Tensor, frame2: Tensor, rope_scale: tuple[float, float] = (1, 1)) -> FlowPrediction:
        with self.autocast():
            if self.backbone is None:
                return self.network(frame1, frame2, rope_scale)
            return self.network(self.features(frame1), self.features(frame2))

    def features(self, frames: Tensor) -> Tensor:
        """Of the frozen backbone; from the cache in a stage without augmentation, where frames come back."""
        if self.cache is not None and not self.config.stages[self.at["stage"]].augment:
            return self.cache(frames)
        with torch.no_grad():
            return self.backbone(normalise(frames))

    def step(self, stage: Stage, batch: Batch, progress: float) -> dict[str, float]:
        """One step of the optimiser; what it minimised."""
        rate = learning_rate(stage, progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        # Follows from the step, so that a run that went on is the one that did not stop.
        mixed = (self.config.seed * 1_000_003 + self.at["stage"]) * 1_000_003 + self.at["step"]
        draws = torch.rand(2, generator=torch.Generator().manual_seed(mixed % 2**63)).tolist()
        scale = stage.rope_scale ** draws[0], stage.rope_scale ** draws[1]
        prediction = self.predict(batch.frame1, batch.frame2, scale)
        weights = stage.loss or self.config.loss
        loss, terms = training_loss(
            prediction, batch.flow, batch.valid, batch.visible, weights, self.temperature.exp()
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip or math.inf)
        if not bool(torch.isfinite(loss + norm)):
            raise FloatingPointError(
                f"step {self.at['step']}: loss {float(loss):g}, gradient {float(norm):g}; what was saved last is as it "
                "was: go on from there, with a smaller lr if this comes again"
            )
        self.optimiser.step()
        if self.mean is not None:
            self.mean.add(self.network)
        with torch.no_grad():
            error = float(epe_map(prediction.flow.float(), batch.flow)[batch.valid].mean())
        return {"lr": rate, "loss": float(loss), **{k: float(v) for k, v in terms.items()}, "epe": error}

    @torch.no_grad()
    def validate(self, stage: Stage, limit: int = 200) -> dict[str, float]:
        """End-point error of the saved weights on pairs that are not trained on."""
        kept = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.weights())
        self.network.eval()
        metrics = Metrics()
        middle = (stage.rope_scale**0.5,) * 2
        for batch in self.validation(stage, limit):
            metrics.add(self.predict(batch.frame1, batch.frame2, middle).flow.float(), batch.flow, batch.valid)
        self.network.load_state_dict(kept)
        self.train_mode()
        figures = metrics.result()
        return {f"val_{name}": figures[name] for name in ("epe", "out1", "out3", "out5")}

    # ---- data --------------------------------------------------------------------------------------------------------

    def dataset(self, name: str, split: str) -> FlowDataset:
        if (name, split) not in self._flow_data:
            self._flow_data[name, split] = DATASETS[name](self.roots[name], split)
        return self._flow_data[name, split]

    def validation(self, stage: Stage, limit: int) -> Iterator[Batch]:
        if stage.data == "scenes":
            seed = VALIDATION_SEED + self.config.seed
            pool = ScenePool(stage.scenes, stage.size, seed, 0, self.device, render_batch=4)
            yield from (pool.batch(4) for _ in range(4))
            return
        pairs = Augmented(self.dataset(stage.data, "val"), stage.size, None, 0, 0)
        pairs = torch.utils.data.Subset(pairs, range(0, len(pairs), max(1, len(pairs) // limit)))
        for batch in dataset_batches(pairs, stage.batch, 0, 0, self.workers, shuffle=False):
            yield self.moved(batch)

    def moved(self, batch: Batch) -> Batch:
        return Batch(*(part.to(self.device, non_blocking=True) for part in batch))

    def batches(self, stage: Stage) -> Iterator[Batch]:
        """What is left of a stage; keeps `at` up to date."""
        if stage.data == "scenes":
            # Far apart, so that neither the next stage nor a run with the next seed renders the same scenes.
            seed = 1009 * self.config.seed + self.at["stage"]
            pool = ScenePool(stage.scenes, stage.size, seed, self.at["index"], self.device, reuse=stage.reuse)
            while self.at["seconds"] < 60 * stage.minutes:
                batch = pool.batch(stage.batch)
                self.at["index"] = pool.index
                yield batch
            return
        data = self.dataset(stage.data, "train")
        augment = Augment(stage.size) if stage.augment else None
        while self.at["epoch"] < stage.epochs:
            pairs = Augmented(data, stage.size, augment, self.config.seed, self.at["epoch"])
            epoch = dataset_batches(
                pairs, stage.batch, self.config.seed, self.at["epoch"], self.workers, self.at["skip"]
            )
            for batch in epoch:
                self.at["skip"] += 1
                yield self.moved(batch)
            self.at["epoch"] += 1
            self.at["skip"] = 0

    def progress(self, stage: Stage) -> float:
        if stage.data == "scenes":
            return self.at["seconds"] / (60 * stage.minutes)
        steps = max(1, len(self.dataset(stage.data, "train")) // stage.batch)
        return (self.at["epoch"] + self.at["skip"] / steps) / stage.epochs

    def leave_out(self) -> None:
        """What has passed since the last step was no training."""
        self.counted = time.monotonic()

    # ---- the loop ----------------------------------------------------------------------------------------------------

    def run(self, *, limit: float = math.inf, save_every: float = 120, validate_every: float = 600) -> bool:
        """Trains for at most `limit` seconds, without those that saving and validation take at the end.

        Returns whether the run is complete.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        began = saved = validated = time.monotonic()
        path = self.output / "log.csv"
        fresh = not path.exists() or path.stat().st_size == 0
        with open(path, "a", newline="") as file:
            log = csv.DictWriter(file, LOG_COLUMNS, restval="")
            if fresh:
                log.writeheader()
            while self.at["stage"] < len(self.config.stages):
                stage = self.config.stages[self.at["stage"]]
                name = f"{self.at['stage'] + 1}/{len(self.config.stages)} {stage.data}"
                bar = tqdm(total=100, desc=name, bar_format="{desc} {percentage:5.1f}%|{bar}| {elapsed}{postfix}")
                recent: list[dict[str, float]] = []
                self.leave_out()

                def write(**more: float) -> None:
                    """A line of means since the last one."""
                    if recent:
                        means = {k: sum(row[k] for row in recent) / len(recent) for k in recent[0]}
                        values = {**means, **more, "seconds": self.at["seconds"]}
                        row = {k: f"{v:.6g}" for k, v in values.items()}
                        log.writerow({"stage": self.at["stage"] + 1, "step": self.at["step"], **row})
                        file.flush()
                        recent.clear()

                self.train_mode()
                self.freeze(stage)
                for batch in self.batches(stage):
                    recent.append(self.step(stage, batch, min(1.0, self.progress(stage))))
                    now = time.monotonic()
                    self.at["seconds"] += now - self.counted
                    self.at["step"] += 1
                    bar.n = 100 * min(1.0, self.progress(stage))
                    bar.set_postfix({k: f"{recent[-1][k]:.3g}" for k in ("loss", "epe", "lr")}, refresh=False)
                    bar.update(0)
                    bar.refresh()
                    if self.stopping or now - began >= limit:
                        write(**self.validate(stage))
                        self.save()
                        bar.close()
                        return False
                    if now - validated >= validate_every:
                        write(**self.validate(stage))
                        validated = time.monotonic()
                    elif len(recent) >= 50:
                        write()
                    if now - saved >= save_every:
                        self.save()
                        saved = time.monotonic()
                    # Neither validation nor saving is training.
                    self.leave_out()
                write(**self.validate(stage))
                bar.close()
                self.at = {**self.at, "stage": self.at["stage"] + 1, "seconds": 0.0, "epoch": 0, "skip": 0, "index": 0}
                self.save()
        return True


def _seconds(text: str) -> float:
    """`90`, `90s`, `8m`, `2h`."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    try:
        return float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 8m or 2h") from None


def _start(text: str) -> Start:
    names, separator, path = text.partition("=")
    # A folder's name may have a "=", too; a parameter's name has no "/".
    return Start(path, tuple(names.split(","))) if separator and "/" not in names else Start(text)


def _folder(text: str) -> tuple[str, str]:
    name, separator, root = text.partition("=")
    if name not in DATASETS or not separator or not root:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FOLDER with NAME one of {', '.join(DATASETS)}")
    return name, root


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m dinov3_flow.train",
        description="Trains a flow network, or a flow head on a frozen backbone. "
        "Goes on where the run in the output folder stopped.",
    )
    parser.add_argument("config", help="a TOML file, see configs/")
    parser.add_argument("-o", "--output", required=True, help="folder of the run")
    parser.add_argument("--backbone", metavar="FILE", help="DINOv3 weights, .pth or .safetensors, to be left alone")
    parser.add_argument("--init", type=_start, action="append", default=[], metavar="[NAMES=]FILE",
                        help="weights to begin with in place of random ones: those whose names begin with one of "
                        "NAMES, which commas separate, or all; a later --init replaces what an earlier one gave")
    parser.add_argument("--data", type=_folder, action="append", default=[], metavar="NAME=FOLDER",
                        help=f"where a data set is: {', '.join(DATASETS)}")
    parser.add_argument("--cache", metavar="FOLDER", help="keep features of the frozen backbone there; for "
                        "stages without augmentation")
    parser.add_argument("--time-limit", type=_seconds, default=math.inf, metavar="TIME",
                        help="stop and save after this long (90s, 8m, 2h); the next call goes on")
    parser.add_argument("--save-every", type=_seconds, default=120.0, metavar="TIME", help="default: 2m")
    parser.add_argument("--validate-every", type=_seconds, default=600.0, metavar="TIME", help="default: 10m")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1), help="that read and augment files")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the CPU; default: %(default)s")
    args = parser.parse_args()
    # Attention that is far from its peak is a denormal number, with which a CPU computes many times slower.
    torch.set_flush_denormal(True)
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    try:
        trainer = Trainer(
            affordable(load_config(args.config), device), Path(args.output), device, backbone=args.backbone,
            init=args.init, data=dict(args.data), workers=args.workers, cache=args.cache,
        )  # fmt: skip
        if trainer.resume():
            print(f"goes on in stage {trainer.at['stage'] + 1} after {trainer.at['step']} steps")
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None

    def stop(*_: object) -> None:
        trainer.stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    if hasattr(signal, "SIGCONT"):
        # After Ctrl-Z: else an hour's pause would be an hour of a stage that lasts minutes.
        signal.signal(signal.SIGCONT, lambda *_: trainer.leave_out())
    try:
        done = trainer.run(limit=args.time_limit, save_every=args.save_every, validate_every=args.validate_every)
    except FloatingPointError as error:
        raise SystemExit(f"error: {error}") from None
    print(f"{'complete' if done else 'stopped'}: {trainer.output / 'model.safetensors'}")


if __name__ == "__main__":
    main()

import csv
import json
import math
import signal
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from dinov3_flow import train
from dinov3_flow.checkpoint import head_config, load_safetensors, load_state_dict
from dinov3_flow.config import Stage, TrainConfig, load_config
from dinov3_flow.export import export
from dinov3_flow.formats import write_flo
from dinov3_flow.losses import LossWeights
from dinov3_flow.network import BackboneConfig, FlowHead, FlowNetwork, HeadConfig
from dinov3_flow.scenes import SceneOptions
from dinov3_flow.sources import Batch
from dinov3_flow.train import RunningMean, Start, Trainer, affordable, learning_rate, parameter_groups

FROZEN = Path(__file__).parents[2] / "test" / "fixtures" / "tiny" / "backbone.safetensors"
CPU = torch.device("cpu")
BACKBONE = BackboneConfig(dim=32, depth=1, heads=2, hidden=32, patch=8)
HEAD = HeadConfig(proj=8, radius=2, fusion=16, layers=1, up=8, refine=1)
SCENES = SceneOptions(textures=3, max_layers=3)
# As short as it gets: any step takes longer.
BLINK = Stage("scenes", batch=2, size=(32, 32), lr=1e-3, minutes=1e-9, scenes=SCENES)
LONG = Stage("scenes", batch=2, size=(32, 32), lr=1e-3, minutes=60, scenes=SCENES)
CHAIRS = Stage("chairs", batch=1, size=(64, 64), lr=1e-2, epochs=2)


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in the same order, and faster for what is so small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def chairs(tmp_path):
    """Three pairs to train on and one to validate on."""
    root = tmp_path / "chairs"
    root.mkdir()
    random = np.random.default_rng(0)
    for i in range(1, 5):
        for frame in (1, 2):
            cv2.imwrite(str(root / f"{i:05d}_img{frame}.ppm"), random.integers(0, 256, (64, 80, 3), np.uint8))
        write_flo(root / f"{i:05d}_flow.flo", random.normal(size=(2, 64, 80)).astype(np.float32))
    (root / "FlyingChairs_train_val.txt").write_text("1\n1\n2\n1\n")
    return {"chairs": str(root)}


@pytest.mark.parametrize(
    "bf16,device,expected", [(2.0, "cpu", "fp32"), (0.5, "cpu", "bf16"), (2.0, "cuda", "bf16")]
)
def test_bf16_is_left_to_devices_that_gain_by_it(monkeypatch, bf16, device, expected):
    monkeypatch.setattr(train, "seconds_of_product", {torch.bfloat16: bf16, torch.float32: 1.0}.__getitem__)
    config = TrainConfig((BLINK,), precision="bf16")
    assert affordable(config, torch.device(device)) == replace(config, precision=expected)


def scenes(output, *stages, **kwargs):
    return Trainer(TrainConfig(stages, head=HEAD, backbone=BACKBONE, **kwargs), output, CPU)


def on_frozen(output, data, stage=CHAIRS, cache=None, **kwargs):
    config = TrainConfig((stage,), head=HeadConfig(**{**vars(HEAD), "up": 16}), **kwargs)
    return Trainer(config, output, CPU, backbone=str(FROZEN), data=data, workers=0, cache=cache)


def rows(output):
    with open(output / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def copied(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


# ---- parts -----------------------------------------------------------------------------------------------------------


def test_learning_rate():
    stage = Stage("scenes", 1, (8, 8), lr=2.0, schedule="cosine", warmup=0.2)
    for progress, share in ((0, 0.01), (0.1, 0.505), (0.2, 1), (0.6, 0.505), (1, 0.01)):
        assert learning_rate(stage, progress) == pytest.approx(2 * share), progress
    assert learning_rate(Stage("scenes", 1, (8, 8), lr=2.0, schedule="cosine", warmup=0.0), 0) == 2
    assert {learning_rate(Stage("scenes", 1, (8, 8), lr=2.0), progress) for progress in (0, 0.5, 1)} == {2}


def test_matrices_decay_and_the_rest_does_not():
    network = FlowNetwork(BACKBONE, HEAD)
    network.head.proj1.requires_grad_(False)
    names = {id(p): name for name, p in network.named_parameters()}
    decays, rest = parameter_groups(network, 0.1)
    assert (decays["weight_decay"], rest["weight_decay"]) == (0.1, 0)
    decays, rest = ([names[id(p)] for p in group["params"]] for group in (decays, rest))
    assert sorted(decays + rest) == sorted(set(names.values()) - {"head.proj1.weight"})
    assert {"backbone.blocks.0.attn.qkv.weight", "backbone.patch_embed.proj.weight", "head.proj2.weight"} <= set(decays)
    gains = {"backbone.cls_token", "backbone.storage_tokens", "backbone.blocks.0.ls1.gamma", "backbone.norm.weight",
             "backbone.blocks.0.attn.qkv.bias", "head.bn1.weight"}  # fmt: skip
    assert gains <= set(rest)


def test_running_mean():
    layer = nn.BatchNorm1d(1)
    mean = RunningMean(layer, 0.5)
    assert same(mean.state, layer.state_dict())
    layer.running_mean.fill_(11)
    layer.num_batches_tracked.fill_(3)
    mean.add(layer)
    # The first steps are forgotten sooner: a decay of 2 / 11.
    assert float(mean.state["running_mean"]) == pytest.approx(9) and int(mean.state["num_batches_tracked"]) == 3
    mean.steps = 1000
    mean.add(layer)
    assert float(mean.state["running_mean"]) == pytest.approx(10)


@pytest.mark.parametrize("statistics,kept", [("fixed", True), ("batch", False)])
def test_fixed_statistics_are_the_same_in_training_and_stay(tmp_path, statistics, kept):
    trainer = scenes(tmp_path, LONG, statistics=statistics)
    begun = {name: value.clone() for name, value in trainer.network.named_buffers()}
    frames = torch.rand(2, 2, 3, 32, 32)
    trainer.train_mode()
    trained = trainer.predict(*frames).flow
    trainer.network.eval()
    assert torch.equal(trained, trainer.predict(*frames).flow) == kept
    assert same(begun, dict(trainer.network.named_buffers())) == kept


def test_a_step_without_a_finite_loss_is_an_error_and_changes_no_weight(tmp_path):
    trainer = scenes(tmp_path, LONG)
    before = [p.detach().clone() for p in trainer.network.parameters()]
    flow, seen = torch.zeros(1, 2, 32, 32), torch.ones(1, 32, 32, dtype=torch.bool)
    frame = torch.rand(1, 3, 32, 32)
    with pytest.raises(FloatingPointError, match="step 0: loss nan"):
        trainer.step(LONG, Batch(frame * float("nan"), frame, flow, seen, seen), 0.0)
    assert all(torch.equal(*pair) for pair in zip(before, trainer.network.parameters()))
    trainer = scenes(tmp_path, LONG)
    trainer.step(LONG, Batch(frame, frame, flow, seen, seen), 0.0)
    assert not all(torch.equal(*pair) for pair in zip(before, trainer.network.parameters()))


def test_what_is_missing_is_said(tmp_path, chairs):
    with pytest.raises(ValueError, match="--backbone"):
        Trainer(TrainConfig((LONG,), head=HEAD), tmp_path, CPU)
    with pytest.raises(ValueError, match="--data chairs="):
        on_frozen(tmp_path, {})


# ---- runs on scenes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kwargs", [
    {},
    {"ema": 0.9, "precision": "bf16", "loss": LossWeights(1, 0.5, 1)},
])  # fmt: skip
def test_a_run_leaves_its_files(tmp_path, kwargs):
    output = tmp_path / "runs" / "one"
    trainer = scenes(output, BLINK, BLINK, **kwargs)
    assert not trainer.resume()
    assert trainer.run() and trainer.at["stage"] == 2
    files = {"state.pth", "model.safetensors", "model.pth", "log.csv"}
    assert {path.name for path in output.iterdir()} == files
    state = load_state_dict(output / "model.safetensors")
    network = FlowNetwork(BACKBONE, HEAD)
    network.load_state_dict(state)
    assert same(state, load_state_dict(output / "model.pth")) and same(state, trainer.weights())
    assert same(state, trainer.network.state_dict()) == ("ema" not in kwargs)
    frames = torch.rand(2, 1, 3, 32, 40)
    assert torch.isfinite(network.eval()(*frames).flow).all()
    log = rows(output)
    assert [row["stage"] for row in log] == ["1", "2"] and [row["step"] for row in log] == ["1", "2"]
    terms = ("flow", "coarse", "matching") if kwargs else ("flow",)
    for row in log:
        assert all(math.isfinite(float(row[name])) for name in ("loss", "lr", "epe", "val_epe", "val_out3", *terms))


def test_weights_say_how_they_were_trained_and_exported_ones_too(tmp_path):
    scenes(tmp_path / "one", BLINK).run()
    config = TrainConfig((BLINK, LONG), head=HEAD, backbone=BACKBONE, seed=5)
    source, target = tmp_path / "two" / "model.safetensors", tmp_path / "half.safetensors"
    trainer = Trainer(config, tmp_path / "two", CPU, init=[Start(str(tmp_path / "one" / "model.safetensors"))])
    trainer.run(limit=0.001)
    export(str(source), str(target), {"licence": "Apache-2.0"})
    for path in (source, target):
        said = json.loads(load_safetensors(path)[1]["training"])
        assert said["seed"] == 5 and said["at"] == trainer.at
        assert said["began_with"] == [{"file": "model.safetensors", "names": [""]}]
        assert [stage["minutes"] for stage in said["stages"]] == [BLINK.minutes, LONG.minutes]
        assert said["stages"][0]["scenes"]["textures"] == 3


def test_a_run_of_another_network_is_not_gone_on_with(tmp_path):
    scenes(tmp_path, BLINK).run()
    other = TrainConfig((BLINK,), head=HeadConfig(**{**vars(HEAD), "fusion": 24}), backbone=BACKBONE)
    with pytest.raises(ValueError, match="state.pth is of another network: choose another folder"):
        Trainer(other, tmp_path, CPU).resume()


def test_a_complete_run_has_nothing_left(tmp_path):
    assert scenes(tmp_path, BLINK).run()
    again = scenes(tmp_path, BLINK)
    assert again.resume() and again.run()
    assert again.at["step"] == 1 and len(rows(tmp_path)) == 1


def test_a_stopped_run_goes_on_at_its_step_and_completes(tmp_path):
    stages = (LONG, BLINK)
    first = scenes(tmp_path, *stages, ema=0.9)
    assert not first.run(limit=0)
    assert (first.at["stage"], first.at["step"], first.at["index"]) == (0, 1, 1) and first.at["seconds"] > 0

    second = scenes(tmp_path, *stages, ema=0.9)
    assert second.resume() and second.at == first.at
    assert same(second.network.state_dict(), first.network.state_dict()) and same(second.weights(), first.weights())
    assert second.mean.steps == 1
    second.stopping = True  # as by Ctrl-C
    assert not second.run()
    assert second.at["step"] == 2 and second.at["index"] == 2 and second.at["seconds"] > first.at["seconds"]

    third = scenes(tmp_path, *stages, ema=0.9)
    assert third.resume()
    third.at["seconds"] = 3600.0  # its hour is over
    assert third.run()
    assert (third.at["stage"], third.at["step"]) == (2, 3)
    assert [(row["stage"], row["step"]) for row in rows(tmp_path)] == [("1", "1"), ("1", "2"), ("2", "3")]


def test_it_saves_and_validates_on_the_way(tmp_path):
    trainer, saves = scenes(tmp_path, LONG), []
    save = trainer.save

    def counted():
        save()
        saves.append(trainer.at["step"])
        trainer.stopping = len(saves) == 2

    trainer.save = counted
    assert not trainer.run(save_every=0, validate_every=0)
    assert saves == [1, 2, 3] and [row["step"] for row in rows(tmp_path)] == ["1", "2", "3"]
    assert all(row["val_epe"] for row in rows(tmp_path))


def test_time_in_which_it_was_suspended_is_not_training(tmp_path, monkeypatch):
    trainer, pauses, clock = scenes(tmp_path, replace(LONG, minutes=1)), [], [0.0]
    monkeypatch.setattr(train.time, "monotonic", lambda: clock[0])
    step = trainer.step

    def suspended(*arguments):
        clock[0] += 20  # of the minute
        if trainer.at["step"] == 1:
            clock[0] += 3600
            pauses.append(trainer.at["step"])
            trainer.leave_out()  # as by SIGCONT
        return step(*arguments)

    trainer.step = suspended
    assert trainer.run() and pauses == [1]
    assert trainer.at["step"] == 4  # the one of the pause does not count


def test_a_stage_has_its_own_loss_and_scale_of_coordinates(tmp_path):
    own = replace(BLINK, loss=LossWeights(1, 0, 1), rope_scale=0.5)
    trainer, scales = scenes(tmp_path, BLINK, own), []
    rope = trainer.network.backbone.rope_embed
    rope.register_forward_pre_hook(lambda _, inputs: scales.append(inputs[2]) if trainer.network.training else None)
    assert trainer.run() and [bool(row["matching"]) for row in rows(tmp_path)] == [False, True]
    assert scales[0] == (1, 1) and all(0.5 <= scale < 1 for scale in scales[1])


def test_a_stage_leaves_alone_what_it_freezes(tmp_path):
    trainer = scenes(tmp_path, replace(BLINK, frozen=("backbone.", "head.proj")), BLINK)
    begin, at_stages = copied(trainer.network), []
    trainer.validate = lambda stage: at_stages.append(copied(trainer.network)) or {}
    trainer.run()
    frozen = {name for name, _ in trainer.network.named_parameters() if name.startswith(("backbone.", "head.proj"))}
    first, second = at_stages
    assert frozen and all(torch.equal(begin[name], first[name]) for name in frozen)
    assert not torch.equal(begin["head.fuse_in.0.pw.weight"], first["head.fuse_in.0.pw.weight"])
    assert not torch.equal(first["head.proj1.weight"], second["head.proj1.weight"])
    with pytest.raises(ValueError, match="'nothing.'"):
        scenes(tmp_path / "other", BLINK, replace(BLINK, frozen=("nothing.",)))  # before the first stage


def test_going_on_keeps_the_temperature(tmp_path):
    trainer = scenes(tmp_path, LONG, loss=LossWeights(matching=1))
    trainer.run(limit=0)
    other = scenes(tmp_path, LONG, loss=LossWeights(matching=1))
    other.resume()
    assert trainer.temperature != 0 and torch.equal(other.temperature, trainer.temperature)


def test_validation_changes_nothing_and_repeats(tmp_path):
    trainer = scenes(tmp_path, LONG, ema=0.9)
    trainer.run(limit=0)
    before, mean = copied(trainer.network), {name: value.clone() for name, value in trainer.mean.state.items()}
    figures = trainer.validate(LONG)
    assert trainer.validate(LONG) == figures and figures["val_epe"] > 0
    assert same(trainer.network.state_dict(), before) and same(trainer.mean.state, mean) and trainer.network.training


def test_training_learns_one_pair(tmp_path):
    stage = Stage("scenes", batch=2, size=(32, 32), lr=5e-3, minutes=1)
    trainer = scenes(tmp_path, stage, loss=LossWeights(1, 0.5, 1))
    random = torch.Generator().manual_seed(0)
    picture = torch.rand(2, 3, 32, 48, generator=random)
    flow = torch.tensor([8.0, 0]).view(1, 2, 1, 1).repeat(2, 1, 32, 32)
    seen = torch.ones(2, 32, 32, dtype=torch.bool)
    seen[:, :, 24:] = False
    batch = Batch(picture[..., 8:40].contiguous(), picture[..., :32].contiguous(), flow, torch.ones_like(seen), seen)
    losses = [trainer.step(stage, batch, 0.5) for _ in range(40)]
    assert losses[-1]["epe"] < 0.5 * losses[0]["epe"] and losses[-1]["matching"] < 0.7 * losses[0]["matching"]


# ---- runs on a data set, with a frozen backbone ----------------------------------------------------------------------


def test_an_epoch_stage_trains_the_head_and_leaves_the_backbone(tmp_path, chairs):
    trainer = on_frozen(tmp_path / "run", chairs)
    frozen, head = copied(trainer.backbone), copied(trainer.network)
    assert all(torch.equal(frozen[name], value) for name, value in load_state_dict(FROZEN).items() if name in frozen)
    assert trainer.run() and trainer.at["step"] == 6
    assert same(trainer.backbone.state_dict(), frozen) and not trainer.backbone.training
    state = load_state_dict(tmp_path / "run" / "model.safetensors")
    assert head_config(state) == trainer.config.head
    FlowHead(head_config(state), 64).load_state_dict(state)
    assert all(not torch.equal(state[name], head[name]) for name, _ in trainer.network.named_parameters())


@pytest.mark.parametrize("batch,steps", [(1, 6), (2, 2)])
def test_a_run_that_is_stopped_after_every_step_ends_with_the_same_weights(tmp_path, chairs, batch, steps):
    stage = Stage("chairs", batch, (64, 64), lr=1e-2, epochs=2, schedule="cosine")
    whole = on_frozen(tmp_path / "whole", chairs, stage, ema=0.9)
    assert whole.run()
    done, calls = False, 0
    while not done:
        part = on_frozen(tmp_path / "parts", chairs, stage, ema=0.9)
        assert part.resume() == (calls > 0) and part.at["step"] == calls
        done, calls = part.run(limit=0), calls + 1
    assert part.at["step"] == whole.at["step"] == steps and calls == steps + 1
    for one, two in ((whole.network.state_dict(), part.network.state_dict()), (whole.weights(), part.weights())):
        assert same(one, two)


def test_without_augmentation_features_come_from_the_cache(tmp_path, chairs):
    plain = Stage("chairs", batch=1, size=(64, 64), lr=1e-3, epochs=1, augment=False)
    cache = tmp_path / "cache"
    assert on_frozen(tmp_path / "one", chairs, plain, cache).run()
    assert len(list(cache.iterdir())) == 8  # two frames of four pairs
    again = on_frozen(tmp_path / "two", chairs, plain, cache)
    again.backbone.forward = None  # not to be called
    assert again.run()
    augmented = on_frozen(tmp_path / "three", chairs, CHAIRS, cache)
    assert augmented.run() and len(list(cache.iterdir())) == 8


def test_weights_to_begin_with(tmp_path):
    first = scenes(tmp_path / "one", BLINK)
    first.run()
    path = tmp_path / "one" / "model.safetensors"
    config = TrainConfig((BLINK,), head=HEAD, backbone=BACKBONE, seed=5)
    second = Trainer(config, tmp_path / "two", CPU, init=[Start(str(path))])
    assert same(second.network.state_dict(), first.network.state_dict())


def test_of_one_file_a_part_and_of_another_the_rest(tmp_path):
    for name, seed in (("one", 1), ("two", 2)):
        Trainer(TrainConfig((BLINK,), head=HEAD, backbone=BACKBONE, seed=seed), tmp_path / name, CPU).run()
    one, two = (load_state_dict(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    init = [Start(str(tmp_path / "one" / "model.safetensors")),
            Start(str(tmp_path / "two" / "model.safetensors"), ("backbone.", "head.proj"))]  # fmt: skip
    state = Trainer(TrainConfig((BLINK,), head=HEAD, backbone=BACKBONE), tmp_path, CPU, init=init).network.state_dict()
    expected = {n: (two if n.startswith(("backbone.", "head.proj")) else one)[n] for n in one}
    assert same(state, expected)
    assert not torch.equal(one["head.fuse_in.0.pw.weight"], two["head.fuse_in.0.pw.weight"])


def test_of_another_network_it_begins_with_what_fits(tmp_path):
    scenes(tmp_path / "one", BLINK).run()
    path = tmp_path / "one" / "model.safetensors"
    wider = TrainConfig((BLINK,), head=HeadConfig(**{**vars(HEAD), "fusion": 24}), backbone=BACKBONE, seed=5)
    state, network = load_state_dict(path), Trainer(wider, tmp_path, CPU, init=[Start(str(path))]).network
    assert all(torch.equal(v, state[f"backbone.{n}"]) for n, v in network.backbone.state_dict().items())
    with pytest.raises(ValueError, match="backbone.safetensors: nothing in it fits"):
        Trainer(wider, tmp_path, CPU, init=[Start(str(FROZEN))])


# ---- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch):
    """`python3 -m dinov3_flow.train`, here."""
    handlers = {}
    monkeypatch.setattr(signal, "signal", lambda number, handler: handlers.update({number: handler}))

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
        train.main()
        return handlers

    yield call
    torch.set_flush_denormal(False)


def test_the_command_stops_and_goes_on(tmp_path, chairs, command, capsys):
    path = tmp_path / "run.toml"
    path.write_text('[head]\nproj = 8\nradius = 2\nfusion = 16\nlayers = 1\nrefine = 0\n'
                    '[[stage]]\ndata = "chairs"\nbatch = 2\nsize = [64, 64]\nlr = 1e-3\nepochs = 2\n')  # fmt: skip
    output = tmp_path / "run"
    common = (path, "-o", output, "--backbone", FROZEN, "--data", f"chairs={chairs['chairs']}", "--workers", 0,
              "--device", "cpu", "--threads", 1)  # fmt: skip
    handlers = command(*common, "--time-limit", "0s")
    assert set(handlers) == {signal.SIGINT, signal.SIGTERM, signal.SIGCONT}
    assert "stopped: " in capsys.readouterr().out
    command(*common, "--time-limit", "1h")
    out = capsys.readouterr().out
    assert "goes on in stage 1 after 1 steps" in out and "complete: " in out
    assert head_config(load_state_dict(output / "model.safetensors")) == load_config(path).head


def test_the_command_says_what_is_wrong(tmp_path, command, capsys):
    path = tmp_path / "run.toml"
    with pytest.raises(SystemExit, match="error: .*run.toml"):
        command(path, "-o", tmp_path)
    path.write_text("sead = 1")
    with pytest.raises(SystemExit, match="error: .*run.toml"):
        command(path, "-o", tmp_path)
    for wrong in (("--time-limit", "soon"), ("--data", "chairs"), ("--data", "sintel=/data")):
        with pytest.raises(SystemExit):
            command(path, "-o", tmp_path, *wrong)
        assert wrong[1] in capsys.readouterr().err


def test_what_to_begin_with():
    assert train._start("a.pth") == Start("a.pth")
    assert train._start("backbone.,head.proj=runs/a.pth") == Start("runs/a.pth", ("backbone.", "head.proj"))
    assert train._start("runs/lr=1/a.pth") == Start("runs/lr=1/a.pth")
    assert train._start("head.=runs/lr=1/a.pth") == Start("runs/lr=1/a.pth", ("head.",))


@pytest.mark.parametrize("text,seconds", [("90", 90), ("90s", 90), ("8m", 480), ("1.5h", 5400)])
def test_times(text, seconds):
    assert train._seconds(text) == seconds

from pathlib import Path

import pytest

from dinov3_flow.config import load_config
from dinov3_flow.losses import LossWeights
from dinov3_flow.network import BackboneConfig, HeadConfig
from dinov3_flow.scenes import SceneOptions

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))
STAGE = '[[stage]]\ndata = "chairs"\nbatch = 2\nsize = [64, 96]\nlr = 1e-3\n'
SCENES = STAGE.replace("chairs", "scenes")


def load(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return load_config(path)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_configuration_loads(path):
    config = load_config(path)
    for stage in config.stages:
        assert isinstance(stage.scenes, SceneOptions) and isinstance(stage.scenes.kinds, tuple)
    if config.backbone is not None:
        assert config.backbone.patch == config.head.up


def test_there_are_configurations():
    assert CONFIGS


def test_what_is_not_said_is_as_in_the_original(tmp_path):
    config = load(tmp_path, STAGE + "epochs = 3")
    (stage,) = config.stages
    assert config.head == HeadConfig() and config.backbone is None and config.loss == LossWeights()
    assert (stage.data, stage.batch, stage.size, stage.lr, stage.epochs) == ("chairs", 2, (64, 96), 1e-3, 3)
    assert stage.loss is None and stage.rope_scale == 1 and stage.augment


def test_lists_become_tuples(tmp_path):
    text = '[[stage]]\ndata = "scenes"\nbatch = 2\nsize = [64, 96]\nlr = 1e-3\nminutes = 1\n'
    assert load(tmp_path, text).stages[0].scenes == SceneOptions()
    (stage,) = load(tmp_path, text + 'scenes = { kinds = ["noise"], max_displacement = 9.0 }').stages
    assert stage.scenes.kinds == ("noise",) and stage.scenes.max_displacement == 9 and stage.size == (64, 96)


def test_what_is_said(tmp_path):
    text = """
        seed = 7
        loss = { coarse = 0.5 }
        [backbone]
        dim = 64
        depth = 1
        heads = 2
        hidden = 96
        patch = 8
        [head]
        up = 8
    """
    stages = STAGE + "epochs = 1\n" + SCENES + "minutes = 0.5\nscenes = { textures = 3 }\nloss = { matching = 2.0 }"
    config = load(tmp_path, text + stages)
    assert config.seed == 7 and config.loss == LossWeights(coarse=0.5)
    assert config.backbone == BackboneConfig(64, 1, 2, 96, patch=8) and config.head == HeadConfig(up=8)
    assert [stage.data for stage in config.stages] == ["chairs", "scenes"]
    assert config.stages[1].scenes == SceneOptions(textures=3) and config.stages[1].loss == LossWeights(matching=2)


@pytest.mark.parametrize("text,message", [
    ("", r"run.toml: has no \[\[stage\]\]"),
    ("sead = 1\n" + STAGE + "epochs = 1", "run.toml: does not know sead; there is .*seed"),
    (STAGE + "epochs = 1\nrate = 1", "run.toml: stage 1: does not know rate"),
    (STAGE + "epochs = 1\n[head]\nradios = 4", "run.toml: head: does not know radios"),
    (STAGE + "epochs = 1\n[backbone]\nwidth = 4", "run.toml: backbone: does not know width"),
    (STAGE + "epochs = 1\n[backbone]\ndim = 64", "run.toml: backbone: .*depth"),
    (STAGE + "epochs = 1\n[loss]\nmatch = 1", "run.toml: loss: does not know match"),
    (STAGE + "epochs = 1\nloss = { match = 1 }", "run.toml: stage 1.loss: does not know match"),
    (SCENES + "minutes = 1\n" + SCENES + "minutes = 1\nscenes = { size = 1 }", "stage 2.scenes: does not know size"),
    ('[[stage]]\ndata = "chairs"', "run.toml: stage 1: .*batch"),
    (STAGE + "epochs = 1\n" + STAGE.replace("chairs", "sintel") + "epochs = 1", "stage 2: data is one of scenes, "),
    (STAGE + 'epochs = 1\nschedule = "step"', "stage 1: .*schedule one of constant, cosine"),
    (STAGE.replace("[64, 96]", "[64]") + "epochs = 1", r"stage 1: size is \[height, width\]"),
    (STAGE.replace("[64, 96]", "[64, 96, 3]") + "epochs = 1", r"stage 1: size is \[height, width\]"),
    (STAGE.replace("[64, 96]", "[0, 96]") + "epochs = 1", r"stage 1: size is \[height, width\]"),
    (STAGE.replace("[64, 96]", "[64, 90]") + "epochs = 1", r"stage 1: \(64, 90\) is not in whole patches of 16 px"),
    (STAGE.replace("batch = 2", "batch = 0") + "epochs = 1", "stage 1: .*batch at least 1"),
    (STAGE, "stage 1: lasts either epochs or minutes"),
    (STAGE + "epochs = 1\nminutes = 1", "stage 1: lasts either epochs or minutes"),
    (SCENES + "epochs = 1", "stage 1: scenes have no epochs"),
    (SCENES + "minutes = 1\nrope_scale = 0.0", "stage 1: rope_scale is above 0"),
    (SCENES + "minutes = 1\nreuse = 0.5", "stage 1: .*reuse at least 1"),
    ('precision = "fp16"\n' + STAGE + "epochs = 1", "run.toml: precision is fp32 or bf16"),
])  # fmt: skip
def test_what_it_does_not_know_is_refused_with_its_place(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load(tmp_path, text)

"""Tests of the package for Node.js as a method of the evaluation."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dinov3_flow.evaluation.methods import model
from dinov3_flow.evaluation.package import ENTRY, SCRIPT, Package, PackageError
from dinov3_flow.evaluation.pictures import ellipses

FAKE = [sys.executable, str(Path(__file__).with_name("fake_package.py"))]
WEIGHTS = Path(__file__).parents[2] / "weights" / "dinov3-flow-small.safetensors"
FRAMES = (torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(1)) * 255).round() / 255


@pytest.fixture
def fake():
    with Package(command=FAKE) as package:
        yield package


def test_flow_and_maps_come_back_as_they_were_sent(fake):
    options = {"flow": {"shift": [1.5, -2]}}
    for want in ([], ["confidence"], ["occlusion", "confidence"]):
        answer = fake.request(*FRAMES, options, want)
        assert torch.equal(answer.flow, torch.tensor([1.5, -2])[:, None, None].expand(2, 20, 30))
        assert answer.seconds == 1.5
        for name, frame in (("confidence", FRAMES[0]), ("occlusion", FRAMES[1])):
            values = getattr(answer, name)
            assert torch.equal(values, frame[0]) if name in want else values is None


def test_a_method_is_a_package_with_options(fake):
    frames = FRAMES[:, :, :8, :8]
    plain = fake.method({"flow": {"shift": [3, 4]}})(*frames)
    sure = fake.method({"flow": {"shift": [3, 4]}, "want": ["confidence"]})(*frames)
    assert torch.equal(plain.flow, sure.flow) and plain.seconds == 1.5
    assert plain.confidence is None and torch.equal(sure.confidence, frames[0, 0])


def test_what_the_package_throws_is_thrown_and_the_next_request_is_answered(fake):
    with pytest.raises(PackageError, match="ERR_ARGUMENT: no such preset") as thrown:
        fake.request(*FRAMES, {"flow": {"error": "no such preset"}})
    assert thrown.value.code == "ERR_ARGUMENT"
    assert fake.request(*FRAMES, {"flow": {"shift": [0, 0]}}).flow.shape == (2, 20, 30)


def test_a_process_that_ends_is_an_error(fake):
    for _ in range(2):
        with pytest.raises(PackageError, match="the process ended with code 3"):
            fake.request(*FRAMES, {"flow": {"exit": 3}})


def test_a_package_that_was_not_built_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="npm run build"):
        Package(tmp_path / "index.js")


def need(present: bool, what: str) -> None:
    """Skip if something is missing that can be installed or built; DINOV3_FLOW_REQUIRE_ALL=1 makes that a failure."""
    if present:
        return
    if os.environ.get("DINOV3_FLOW_REQUIRE_ALL"):
        pytest.fail(f"needs {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="module")
def built():
    need(shutil.which("node") is not None, "node")
    load = f"import({str(ENTRY)!r}).then((module) => module.FlowModel.load())"
    loaded = subprocess.run(["node", "-e", load], capture_output=True)
    need(loaded.returncode == 0, f"the built package, {ENTRY}: npm run build")
    with Package() as package:
        yield package


def test_the_package_computes_what_pytorch_does(built):
    pair = ellipses(4, 64, 96, 6)
    answer = built.request(*pair[:2], {"load": {"threads": 1, "device": "cpu", "size": "fit", "refine": "off"}})
    expected = model(WEIGHTS, torch.device("cpu"))(*pair[:2]).flow
    assert float((answer.flow - expected).abs().max()) < 0.02
    assert answer.confidence is None and answer.seconds > 0


def test_the_package_gives_maps_and_errors(built):
    pair = ellipses(4, 64, 96, 6)
    options = {"load": {"threads": 1, "device": "cpu"}}
    plain, answer = built.request(*pair[:2], options), built.request(*pair[:2], options, ["confidence", "occlusion"])
    assert torch.equal(plain.flow, answer.flow)
    assert answer.confidence.shape == (64, 96) and 0 <= answer.confidence.min() <= answer.confidence.max() <= 1
    assert set(answer.occlusion.unique().tolist()) <= {0, 1}
    for wrong, code in (({"load": {"threads": -1}}, "ERR_ARGUMENT"), ({"flow": {"size": [3, 3]}}, "ERR_ARGUMENT"),
                        ({"flaw": {}}, None)):  # fmt: skip
        with pytest.raises(PackageError) as thrown:
            built.request(*pair[:2], wrong)
        assert thrown.value.code == code
    assert torch.equal(built.request(*pair[:2], options).flow, plain.flow)


def test_a_request_that_is_cut_short_ends_the_process(built):
    request = b'{"height": 8, "width": 8}\nbytes'
    done = subprocess.run(["node", SCRIPT], input=request, capture_output=True)
    assert done.returncode and b"stdin ended after 5 of 384 bytes" in done.stderr and not done.stdout

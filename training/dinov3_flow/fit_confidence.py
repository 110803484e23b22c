"""Fit the confidence of refined flows: how likely a pixel's flow is right to 1 px, from what is measured of it.

    python3 -m dinov3_flow.fit_confidence --cache FOLDER --pairs 8

writes native/model/confidence_weights.h. Half of the pairs of every suite are fitted, and the figures of the other half
are printed: `ause` and `ece` as in evaluation/confidence.py. Then all are fitted, for the header. The built package answers with flows and measures, so it
is built again afterwards. The measures and the network of one hidden layer are those of native/ops/refine_stages.h.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Iterator, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from .evaluation.cache import cached
from .evaluation.confidence import RIGHT, Confidence
from .evaluation.package import Package
from .evaluation.suites import Suite, chosen, photographs, rendered

HEADER = Path(__file__).parents[2] / "native" / "model" / "confidence_weights.h"
MEASURES, HIDDEN = 8, 8
SEED = 2_000_000
"""The base seed for tuning, as opposed to the card's."""
SAMPLES = 5000
"""Pixels of a pair that are fitted."""
DECAY = 1e-4
"""Of the weights: against measures that tell the same."""


class Rating(nn.Module):
    """The probability that flow is right, from measures (..., 8): hidden units a / (1 + |a|), then a logistic unit."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(MEASURES, HIDDEN), nn.Linear(HIDDEN, 1)

    def forward(self, measures: Tensor) -> Tensor:
        return self.out(F.softsign(self.hidden(measures)))[..., 0]


class Rated(NamedTuple):
    """A pair: measures (h, w, 8) of half its size, end-point error and validity (H, W)."""

    suite: str
    index: int
    measures: Tensor
    error: Tensor
    valid: Tensor


def pairs(suites: list[Suite], package: Package, backward: bool) -> Iterator[Rated]:
    """Every pair, as the package refines its flow."""
    flow_options = {"refine": "default", "backward": backward}
    for suite in tqdm(suites, desc="with backward flow" if backward else "alone"):
        for index, pair in enumerate(suite.pairs()):
            answer = package.request(pair.frame1, pair.frame2, {"flow": flow_options}, ["measures"])
            planes = answer.measures.reshape(MEASURES, -1, answer.measures.shape[-1])
            error = (answer.flow - pair.flow).norm(dim=0)
            yield Rated(suite.name, index, planes.permute(1, 2, 0), error, pair.valid)


def strangers(suites: list[Suite], package: Package, backward: bool) -> Iterator[Rated]:
    """Frames that show nothing in common: the first frames of two pairs, and noise. No flow between them is right."""
    generator = torch.Generator().manual_seed(SEED)
    for suite in suites:
        frames = [pair.frame1 for pair in suite.pairs()]
        frames += [torch.randint(256, frames[0].shape, generator=generator) / 255 for _ in range(2)]
        for index, (frame1, frame2) in enumerate(zip(frames[:-1:2], frames[1::2])):
            flow_options = {"refine": "default", "backward": backward}
            answer = package.request(frame1, frame2, {"flow": flow_options}, ["measures"])
            planes = answer.measures.reshape(MEASURES, -1, answer.measures.shape[-1])
            wrong = torch.full(frame1.shape[1:], 1000.0)
            yield Rated("strangers", index, planes.permute(1, 2, 0), wrong, torch.ones_like(wrong, dtype=torch.bool))


def is_fitted(index: int) -> bool:
    return index % 2 == 0


def fit(rated: list[Rated]) -> Rating:
    """The weights with the least cross-entropy over pixels of all suites alike."""
    generator = np.random.default_rng(SEED)
    measures, right = [], []
    for pair in rated:
        height, width, _ = pair.measures.shape
        of_half = lambda plane: F.avg_pool2d(plane[None, None].float(), 2)[0, 0, :height, :width].reshape(-1)
        whole = np.flatnonzero(of_half(pair.valid).numpy() == 1)
        if len(whole) == 0:
            continue
        at = torch.from_numpy(generator.choice(whole, min(SAMPLES, len(whole)), replace=False))
        measures.append(pair.measures.reshape(-1, MEASURES)[at])
        right.append(of_half(pair.error < RIGHT)[at])
    inputs, targets = torch.cat(measures), torch.cat(right)
    torch.manual_seed(SEED)
    model = Rating()
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=400, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        decay = DECAY * sum(layer.weight.square().sum() for layer in (model.hidden, model.out))
        value = F.binary_cross_entropy_with_logits(model(inputs), targets) + decay
        value.backward()
        return value

    optimiser.step(loss)
    return model


@torch.no_grad()
def figures(model: Rating, rated: list[Rated]) -> dict[str, dict[str, float]]:
    """By suite, over the pairs that were not fitted."""
    sums: dict[str, Confidence] = {}
    for pair in filter(lambda pair: not is_fitted(pair.index), rated):
        half = torch.sigmoid(model(pair.measures))[None, None]
        confidence = F.interpolate(half, pair.error.shape, mode="bilinear")[0, 0]
        sums.setdefault(pair.suite, Confidence()).add(confidence, pair.error, pair.valid)
    return {suite: total.figures() for suite, total in sums.items()}


def literal(value: float) -> str:
    """A number as C++ writes a float."""
    digits = f"{value:.5g}"
    return digits + ("F" if "." in digits or "e" in digits else ".F")


def rows(layer: nn.Linear) -> list[str]:
    """A layer as rows of C++, each unit's bias last."""
    table = torch.cat([layer.weight, layer.bias[:, None]], 1).tolist()
    return ["{" + ", ".join(map(literal, row)) + "}" for row in table]


def header(models: dict[str, Rating]) -> str:
    """The text of confidence_weights.h."""
    lines = ["#pragma once", "", '#include "ops/refine_stages.h"', "", "namespace flow {", "",
             "// Written by `python3 -m dinov3_flow.fit_confidence` in training/.", ""]  # fmt: skip
    for name, model in models.items():
        hidden, (out,) = rows(model.hidden), rows(model.out)
        lines += [f"inline constexpr ConfidenceWeights {name} = {{", "    {" + ",\n     ".join(hidden) + "},"]
        lines += [f"    {out}}};", ""]
    return "\n".join([*lines, "}  // namespace flow", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", required=True, help="folder of rendered pairs; what it lacks is rendered")
    parser.add_argument("--pairs", type=int, default=8, help="of each suite, even ones are fitted; default 8")
    parser.add_argument("--photographs", help="folder of photographs, for the suites made of them")
    parser.add_argument("--suites", help="names, separated by commas; default: all but large far")
    parser.add_argument("--out", type=Path, default=HEADER, help="the header to write")
    args = parser.parse_args()
    suites = rendered(args.pairs, SEED)
    if args.photographs:
        suites += photographs(args.photographs, args.pairs, SEED)
    names = args.suites.split(",") if args.suites else [suite.name for suite in suites if suite.name != "large far"]
    suites = [cached(suite, args.cache, SEED) for suite in chosen(suites, names)]
    models = {}
    with Package() as package:
        for name, backward in (("weights_alone", False), ("weights_with_backward", True)):
            rated = [*pairs(suites, package, backward), *strangers(suites[:3], package, backward)]
            print(name)
            fitted = fit([pair for pair in rated if is_fitted(pair.index)])
            for suite, numbers in figures(fitted, rated).items():
                print(f"  {suite:22s} ause {numbers['ause']:.2f}  ece {numbers['ece']:.3f}")
            models[name] = fit(rated)
    args.out.write_text(header(models))
    print(f"wrote {args.out}; format and build it")


if __name__ == "__main__":
    main()

"""The figures of methods on suites, as tables of Markdown."""

from __future__ import annotations

import math

import numpy as np

from ..datasets import FlowPair
from ..metrics import Metrics, epe_map, known, length
from .confidence import Confidence
from .methods import Prediction
from .suites import Suite

REFERENCE = "DIS medium"
"""The method that others are compared with."""

Figures = dict[str, dict[str, float]]
"""Of a suite, by method."""


class Row:
    """A method's figures on a suite, and how long it took."""

    def __init__(self) -> None:
        self.metrics, self.confidence = Metrics(), Confidence()
        self.moved, self.pixels = 0.0, 0
        self.seconds: list[float] = []
        self.errors: list[float] = []  # mean of each pair

    def add(self, prediction: Prediction, pair: FlowPair, seconds: float) -> None:
        """Add a pair; `seconds` is what the call took, unless the prediction knows better."""
        flow = prediction.flow
        self.metrics.add(flow[None], pair.flow[None], pair.valid[None])
        self.moved += float(length(flow).sum())
        self.pixels += flow[0].numel()
        self.seconds.append(seconds if prediction.seconds is None else prediction.seconds)
        error, counts = epe_map(flow[None], pair.flow[None])[0], known(pair.flow[None], pair.valid[None])[0]
        self.errors.append(float(error[counts].mean()) if bool(counts.any()) else float("nan"))
        if prediction.confidence is not None:
            self.confidence.add(prediction.confidence, error, counts)

    def figures(self) -> dict[str, float]:
        """Those of `Metrics` and `Confidence`; `flow`, the mean length of what was predicted, px; `ms`, the median time
        of a pair. Those of a confidence that a method does not have are left out."""
        milliseconds = 1000 * float(np.median(self.seconds))
        confidence = {name: value for name, value in self.confidence.figures().items() if not math.isnan(value)}
        return {**self.metrics.result(), "flow": self.moved / max(1, self.pixels), "ms": milliseconds, **confidence}


def _lines(columns: list[str], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (columns, ["---"] * len(columns), *rows))


def _ratio(figures: Figures, method: str, other: str) -> float:
    """Of mean errors, per cent."""
    return 100 * figures[method]["epe"] / figures[other]["epe"] if figures[other]["epe"] > 0 else float("nan")


SHARES = {"out05": "over 0.5 px", "out1": "over 1 px", "out3": "over 3 px", "out5": "over 5 px", "fl_all": "Fl-all"}


def table(suite: Suite, figures: Figures) -> str:
    """All methods on a suite."""
    columns = ["method", "EPE, px", f"of {REFERENCE}, %", *(f"{name}, %" for name in SHARES.values()), "mean flow, px",
               "AUSE", "ECE", "ms"]  # fmt: skip
    rows = []
    for name, f in figures.items():
        confidence = (f"{f[key]:.3f}" if key in f else "" for key in ("ause", "ece"))
        rows.append([name, f"{f['epe']:.3f}", f"{_ratio(figures, name, REFERENCE):.0f}",
                     *(f"{f[key]:.1f}" for key in SHARES), f"{f['flow']:.3f}", *confidence, f"{f['ms']:.0f}"])
    return f"**{suite.name}**: {suite.about}; {suite.count} pairs\n\n{_lines(columns, rows)}"


def _px(value: float) -> str:
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}" if value >= 0.0995 else f"{value:.3f}"


def card(suites: list[Suite], figures: dict[str, Figures]) -> str:
    """All suites, a row each: the end-point errors of all methods, and more of the last one."""
    methods = list(figures[suites[0].name])
    last = methods[-1]
    columns = ["pairs", *methods, "of zero", f"of {REFERENCE}", *SHARES.values(), f"{REFERENCE} over 1 px"]
    rows = []
    for suite in suites:
        f = figures[suite.name]
        shares = [_ratio(f, last, "zero"), _ratio(f, last, REFERENCE), *(f[last][key] for key in SHARES), f[REFERENCE]["out1"]]
        rows.append([suite.about, *(_px(f[name]["epe"]) for name in methods), *(f"{share:.0f} %" for share in shares)])
    return f"End-point error in px, mean over pixels; the last columns are of {last}, but for the very last:\n\n{_lines(columns, rows)}"

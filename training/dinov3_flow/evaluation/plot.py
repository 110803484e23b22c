"""Time against error of all methods, as a drawing (SVG)."""

from __future__ import annotations

import math
from typing import Iterable, NamedTuple
from xml.sax.saxutils import escape

from .report import REFERENCE, Figures

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 70, 30, 24, 56
LEAST_ERROR = 1e-3  # px: below it, a method is as good as exact


class Point(NamedTuple):
    """A method: geometric means over suites of its time, ms a pair, and of its error as a part of REFERENCE's."""

    name: str
    ms: float
    error: float


def points(figures: dict[str, Figures], left_out: Iterable[str] = ("zero", "translation")) -> list[Point]:
    """Those of all methods but `left_out`, which use no pixel twice and would squeeze the others into a corner."""
    methods = [name for name in next(iter(figures.values())) if name not in set(left_out)]

    def mean(values: list[float]) -> float:
        return math.exp(sum(map(math.log, values)) / len(values))

    def relative(suite: Figures, method: str) -> float:
        return max(suite[method]["epe"], LEAST_ERROR) / max(suite[REFERENCE]["epe"], LEAST_ERROR)

    suites = list(figures.values())
    return [
        Point(name, mean([s[name]["ms"] for s in suites]), mean([relative(s, name) for s in suites]))
        for name in methods
    ]


def _ticks(least: float, most: float, steps: tuple[int, ...]) -> list[float]:
    """These times powers of ten that lie between."""
    decades = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    return [step * 10.0**d for d in decades for step in steps if least <= step * 10.0**d <= most]


def plot(figures: dict[str, Figures]) -> str:
    """Both axes are logarithmic; better is to the left and below."""
    shown = points(figures)
    low_x, high_x = min(p.ms for p in shown) / 1.6, max(p.ms for p in shown) * 2.2
    low_y, high_y = min(p.error for p in shown) / 1.3, max(p.error for p in shown) * 1.3

    def x(ms: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(ms / low_x) / math.log(high_x / low_x)

    def y(error: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(error / low_y) / math.log(high_y / low_y)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for ms in _ticks(low_x, high_x, (1, 2, 5)):
        lines.append(f'<path d="M{x(ms):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        lines.append(f'<text x="{x(ms):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{ms:g}</text>')
    for error in _ticks(low_y, high_y, (1, 2, 3, 5, 7)):
        lines.append(f'<path d="M{LEFT} {y(error):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y(error) + 4:.1f}" text-anchor="end">{100 * error:.0f} %</text>')
    above = -math.inf
    for name, ms, error in sorted(shown, key=lambda p: p.error, reverse=True):
        above = label = max(y(error) + 4, above + 15)  # no name lies on another
        colour = "#888" if "DIS" in name else "#c33"
        lines.append(f'<circle cx="{x(ms):.1f}" cy="{y(error):.1f}" r="5" fill="{colour}"/>')
        lines.append(f'<text x="{x(ms) + 9:.1f}" y="{label:.1f}" fill="{colour}" stroke="#fff" '
                     f'stroke-width="4" paint-order="stroke">{escape(name)}</text>')
    lines.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">ms a pair</text>')
    lines.append(f'<text x="{LEFT}" y="{TOP - 8}">error, of that of {REFERENCE}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"

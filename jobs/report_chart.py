"""Draws the learning curve as SVG: how HR@10 moves over a run, model beside model."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

Values = Sequence[float | None]
Point = tuple[float, float]


class Line(NamedTuple):
    """One model's curve."""

    label: str
    style: str  # CSS class; colours and widths are the page's
    values: Values


class Frame(NamedTuple):
    """The size of a drawing in units of its own text: a phone gets a smaller one, not smaller letters."""

    width: int
    height: int
    left: int  # room for the y axis' numbers
    right: int  # room for labels at the lines' ends; small: no labels
    x_ticks: int

    def x(self, share: float) -> float:
        """Return the place of a share of the x axis."""
        return self.left + share * (self.width - self.left - self.right)

    def y(self, share: float) -> float:
        """Return the place of a share of the y axis, which points up."""
        return self.height - _BOTTOM - share * (self.height - _BOTTOM - _TOP)


WIDE = Frame(940, 380, 48, 196, 6)
NARROW = Frame(400, 300, 40, 12, 4)
_TOP, _BOTTOM = 12, 30
_LABEL_GAP = 17  # between two labels at the lines' ends


def learning_curve(at: Sequence[int], lines: Sequence[Line], frame: Frame, title: str) -> str:
    """Return the SVG of `lines` over the event numbers `at`; the first line is drawn on top and has its area filled."""
    values = [value for line in lines for value in line.values if value is not None]
    if not at or not values:
        return '<p class="quiet">Nothing was scored, so there is no curve.</p>'
    highest = max([*values, 0.01])
    step = _nice_step(highest / 4)
    top = step * math.ceil(highest / step)
    last = at[-1]
    points = [_points(at, line.values, top, frame) for line in lines]
    parts = [f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{escape(title)}">']
    parts += _y_axis(frame, step, top)
    parts += _x_axis(frame, last)
    parts.append(f'<path class="area {lines[0].style}" d="{_area(points[0], frame)}"/>')
    for line, curve in reversed(list(zip(lines, points, strict=True))):
        parts.append(f'<path class="line {line.style}" d="{_path(curve)}"><title>{escape(line.label)}</title></path>')
    if frame.right > _LABEL_GAP:
        parts += _end_labels(lines, points, frame)
    parts += _bands(at, lines, frame)
    return "".join([*parts, "</svg>"])


def _points(at: Sequence[int], values: Values, top: float, frame: Frame) -> list[Point | None]:
    pairs = zip(at, values, strict=True)
    return [None if value is None else (frame.x(n / at[-1]), frame.y(value / top)) for n, value in pairs]


def _y_axis(frame: Frame, step: float, top: float) -> list[str]:
    parts = []
    for tick in range(round(top / step) + 1):
        y = frame.y(tick * step / top)
        parts.append(
            f'<line class="grid" x1="{frame.left}" x2="{frame.width - frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{frame.left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick * step:.2f}</text>'
        )
    return parts


def _x_axis(frame: Frame, last: int) -> list[str]:
    step = max(1, int(_nice_step(last / frame.x_ticks)))
    y = frame.height - _BOTTOM + 20
    parts = []
    for n in range(0, last + 1, step):
        parts.append(f'<text class="tick" x="{frame.x(n / last):.1f}" y="{y}" text-anchor="middle">{short(n)}</text>')
    return parts


def _path(curve: Sequence[Point | None]) -> str:
    parts, down = [], False
    for point in curve:
        if point is not None:
            parts.append(f"{'L' if down else 'M'}{point[0]:.1f} {point[1]:.1f}")
        down = point is not None
    return "".join(parts)


def _area(curve: Sequence[Point | None], frame: Frame) -> str:
    known = [point for point in curve if point is not None]
    if not known:
        return ""
    return f"{_path(known)}L{known[-1][0]:.1f} {frame.y(0):.1f}L{known[0][0]:.1f} {frame.y(0):.1f}Z"


def _end_labels(lines: Sequence[Line], points: Sequence[Sequence[Point | None]], frame: Frame) -> list[str]:
    """Write each label beside its line's end, pushed apart where they would touch."""
    ends = [(curve[-1][1], line) for line, curve in zip(lines, points, strict=True) if curve[-1] is not None]
    ends.sort(key=lambda end: end[0])
    lowest = frame.y(0) - _LABEL_GAP * (len(ends) - 1)
    parts, upto = [], float(_TOP)
    for rank, (y, line) in enumerate(ends):
        upto = min(max(y, upto), lowest + rank * _LABEL_GAP)
        x = frame.width - frame.right + 10
        parts.append(f'<text class="label {line.style}" x="{x}" y="{upto + 4:.1f}">{escape(line.label)}</text>')
        upto += _LABEL_GAP
    return parts


def _bands(at: Sequence[int], lines: Sequence[Line], frame: Frame) -> list[str]:
    """Lay strips over the drawing that tell the values where the pointer rests."""
    width = frame.x(1 / max(1, len(at))) - frame.x(0)
    parts = []
    for index, n in enumerate(at):
        told = [f"after {n:,} events"]
        ranked = sorted(((line.values[index] or 0.0, line.label) for line in lines), reverse=True)
        told += [f"{value:.3f} {label}" for value, label in ranked]
        x = frame.x(n / at[-1]) - width / 2
        tall = frame.height - _BOTTOM - _TOP
        parts.append(
            f'<rect class="band" x="{x:.1f}" y="{_TOP}" width="{width:.1f}" height="{tall}">'
            f"<title>{escape(chr(10).join(told))}</title></rect>"
        )
    return parts


def _nice_step(rough: float) -> float:
    """Return the next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough * 0.999)


def short(n: int) -> str:
    """Return a number of events for an axis: 25k, 1.5M."""
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if n >= size:
            return f"{n / size:.3g}{unit}"
    return str(n)


def legend(lines: Sequence[Line], values: Mapping[str, str]) -> str:
    """Return the lines' names with their colours, and a figure beside each where there is one."""
    items = (
        f'<li class="{line.style}"><i></i>{escape(line.label)} <b>{escape(values.get(line.label, ""))}</b></li>'
        for line in lines
    )
    return f'<ul class="legend">{"".join(items)}</ul>'

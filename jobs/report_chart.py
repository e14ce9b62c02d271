"""Draws curves as SVG: how a measure moves over a run, over names, or against another, line beside line."""

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


class Scale(NamedTuple):
    """The y axis: from `low` to `high`, a number each `step`."""

    low: float
    high: float
    step: float

    def share(self, value: float) -> float:
        """Return where a value lies between the ends, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)


def learning_curve(
    at: Sequence[int], lines: Sequence[Line], frame: Frame, title: str, *, from_zero: bool = True
) -> str:
    """Return the SVG of `lines` over the event numbers `at`; the first line is drawn on top, its area filled.

    Args:
        at: event numbers, rising.
        lines: of as many values.
        frame: size of the drawing.
        title: for those who cannot see it.
        from_zero: let the y axis begin at 0; else near the lowest value, and nothing is filled.
    """
    first = 0 if from_zero or not at else at[0]
    shares = [(n - first) / max(1, at[-1] - first) for n in at]
    told = [f"after {n:,} events" for n in at]
    svg = _Drawing(shares, told, lines, frame, title, from_zero)
    return svg.text(_event_axis(frame, first, at[-1]) if at else [])


def named_curve(names: Sequence[str], lines: Sequence[Line], frame: Frame, title: str) -> str:
    """Return the SVG of `lines` over names at equal distances, with a dot at each value."""
    shares = [(k + 0.5) / max(1, len(names)) for k in range(len(names))]
    y = frame.height - _BOTTOM + 20
    axis = [
        f'<text class="tick" x="{frame.x(share):.1f}" y="{y}" text-anchor="middle">{escape(name)}</text>'
        for name, share in zip(names, shares, strict=True)
    ]
    return _Drawing(shares, names, lines, frame, title, True, dots=True).text(axis)


class _Drawing:
    """Lines over places on the x axis, given as shares of its length."""

    def __init__(
        self,
        shares: Sequence[float],
        told: Sequence[str],
        lines: Sequence[Line],
        frame: Frame,
        title: str,
        from_zero: bool,
        *,
        dots: bool = False,
    ) -> None:
        self._shares, self._told, self._lines = shares, told, lines
        self._frame, self._title, self._from_zero, self._dots = frame, title, from_zero, dots

    def text(self, x_axis: list[str]) -> str:
        """Return the SVG, or a sentence where nothing is to be drawn."""
        lines, frame = self._lines, self._frame
        values = [value for line in lines for value in line.values if value is not None]
        if not self._shares or not values:
            return '<p class="quiet">Nothing was scored, so there is no curve.</p>'
        scale = _scale(min(values), max(values), from_zero=self._from_zero)
        points = [self._points(line.values, scale) for line in lines]
        parts = [f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{escape(self._title)}">']
        parts += _y_axis(frame, scale)
        parts += x_axis
        if self._from_zero:
            parts.append(f'<path class="area {lines[0].style}" d="{_area(points[0], frame)}"/>')
        parts += self._strokes(points)
        if frame.right > _LABEL_GAP:
            parts += _end_labels(lines, points, frame)
        parts += _bands(self._shares, self._told, lines, frame)
        return "".join([*parts, "</svg>"])

    def _points(self, values: Values, scale: Scale) -> list[Point | None]:
        pairs = zip(self._shares, values, strict=True)
        frame = self._frame
        return [None if value is None else (frame.x(x), frame.y(scale.share(value))) for x, value in pairs]

    def _strokes(self, points: Sequence[Sequence[Point | None]]) -> list[str]:
        parts = []
        for line, curve in reversed(list(zip(self._lines, points, strict=True))):
            name = escape(line.label)
            parts.append(f'<path class="line {line.style}" d="{_path(curve)}"><title>{name}</title></path>')
            if self._dots:
                parts += [
                    f'<circle class="dot {line.style}" cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="4"/>'
                    for point in curve
                    if point is not None
                ]
        return parts


def _event_axis(frame: Frame, first: int, last: int) -> list[str]:
    step = max(1, int(nice_step((last - first) / frame.x_ticks))) if last > first else max(1, last)
    y = frame.height - _BOTTOM + 20
    parts = []
    for n in range(-(-first // step) * step, last + 1, step):
        x = frame.x((n - first) / max(1, last - first))
        parts.append(f'<text class="tick" x="{x:.1f}" y="{y}" text-anchor="middle">{short(n, 4)}</text>')
    return parts


def _scale(lowest: float, highest: float, *, from_zero: bool) -> Scale:
    if from_zero:
        highest = max(highest, 0.01)
        step = nice_step(highest / 4)
        return Scale(0.0, step * math.ceil(highest / step), step)
    step = nice_step(max(highest - lowest, 1e-3) / 4)
    return Scale(step * math.floor(lowest / step), step * (math.floor(highest / step) + 1), step)


def _y_axis(frame: Frame, scale: Scale) -> list[str]:
    parts = []
    for tick in range(round((scale.high - scale.low) / scale.step) + 1):
        value = scale.low + tick * scale.step
        y = frame.y(scale.share(value))
        parts.append(
            f'<line class="grid" x1="{frame.left}" x2="{frame.width - frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text class="tick" x="{frame.left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
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


def _bands(shares: Sequence[float], told: Sequence[str], lines: Sequence[Line], frame: Frame) -> list[str]:
    """Lay strips over the drawing that tell the values where the pointer rests."""
    width = frame.x(1 / max(1, len(shares))) - frame.x(0)
    parts = []
    for index, (share, name) in enumerate(zip(shares, told, strict=True)):
        ranked = sorted(
            ((line.values[index], line.label) for line in lines if line.values[index] is not None),
            key=lambda pair: -(pair[0] or 0.0),
        )
        text = [name, *(f"{value:.3f} {label}" for value, label in ranked)]
        x = frame.x(share) - width / 2
        tall = frame.height - _BOTTOM - _TOP
        parts.append(
            f'<rect class="band" x="{x:.1f}" y="{_TOP}" width="{width:.1f}" height="{tall}">'
            f"<title>{escape(chr(10).join(text))}</title></rect>"
        )
    return parts


def nice_step(rough: float) -> float:
    """Return the next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough * 0.999)


def short(n: int, digits: int = 3) -> str:
    """Return a number of events for an axis: 25k, 1.5M."""
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if n >= size:
            return f"{n / size:.{digits}g}{unit}"
    return str(n)


def legend(lines: Sequence[Line], values: Mapping[str, str]) -> str:
    """Return the lines' names with their colours, and a figure beside each where there is one."""
    items = (
        f'<li class="{line.style}"><i></i>{escape(line.label)} <b>{escape(values.get(line.label, ""))}</b></li>'
        for line in lines
    )
    return f'<ul class="legend">{"".join(items)}</ul>'

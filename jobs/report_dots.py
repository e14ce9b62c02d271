"""Draws means with their intervals as SVG: one row a name, one dot a model, a whisker for the 95 % interval."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from jobs.report_chart import nice_step


class Dot(NamedTuple):
    """One mean."""

    label: str  # told where the pointer rests
    style: str  # CSS class; colours are the page's
    value: float
    low: float | None  # of the interval; None: too few users for one
    high: float | None


class Row(NamedTuple):
    """A name and its means."""

    name: str
    dots: Sequence[Dot]


class Layout(NamedTuple):
    """The size of a drawing; a phone gets names above their rows, not smaller letters."""

    width: int
    left: int  # room for names; 0: they stand above
    right: int
    x_ticks: int


WIDE = Layout(940, 250, 24, 6)
NARROW = Layout(400, 0, 14, 4)
_ROW, _NAME, _BOTTOM, _GAP = 30, 20, 34, 9  # heights; distance of two dots of a row


def dot_rows(rows: Sequence[Row], layout: Layout, title: str, *, decimals: int = 2) -> str:
    """Return the SVG; the x axis holds zero, and a line stands there where values lie on both sides."""
    ends = [end for row in rows for dot in row.dots for end in (dot.value, dot.low, dot.high) if end is not None]
    if not ends:
        return '<p class="quiet">Nothing was scored, so there is nothing to show.</p>'
    low, high = min(0.0, *ends), max(0.0, *ends)
    step = nice_step(max(high - low, 0.01) / layout.x_ticks)
    low, high = step * math.floor(low / step), step * max(1, math.ceil(high / step))  # all zero: an axis all the same
    start = layout.left or layout.right
    length = layout.width - start - layout.right

    def x(value: float) -> float:
        return start + length * (value - low) / (high - low)

    heights = [max(_ROW, 12 + _GAP * len(row.dots)) + (0 if layout.left else _NAME) for row in rows]
    bottom = sum(heights)
    parts = [f'<svg viewBox="0 0 {layout.width} {bottom + _BOTTOM}" role="img" aria-label="{escape(title)}">']
    for tick in range(round((high - low) / step) + 1):
        value = low + tick * step if abs(low + tick * step) > step / 2 else 0.0  # 0.00, never -0.00
        zero = " zero" if abs(value) < step / 2 and low < 0 else ""
        parts.append(f'<line class="grid{zero}" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="0" y2="{bottom}"/>')
        parts.append(
            f'<text class="tick" x="{x(value):.1f}" y="{bottom + 20}" text-anchor="middle">{value:.{decimals}f}</text>'
        )
    upto = 0
    for row, height in zip(rows, heights, strict=True):
        name_y = upto + (height / 2 + 5 if layout.left else 15)
        at = layout.left - 14 if layout.left else 0
        anchor = "end" if layout.left else "start"
        parts.append(
            f'<text class="rowname" x="{at}" y="{name_y:.1f}" text-anchor="{anchor}">{escape(row.name)}</text>'
        )
        middle = upto + (0 if layout.left else _NAME) + (height - (0 if layout.left else _NAME)) / 2
        first = middle - _GAP * (len(row.dots) - 1) / 2
        for k, dot in enumerate(row.dots):
            y = first + k * _GAP
            parts.append("<g>")
            interval = ""
            if dot.low is not None and dot.high is not None:
                parts.append(
                    f'<line class="whisker {dot.style}" x1="{x(dot.low):.1f}" x2="{x(dot.high):.1f}" '
                    f'y1="{y:.1f}" y2="{y:.1f}"/>'
                )
                interval = f", {dot.low:.4f} to {dot.high:.4f}"
            parts.append(f'<circle class="dot {dot.style}" cx="{x(dot.value):.1f}" cy="{y:.1f}" r="4"/>')
            parts.append(f"<title>{escape(f'{row.name}: {dot.label} {dot.value:.4f}{interval}')}</title></g>")
        upto += height
        parts.append(f'<line class="grid" x1="0" x2="{layout.width}" y1="{upto}" y2="{upto}"/>')
    return "".join([*parts, "</svg>"])


SERIES = ("s0", "s3")
"""CSS classes of the series of points in a square."""


def square(series: Sequence[Sequence[tuple[float, float]]], title: str, x_name: str, y_name: str) -> str:
    """Return the SVG of series of points over a square with its diagonal, where both numbers are equal."""
    points = [point for one in series for point in one]
    if not points:
        return '<p class="quiet">Nothing was scored, so there is nothing to show.</p>'
    high = max(max(point) for point in points)
    step = nice_step(max(high, 0.01) / 4)
    high = step * math.ceil(max(high, 0.01) / step)
    size, left, top = 330, 56, 12

    def at(x: float, y: float) -> tuple[float, float]:
        return left + size * x / high, top + size * (1 - y / high)

    box = f"0 0 {size + left + 20} {size + top + 52}"
    parts = [f'<svg class="square" viewBox="{box}" role="img" aria-label="{escape(title)}">']
    for tick in range(round(high / step) + 1):
        value = tick * step
        x, y = at(value, value)
        parts.append(f'<line class="grid" x1="{left}" x2="{left + size}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{top + size + 20}" text-anchor="middle">{value:.2f}</text>')
    (x0, y0), (x1, y1) = at(0, 0), at(high, high)
    parts.append(f'<line class="diagonal" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>')
    for style, one in zip(SERIES, series, strict=False):
        for claimed, happened in one:
            x, y = at(claimed, happened)
            told = escape(f"{x_name} {claimed:.3f}, {y_name} {happened:.3f}")
            parts.append(f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{told}</title></circle>')
    parts.append(
        f'<text class="tick" x="{left + size / 2}" y="{top + size + 44}" text-anchor="middle">{escape(x_name)}</text>'
    )
    parts.append(
        f'<text class="tick" transform="translate(14 {top + size / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_name)}</text>"
    )
    return "".join([*parts, "</svg>"])

// A line chart in SVG: lines over numbers or times, a cursor by pointer or arrow keys, figures in the legend.

import { el, svg } from "./dom.js";

const HEIGHT = 190;
const LEFT = 46;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 24;

/** One chart in a <figure>; `draw` shows new data, and keeps the cursor where it is. */
export class Chart {
  constructor(figure, { title, formatX, formatY, least = 1, whole = false }) {
    Object.assign(this, { figure, title, formatX, formatY, least, whole, at: [], lines: [], cursor: null });
    this.note = el("span");
    this.svg = svg("svg", { role: "img", tabindex: "0" });
    this.legend = el("ul", { class: "legend", "aria-hidden": "true" });
    figure.append(el("figcaption", {}, el("b", {}, title), this.note), this.svg, this.legend);
    this.svg.addEventListener("pointermove", (event) => this.point(this.placeOf(event.offsetX)));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.svg.addEventListener("blur", () => this.point(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.paint()).observe(figure);
  }

  /** Takes `at` (numbers that grow), `lines` ({label, colour, values}) and a note; null values are gaps. */
  draw(at, lines, note) {
    Object.assign(this, { at, lines });
    this.note.textContent = note;
    this.paint();
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -this.at.length, End: this.at.length }[event.key];
    if (!step || !this.at.length) return;
    event.preventDefault();
    const last = this.at.length - 1;
    this.point(Math.min(last, Math.max(0, (this.cursor ?? last) + step)));
  }

  point(place) {
    this.cursor = place;
    this.paint();
  }

  placeOf(x) {
    const wanted = this.low + ((x - LEFT) / (this.width - LEFT - RIGHT)) * (this.high - this.low);
    let best = 0;
    this.at.forEach((value, place) => {
      if (Math.abs(value - wanted) < Math.abs(this.at[best] - wanted)) best = place;
    });
    return this.at.length ? best : null;
  }

  paint() {
    this.width = Math.max(200, this.figure.clientWidth);
    const values = this.lines.flatMap((line) => line.values).filter((value) => value !== null);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.setAttribute("aria-label", this.described());
    if (this.at.length < 2 || !values.length) {
      this.svg.replaceChildren(svg("text", { class: "empty", x: LEFT, y: HEIGHT / 2 }, "Nothing measured yet."));
      this.legend.replaceChildren();
      return;
    }
    [this.low, this.high] = [this.at[0], this.at.at(-1)];
    const ticks = niceTicks(Math.max(...values, this.least), this.whole);
    const x = (value) => LEFT + ((value - this.low) / (this.high - this.low || 1)) * (this.width - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - ((value - ticks[0]) / (ticks.at(-1) - ticks[0])) * (HEIGHT - TOP - BOTTOM);
    const drawn = ticks.flatMap((tick) => [
      svg("line", { class: "gridline", x1: LEFT, x2: this.width - RIGHT, y1: y(tick), y2: y(tick) }),
      svg("text", { class: "tick", x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, this.formatY(tick, true)),
    ]);
    drawn.push(svg("text", { class: "tick", x: LEFT, y: HEIGHT - 6 }, this.formatX(this.low)));
    drawn.push(svg("text", { class: "tick", x: this.width - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, this.formatX(this.high)));
    for (const line of [...this.lines].reverse()) drawn.push(...this.curve(line, x, y));
    if (this.cursor !== null && this.cursor < this.at.length) drawn.push(...this.marks(x, y));
    this.svg.replaceChildren(...drawn);
    this.legend.replaceChildren(...this.lines.map((line) => this.mark(line)));
  }

  curve({ colour, values }, x, y) {
    const runs = [[]];
    values.forEach((value, place) => {
      if (value === null) runs.push([]);
      else runs.at(-1).push(`${x(this.at[place]).toFixed(1)} ${y(value).toFixed(1)}`);
    });
    const filled = runs.filter((run) => run.length > 1);
    const paths = filled.map((run) => svg("path", { class: `curve ${colour}`, d: `M${run.join("L")}` }));
    if (colour !== "c0" || !filled.length) return paths;
    const run = filled.at(-1);
    const base = HEIGHT - BOTTOM;
    const area = `M${run[0].split(" ")[0]} ${base}L${run.join("L")}L${run.at(-1).split(" ")[0]} ${base}Z`;
    return [svg("path", { class: `area ${colour}`, d: area }), ...paths];
  }

  marks(x, y) {
    const at = x(this.at[this.cursor]);
    const anchor = at > this.width - 90 ? "end" : at < LEFT + 60 ? "start" : "middle";
    const knobs = this.lines.filter(({ values }) => values[this.cursor] !== null)
      .map(({ colour, values }) => svg("circle", { class: `knob ${colour}`, cx: at, cy: y(values[this.cursor]), r: 4 }));
    return [svg("line", { class: "cursor", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }), ...knobs,
      svg("text", { class: "tick", x: at, y: HEIGHT - 6, "text-anchor": anchor }, this.formatX(this.at[this.cursor]))];
  }

  mark({ label, colour, values }) {
    const value = this.cursor === null ? values.findLast((each) => each !== null) : values[this.cursor];
    return el("li", {}, el("i", { class: colour }), label, el("b", {}, value === undefined || value === null ? "–" : this.formatY(value, false)));
  }

  described() {
    const told = this.lines.map(({ label, values }) => {
      const value = values.findLast((each) => each !== null);
      return `${label} ${value === undefined ? "not measured" : this.formatY(value, false)}`;
    });
    return `${this.title}: ${told.join(", ") || "nothing measured yet"}`;
  }
}

/** Round numbers from 0 to `high` or a little more, four or five of them; `whole`: without fractions. */
export function niceTicks(high, whole) {
  const raw = high / 4;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * size).find((each) => each >= raw && !(whole && each % 1));
  const ticks = [];
  for (let n = 0; n * step < high + step * 0.999; n += 1) ticks.push(Number((n * step).toPrecision(12)));
  return ticks;
}

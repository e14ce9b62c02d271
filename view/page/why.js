// Why an item stands where it does: what each part of the blend adds to its score, as bars and as words.

import { el, svg } from "./dom.js";
import { model } from "./format.js";

const WIDTH = 130;
const GROUPS = [
  ["learned head", "c0", (part) => part === "head"],
  ["experts agree", "c6", (part) => part === "mixture"],
  ["popularity", "c1", (part) => part.startsWith("popularity")],
  ["sequence", "c3", (part) => ["sequential_rules", "together"].includes(part)],
  ["own past", "c5", (part) => part.startsWith("own_")],
  ["text", "c2", (part) => part.includes("text")],
  ["context", "c4", (part) => ["network", "item_life"].includes(part)],
];
const OTHER = ["other", "cx"];

const groupOf = (part) => GROUPS.find(([, , holds]) => holds(part)) ?? OTHER;

/** Returns [group, colour] of the parts that a list knows. */
export function legend(parts) {
  const groups = new Map(parts.map((part) => groupOf(part)).map(([name, colour]) => [name, colour]));
  return [...GROUPS, OTHER].filter(([name]) => groups.has(name)).map(([name, colour]) => [name, colour]);
}

function grouped(why) {
  const sums = new Map();
  for (const [part, value] of Object.entries(why)) {
    const [name, colour] = groupOf(part);
    const sum = sums.get(name) ?? { name, colour, value: 0 };
    sum.value += value;
    sums.set(name, sum);
  }
  return [...sums.values()];
}

/** The sum of what lifts the item most in a list, so that bars of one list share a scale. */
export function scaleOf(items) {
  const lifts = items.map(({ why }) => grouped(why).reduce((sum, { value }) => sum + Math.max(0, value), 0));
  return Math.max(0.1, ...lifts);
}

/** Returns a bar of what lifts the item, stacked by group. */
export function bar(why, most) {
  const drawn = svg("svg", { viewBox: `0 0 ${WIDTH} 9`, preserveAspectRatio: "none", "aria-hidden": "true" });
  let x = 0;
  for (const [name] of [...GROUPS, OTHER]) {
    const sum = grouped(why).find((each) => each.name === name);
    if (!sum || sum.value <= 0) continue;
    const width = (WIDTH * sum.value) / most;
    drawn.append(svg("rect", { class: sum.colour, x: x.toFixed(2), y: 0, width: Math.max(0, width - 1).toFixed(2), height: 9, rx: 1.5 }));
    x += width;
  }
  return drawn;
}

/** Returns the strongest reason in words. */
export function words(why) {
  const [strongest] = grouped(why).sort((a, b) => b.value - a.value);
  return strongest.value > 0.05 ? `${strongest.name} +${strongest.value.toFixed(1)}` : "";
}

/** Returns rows of all parts, strongest first. */
export function table(why) {
  const parts = Object.entries(why).sort(([, a], [, b]) => b - a);
  const most = Math.max(0.1, ...parts.map(([, value]) => Math.abs(value)));
  const rows = parts.flatMap(([part, value]) => {
    const width = (Math.abs(value) / most) * 50;
    const shape = { class: groupOf(part)[1], x: value < 0 ? 50 - width : 50, y: 0, width, height: 9 };
    const drawn = svg("svg", { viewBox: "0 0 100 9", preserveAspectRatio: "none", "aria-hidden": "true" });
    drawn.append(svg("rect", shape), svg("line", { class: "axis", x1: 50, x2: 50, y1: 0, y2: 9 }));
    return [el("span", {}, model(part)), drawn, el("b", {}, `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`)];
  });
  const note = "What each part adds to the item's score, against the mean of all candidates this user had.";
  return [el("p", {}, note), ...rows];
}

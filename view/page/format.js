// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (n) => (n === null || n === undefined ? "–" : whole.format(n));
export const compact = (n) => (n < 10000 ? whole.format(n) : short.format(n));
export const share = (x) => (x === null || x === undefined ? "–" : x.toFixed(3));
export const percent = (x) => `${(100 * x).toFixed(1)} %`;

/** A length of time in ms, as "340 ms" or "1.2 s". */
export function span(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)} s`;
  if (ms < 3600000) return `${+(ms / 60000).toFixed(ms < 600000 ? 1 : 0)} min`;
  if (ms < 172800000) return `${Math.round(ms / 3600000)} h`;
  return `${Math.round(ms / 86400000)} days`;
}

/** An event time: the hour of today, the day of the past. */
export function at(ms) {
  const then = new Date(ms);
  const today = new Date().toDateString() === then.toDateString();
  return today
    ? then.toLocaleTimeString("en-GB")
    : then.toLocaleString("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
}

export const day = (ms) => new Date(ms).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });

const NAMES = {
  head: "learned head",
  mixture: "experts agree",
  network: "context network",
  own_items: "own items",
  own_sequence: "own sequence",
  sequential_rules: "what follows",
  together: "what goes together",
  frozen_text: "text",
  fresh_text: "text of new items",
  item_life: "age of the item",
  popularity_all_time: "popularity, all time",
};

/** The name of a model or of a part of the blend. */
export function model(name) {
  const halfLife = /^popularity_([\d.e+]+)$/.exec(name);
  if (halfLife) return `popularity, last ${compact(Number(halfLife[1]))}`;
  return NAMES[name] ?? name.replaceAll("_", " ");
}

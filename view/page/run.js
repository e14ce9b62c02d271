// The run: figures of now, curves, and where every record went.

import { byId, el } from "./dom.js";
import { Chart } from "./chart.js";
import { at, compact, count, day, model, percent, share, span } from "./format.js";

const OWN = "headwater";
const clock = (s) => new Date(s * 1000).toLocaleTimeString("en-GB");
const quality = (title) => ({ title, least: 0.04, formatX: compact, formatY: (x, tick) => (tick ? x.toFixed(2) : share(x)) });

const charts = {
  hr: new Chart(byId("chart-hr"), quality("HR@10")),
  ndcg: new Chart(byId("chart-ndcg"), quality("NDCG@10")),
  fresh: new Chart(byId("chart-fresh"), { title: "Event to list", least: 100, formatX: clock, formatY: span }),
  rate: new Chart(byId("chart-rate"), { title: "Events per second", least: 4, whole: true, formatX: clock, formatY: (x) => (x < 10 && x % 1 ? x.toFixed(1) : count(x)) }),
  cover: new Chart(byId("chart-cover"), { title: "Catalogue coverage", least: 0.004, formatX: compact, formatY: (x, tick) => (tick ? `${+(100 * x).toFixed(1)} %` : percent(x)) }),
  lag: new Chart(byId("chart-lag"), { title: "Consumer lag", least: 4, whole: true, formatX: clock, formatY: count }),
};

/** Shows the state of the run as the server told it. */
export function show(run) {
  byId("name").textContent = run.name;
  document.title = `${run.name} · Headwater`;
  byId("head").textContent = run.head ? `head ${at(run.head)} · ${run.model_id.split("@")[0]}` : "";
  byId("head").title = `head ${run.head}, model ${run.model_id}`;
  status(run);
  const baseline = yardstick(run.quality.models);
  tiles(run, baseline);
  curves(run, baseline);
  tables(run);
}

function status(run) {
  const line = byId("status");
  const live = run.kind === "live";
  line.dataset.state = live || !run.finished ? "live" : "done";
  const what = live ? "live" : run.finished ? "replay, finished" : "replay, running";
  line.lastElementChild.textContent = run.ready ? what : `reading, ${count(run.behind)} records to go`;
}

/** The popularity that a run is held against: the best of those with a half-life. */
function yardstick(models) {
  const names = Object.keys(models).filter((name) => name.startsWith("popularity"));
  return names.sort((a, b) => (models[b].whole["hr@10"] ?? 0) - (models[a].whole["hr@10"] ?? 0))[0];
}

const newest = (values) => values?.findLast((each) => each !== null);

function tiles(run, baseline) {
  const { models, window } = run.quality;
  const { now } = run.pulse;
  const own = newest(models[OWN]?.["hr@10"]);
  const base = newest(models[baseline]?.["hr@10"]);
  const dead = Object.values(run.dead_letters).reduce((sum, each) => sum + each, 0);
  const live = run.kind === "live";
  const figures = [
    ["HR@10", share(own), base ? `${(own / base).toFixed(2)} × popularity (${share(base)})` : `last ${count(Math.min(window, run.quality.events))} events`, "main"],
    live
      ? ["Event to list", span(now.fresh_ms.p50), `p95 ${span(now.fresh_ms.p95)} · p99 ${span(now.fresh_ms.p99)}`]
      : ["NDCG@10", share(newest(models[OWN]?.["ndcg@10"])), `last ${count(window)} events`],
    ["Events", live ? el("span", {}, count(now.events_per_s), el("small", {}, " /s")) : count(run.accepted), live ? `${count(run.accepted)} in all` : `${count(run.duplicates)} duplicates`],
    ["Lists", live ? el("span", {}, count(now.lists_per_s), el("small", {}, " /s")) : count(run.lists), live ? `${count(run.lists)} in all` : `up to ${run.tick ? day(run.tick) : "–"}`],
    ["Coverage", percent(run.coverage), `${count(run.listed)} of ${count(run.catalogue)} items`],
    live ? ["Lag", count(now.job_lag), `${count(dead)} dead letters`] : ["Dead letters", count(dead), "none is lost"],
  ];
  const nodes = figures.map(([name, value, note, kind = ""]) => el("dl", { class: `tile ${kind}` }, el("dt", {}, name), el("dd", {}, value), el("p", { title: note }, note)));
  byId("tiles").replaceChildren(...nodes);
}

function curves(run, baseline) {
  const { quality, pulse } = run;
  const live = run.kind === "live";
  for (const name of ["fresh", "lag"]) charts[name].figure.hidden = !live; // a clock says nothing about a log of the past
  charts.rate.figure.hidden = !live && run.finished;
  const others = Object.keys(quality.models)
    .filter((name) => ![OWN, "headwater_request", baseline].includes(name) && !name.startsWith("popularity"))
    .sort((a, b) => (quality.models[b].whole["hr@10"] ?? 0) - (quality.models[a].whole["hr@10"] ?? 0));
  const drawn = [OWN, baseline, ...others.slice(0, 3)].filter((name) => name in quality.models);
  const colours = ["c0", "c1", "c2", "c3", "cx"];
  const note = `over the last ${count(Math.min(quality.window, quality.events))} of ${count(quality.events)} events`;
  for (const [chart, measure] of [[charts.hr, "hr@10"], [charts.ndcg, "ndcg@10"]]) {
    chart.draw(quality.at, drawn.map((name, n) => ({ label: model(name), colour: colours[n], values: quality.models[name][measure] })), note);
  }
  const fresh = Object.entries(pulse.fresh_ms).map(([name, values], n) => ({ label: name, colour: ["c0", "c6", "c2"][n], values }));
  charts.fresh.draw(pulse.at_s, fresh, "until a reader has it");
  charts.rate.draw(pulse.at_s, [{ label: "events", colour: "c0", values: pulse.events_per_s }, { label: "lists", colour: "c6", values: pulse.lists_per_s }], "last ten minutes");
  charts.cover.draw(quality.at, [{ label: "items in newest lists", colour: "c0", values: quality.covered }], `of ${count(run.catalogue)} items`);
  charts.lag.draw(pulse.at_s, [{ label: "events the job has not committed", colour: "c0", values: pulse.job_lag }], "at its last checkpoint");
}

function tables(run) {
  const { models } = run.quality;
  const ranked = Object.keys(models).filter((name) => name !== "headwater_request").sort((a, b) => (models[b].whole["hr@10"] ?? 0) - (models[a].whole["hr@10"] ?? 0));
  byId("models").tBodies[0].replaceChildren(
    ...ranked.map((name) => el("tr", { class: name === OWN ? "own" : null }, el("td", {}, model(name)), el("td", {}, share(models[name].whole["hr@10"])), el("td", {}, share(models[name].whole["ndcg@10"])))),
  );
  const reasons = Object.entries(run.dead_letters);
  byId("dead").hidden = !reasons.length;
  byId("dead").tBodies[0].replaceChildren(...reasons.map(([reason, n]) => el("tr", {}, el("td", {}, reason), el("td", {}, count(n)))));
  const told = reasons.length ? "" : "No record was refused. ";
  byId("balance").textContent = `${told}${count(run.accepted)} events accepted, ${count(run.duplicates)} duplicates dropped.`;
}

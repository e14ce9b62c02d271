// One user: recent events, the list now with its reasons, the list before, and what moved between them.

import { byId, el, keyed } from "./dom.js";
import { at, count } from "./format.js";
import * as why from "./why.js";

let shown = null; // the user's state at hand
let canClick = false;
const opened = new Set(); // items whose reasons are unfolded

/** Shows the state of a user as the server told it. */
export function show(state, clicks) {
  const changed = shown && shown.user === state.user && shown.at !== state.at;
  if (!shown || shown.user !== state.user) opened.clear();
  const before = shown && shown.user === state.user ? places() : new Map();
  shown = state;
  canClick = clicks;
  caption(state);
  legend(state.parts);
  list(state, changed);
  if (changed) move(before);
  listBefore(state.before);
  fold();
  events(state.events);
  if (changed) byId("said").textContent = `The list of ${state.user} has changed.`;
}

export const current = () => shown;

/** Shows the first ten places of the lists, or all of them. */
function fold() {
  const more = byId("more");
  const all = more.getAttribute("aria-expanded") === "true";
  const places = shown.items.length;
  more.hidden = places <= 10;
  more.textContent = all ? "Show ten" : `Show all ${places}`;
  for (const id of ["now", "before", "events"]) byId(id).classList.toggle("short", !all);
}

byId("more").addEventListener("click", () => {
  const more = byId("more");
  more.setAttribute("aria-expanded", String(more.getAttribute("aria-expanded") !== "true"));
  fold();
});

function caption(state) {
  const line = byId("caption");
  if (state.source === "fallback") {
    line.replaceChildren(el("b", {}, state.user), " has no list yet; this is what is popular now.");
    return;
  }
  const moved = state.items.filter(({ was }, place) => was !== place + 1).length;
  const change = state.before ? `, ${moved} of ${state.items.length} places changed by it` : "";
  line.replaceChildren(el("b", {}, state.user), ` · list of ${at(state.at)}, after event ${short(state.after.event_id)}${change}`);
  line.title = `head ${state.head}, model ${state.model_id}, partition ${state.after.partition}, offset ${state.after.offset}`;
}

const short = (id) => (id.length > 18 ? `${id.slice(0, 16)}…` : id);

function legend(parts) {
  const marks = why.legend(parts).map(([name, colour]) => el("li", {}, el("i", { class: colour }), name));
  byId("legend").replaceChildren(...marks);
}

function list(state, changed) {
  const told = state.items.filter((each) => each.why && Object.keys(each.why).length);
  const most = why.scaleOf(told);
  const now = byId("now");
  const byItem = new Map(state.items.map((each, place) => [each.item, { ...each, place: place + 1 }]));
  const known = new Set([...now.children].map((node) => node.dataset.key));
  keyed(now, byItem.keys(), row);
  for (const node of now.children) {
    fill(node, byItem.get(node.dataset.key), most, state.source === "list");
    node.classList.remove("fresh");
    if (changed && !known.has(node.dataset.key)) {
      void node.offsetWidth; // so that the animation starts again
      node.classList.add("fresh");
    }
  }
  if (!state.items.length) now.replaceChildren(el("li", { class: "none" }, "Nothing is known yet: no event has been learned."));
}

function row(item) {
  const title = el("button", { type: "button", class: "title", "aria-expanded": "false" }, el("b"), el("small"));
  const click = el("button", { type: "button", class: "click", hidden: "" }, "Click");
  const reasons = el("div", { class: "why", hidden: "" });
  const node = el("li", { class: "row" }, el("div", { class: "line" }, el("span", { class: "place" }), el("span", { class: "move" }), title, el("span", { class: "share" }), click), reasons);
  title.addEventListener("click", () => unfold(node, item));
  click.addEventListener("click", () => send(click, item));
  return node;
}

function fill(node, item, most, isList) {
  const [place, moved, title, share, click] = node.firstElementChild.children;
  place.textContent = item.place;
  const [text, kind, told] = movement(item, isList);
  moved.textContent = text;
  moved.className = `move ${kind}`;
  moved.title = told;
  const hasWhy = item.why && Object.keys(item.why).length > 0;
  title.firstElementChild.textContent = item.title || item.item;
  title.lastElementChild.textContent = item.about.replaceAll("|", ", ");
  title.title = item.title ? `${item.title} (${item.item})` : item.item;
  title.disabled = !hasWhy;
  share.replaceChildren(...(hasWhy ? [why.bar(item.why, most), why.words(item.why)] : []));
  click.hidden = !canClick;
  click.setAttribute("aria-label", `Send a click on ${item.title || item.item}`);
  if (hasWhy) node.lastElementChild.replaceChildren(...why.table(item.why));
  else opened.delete(item.item);
  node.lastElementChild.hidden = !opened.has(item.item);
  title.setAttribute("aria-expanded", String(opened.has(item.item)));
}

function movement({ place, was }, isList) {
  if (!isList || !shown.before) return ["", "", ""];
  if (was === null) return ["new", "new", "not in the list before"];
  if (was > place) return [`▲ ${was - place}`, "up", `was ${was}`];
  if (was < place) return [`▼ ${place - was}`, "down", `was ${was}`];
  return ["=", "", "as before"];
}

function unfold(node, item) {
  if (!opened.delete(item)) opened.add(item);
  node.lastElementChild.hidden = !opened.has(item);
  node.querySelector(".title").setAttribute("aria-expanded", String(opened.has(item)));
}

async function send(button, item) {
  const { user } = shown;
  button.disabled = true;
  const sent = await fetch("/events", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ user, item }) });
  const said = sent.ok ? `Sent: ${user} clicked ${item}.` : (await sent.json()).detail;
  byId("said").textContent = said;
  if (!sent.ok) byId("caption").textContent = said;
  button.disabled = false;
}

/** Where each row of the list stands on the screen. */
function places() {
  return new Map([...byId("now").children].map((node) => [node.dataset.key, node.getBoundingClientRect().top]));
}

/** Lets rows glide from where they were. */
function move(before) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const node of byId("now").children) {
    const old = before.get(node.dataset.key);
    const gap = old === undefined ? 0 : old - node.getBoundingClientRect().top;
    if (gap) node.animate([{ transform: `translateY(${gap}px)` }, { transform: "none" }], { duration: 420, easing: "cubic-bezier(.2,.8,.2,1)" });
  }
}

function listBefore(before) {
  const items = before ? before.items : [];
  const rows = items.map(({ item, title, gone }, place) =>
    el("li", { class: gone ? "small gone" : "small", title: title ? `${title} (${item})` : item }, el("span", { class: "place" }, String(place + 1)), el("b", {}, title || item), el("small", {}, gone ? "left" : "")),
  );
  byId("before").replaceChildren(...(rows.length ? rows : [el("li", { class: "none" }, "No list before this one.")]));
}

function events(seen) {
  const rows = seen.map(({ item, title, at: ms, action, rank }) => {
    const ranked = rank === null ? "" : rank <= 10 ? el("em", {}, ` · was ranked ${rank}`) : ` · was ranked ${count(rank)}`;
    return el("li", { class: "event", title: item }, el("b", {}, title || item), el("small", {}, [at(ms), action].filter(Boolean).join(" · "), ranked));
  });
  byId("events").replaceChildren(...(rows.length ? rows : [el("li", { class: "none" }, "No event of this user has been seen.")]));
}


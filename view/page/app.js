// Wires the page: one stream of events from the server, the user at hand, the theme, and the token where one is asked.

import { byId } from "./dom.js";
import * as person from "./person.js";
import * as picker from "./picker.js";
import * as run from "./run.js";

let user = new URLSearchParams(location.search).get("user") ?? "";
let source = null;
let state = null;
let shownUser = null;
let offered = 0;

function connect() {
  source?.close();
  source = new EventSource(`/live${user ? `?user=${encodeURIComponent(user)}` : ""}`);
  source.addEventListener("run", (event) => {
    state = JSON.parse(event.data);
    run.show(state);
    offer();
  });
  source.addEventListener("user", (event) => {
    shownUser = JSON.parse(event.data);
    person.show(shownUser, state?.clicks ?? false);
  });
  source.addEventListener("error", lost);
}

async function lost() {
  const line = byId("status");
  line.dataset.state = "gone";
  line.lastElementChild.textContent = "not connected, trying again";
  const answer = await fetch("/users?k=1").catch(() => null);
  if (answer?.status === 401 && !byId("login").open) {
    source.close();
    byId("login").showModal();
  }
}

function pick(chosen) {
  user = chosen;
  byId("user").value = chosen;
  history.replaceState(null, "", `?user=${encodeURIComponent(chosen)}`);
  connect();
  offer(true);
}

/** Refreshes the users on offer every few seconds, but not while somebody is about to choose one. */
async function offer(now = false) {
  const busy = byId("recent").matches(":hover, :focus-within");
  if (!now && (busy || Date.now() - offered < 4000)) return;
  offered = Date.now();
  const answer = await fetch("/users?k=12").catch(() => null);
  if (!answer?.ok) return;
  const { users } = await answer.json();
  picker.offer(users, user);
  if (!user && users.length) pick(users[0]);
}

function theme() {
  const button = byId("theme");
  const root = document.documentElement;
  const order = ["auto", "light", "dark"];
  const tell = () => {
    const name = root.dataset.theme ?? "auto";
    button.textContent = `Theme: ${name}`;
  };
  button.addEventListener("click", () => {
    const next = order[(order.indexOf(root.dataset.theme ?? "auto") + 1) % order.length];
    if (next === "auto") {
      delete root.dataset.theme;
      localStorage.removeItem("theme");
    } else {
      root.dataset.theme = next;
      localStorage.setItem("theme", next);
    }
    tell();
  });
  tell();
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = byId("token").value;
  const answer = await fetch("/session", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }) });
  if (answer.ok) {
    byId("token").value = "";
    byId("login").close();
    connect();
  } else {
    byId("login-error").textContent = (await answer.json()).detail;
  }
});

theme();
byId("user").value = user;
picker.start(pick);
connect();

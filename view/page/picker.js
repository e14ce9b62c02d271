// The user field: a combobox over the users that are known; any other text is a user too.

import { byId, el, keyed } from "./dom.js";

/** Calls `pick(user)` when a user was chosen. */
export function start(pick) {
  const input = byId("user");
  const list = byId("found");
  let asked = 0;

  const options = () => [...list.children];
  const marked = () => options().findIndex((option) => option.getAttribute("aria-selected") === "true");

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function mark(place) {
    options().forEach((option, n) => option.setAttribute("aria-selected", String(n === place)));
    const option = options()[place];
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    }
  }

  function choose(user) {
    input.value = user;
    close();
    if (user) pick(user);
  }

  async function look() {
    asked += 1;
    const mine = asked;
    const answer = await fetch(`/users?k=12&prefix=${encodeURIComponent(input.value)}`);
    if (!answer.ok || mine !== asked || document.activeElement !== input) return;
    const { users } = await answer.json();
    list.replaceChildren(...users.map((user, n) => el("li", { role: "option", id: `option-${n}`, "aria-selected": "false" }, user)));
    list.hidden = !users.length;
    input.setAttribute("aria-expanded", String(users.length > 0));
  }

  input.addEventListener("input", look);
  input.addEventListener("focus", look);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && !list.hidden) {
      event.preventDefault();
      mark((marked() + step + options().length) % options().length);
    } else if (event.key === "Enter") {
      choose(marked() < 0 ? input.value : options()[marked()].textContent);
    } else if (event.key === "Escape") {
      close();
    }
  });
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // the field keeps the focus
    if (event.target.getAttribute("role") === "option") choose(event.target.textContent);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      input.focus();
      input.select();
    }
  });
  byId("recent").addEventListener("click", (event) => {
    if (event.target.tagName === "BUTTON") choose(event.target.dataset.key);
  });
}

/** Offers users to pick from. */
export function offer(users, chosen) {
  const row = byId("recent");
  keyed(row, users, (user) => el("button", { type: "button", title: user }, user));
  for (const button of row.children) button.setAttribute("aria-pressed", String(button.dataset.key === chosen));
}

// Elements from plain data. Text goes in as text, so that no id or title is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

/** Returns an element; `attributes` with the value null are left out, children are nodes or text. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Returns an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export const byId = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Makes `parent`'s children those of `keys`, in order: nodes of the same key stay, so that focus and state do too. */
export function keyed(parent, keys, make) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let place = parent.firstElementChild;
  for (const key of keys) {
    let node = old.get(key);
    old.delete(key);
    if (!node) {
      node = make(key);
      node.dataset.key = key;
    }
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  for (const node of old.values()) node.remove();
}

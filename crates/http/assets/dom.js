// Elements made by code. Text always becomes a text node, so nothing that a server sends is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `attributes`: `on` holds listeners, `data` the dataset; null, undefined and false are left out. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of SVG. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) set(element, name, value);
  append(element, children);
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "on") {
    for (const [kind, listener] of Object.entries(value)) element.addEventListener(kind, listener);
  } else if (name === "data") {
    Object.assign(element.dataset, value);
  } else {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Puts new content in place of the old, and keeps what the reader has there: the focus, and what is unfolded. */
export function replace(element, ...children) {
  const focused = element.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  const open = new Set([...element.querySelectorAll("details[open]")].map(keyOf));
  element.replaceChildren();
  append(element, children);
  for (const details of element.querySelectorAll("details")) {
    if (open.has(keyOf(details))) details.open = true;
  }
  if (focused) find(element, focused)?.focus({ preventScroll: true });
}

/** What stays the same of an element from one drawing to the next. */
function keyOf(element) {
  return element.id || element.dataset.key || element.getAttribute("href") || element.textContent;
}

function find(element, key) {
  const able = element.querySelectorAll("a, button, input, select, summary, [tabindex]");
  return [...able].find((candidate) => keyOf(candidate) === key);
}

let made = 0;

/** An id that no other element has, for labels and descriptions. */
export function freshId(word) {
  made += 1;
  return `${word}-${made}`;
}

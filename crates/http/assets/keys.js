// Keys for those who do not like to reach for the mouse. They can be turned off, because single letters get in the way of speech input.

import { freshId, h } from "./dom.js";
import { modal } from "./parts/dialog.js";
import { PLACES } from "./places.js";
import { go } from "./router.js";
import { session } from "./session.js";

const KEPT = "nodekeep-keys";
const SEQUENCE_MS = 1_200;

let leader = 0;

/** Listens. */
export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (!session() || isTyping(event) || !areOn()) return;
    if (event.key === "?") showKeys();
    else if (event.key === "/") focusFilter(event);
    else if (event.key === "g") leader = event.timeStamp;
    else jump(event);
  });
}

function isTyping(event) {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  return typing || event.ctrlKey || event.metaKey || event.altKey;
}

/** `g` and then a letter goes to a place. */
function jump(event) {
  const place = PLACES.find(([, , key]) => key === event.key);
  if (place && event.timeStamp - leader < SEQUENCE_MS) go(`#${place[0]}`);
  leader = -SEQUENCE_MS;
}

function focusFilter(event) {
  const filter = document.querySelector("main [data-filter]");
  if (!filter) return;
  event.preventDefault();
  filter.focus();
}

function areOn() {
  try {
    return localStorage.getItem(KEPT) !== "off";
  } catch {
    return true;
  }
}

function turn(on) {
  try {
    localStorage.setItem(KEPT, on ? "on" : "off");
  } catch {
    // Without storage they stay on.
  }
}

/** Shows what there is. */
export function showKeys() {
  if (document.querySelector("dialog[open]")) return;
  const id = freshId("keys");
  const rows = [["?", "This list"], ["/", "To the filter of the page"], ...PLACES.map(([, title, key]) => [`g ${key}`, title])];
  const list = rows.map(([keys, title]) => h("div", {}, h("dt", {}, keys.split(" ").map((key) => h("kbd", {}, key))), h("dd", {}, title)));
  const check = h("input", { type: "checkbox", id, checked: areOn(), on: { change: (event) => turn(event.target.checked) } });
  modal("Keyboard", [h("dl", { class: "keys-list" }, list), h("p", {}, "Tab and Shift+Tab move, Enter follows, Space presses, Escape closes."), h("p", { class: "check" }, check, h("label", { for: id }, "Use these keys"))]);
}

// The overview as it was last told, shared by every view, asked for again when the daemon says that it changed.

import { get } from "./api.js";
import { on } from "./live.js";

const DEBOUNCE_MS = 400;

const hub = new EventTarget();
let last = null;
let asking = null;
let soon = null;

/** The overview: what is known, or asked for now. */
export async function fleet() {
  return last ?? refresh();
}

/** The overview if it is known. */
export function known() {
  return last;
}

/** Asks for it anew. Those who ask at once share one request. */
export function refresh() {
  asking ??= get(["overview"])
    .then((told) => {
      last = told;
      hub.dispatchEvent(new CustomEvent("change", { detail: told }));
      return told;
    })
    .finally(() => {
      asking = null;
    });
  return asking;
}

/** Calls `handler(overview)` at each change until `signal` ends. */
export function onFleet(handler, signal) {
  hub.addEventListener("change", (event) => handler(event.detail), { signal });
}

/** Forgets it, for a sign-out. */
export function forget() {
  last = null;
}

on("overview", () => {
  clearTimeout(soon);
  soon = setTimeout(() => refresh().catch(() => {}), DEBOUNCE_MS); // The mark of the connection says it if it fails.
});

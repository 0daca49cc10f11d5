// Short messages: a screen reader hears them from a live region, everybody else sees them for a while.

import { h } from "../dom.js";
import { sentence } from "../text.js";

const SHOWN_MS = 6_000;

/** Says that something happened. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
  const toast = h("p", { class: "toast" }, text);
  document.getElementById("toasts").append(toast);
  setTimeout(() => toast.remove(), SHOWN_MS);
}

/** Says what went wrong, with what to do. */
export function announceFailure(failure) {
  announce([sentence(failure.message), failure.hint].filter(Boolean).join(" "));
}

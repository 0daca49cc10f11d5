// Short messages: a screen reader hears them from a live region, everybody else sees them for a while.

import { h } from "../dom.js";
import { sentence } from "../text.js";

const SHOWN_MS = 6_000;
const MOST = 2;

/** Says that something happened. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
  const toast = h("p", { class: "toast" }, text);
  const toasts = document.getElementById("toasts");
  toasts.append(toast);
  if (toasts.childElementCount > MOST) toasts.firstElementChild.remove();
  setTimeout(() => toast.remove(), SHOWN_MS);
}

/** Says what went wrong, with what to do. */
export function announceFailure(failure) {
  announce([sentence(failure.message), failure.hint].filter(Boolean).join(" "));
}

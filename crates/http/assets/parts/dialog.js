// Dialogs. The browser's own <dialog> keeps the focus inside, closes on Escape and gives the focus back.

import { freshId, h } from "../dom.js";
import { icon } from "./icon.js";

/** Opens a dialog. `stays`: it has no button to close it, and outlasts the first Escape; browsers let nothing outlast the second. `onClose` runs once it is closed, however that came. */
export function modal(title, content, { stays = false, wide = false, onClose } = {}) {
  const id = freshId("dialog");
  const heading = h("h2", { id }, title);
  const close = stays ? null : h("button", { class: "bare close", type: "button", "aria-label": "Close", on: { click: () => dialog.close() } }, icon("close"));
  const body = h("div", { class: "dialog-body" }, content);
  const dialog = h("dialog", { class: wide ? "wide" : null, "aria-labelledby": id }, h("header", {}, heading, close), body);
  dialog.addEventListener("cancel", (event) => {
    if (stays && event.target === dialog) event.preventDefault();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    onClose?.();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// What stands where content would: loading, nothing there, or an error with a way on.

import { h } from "../dom.js";
import { sentence } from "../text.js";
import { icon } from "./icon.js";

/** Nothing there: a sentence, and what to do about it. */
export function empty(text, ...more) {
  return h("div", { class: "empty" }, h("p", {}, text), more);
}

/** A command to type on the machine, with a button that copies it. */
export function command(text) {
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  };
  const able = Boolean(navigator.clipboard); // Browsers have it on loopback and over TLS only.
  const button = able && h("button", { class: "bare copy", type: "button", "aria-label": `Copy: ${text}`, on: { click: copy } }, icon("copy"));
  return h("span", { class: "command" }, h("code", {}, text), button);
}

/** What went wrong, what to do, and a button that tries again. */
export function problem(failure, again) {
  const hint = failure.hint && h("p", { class: "hint" }, failure.hint);
  const button = again && h("button", { type: "button", on: { click: again } }, "Try again");
  return h("div", { class: "problem", role: "alert" }, icon("failed"), h("div", {}, h("p", {}, sentence(failure.message)), hint, button));
}

/** A remark in a box, with its drawing. */
export function remark(kind, drawing, ...content) {
  return h("div", { class: `remark ${kind}` }, icon(drawing), h("div", {}, content));
}

/** A writer's daemon cannot read what it wrote; that is by design, and no error. */
export function writerOnly() {
  return remark("info", "info",
    h("p", {}, h("strong", {}, "This daemon is a writer."), " Its credential can back up, and read nothing back: whoever breaks into this machine cannot read the backups."),
    h("p", {}, "Browse, compare, verify, drill and restore on the dashboard of a keeper's or owner's daemon."));
}

/** While it loads. It appears late, so that fast answers do not flicker. */
export function loading() {
  return h("p", { class: "loading", role: "status" }, "Loading…");
}

// A part of a page that asks for its own content, and says how that goes.

import { freshId, h, replace } from "../dom.js";
import { on } from "../live.js";
import { loading, problem } from "./notice.js";

/**
 * A section with a heading. `load(signal)` asks, `draw(told)` makes elements.
 * It is drawn anew for each kind of event named in `live`. `aside` stands beside the heading.
 */
export function section(title, { load, draw, signal, live = [], aside = null, quiet = false }) {
  const id = freshId("section");
  const body = h("div", { class: "section-body", "aria-busy": "true" }, loading());
  const refresh = () => show(body, load, draw, signal, refresh);
  for (const kind of live) on(kind, gently(() => isUnread(body) && refresh()), signal);
  refresh();
  const heading = h("h2", { id, class: quiet ? "unseen" : null }, title);
  const head = quiet && !aside ? heading : h("header", { class: "section-head" }, heading, aside);
  return h("section", { "aria-labelledby": id }, head, body);
}

async function show(body, load, draw, signal, again) {
  try {
    const told = await load(signal);
    if (signal.aborted) return;
    replace(body, draw(told, again));
  } catch (failure) {
    if (signal.aborted || failure.name === "AbortError") return;
    replace(body, problem(failure, again));
  } finally {
    body.removeAttribute("aria-busy");
  }
}

/** Whoever has asked for more of a long list goes on reading it; drawing it anew would take the rest away. */
function isUnread(body) {
  return body.querySelector(".paged[data-grown]") === null;
}

/** At most once in a while, and once more at the end: events can come four times a second. */
function gently(refresh, pause = 1500) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      refresh();
    }, pause);
  };
}

/** A section whose content is there already. */
export function block(title, content, { aside = null, quiet = false } = {}) {
  const id = freshId("section");
  const heading = h("h2", { id, class: quiet ? "unseen" : null }, title);
  return h("section", { "aria-labelledby": id }, h("header", { class: "section-head" }, heading, aside), h("div", { class: "section-body" }, content));
}

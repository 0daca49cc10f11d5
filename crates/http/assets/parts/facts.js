// Names with values, and marks of a state.

import { h } from "../dom.js";
import { icon } from "./icon.js";
import { stateOf, word } from "../verdict.js";

/** A list of `[name, value, note]`; rows without a value are left out. */
export function facts(rows) {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined);
  return h("dl", { class: "facts" }, shown.map(([name, value, note]) => h("div", {}, h("dt", {}, name), h("dd", {}, value, note && h("span", { class: "note" }, note)))));
}

/** The mark of a node's state: drawing and word. */
export function stateMark(node) {
  const state = stateOf(node);
  return mark(state, state, word(state));
}

/** A drawing and a word in the colour of a state. */
export function mark(kind, drawing, text) {
  return h("span", { class: `mark state-${kind}` }, icon(drawing), h("span", {}, text));
}

const JOBS = { waiting: ["never", "waiting", "Waiting"], running: ["safe", "running", "Running"], done: ["safe", "safe", "Done"], failed: ["failed", "failed", "Failed"], lost: ["overdue", "overdue", "Lost"] };

/** The mark of a job's state. */
export function jobMark(job) {
  const [kind, drawing, text] = JOBS[job.state] ?? ["never", "never", job.state];
  return mark(kind, drawing, text);
}

/** Yes or no as a mark. */
export function outcome(ok, well, bad) {
  return ok ? mark("safe", "safe", well) : mark("failed", "failed", bad);
}

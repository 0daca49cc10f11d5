// Snapshots as rows. Two can be chosen to be compared.

import { h } from "../dom.js";
import { to } from "../router.js";
import { bytes, number, short } from "../text.js";
import { duration, when } from "../time.js";
import { mark } from "./facts.js";
import { table } from "./table.js";

const COLUMNS = [
  { title: "When", kind: "main", cell: (item) => h("a", { href: to("/snapshots", item.id) }, when(item.at)) },
  { title: "Node", cell: (item) => (item.node ? h("a", { href: to("/nodes", item.node) }, item.node) : h("span", { class: "path" }, item.paths.join(", "))) },
  { title: "Position", kind: "wide", cell: (item) => item.position },
  { title: "State", cell: state },
  { title: "Size", kind: "number", cell: (item) => bytes(item.bytes) },
  { title: "New", kind: "number", cell: (item) => bytes(item.added_bytes) },
  { title: "Files", kind: "number rare", cell: (item) => number(item.files) },
  { title: "Took", kind: "number rare", cell: (item) => duration(item.duration) },
  { title: "Id", kind: "rare", cell: (item) => h("code", {}, item.short ?? short(item.id)) },
];

function state(item) {
  const whole = item.complete ? mark("safe", "safe", "Complete") : mark("at-risk", "at-risk", "Incomplete");
  return item.held ? [whole, h("span", { class: "note" }, "held")] : whole;
}

/** A table of snapshots. With `choice`, a set of ids, a box before each row puts it in or out. */
export function snapshotTable(items, { choice = null, changed = null, node = null } = {}) {
  const columns = COLUMNS.filter(({ title }) => !(node && title === "Node"));
  const box = { title: "Compare", cell: (item) => checkbox(item, choice, changed) };
  return table("Snapshots, the newest first", choice ? [box, ...columns] : columns, items);
}

function checkbox(item, choice, changed) {
  const change = (event) => {
    if (event.target.checked) choice.add(item.id);
    else choice.delete(item.id);
    changed();
  };
  return h("input", { type: "checkbox", checked: choice.has(item.id), data: { key: `compare ${item.id}` }, "aria-label": `Compare the snapshot ${item.short ?? short(item.id)}`, on: { change } });
}

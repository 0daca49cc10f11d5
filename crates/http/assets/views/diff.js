// What changed from one snapshot to another, in the node's terms first, then file by file.

import { get } from "../api.js";
import { h } from "../dom.js";
import { fleet } from "../fleet.js";
import { facts } from "../parts/facts.js";
import { empty, writerOnly } from "../parts/notice.js";
import { section } from "../parts/section.js";
import { paged, table } from "../parts/table.js";
import { go, to } from "../router.js";
import { bytes, number, readable, short } from "../text.js";

const PAGE = 500;

/** A sign, a word and a colour for each kind of change. */
const CHANGES = { added: ["+", "Added", "added"], removed: ["−", "Removed", "removed"], changed: ["±", "Changed", "changed"], metadata: ["·", "Metadata", "never"] };

export async function view({ query, signal }) {
  const { role } = await fleet();
  const title = "What changed";
  if (role === "writer") return { title, body: [writerOnly()] };
  const { from, to: until } = query;
  if (!from || !until) return { title, body: [empty("Two snapshots are compared; choose them in the list.", h("a", { href: "#/snapshots" }, "To the snapshots"))] };
  const load = (after) => get(["diff"], { from, to: until, limit: PAGE, after }, signal);
  const swap = h("button", { type: "button", on: { click: () => go(to("/diff", { from: until, to: from })) } }, "Swap");
  const lead = h("p", { class: "lead" }, "From ", snapshotLink(from), " to ", snapshotLink(until), " ", swap);
  return { title, lead, body: [section("Changes", { load: () => load(null), draw: (told) => content(told, load), signal, quiet: true })] };
}

function snapshotLink(id) {
  return h("a", { href: to("/snapshots", id) }, h("code", {}, short(id)));
}

function content(told, load) {
  const { summary } = told;
  const terms = summary.lines.length > 0 && h("ul", { class: "terms" }, summary.lines.map((line) => h("li", {}, line)));
  const figures = facts([
    ["Added", number(summary.added), `${bytes(summary.bytes_added)} more`],
    ["Removed", number(summary.removed), `${bytes(summary.bytes_removed)} less`],
    ["Changed", number(summary.changed)],
  ]);
  const list = told.items.length > 0 ? paged(told, load, changeTable) : empty("No file differs.");
  return [terms, figures, list];
}

function changeTable(items) {
  return table("Changed files", [
    { title: "Change", cell: ({ change }) => changeMark(change) },
    { title: "Path", kind: "main", cell: ({ path }) => h("span", { class: "path" }, readable(path)) },
    { title: "Kind", cell: ({ kind }) => kind },
    { title: "Before", kind: "number", cell: ({ bytes_from: size }) => bytes(size) },
    { title: "After", kind: "number", cell: ({ bytes_to: size }) => bytes(size) },
  ], items);
}

function changeMark(change) {
  const [sign, text, kind] = CHANGES[change] ?? CHANGES.changed;
  return h("span", { class: `mark change-${kind}` }, h("span", { class: "sign", "aria-hidden": "true" }, sign), text);
}

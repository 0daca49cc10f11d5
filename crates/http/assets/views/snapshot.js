// One snapshot: what it holds in the node's terms, and what can be done with it.

import { get } from "../api.js";
import { h } from "../dom.js";
import { fleet } from "../fleet.js";
import { actions } from "../parts/actions.js";
import { facts, mark } from "../parts/facts.js";
import { empty, writerOnly } from "../parts/notice.js";
import { block } from "../parts/section.js";
import { table } from "../parts/table.js";
import { to } from "../router.js";
import { bytes, number, sentence, short } from "../text.js";
import { duration, moment, when } from "../time.js";

const STATUS = { captured: "safe", partial: "at-risk", failed: "failed", absent: "never", skipped: "never" };

export async function view({ id, signal }) {
  const { role } = await fleet();
  if (role === "writer") return { title: `Snapshot ${short(id)}`, body: [writerOnly()] };
  const item = await get(["snapshots", id], {}, signal);
  const before = await previous(item, signal);
  const title = `${item.node ?? item.paths.join(", ")}, ${moment(item.at)}`;
  const body = [
    block("What it is", facts(about(item)), { quiet: true }),
    item.manifest && block("Components", components(item.manifest.components)),
    item.text?.length > 0 && block("In full", h("pre", { tabindex: "0", "aria-label": "In full" }, item.text.join("\n"))),
  ];
  return { title, head: crumb(item), lead: [links(item, before), item.node && actions({ node: item.node, snapshot: item.id, reads: true, only: ["verify", "drill", "restore"] })], body };
}

/** The snapshot of the same node that came before, to compare with; null if there is none among those near. */
async function previous({ id, node }, signal) {
  if (!node) return null;
  const { items } = await get(["snapshots"], { node, limit: 1000 }, signal);
  const index = items.findIndex((other) => other.id === id);
  return index >= 0 ? (items[index + 1] ?? null) : null;
}

function crumb(item) {
  const node = item.node && [h("a", { href: to("/nodes", item.node) }, item.node), " / "];
  return h("p", { class: "crumb" }, h("a", { href: "#/snapshots" }, "Snapshots"), " / ", node, h("code", {}, item.short ?? short(item.id)));
}

function links(item, before) {
  const browse = h("a", { class: "button primary", href: to("/snapshots", item.id, "files") }, "Browse files");
  const compare = before && h("a", { class: "button", href: to("/diff", { from: before.id, to: item.id }) }, "Compare with the one before");
  return h("p", { class: "actions" }, browse, compare);
}

function about(item) {
  return [
    ["Taken", when(item.at), `in ${duration(item.duration)}`],
    ["State", item.complete ? mark("safe", "safe", "Complete") : mark("at-risk", "at-risk", "Incomplete"), item.held ? "the node was kept still meanwhile" : null],
    ["Position", item.position],
    ["Size", bytes(item.bytes), `${number(item.files)} files`],
    ["New", bytes(item.added_bytes), "what the repository grew by"],
    ["Written on", item.host],
    ["Paths", h("span", { class: "path" }, item.paths.join(", "))],
    ["Tags", tags(item.tags)],
    ["Id", h("code", { class: "path" }, item.id)],
  ];
}

/** Tags come as a list or as names with values. */
function tags(given) {
  const list = Array.isArray(given) ? given : Object.entries(given ?? {}).map(([name, value]) => (value ? `${name}=${value}` : name));
  return list.length > 0 ? list.join(", ") : null;
}

function components(list) {
  if (list.length === 0) return empty("It names no components.");
  const status = (name) => STATUS[name] ?? "never";
  return table("Components", [
    { title: "Component", kind: "main", cell: ({ name }) => name },
    { title: "Kind", cell: ({ kind }) => kind },
    { title: "Status", cell: (item) => [mark(status(item.status), status(item.status), sentence(item.status)), item.torn ? h("span", { class: "note" }, "torn") : null] },
    { title: "Needed", cell: ({ required }) => (required ? "required" : "optional") },
    { title: "Size", kind: "number", cell: ({ bytes: size }) => bytes(size) },
    { title: "Position", kind: "wide", cell: ({ position }) => position },
    { title: "Note", kind: "wide", cell: ({ note }) => note },
  ], list);
}

// What the daemon saw and did, the newest first; new lines come on their own.

import { get } from "../api.js";
import { freshId, h } from "../dom.js";
import { mark } from "../parts/facts.js";
import { empty } from "../parts/notice.js";
import { section } from "../parts/section.js";
import { paged, table } from "../parts/table.js";
import { go, to } from "../router.js";
import { when } from "../time.js";

const PAGE = 200;
const LEVELS = { info: ["never", "info", "Info"], warn: ["at-risk", "at-risk", "Warning"], error: ["failed", "failed", "Error"] };

export async function view({ query, signal }) {
  const only = query.level ?? "";
  const load = (after) => get(["log"], { limit: PAGE, after }, signal);
  const draw = (told) => (told.items.length > 0 ? paged(told, load, (items) => logTable(items.filter(({ level }) => fits(level, only)))) : empty("Nothing has happened yet."));
  return { title: "Event log", lead: levelChoice(only), body: [section("Events", { load: () => load(null), draw, signal, live: ["log"], quiet: true })] };
}

function fits(level, only) {
  return only === "" || level === only || (only === "warn" && level === "error");
}

function levelChoice(chosen) {
  const id = freshId("level");
  const options = [["", "Everything"], ["warn", "Warnings and errors"], ["error", "Errors"]];
  const select = h("select", { id, data: { filter: "level" }, on: { change: (event) => go(to("/log", { level: event.target.value })) } }, options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  return h("p", { class: "choice" }, h("label", { for: id }, "Show"), select);
}

function logTable(items) {
  if (items.length === 0) return empty("Nothing of this kind among the lines that were loaded.");
  return table("Events, the newest first", [
    { title: "When", cell: ({ at }) => when(at) },
    { title: "Level", cell: ({ level }) => mark(...(LEVELS[level] ?? LEVELS.info)) },
    { title: "What", kind: "main", cell: ({ text }) => text },
    { title: "Node", cell: ({ node }) => node && h("a", { href: to("/nodes", node) }, node) },
    { title: "Job", cell: ({ job }) => job && h("a", { href: to("/jobs", job) }, "Job") },
  ], items, { class: "tight log" });
}

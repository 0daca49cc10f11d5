// Every snapshot on a line of time and as a list; two can be compared.

import { get } from "../api.js";
import { h } from "../dom.js";
import { fleet } from "../fleet.js";
import { nodeChoice } from "../parts/nodechoice.js";
import { command, empty, writerOnly } from "../parts/notice.js";
import { block, section } from "../parts/section.js";
import { snapshotTable } from "../parts/snapshots.js";
import { paged } from "../parts/table.js";
import { timeline } from "../parts/timeline.js";
import { go, to } from "../router.js";

const PAGE = 100;

export async function view({ query, signal }) {
  const { role, nodes } = await fleet();
  if (role === "writer") return { title: "Snapshots", body: [writerOnly()] };
  const node = query.node ?? null;
  const choice = new Set();
  const load = (after) => get(["snapshots"], { node, limit: PAGE, after }, signal);
  const list = section("Timeline", { load: () => load(null), draw: (told) => content(told, { load, node, choice }), signal, live: ["overview"] });
  return { title: node ? `Snapshots of ${node}` : "Snapshots", lead: nodeChoice(nodes, node, "/snapshots"), body: [list] };
}

function content(told, { load, node, choice }) {
  if (told.items.length === 0) return empty("There is no snapshot yet.", command(`nodekeep backup ${node ?? "NODE"}`));
  const bar = compareBar();
  const changed = () => bar.show(choice);
  const draw = (items) => {
    bar.items = items;
    bar.show(choice);
    return [timeline(items), block("List", [bar.element, snapshotTable(items, { choice, changed, node })], { quiet: true })];
  };
  return paged(told, load, draw);
}

/** The button that compares, and what it still waits for. */
function compareBar() {
  const note = h("span", { class: "note", role: "status" }, "Choose two to compare them.");
  const button = h("button", { type: "button", disabled: true, data: { key: "compare" } }, "Compare");
  const bar = { element: h("p", { class: "compare" }, button, note), items: [], show };
  let chosen = [];
  function show(choice) {
    chosen = bar.items.filter(({ id }) => choice.has(id)).map(({ id }) => id);
    button.disabled = chosen.length !== 2;
    note.textContent = chosen.length === 2 ? "" : chosen.length === 0 ? "Choose two to compare them." : `${chosen.length} chosen; choose two to compare them.`;
  }
  button.addEventListener("click", () => go(to("/diff", { from: chosen[1], to: chosen[0] }))); // Newest first: the second is the older.
  return bar;
}

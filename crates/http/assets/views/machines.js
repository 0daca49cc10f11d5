// The machines that wrote to the repository, and those that went silent.

import { h, replace } from "../dom.js";
import { onFleet, refresh } from "../fleet.js";
import { mark } from "../parts/facts.js";
import { empty } from "../parts/notice.js";
import { block } from "../parts/section.js";
import { table } from "../parts/table.js";
import { to } from "../router.js";
import { short } from "../text.js";
import { ago } from "../time.js";

export async function view({ signal }) {
  const told = await refresh();
  const body = h("div", {});
  const draw = ({ machines }) => replace(body, machines.length > 0 ? machineTable(machines) : empty("No machine has written to the repository yet."));
  draw(told);
  onFleet(draw, signal);
  const lead = h("p", { class: "lead" }, "Whatever machine wrote to the repository last, and when. No server beyond the repository is needed for it.");
  return { title: "Machines", lead, body: [block("All machines", body, { quiet: true })] };
}

function machineTable(machines) {
  const order = [...machines].sort((one, other) => Number(other.silent) - Number(one.silent) || one.host.localeCompare(other.host));
  return table("Machines", [
    { title: "Machine", kind: "main", cell: ({ host }) => host },
    { title: "State", cell: ({ silent }) => (silent ? mark("overdue", "overdue", "Silent") : mark("safe", "safe", "Heard from")) },
    { title: "Last seen", cell: ({ last_seen: seen }) => ago(seen) },
    { title: "Nodes", kind: "wide", cell: ({ nodes }) => nodes.map((name, index) => [index ? ", " : "", h("a", { href: to("/nodes", name) }, name)]) },
    { title: "Id", cell: ({ id }) => h("code", {}, short(id)) },
  ], order);
}

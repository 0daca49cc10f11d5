// Every node at a glance: what needs a person first, then the rest.

import { get } from "../api.js";
import { h, replace } from "../dom.js";
import { onFleet, refresh } from "../fleet.js";
import { stateMark } from "../parts/facts.js";
import { runningNow } from "../parts/jobs.js";
import { command, empty, remark } from "../parts/notice.js";
import { reasons } from "../parts/reasons.js";
import { block } from "../parts/section.js";
import { strip } from "../parts/strip.js";
import { to } from "../router.js";
import { bytes, plural } from "../text.js";
import { ago, duration, moment, relative, when } from "../time.js";
import { needsCare, stateOf, tellAll, urgency } from "../verdict.js";

const STRIP_DAYS = 14;
const STRIP_SNAPSHOTS = 1000;
/** With so many nodes or fewer one sees them all. */
const FILTER_FROM = 8;

export async function view({ signal }) {
  const told = await refresh();
  const past = new Map();
  const top = h("div", { class: "stack" });
  const list = h("div", {});
  const lead = h("p", { class: "lead" });
  const filter = nodeFilter(() => replace(list, nodeList(last.nodes, past, filter.value())));
  let last = told;
  const draw = (overview) => {
    last = overview;
    addNewest(past, overview.nodes);
    replace(top, warnings(overview.repository, overview.machines), overview.alerts.length > 0 && block("Open alerts", alertList(overview.alerts)));
    replace(list, nodeList(overview.nodes, past, filter.value()));
    replace(lead, summary(overview));
  };
  draw(told);
  onFleet(draw, signal);
  if (told.role !== "writer") loadPast(past, signal).then(() => signal.aborted || draw(last)).catch(() => {}); // Without it there are no cells, and nothing else is amiss.
  const aside = told.nodes.length > FILTER_FROM ? filter.element : null;
  return { title: "Overview", lead, body: [runningNow(signal), top, block("Nodes", list, { aside })] };
}

/** A field that leaves only the nodes whose name, kind or machine has what is typed. */
function nodeFilter(changed) {
  const input = h("input", { type: "text", "aria-label": "Filter the nodes", placeholder: "Filter", data: { filter: "name" }, autocomplete: "off", spellcheck: "false", on: { input: changed } });
  return { element: input, value: () => input.value.trim().toLowerCase() };
}

/** The cells of the last days come after the rest, so that the page need not wait for them. */
async function loadPast(past, signal) {
  const { items, next } = await get(["snapshots"], { limit: STRIP_SNAPSHOTS }, signal);
  past.from = next && items.length > 0 ? items.at(-1).at : null;
  for (const item of items) {
    if (!past.has(item.node)) past.set(item.node, []);
    past.get(item.node).push(item);
  }
}

/** What was backed up while the page is open. */
function addNewest(past, nodes) {
  for (const { name, newest } of nodes) {
    const known = past.get(name);
    if (known && newest && !known.some(({ id }) => id === newest.snapshot)) known.push({ ...newest, id: newest.snapshot });
  }
}

function summary({ nodes, repository, at }) {
  if (nodes.length === 0) return "No node is known yet";
  const care = nodes.some((node) => needsCare(stateOf(node)));
  const words = h("strong", { class: care ? "care" : null }, tellAll(nodes));
  return [words, `, of ${plural(nodes.length, "node")}. ${bytes(repository.bytes)} in ${plural(repository.snapshots, "snapshot")}, as of ${moment(at)}.`];
}

function nodeList(nodes, past, wanted) {
  if (nodes.length === 0) return empty("No node has been backed up or registered.", command("nodekeep node detect"));
  const fits = (node) => [node.name, node.profile, node.host].some((text) => text?.toLowerCase().includes(wanted));
  const shown = nodes.filter(fits).sort((one, other) => urgency(stateOf(one)) - urgency(stateOf(other)) || one.name.localeCompare(other.name));
  return shown.length > 0 ? h("ul", { class: "nodes" }, shown.map((node) => row(node, past))) : empty("No node fits the filter.");
}

function alertList(alerts) {
  const item = ({ title, text, node, since }) => h("li", {}, remark("alert", "at-risk", h("p", {}, h("strong", {}, node ? h("a", { href: to("/nodes", node) }, title) : title), " · since ", ago(since)), h("p", {}, text)));
  return h("ul", { class: "alerts plain" }, alerts.map(item));
}

/** What touches all nodes at once. */
function warnings(repository, machines) {
  const silent = machines.filter((machine) => machine.silent);
  const lines = [
    repository.snapshots_lost > 0 && `${plural(repository.snapshots_lost, "snapshot")} cannot be restored any more.`,
    repository.damaged_objects > 0 && `${plural(repository.damaged_objects, "object")} of the repository ${repository.damaged_objects === 1 ? "is" : "are"} damaged.`,
    repository.days_until_full !== null && repository.days_until_full < 30 && `The repository is full in about ${plural(Math.round(repository.days_until_full), "day")}.`,
    !repository.words_confirmed && "Nobody has confirmed that the 24 recovery words are written down.",
    ...silent.map(({ host, last_seen: seen }) => `The machine ${host} is silent: last seen ${relative(seen)}.`),
  ].filter(Boolean);
  if (lines.length === 0) return null;
  return remark("warn", "at-risk", h("ul", { class: "plain" }, lines.map((line) => h("li", {}, line))));
}

function row(node, past) {
  const state = stateOf(node);
  const name = h("h3", {}, h("a", { href: to("/nodes", node.name) }, node.name));
  const head = h("div", { class: "node-name" }, name, h("p", { class: "note" }, [node.profile, node.host].filter(Boolean).join(" on ")));
  const known = past.get(node.name);
  const cells = h("div", { class: "node-strip" }, known && [h("p", { class: "note", "aria-hidden": "true" }, `${STRIP_DAYS} days`), strip(known, { days: STRIP_DAYS, from: past.from })]);
  return h("li", { class: `node state-${state}` }, h("div", { class: "node-line" }, h("p", { class: "node-state" }, stateMark(node)), head, figures(node), cells), reasons(node.reasons));
}

/** What one wants to know of a node without opening it. */
function figures(node) {
  const { newest, drill, rpo } = node;
  return h("dl", { class: "node-figures" },
    figure("Backup", ago(newest?.at), newest?.position ?? (newest && bytes(newest.bytes))),
    figure("May lose (RPO)", rpo.actual === null ? "–" : duration(rpo.actual), rpo.target === null ? "no target" : `of ${duration(rpo.target)}`, rpo.actual !== null && rpo.met === false),
    figure("Restore (RTO)", drill ? duration(drill.seconds) : "never drilled", drill && (drill.started ? ["started ", when(drill.at)] : "did not start the node"), drill !== null && !(drill.ok && drill.started)),
    figure("Next", node.paused ? "paused" : node.next ? relative(node.next.at) : "not scheduled", node.next && !node.paused ? node.next.job : null),
  );
}

function figure(name, value, note, bad = false) {
  return h("div", { class: bad ? "missed" : null }, h("dt", {}, name), h("dd", {}, value, note && h("span", { class: "note" }, note)));
}

// One node: what state it is in and why, what it holds, what must not run backwards, how it grew.

import { get } from "../api.js";
import { h } from "../dom.js";
import { fleet } from "../fleet.js";
import { actions } from "../parts/actions.js";
import { facts, mark, outcome } from "../parts/facts.js";
import { growth } from "../parts/growth.js";
import { icon } from "../parts/icon.js";
import { runningNow } from "../parts/jobs.js";
import { empty, writerOnly } from "../parts/notice.js";
import { reasons } from "../parts/reasons.js";
import { section } from "../parts/section.js";
import { snapshotTable } from "../parts/snapshots.js";
import { table } from "../parts/table.js";
import { to } from "../router.js";
import { bytes, number, plural, sentence } from "../text.js";
import { ago, duration, moment, when } from "../time.js";
import { stateOf, tell } from "../verdict.js";

export async function view({ name, signal }) {
  const [node, { role }] = await Promise.all([get(["nodes", name], {}, signal), fleet()]);
  const reads = role !== "writer";
  const load = () => get(["nodes", name], {}, signal);
  const body = [
    runningNow(signal, name),
    section("State", { load: once(node, load), draw: state, signal, live: ["overview"], quiet: true }),
    section("Components", { load: once(node, load), draw: components, signal, live: ["overview"] }),
    section("What must not run backwards", { load: once(node, load), draw: fenceMarks, signal, live: ["overview"] }),
    ...(reads ? history(name, signal) : [writerOnly()]),
  ];
  const lead = h("p", { class: "lead" }, [node.profile, node.host && `on ${node.host}`, node.here ? "registered on this machine" : "not registered on this machine"].filter(Boolean).join(" · "));
  return { title: name, head: h("p", { class: "crumb" }, h("a", { href: "#/" }, "Overview")), lead: [lead, actions({ node: name, reads })], body };
}

/** The answer that is there already for the first drawing, a new one for each after it. */
function once(first, load) {
  let kept = first;
  return async () => {
    const told = kept ?? (await load());
    kept = null;
    return told;
  };
}

function history(name, signal) {
  const all = h("a", { href: to("/snapshots", { node: name }) }, "All snapshots");
  return [
    section("Newest snapshots", { load: () => get(["snapshots"], { node: name, limit: 8 }, signal), draw: ({ items }) => (items.length > 0 ? snapshotTable(items, { node: name }) : empty("No snapshot yet.")), signal, live: ["overview"], aside: all }),
    section("Growth", { load: () => get(["growth"], { node: name }, signal), draw: growth, signal }),
  ];
}

function state(node) {
  const shown = stateOf(node);
  const banner = h("div", { class: `banner state-${shown}` }, h("p", { class: "banner-text" }, icon(shown), h("span", {}, tell(node))), reasons(node.reasons));
  return [banner, facts([...backupFacts(node), ...proofFacts(node)])];
}

function backupFacts({ newest, snapshots, oldest, rpo, next, paused, retention }) {
  return [
    ["Newest backup", newest ? ago(newest.at) : "none", newest && `${bytes(newest.bytes)}, ${bytes(newest.added_bytes)} new, in ${duration(newest.duration)}`],
    ["Position", newest?.position],
    ["May lose at most (RPO)", measured(rpo), target(rpo)],
    ["Snapshots", number(snapshots), oldest && `since ${moment(oldest)}`],
    ["Retention", retention ? outcome(retention.met, "Met", "Not met") : null, retention?.text],
    ["Next run", paused ? "Paused" : next ? when(next.at) : "Not scheduled", next && !paused ? sentence(next.job) : null],
  ];
}

function proofFacts({ drill, rto, verified, health }) {
  return [
    ["Back in (RTO)", measured(rto), target(rto)],
    ["Drill", drill ? drillMark(drill) : mark("never", "never", "Never drilled"), drill && [ago(drill.at), drill.certificate && [" · ", h("a", { href: to("/certificates", { open: drill.certificate }) }, "certificate")]]],
    ["Verified", verified ? outcome(verified.ok, "Sound", "Damaged") : mark("never", "never", "Never verified"), verified && [ago(verified.at), ` · ${verified.how}`]],
    ["Health", health ? outcome(health.ok, "Well", "Not well") : mark("never", "never", "Not looked at"), health && [ago(health.at), ` · ${health.text}`]],
  ];
}

/** Only a drill that started the node is shown in green. */
function drillMark({ ok, started, seconds }) {
  if (!ok) return mark("failed", "failed", "Failed");
  return started ? mark("proven", "proven", `Started in ${duration(seconds)}`) : mark("at-risk", "at-risk", "Restored, but did not start the node");
}

function measured({ actual, met }) {
  if (actual === null) return "Not known";
  return met === false ? mark("at-risk", "at-risk", duration(actual)) : duration(actual);
}

function target({ target: wanted, met }) {
  if (wanted === null) return "no target set";
  return `target ${duration(wanted)}${met === null ? "" : met ? ", met" : ", missed"}`;
}

const STATUS = { captured: "safe", partial: "at-risk", failed: "failed", absent: "never", skipped: "never" };

function components({ components: list }) {
  if (!list || list.length === 0) return empty("The newest snapshot names no components.");
  return table("Components in the newest snapshot", [
    { title: "Component", kind: "main", cell: ({ name }) => name },
    { title: "Kind", cell: ({ kind }) => kind },
    { title: "Status", cell: ({ status }) => mark(STATUS[status] ?? "never", STATUS[status] ?? "never", sentence(status)) },
    { title: "Size", kind: "number", cell: ({ bytes: size }) => bytes(size) },
    { title: "Position", kind: "wide", cell: ({ position }) => position },
    { title: "Note", kind: "wide", cell: ({ note }) => note },
  ], list);
}

function fenceMarks({ fence }) {
  if (!fence || fence.length === 0) return empty("Nothing is recorded that must never run backwards.");
  const about = h("p", { class: "note" }, `${plural(fence.length, "mark")}: the highest that were ever seen. A restore below one of them is refused.`);
  return [about, table("Marks of the fence", [
    { title: "What", kind: "main", cell: ({ what }) => what },
    { title: "Highest seen", kind: "number", cell: ({ value }) => value },
    { title: "Note", kind: "wide", cell: ({ note }) => note },
  ], fence)];
}

// Signed proofs of drills. Only one that started the node is told in green.

import { get } from "../api.js";
import { h } from "../dom.js";
import { mark, outcome } from "../parts/facts.js";
import { command, empty } from "../parts/notice.js";
import { section } from "../parts/section.js";
import { paged } from "../parts/table.js";
import { to } from "../router.js";
import { plural, short } from "../text.js";
import { duration, moment } from "../time.js";

export async function view({ query, signal }) {
  const load = (after) => get(["certificates"], { after }, signal);
  const draw = (told) => {
    if (told.items.length === 0) return empty("Nothing is proven yet. A drill restores a node into a sandbox, starts it, and signs what it saw.", command("nodekeep drill NODE"));
    return paged(told, load, (items) => h("ul", { class: "plain certificates" }, items.map((item) => certificate(item, item.id === query.open))));
  };
  const lead = h("p", { class: "lead" }, "A drill restores a node into a sandbox and looks whether it starts. What it saw is signed.");
  return { title: "Certificates", lead, body: [section("All certificates", { load: () => load(null), draw, signal, live: ["overview"], quiet: true })] };
}

function verdict({ ok, started, seconds }) {
  if (!ok) return mark("failed", "failed", "Failed");
  return started ? mark("proven", "proven", `Started in ${duration(seconds)}`) : mark("at-risk", "at-risk", "Restored, not started");
}

function certificate(item, open) {
  const title = h("summary", {}, h("span", { class: "certificate-line" }, verdict(item), h("strong", {}, item.node), h("span", { class: "quiet" }, moment(item.at)), h("span", { class: "note" }, plural(item.checks.length, "check"))));
  const checks = h("ul", { class: "plain checks" }, item.checks.map(({ name, ok, text }) => h("li", {}, outcome(ok, name, `${name}: failed`), text && h("span", { class: "note" }, text))));
  const from = h("p", { class: "note" }, "From snapshot ", h("a", { href: to("/snapshots", item.snapshot) }, h("code", {}, short(item.snapshot))), " of ", h("a", { href: to("/nodes", item.node) }, item.node), `. Signed by ${item.signed_by ?? "nobody"}. `, command(`nodekeep drill verify-certificate ${item.id}`));
  return h("li", {}, h("details", { class: "certificate", open, data: { key: item.id } }, title, checks, from));
}

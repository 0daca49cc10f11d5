// What is done when; paused, resumed, or done now.

import { get, post } from "../api.js";
import { h } from "../dom.js";
import { announce, announceFailure } from "../parts/announce.js";
import { mark } from "../parts/facts.js";
import { command, empty } from "../parts/notice.js";
import { section } from "../parts/section.js";
import { paged, table } from "../parts/table.js";
import { go, to } from "../router.js";
import { may } from "../session.js";
import { sentence } from "../text.js";
import { ago, when } from "../time.js";

const ENDINGS = { done: ["safe", "safe"], failed: ["failed", "failed"], retry: ["at-risk", "at-risk"], running: ["safe", "running"], lost: ["overdue", "overdue"] };

export async function view({ signal }) {
  const load = (after) => get(["schedules"], { after }, signal);
  const draw = (told, again) => {
    if (told.items.length === 0) return empty("Nothing is scheduled: backups that depend on memory do not happen.", command("nodekeep schedule add NODE --frequency daily --time 02:00"));
    return paged(told, load, (items) => scheduleTable(items, again));
  };
  return { title: "Schedules", body: [section("All schedules", { load: () => load(null), draw, signal, live: ["overview"], quiet: true })] };
}

function scheduleTable(items, again) {
  return table("Schedules", [
    { title: "Schedule", kind: "main", cell: ({ name }) => name },
    { title: "Does", cell: ({ job, node }) => [sentence(job), node && [" of ", h("a", { href: to("/nodes", node) }, node)]] },
    { title: "When", cell: ({ frequency, zone }) => [frequency, h("span", { class: "note" }, zone)] },
    { title: "Next", cell: ({ paused, next }) => (paused ? mark("never", "pause", "Paused") : when(next)) },
    { title: "Last", cell: ({ last }) => last && [mark(...(ENDINGS[last.state] ?? ["never", "never"]), sentence(last.state)), " ", ago(last.at)] },
    { title: "", kind: "end", cell: (item) => (may("operate") ? buttons(item, again) : "") },
  ], items);
}

function buttons({ name, paused }, again) {
  const turn = paused ? ["resume", "Resume"] : ["pause", "Pause"];
  const change = () => post(["schedules", name, turn[0]]).then(() => announce(`${name}: ${turn[0]}d.`)).then(again).catch(announceFailure);
  const run = () => post(["schedules", name, "run"]).then((job) => go(to("/jobs", job.id))).catch(announceFailure);
  const button = (key, text, click) => h("button", { type: "button", class: "small", "aria-label": `${text}: ${name}`, data: { key: `${key} ${name}` }, on: { click } }, text);
  return h("span", { class: "buttons" }, button("turn", turn[1], change), button("run", "Run now", run));
}

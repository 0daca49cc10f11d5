// Jobs as rows, kept true by events.

import { get } from "../api.js";
import { h, replace } from "../dom.js";
import { on } from "../live.js";
import { to } from "../router.js";
import { sentence } from "../text.js";
import { ago, duration } from "../time.js";
import { jobMark } from "./facts.js";
import { progressBar } from "./progress.js";
import { table } from "./table.js";

/** What a job does, as a link to it. */
export function jobLink(job) {
  return h("a", { href: to("/jobs", job.id) }, `${sentence(job.word)} of ${job.subject}`);
}

/** Seconds from beginning to end, or until now. */
export function lasted(job) {
  if (!job.begun || job.state === "waiting") return null;
  return duration(((job.ended ? Date.parse(job.ended) : Date.now()) - Date.parse(job.begun)) / 1000);
}

/** A table of jobs. */
export function jobTable(items) {
  return table("Jobs, the newest first", [
    { title: "Job", kind: "main", cell: jobLink },
    { title: "State", cell: jobMark },
    { title: "Progress", kind: "wide", cell: (job) => progressBar(job) ?? job.message },
    { title: "By", cell: (job) => (job.by === "schedule" ? `schedule ${job.schedule ?? ""}` : job.by) },
    { title: "Begun", cell: (job) => ago(job.begun) },
    { title: "Took", kind: "number", cell: lasted },
  ], items);
}

/** A box with what runs now, of one node or of all; empty while nothing does. */
export function runningNow(signal, node = null) {
  const running = new Map();
  const box = h("div", { class: "running" });
  const show = () => replace(box, [...running.values()].map(card));
  const take = (job) => {
    const busy = job.state === "running" || job.state === "waiting";
    if (busy && (!node || job.subject === node)) running.set(job.id, job);
    else running.delete(job.id);
  };
  on("job", (job) => {
    take(job);
    show();
  }, signal);
  get(["jobs"], { limit: 20 }, signal)
    .then(({ items }) => {
      items.forEach(take);
      show();
    })
    .catch(() => {}); // The page has its own way of saying that the daemon is away.
  return box;
}

function card(job) {
  return h("article", { class: "run", "aria-label": `${job.word} of ${job.subject}` }, h("p", {}, jobMark(job), " ", jobLink(job)), progressBar(job));
}

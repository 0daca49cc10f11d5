// One job: live progress while it runs, then how it ended, and what it wrote.

import { get, post } from "../api.js";
import { h, replace } from "../dom.js";
import { on } from "../live.js";
import { announce, announceFailure } from "../parts/announce.js";
import { facts, jobMark } from "../parts/facts.js";
import { lasted } from "../parts/jobs.js";
import { empty } from "../parts/notice.js";
import { progressBar } from "../parts/progress.js";
import { block } from "../parts/section.js";
import { to } from "../router.js";
import { may } from "../session.js";
import { sentence } from "../text.js";
import { when } from "../time.js";

const LOG_PAUSE_MS = 2_000;
const ENDED = ["done", "failed", "lost"];

export async function view({ id, signal }) {
  let job = await get(["jobs", id], {}, signal);
  const top = h("div", { class: "job" });
  const log = h("div", {});
  const draw = () => {
    replace(top, head(job));
    replace(log, output(job));
  };
  const look = async () => {
    job = await get(["jobs", id], {}, signal);
    draw();
  };
  draw();
  follow(id, signal, look, (news) => {
    const ends = ENDED.includes(news.state) && !ENDED.includes(job.state);
    job = { ...job, ...news };
    replace(top, head(job));
    if (ends) announce(`${sentence(job.word)} of ${job.subject}: ${job.state}.`);
  });
  return { title: `${sentence(job.word)} of ${job.subject}`, head: h("p", { class: "crumb" }, h("a", { href: "#/jobs" }, "Jobs")), body: [block("State", top, { quiet: true }), block("Output", log)] };
}

/** Progress comes with each event; the log is asked for less often, and once more at the end. */
function follow(id, signal, look, take) {
  let due = null;
  on("job", (news) => {
    if (news.id !== id) return;
    take(news);
    due ??= setTimeout(() => {
      due = null;
      if (!signal.aborted) look().catch(() => {}); // The next event asks again.
    }, ENDED.includes(news.state) ? 0 : LOG_PAUSE_MS);
  }, signal);
}

function head(job) {
  const stop = job.state === "running" && may("operate") && h("button", { type: "button", data: { key: "stop" }, on: { click: () => post(["jobs", job.id, "stop"]).then(() => announce("Asked to stop.")).catch(announceFailure) } }, "Stop");
  return [h("p", { class: "job-state" }, jobMark(job), job.message && h("span", {}, job.message)), progressBar(job), stop, facts([
    ["Node", job.subject === "repository" ? "The repository" : h("a", { href: to("/nodes", job.subject) }, job.subject)],
    ["Started by", job.by === "schedule" ? `schedule ${job.schedule ?? ""}` : job.by],
    ["Begun", when(job.begun)],
    ["Ended", job.ended && when(job.ended)],
    [job.ended ? "Took" : "Running for", lasted(job)],
    ["Attempt", job.attempt > 1 ? job.attempt : null],
    ["Exit code", job.code],
  ])];
}

function output({ log }) {
  if (!log || log.length === 0) return empty("It has written nothing.");
  return h("pre", { class: "log", tabindex: "0", "aria-label": "Output" }, log.join("\n"));
}

// How far a job is, in a bar and in words.

import { h } from "../dom.js";
import { bytes, number, readable } from "../text.js";

/** The share that is done, from 0 to 1; null where the end is not known. */
export function share(progress) {
  if (!progress) return null;
  if (progress.total_bytes) return Math.min(1, progress.done_bytes / progress.total_bytes);
  return progress.total_files ? Math.min(1, progress.done_files / progress.total_files) : null;
}

/** A bar with its figures; nothing for a job that does not run. */
export function progressBar(job) {
  if (job.state !== "running") return null;
  const done = share(job.progress);
  const bar = h("progress", { max: 1, value: done, "aria-label": `Progress of ${job.word} of ${job.subject}` });
  return h("div", { class: "progress" }, bar, h("p", { class: "figures" }, figures(job.progress)));
}

function figures(progress) {
  if (!progress) return "Starting";
  const parts = [progress.phase, amount(progress.done_bytes, progress.total_bytes, bytes), files(progress)];
  const path = progress.path && h("span", { class: "path" }, readable(progress.path));
  return [parts.filter(Boolean).join(" · "), path];
}

function files(progress) {
  const text = amount(progress.done_files, progress.total_files, number);
  return text && `${text} files`;
}

function amount(done, total, tell) {
  if (!done && !total) return null;
  return total ? `${tell(done)} of ${tell(total)}` : tell(done);
}

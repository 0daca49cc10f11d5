// What happens now, from the daemon's stream of events. The browser reconnects on its own; where the stream cannot be had at all, the daemon is asked again and again.

import { address, get } from "./api.js";

const POLL_MS = 4_000;
const PATIENCE_MS = 6_000;
const RETRY_MS = 30_000;

const hub = new EventTarget();
const seen = new Map();
let stream = null;
let poller = null;
let patience = null;
let retry = null;

/** Calls `handler(data)` for events of this kind (`job`, `overview`, `alert`, `log`, `state`) until `signal` ends. */
export function on(kind, handler, signal) {
  hub.addEventListener(kind, (event) => handler(event.detail), { signal });
}

function tell(kind, data) {
  hub.dispatchEvent(new CustomEvent(kind, { detail: data }));
}

/** Opens the stream. */
export function start() {
  stop();
  stream = new EventSource(address(["events"]));
  for (const kind of ["job", "overview", "alert", "log"]) {
    stream.addEventListener(kind, (event) => tell(kind, JSON.parse(event.data || "{}")));
  }
  stream.addEventListener("open", arrived);
  stream.addEventListener("error", broken);
}

/** Ends it, for a sign-out. */
export function stop() {
  stream?.close();
  stream = null;
  clearTimeout(retry);
  calm();
}

function calm() {
  clearInterval(poller);
  clearTimeout(patience);
  poller = null;
  patience = null;
}

function arrived() {
  const missed = poller !== null || patience !== null;
  calm();
  tell("state", "live");
  if (missed) tell("overview", {}); // Something may have happened while nobody listened.
}

function broken() {
  tell("state", poller ? "polling" : "reconnecting");
  const closed = stream?.readyState === EventSource.CLOSED;
  patience ??= setTimeout(poll, closed ? 0 : PATIENCE_MS);
  if (closed) {
    clearTimeout(retry);
    retry = setTimeout(start, RETRY_MS);
  }
}

function poll() {
  if (poller) return;
  poller = setInterval(look, POLL_MS);
  look();
}

async function look() {
  try {
    const { items } = await get(["jobs"], { limit: 20 });
    if (!poller) return; // The stream came back while the answer was on its way: it has said so already.
    tell("state", "polling");
    items.filter(isNews).forEach((job) => tell("job", job));
    tell("overview", {});
  } catch (failure) {
    if (!poller) return;
    if (failure.status === 401) calm(); // Whoever closed the sign-in is not asked every few seconds.
    tell("state", failure.status === 401 ? "ended" : "away");
  }
}

/** Whether a job differs from what the last look saw. */
function isNews(job) {
  const text = JSON.stringify(job);
  const news = seen.get(job.id) !== text;
  seen.set(job.id, text);
  return news;
}

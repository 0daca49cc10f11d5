// Moments and durations as people read them, in the reader's own time zone. Elements that say "5 min ago" stay true while the page is open.

import { h } from "./dom.js";

const TICK_MS = 15_000;
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const DAY_OF_YEAR = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

/** Seconds in at most two units: `41 s`, `2 min 5 s`, `3 h`, `4 days`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return inTwo(whole, "min", "s");
  return whole < 172_800 ? inTwo(Math.round(whole / 60), "h", "min") : plainDays(whole / 86_400);
}

function inTwo(value, large, small) {
  const rest = value % 60;
  return `${Math.floor(value / 60)} ${large}${rest ? ` ${rest} ${small}` : ""}`;
}

function plainDays(days) {
  if (days < 60) return `${Math.round(days)} days`;
  return days < 730 ? `${Math.round(days / 30.4)} months` : `${Math.round(days / 365.25)} years`;
}

/** `12 min ago`, `in 3 h`, `just now`. */
export function relative(at, now = Date.now()) {
  const seconds = (now - Date.parse(at)) / 1000;
  if (Math.abs(seconds) < 20) return "just now";
  const size = coarse(Math.abs(seconds));
  return seconds > 0 ? `${size} ago` : `in ${size}`;
}

function coarse(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return plainDays(seconds / 86_400);
}

/** `02:14` today, `yesterday 02:14`, `3 Nov 02:14`, and the year where it is another. */
export function moment(at, now = new Date()) {
  const date = new Date(at);
  const clock = CLOCK.format(date);
  const days = daysBetween(date, now);
  if (days === 0) return `today ${clock}`;
  if (days === 1) return `yesterday ${clock}`;
  if (days === -1) return `tomorrow ${clock}`;
  return `${day(at, now)} ${clock}`;
}

/** `3 Nov`, and the year where it is another. */
export function day(at, now = new Date()) {
  const date = new Date(at);
  return (date.getFullYear() === now.getFullYear() ? DAY : DAY_OF_YEAR).format(date);
}

/** `02:14`. */
export function clock(at) {
  return CLOCK.format(new Date(at));
}

/** Everything, with the time zone. */
export function full(at) {
  return FULL.format(new Date(at));
}

/** A key of the local day, for groups: `2026-11-21`. */
export function dayKey(at) {
  const date = new Date(at);
  const pad = (value) => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

function daysBetween(earlier, later) {
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  return Math.round((midnight(later) - midnight(earlier)) / 86_400_000);
}

/** A `<time>` that tells how long ago, and all of it on hover. */
export function ago(at) {
  if (!at) return h("span", { class: "quiet" }, "never");
  return h("time", { datetime: at, title: full(at), data: { live: "ago" } }, relative(at));
}

/** A `<time>` that tells the day and clock, and all of it on hover. */
export function when(at) {
  if (!at) return h("span", { class: "quiet" }, "–");
  return h("time", { datetime: at, title: full(at), data: { live: "when" } }, moment(at));
}

/** Keeps every `<time>` of the page true. */
export function keepTrue() {
  setInterval(() => {
    for (const element of document.querySelectorAll("time[data-live]")) {
      const tell = element.dataset.live === "ago" ? relative : moment;
      const text = tell(element.dateTime);
      if (element.textContent !== text) element.textContent = text;
    }
  }, TICK_MS);
}

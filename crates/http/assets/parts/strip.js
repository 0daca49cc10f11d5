// One cell for each of the last days: was there a complete backup? Told by the height of a cell as well as by its colour.

import { h } from "../dom.js";
import { day, dayKey } from "../time.js";
import { plural } from "../text.js";

const DAY_MS = 86_400_000;
const TOLD = { whole: "complete backup", partial: "incomplete backup only", none: "no backup", unknown: "not looked at" };

/**
 * The last `days` of the snapshots of a node. `from` is the time of the oldest snapshot that was asked for:
 * nothing is claimed about the days before it, except where the node's own oldest snapshot is known.
 */
export function strip(snapshots, { days = 14, from = null, now = Date.now() } = {}) {
  const found = byDay(snapshots);
  const cells = Array.from({ length: days }, (_, index) => {
    const date = new Date(now - (days - 1 - index) * DAY_MS);
    return { date, kind: found.get(dayKey(date)) ?? (from && date < new Date(from) ? "unknown" : "none") };
  });
  const boxes = cells.map(({ date, kind }) => h("span", { class: `cell ${kind}`, title: `${day(date)}: ${TOLD[kind]}` }));
  return h("span", { class: "strip", role: "img", "aria-label": label(cells, days) }, boxes);
}

function byDay(snapshots) {
  const found = new Map();
  for (const { at, complete } of snapshots) {
    const key = dayKey(at);
    if (found.get(key) !== "whole") found.set(key, complete ? "whole" : "partial");
  }
  return found;
}

function label(cells, days) {
  const count = (wanted) => cells.filter(({ kind }) => kind === wanted).length;
  const partial = count("partial");
  return `Last ${days} days: ${plural(count("whole"), "day")} with a complete backup${partial ? `, ${partial} with an incomplete one only` : ""}, ${count("none")} without`;
}

// How a node's snapshots and the store grew, and how much was never stored twice.

import { h } from "../dom.js";
import { bytes, percent } from "../text.js";
import { chart } from "./chart.js";
import { empty } from "./notice.js";

/** Charts from `/growth`. */
export function growth({ points, stored_bytes: stored }) {
  if (points.length === 0) return empty("There is nothing to draw before the first snapshot.");
  const series = (value) => points.map((point) => ({ at: point.at, value: value(point) }));
  const note = stored === null ? null : h("p", { class: "note" }, `Everything together takes ${bytes(stored)} in the repository.`);
  return [note, h("div", { class: "charts" },
    chart("Size of each snapshot", { points: series((point) => point.logical_bytes), tell: bytes, about: "what a restore brings back" }),
    chart("Added by each snapshot", { points: series((point) => point.added_bytes), tell: bytes, kind: "bars", about: "what it cost" }),
    chart("Not stored again", { points: series(saved), tell: percent, top: 1, about: "the share that the repository had already, or that compression saved" }),
  )];
}

/** The share of a snapshot that cost nothing. */
export function saved({ logical_bytes: logical, added_bytes: added }) {
  return logical > 0 ? Math.max(0, 1 - added / logical) : 1;
}

// Where the backups lie: space, copies, how much of it was read back lately.

import { get } from "../api.js";
import { h, replace } from "../dom.js";
import { onFleet, refresh } from "../fleet.js";
import { chart } from "../parts/chart.js";
import { facts, mark, outcome } from "../parts/facts.js";
import { command, empty } from "../parts/notice.js";
import { block, section } from "../parts/section.js";
import { table } from "../parts/table.js";
import { bytes, number, percent, plural, sentence } from "../text.js";
import { ago, dayKey, when } from "../time.js";

export async function view({ signal }) {
  const { repository, role } = await refresh();
  const top = h("div", { class: "stack" });
  const draw = ({ repository: told }) => replace(top, content(told));
  draw({ repository });
  onFleet(draw, signal);
  const grown = role === "writer" ? null : section("Growth", { load: () => get(["growth"], {}, signal), draw: growth, signal });
  return { title: "Repository", lead: h("p", { class: "lead path" }, repository.location), body: [top, grown] };
}

function content(repository) {
  return [
    block("Space", [meter(repository), facts(space(repository))]),
    block("Safety", facts(safety(repository))),
    block("Copies", copies(repository.copies)),
  ];
}

function meter({ capacity }) {
  if (!capacity || !capacity.total) return null;
  const used = capacity.total - capacity.free;
  const share = used / capacity.total;
  const bar = h("meter", { min: 0, max: 1, value: share, low: 0.9, high: 0.95, optimum: 0, "aria-label": "Space used where the repository lies" }, percent(share));
  return h("div", { class: "meter" }, bar, h("p", { class: "figures" }, `${bytes(used)} used of ${bytes(capacity.total)} (${percent(share)}), ${bytes(capacity.free)} free`));
}

function space(repository) {
  const { growth_per_day: perDay, days_until_full: days, dedup } = repository;
  return [
    ["Takes", bytes(repository.bytes), repository.objects === null ? null : plural(repository.objects, "object")],
    ["Snapshots", number(repository.snapshots)],
    ["Grows by", perDay === null ? "Not known yet" : `${bytes(perDay)} a day`],
    ["Full in", days === null ? "Not in sight" : about(days)],
    ["Deduplication", dedup && `${(dedup.logical_bytes / Math.max(1, dedup.stored_bytes)).toFixed(1)} : 1`, dedup && `${bytes(dedup.logical_bytes)} in all snapshots, ${bytes(dedup.stored_bytes)} stored`],
  ];
}

function about(days) {
  const text = days > 730 ? `${Math.round(days / 365)} years` : plural(Math.round(days), "day");
  return days < 30 ? mark("at-risk", "at-risk", text) : text;
}

function safety(repository) {
  const { scrub, distance, offsite } = repository;
  return [
    ["Distance", offsite ? mark("safe", "safe", "Offsite") : mark("at-risk", "at-risk", sentence(String(distance ?? "unknown").replaceAll("-", " "))), offsite ? null : "a fire or a thief takes both"],
    ["Read back lately", scrub ? percent(scrub.proven_share) : mark("at-risk", "at-risk", "Never scrubbed"), scrub?.oldest && ["the oldest proof is of ", when(scrub.oldest)]],
    ["Damaged objects", outcome(repository.damaged_objects === 0, "None", number(repository.damaged_objects))],
    ["Snapshots lost", outcome(repository.snapshots_lost === 0, "None", number(repository.snapshots_lost))],
    ["Recovery words", repository.words_confirmed ? mark("safe", "safe", "Confirmed") : mark("at-risk", "at-risk", "Not confirmed"), repository.words_confirmed ? null : command("nodekeep key words --confirm")],
    ["Id", h("code", { class: "path" }, repository.id)],
  ];
}

function copies(list) {
  if (list.length === 0) return empty("There is no other copy. One disk is no backup of a disk.", command("nodekeep repo mirror DESTINATION"));
  return table("Copies", [
    { title: "Where", kind: "main", cell: ({ location }) => h("span", { class: "path" }, location) },
    { title: "Kind", cell: ({ kind }) => sentence(kind) },
    { title: "Distance", cell: ({ distance }) => (distance ? String(distance).replaceAll("-", " ") : null) },
    { title: "Snapshots", kind: "number", cell: ({ snapshots }) => number(snapshots) },
    { title: "Finished", cell: ({ finished }) => ago(finished) },
  ], list);
}

/** All nodes together: what came each day. Single sizes would only jump from node to node. */
function growth({ points }) {
  if (points.length === 0) return empty("There is nothing to draw before the first snapshot.");
  const days = new Map();
  for (const point of points) {
    const key = dayKey(point.at);
    const day = days.get(key) ?? { at: point.at, added: 0, logical: 0 };
    days.set(key, { ...day, added: day.added + point.added_bytes, logical: day.logical + point.logical_bytes });
  }
  const list = [...days.values()];
  let sum = 0;
  const total = list.map(({ at, added }) => ({ at, value: (sum += added) }));
  return h("div", { class: "charts" },
    chart("Added in all", { points: total, tell: bytes, about: "the sum of what snapshots added that are still there" }),
    chart("Added each day", { points: list.map(({ at, added }) => ({ at, value: added })), tell: bytes, kind: "bars" }),
    chart("Not stored again", { points: list.map(({ at, added, logical }) => ({ at, value: logical > 0 ? Math.max(0, 1 - added / logical) : 1 })), tell: percent, top: 1, about: "the share of each day's snapshots that cost nothing" }),
  );
}

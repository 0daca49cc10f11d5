// What runs, waits and ran.

import { get } from "../api.js";
import { h } from "../dom.js";
import { jobTable } from "../parts/jobs.js";
import { empty } from "../parts/notice.js";
import { section } from "../parts/section.js";
import { paged } from "../parts/table.js";

const PAGE = 50;

export async function view({ signal }) {
  const load = (after) => get(["jobs"], { limit: PAGE, after }, signal);
  const draw = (told) => (told.items.length > 0 ? paged(told, load, jobTable) : empty("No job has run yet.", h("a", { href: "#/schedules" }, "To the schedules")));
  return { title: "Jobs", body: [section("All jobs", { load: () => load(null), draw, signal, live: ["job"], quiet: true })] };
}

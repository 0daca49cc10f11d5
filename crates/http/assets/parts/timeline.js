// Snapshots on a line of time, one lane for each node. The table below says the same in words, so this is one picture with one label.

import { h, replace, svg } from "../dom.js";
import { go, to } from "../router.js";
import { day, moment } from "../time.js";
import { plural } from "../text.js";
import { linear } from "./scale.js";

const LANE = 26;
const FOOT = 22;
const DATE_WIDTH = 90;

/** The picture of these snapshots, newest first. Each mark can be clicked. */
export function timeline(items) {
  const area = h("div");
  new ResizeObserver(() => draw(area, items)).observe(area);
  return h("div", { class: "timeline" }, area);
}

function draw(area, items) {
  const width = Math.floor(area.clientWidth);
  if (width < 80) return;
  const names = [...new Set(items.map(lane))].sort();
  const left = Math.min(150, Math.floor(width * 0.3));
  const times = items.map(({ at }) => Date.parse(at));
  const x = linear(Math.min(...times), Math.max(...times), left + 10, width - 10);
  const height = names.length * LANE + FOOT;
  const lines = names.map((name, index) => laneLine(name, index, left, width));
  const marks = items.map((item) => mark(item, x(Date.parse(item.at)), names.indexOf(lane(item)) * LANE + LANE / 2));
  const label = `Timeline: ${plural(items.length, "snapshot")} of ${plural(names.length, "node")}, from ${moment(items.at(-1).at)} to ${moment(items[0].at)}`;
  replace(area, svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, lines, marks, dates(times, x, left, width, height)));
}

function lane(item) {
  return item.node ?? "paths";
}

function laneLine(name, index, left, width) {
  const y = index * LANE + LANE / 2;
  const letters = Math.max(4, Math.floor(left / 7.5));
  const text = name.length > letters ? `${name.slice(0, letters - 1)}…` : name;
  return [svg("line", { x1: left, x2: width, y1: y, y2: y, class: "grid" }), svg("text", { x: 0, y: y + 4, class: "tick" }, text)];
}

/** A bar for a complete snapshot, a hollow one for an incomplete. */
function mark(item, x, y) {
  const shape = svg("rect", { x: x - 2.5, y: y - 8, width: 5, height: 16, rx: 1.5, class: item.complete ? "whole" : "partial" }, svg("title", {}, `${lane(item)}, ${moment(item.at)}${item.complete ? "" : ", incomplete"}`));
  shape.addEventListener("click", () => go(to("/snapshots", item.id)));
  return shape;
}

function dates(times, x, left, width, height) {
  const [from, until] = [Math.min(...times), Math.max(...times)];
  const count = Math.max(1, Math.floor((width - left) / DATE_WIDTH));
  const told = new Set();
  return Array.from({ length: count + 1 }, (_, index) => {
    const time = from + ((until - from) * index) / count;
    const text = day(new Date(time));
    if (told.has(text)) return null;
    told.add(text);
    const side = index === 0 ? "start" : x(time) > width - 30 ? "end" : "middle";
    return svg("text", { x: x(time), y: height - 5, class: `tick ${side}` }, text);
  });
}

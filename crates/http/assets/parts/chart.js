// Charts over time, drawn in SVG at the width there is. Every chart has its figures as a table too: for screen readers, and for whoever wants the numbers.

import { freshId, h, replace, svg } from "../dom.js";
import { bytes } from "../text.js";
import { day, moment } from "../time.js";
import { linear, nearest, ticks } from "./scale.js";
import { table } from "./table.js";

const HEIGHT = 180;
const MARGIN = { top: 10, right: 8, bottom: 24, left: 64 };
const ROWS_SHOWN = 60;

/**
 * A figure. `points`: `[{at, value}]` oldest first. `tell(value)` gives text. `kind` is `line` or `bars`.
 * `top` fixes the upper end, for shares.
 */
export function chart(title, { points, tell, kind = "line", top = null, about = null }) {
  const id = freshId("chart");
  const readout = h("output", { class: "readout", "aria-hidden": "true" });
  const area = h("div", { class: "chart-area" });
  const data = points.map(({ at, value }) => ({ time: Date.parse(at), at, value }));
  const look = { tell, kind, top, readout, title };
  new ResizeObserver(() => draw(area, data, look)).observe(area);
  const caption = h("figcaption", { id }, h("strong", {}, title), about && h("span", { class: "note" }, about), readout);
  return h("figure", { class: "chart", "aria-labelledby": id }, caption, area, asTable(title, points, tell));
}

function draw(area, data, look) {
  const width = Math.floor(area.clientWidth);
  if (width < 80) return;
  const field = frame(data, width, look);
  const shapes = look.kind === "bars" ? bars(field) : line(field);
  const image = svg("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": summary(data, look) }, grid(field, look.tell), shapes);
  follow(image, field, look);
  replace(area, image);
}

/** Where everything lies. */
function frame(data, width, { top, tell }) {
  const marks = ticks(top ?? Math.max(...data.map(({ value }) => value), 0), { base: tell === bytes ? 1024 : 10 });
  const times = data.map(({ time }) => time);
  const x = linear(Math.min(...times), Math.max(...times), MARGIN.left + 4, width - MARGIN.right - 4);
  const y = linear(0, marks.at(-1), HEIGHT - MARGIN.bottom, MARGIN.top);
  const points = data.map((point) => ({ ...point, x: x(point.time), y: y(point.value) }));
  return { points, marks, y, width, base: HEIGHT - MARGIN.bottom };
}

function grid({ points, marks, y, width, base }, tell) {
  const lines = marks.map((mark) => [
    svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(mark), y2: y(mark), class: "grid" }),
    svg("text", { x: MARGIN.left - 8, y: y(mark) + 4, class: "tick end" }, tell(mark)),
  ]);
  return [lines, dates(points, base, width)];
}

/** As many dates as fit without touching, and none twice. */
function dates(points, base, width) {
  const room = Math.max(2, Math.floor((width - MARGIN.left) / 110));
  const wanted = Math.min(room, points.length);
  const chosen = Array.from({ length: wanted }, (_, index) => points[Math.round((index * (points.length - 1)) / Math.max(1, wanted - 1))]);
  const told = new Set();
  return chosen.map((point, index) => {
    const text = day(point.at);
    if (told.has(text)) return null;
    told.add(text);
    const side = index === 0 ? "start" : point.x > width - 40 ? "end" : "middle";
    return svg("text", { x: point.x, y: base + 17, class: `tick ${side}` }, text);
  });
}

function line({ points, base }) {
  const path = points.map(({ x, y }, index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  const floor = `L${points.at(-1).x.toFixed(1)} ${base}L${points[0].x.toFixed(1)} ${base}Z`;
  const only = points.length === 1 && svg("circle", { cx: points[0].x, cy: points[0].y, r: 3, class: "dot" });
  return [svg("path", { d: path + floor, class: "fill" }), svg("path", { d: path, class: "stroke" }), ...(only ? [only] : [])];
}

function bars({ points, base, width }) {
  const room = (width - MARGIN.left - MARGIN.right) / points.length;
  const wide = Math.max(1, Math.min(14, room * 0.7));
  return points.map(({ x, y }) => svg("rect", { x: x - wide / 2, y: Math.min(y, base - 1), width: wide, height: Math.max(1, base - y), class: "column" }));
}

/** The pointer reads the nearest point. */
function follow(image, field, { tell, readout }) {
  const dot = svg("circle", { r: 4, class: "dot", visibility: "hidden" });
  image.append(dot);
  image.addEventListener("pointermove", (event) => {
    const { at, value, x, y } = field.points[nearest(field.points, event.offsetX)];
    for (const [name, to] of [["cx", x], ["cy", y], ["visibility", "visible"]]) dot.setAttribute(name, to);
    readout.textContent = `${moment(at)}: ${tell(value)}`;
  });
  image.addEventListener("pointerleave", () => {
    dot.setAttribute("visibility", "hidden");
    readout.textContent = "";
  });
}

function summary(data, { title, tell }) {
  const [first, last] = [data[0], data.at(-1)];
  return `${title}: from ${tell(first.value)}, ${moment(first.at)}, to ${tell(last.value)}, ${moment(last.at)}. The figures are in the table below.`;
}

function asTable(title, points, tell) {
  const rows = points.slice(-ROWS_SHOWN).reverse();
  const columns = [{ title: "When", kind: "main", cell: ({ at }) => moment(at) }, { title: "Value", kind: "number", cell: ({ value }) => tell(value) }];
  const more = points.length > ROWS_SHOWN ? ` (the newest ${ROWS_SHOWN} of ${points.length})` : "";
  return h("details", { data: { key: `table of ${title}` } }, h("summary", {}, `As a table${more}`), table(title, columns, rows, { class: "tight" }));
}

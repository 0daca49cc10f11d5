// Small drawings. They are decoration: the word beside them, or the label of their button, says the same.

import { svg } from "../dom.js";

/** Each on a field of 16 by 16: a path that is stroked, and one that is filled. States differ in outline, not only in colour. */
const DRAWINGS = {
  proven: { fill: "M8 .8 14 3v5c0 3.6-2.5 6-6 7.2C4.5 14 2 11.6 2 8V3z", cut: "m4.9 8 2.2 2.2 4-4.4" },
  safe: { stroke: "M8 1.500a6.5 6.5 0 1 1 0 13a6.5 6.5 0 0 1 0-13zM5 8.200l2.1 2.100L11 6" },
  "at-risk": { stroke: "M8 1.8 15 14H1zM8 6.200v3.600M8 11.700v.4" },
  overdue: { stroke: "M8 1.500a6.5 6.5 0 1 1 0 13a6.5 6.5 0 0 1 0-13zM8 4.300V8l2.6 1.7" },
  failed: { fill: "M5 1h6l4 4v6l-4 4H5l-4-4V5z", cut: "m5.5 5.5 5 5m0-5-5 5" },
  never: { stroke: "M8 1.500a6.5 6.5 0 1 1 0 13a6.5 6.5 0 0 1 0-13zM5 8h6" },
  running: { stroke: "M8 1.500a6.5 6.5 0 1 1-6.5 6.500M8 4.500V8l2 2" },
  waiting: { stroke: "M4 1.500h8M4 14.500h8M5 1.500v2.500l3 4 3-4V1.500M5 14.500V12l3-4 3 4v2.5" },
  info: { stroke: "M8 1.500a6.5 6.5 0 1 1 0 13a6.5 6.5 0 0 1 0-13zM8 7.300v4M8 4.500v.4" },
  close: { stroke: "m3.5 3.5 9 9m0-9-9 9" },
  menu: { stroke: "M2 4h12M2 8h12M2 12h12" },
  copy: { stroke: "M5.5 5.500h8v8h-8zM3 10.500h-.5v-8h8V3" },
  folder: { stroke: "M1.5 3h4.500l1.5 2h7v8.500h-13z" },
  file: { stroke: "M3.5 1.500h6l3 3v10h-9zM9.5 1.500v3h3" },
  link: { stroke: "M6.5 9.500l3-3M7 4.500l1.5-1.500a3 3 0 0 1 4.5 4.500L11.5 9M9 11.5 7.5 13A3 3 0 0 1 3 8.500L4.5 7" },
  download: { stroke: "M8 2v8.500M4.5 7.5 8 11l3.5-3.500M2 14h12" },
  play: { stroke: "M4 2.500v11l9.5-5.500z" },
  pause: { stroke: "M5 3v10M11 3v10" },
};

/** The drawing of this name. */
export function icon(name) {
  const { stroke, fill, cut } = DRAWINGS[name] ?? DRAWINGS.info;
  const line = (d, kind) => d && svg("path", { d, class: kind });
  return svg("svg", { class: `icon icon-${name}`, viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", focusable: "false" }, line(fill, "fill"), line(stroke, "stroke"), line(cut, "cut"));
}

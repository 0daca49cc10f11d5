// Real tables. On a narrow screen each row becomes a block with its labels; the roles are said outright, because `display: block` would take them away.

import { h, replace } from "../dom.js";
import { problem } from "./notice.js";

/**
 * A table. `columns`: `{title, cell(item), kind}` with kind `number`, `main` (the row's name) or `wide`.
 * `caption` is for screen readers.
 */
export function table(caption, columns, items, attributes = {}) {
  const titles = columns.map(({ title, kind }) => h("th", { scope: "col", role: "columnheader", class: kind }, title || h("span", { class: "unseen" }, "Actions")));
  const head = h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, titles));
  const body = h("tbody", { role: "rowgroup" }, items.map((item) => row(columns, item)));
  return h("table", { role: "table", ...attributes }, h("caption", { class: "unseen" }, caption), head, body);
}

function row(columns, item) {
  return h("tr", { role: "row" }, columns.map((column) => cell(column, item)));
}

function cell({ title, cell: content, kind }, item) {
  const main = kind === "main";
  const shown = content(item);
  const nothing = shown === null || shown === undefined || shown === false;
  const attributes = { class: [kind, nothing && "none"].filter(Boolean).join(" ") || null, role: main ? "rowheader" : "cell", scope: main ? "row" : null, data: { label: title } };
  return h(main ? "th" : "td", attributes, nothing ? h("span", { class: "quiet" }, "–") : shown);
}

/** A long list: the first page is `told`, more comes on demand from `more(cursor)`. `draw(items)` draws all of it. */
export function paged(told, more, draw) {
  const box = h("div", { class: "paged" });
  let items = told.items;
  let next = told.next;
  const show = (failure) => replace(box, draw(items), failure ? problem(failure, load) : next && button());
  const button = () => h("button", { class: "more", type: "button", data: { key: "more" }, on: { click: load } }, "Show more");
  async function load() {
    try {
      const page = await more(next);
      items = items.concat(page.items);
      next = page.next;
      box.dataset.grown = "";
      show(null);
    } catch (failure) {
      show(failure);
    }
  }
  show(null);
  return box;
}

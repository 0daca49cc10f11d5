// Why a node is in its state, each with what to do about it.

import { h } from "../dom.js";
import { command } from "./notice.js";

/** A list of reasons; nothing where there are none. */
export function reasons(list) {
  if (list.length === 0) return null;
  return h("ul", { class: "reasons" }, list.map((reason) => h("li", {}, h("span", {}, reason.text), reason.do && command(reason.do))));
}

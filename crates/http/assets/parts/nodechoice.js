// A filter by node, kept in the address so that it survives reload and back.

import { freshId, h } from "../dom.js";
import { go, to } from "../router.js";

/** A labelled choice of a node. `path` is the view's own address. */
export function nodeChoice(nodes, chosen, path) {
  const id = freshId("node");
  const change = (event) => go(to(path, { node: event.target.value }));
  const names = nodes.map(({ name }) => name).sort();
  if (chosen && !names.includes(chosen)) names.unshift(chosen);
  const options = names.map((name) => h("option", { value: name, selected: name === chosen }, name));
  const select = h("select", { id, data: { filter: "node" }, on: { change } }, h("option", { value: "" }, "All nodes"), options);
  return h("p", { class: "choice" }, h("label", { for: id }, "Node"), select);
}

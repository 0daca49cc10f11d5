// What must be chosen before there can be a plan: which snapshot, and for a restore where to.

import { get } from "../api.js";
import { freshId, h, replace } from "../dom.js";
import { bytes, short } from "../text.js";
import { moment } from "../time.js";
import { announceFailure } from "./announce.js";

const ASKED = { restore: ["snapshot", "to"], drill: ["snapshot"], verify: ["snapshot"] };

/** A form, or null where nothing can be chosen. `done({snapshot, to})` follows. */
export function questions({ action, node, snapshot = null }, done) {
  const asked = ASKED[action];
  if (!asked) return null;
  const which = snapshotChoice(node, snapshot);
  const where = asked.includes("to") ? targetChoice() : null;
  const submit = (event) => {
    event.preventDefault();
    done({ snapshot: which.value(), to: where?.value() ?? null });
  };
  const button = h("button", { class: "primary", type: "submit" }, "Show the plan");
  return h("form", { class: "questions", on: { submit } }, which.field, where?.field, h("p", { class: "note" }, "The plan is a dry run: it changes nothing."), h("footer", {}, button));
}

function snapshotChoice(node, chosen) {
  const id = freshId("snapshot");
  const first = chosen ? h("option", { value: chosen }, short(chosen)) : h("option", { value: "" }, "The newest");
  const select = h("select", { id }, first);
  get(["snapshots"], { node, limit: 100 })
    .then(({ items }) => replace(select, options(items, chosen)))
    .catch(announceFailure);
  return { field: h("p", {}, h("label", { for: id }, "Snapshot"), select), value: () => select.value || null };
}

function options(items, chosen) {
  const known = items.some(({ id }) => id === chosen);
  const own = chosen && !known ? [h("option", { value: chosen, selected: true }, short(chosen))] : [];
  const rest = items.map((item) => h("option", { value: item.id, selected: item.id === chosen }, `${moment(item.at)} · ${item.position ?? bytes(item.bytes)} · ${short(item.id)}${item.complete ? "" : " · incomplete"}`));
  return [chosen ? null : h("option", { value: "" }, "The newest"), own, rest];
}

/** In place of the node, or into a folder beside. */
function targetChoice() {
  const id = freshId("to");
  const path = h("input", { id: `${id}-path`, type: "text", spellcheck: "false", autocomplete: "off", placeholder: "/srv/restored", disabled: true, "aria-label": "Folder on the machine of the daemon" });
  const radio = (value, text, checked) => h("p", { class: "check" }, h("input", { type: "radio", name: id, id: `${id}-${value}`, value, checked, on: { change } }), h("label", { for: `${id}-${value}` }, text));
  const inPlace = radio("node", "In place of the node: it is stopped, replaced and started", true);
  const beside = radio("folder", "As a copy into an empty folder; the node is not touched", false);
  function change(event) {
    path.disabled = event.target.value !== "folder";
    path.required = !path.disabled;
    if (!path.disabled) path.focus();
  }
  return { field: h("fieldset", {}, h("legend", {}, "Where to"), inPlace, beside, path), value: () => (path.disabled ? null : path.value.trim()) };
}

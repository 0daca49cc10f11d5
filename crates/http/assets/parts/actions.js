// Buttons that begin something for a node. What the token or the daemon may not do is said instead of offered.

import { h } from "../dom.js";
import { may, session } from "../session.js";
import { openPlan } from "./plan.js";

/** Action, text, the role of the token, and whether the daemon must be able to read backups. */
const ACTIONS = [
  ["backup", "Back up", "operate", false],
  ["health", "Check health", "operate", false],
  ["verify", "Verify", "operate", true],
  ["drill", "Drill", "operate", true],
  ["restore", "Restore…", "admin", true],
];

/** The buttons for a node, or for one of its snapshots. */
export function actions({ node, snapshot = null, reads, only = null }) {
  const wanted = ACTIONS.filter(([action]) => !only || only.includes(action));
  const able = wanted.filter(([, , role, reading]) => may(role) && (reads || !reading));
  const buttons = able.map(([action, text]) => h("button", { type: "button", class: action === "backup" ? "primary" : null, "aria-haspopup": "dialog", data: { key: action }, on: { click: () => openPlan({ action, node, snapshot }) } }, text));
  return h("div", { class: "actions" }, buttons, missing(wanted, reads));
}

function missing(wanted, reads) {
  const roles = wanted.filter(([, , role]) => !may(role));
  const notes = [];
  if (!may("operate")) notes.push(`The token ${session().name} may look, not act.`);
  else if (roles.length > 0) notes.push(`A restore needs a token with the role admin.`);
  if (!reads && may("operate") && wanted.some(([, , , reading]) => reading)) notes.push("This daemon is a writer: it cannot verify, drill or restore.");
  return notes.length > 0 && h("p", { class: "note" }, notes.join(" "));
}

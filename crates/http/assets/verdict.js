// The state of a node in words. Green is kept for one thing alone: a drill that started the node from its backup.

import { duration, moment, relative } from "./time.js";

const WORDS = { proven: "Proven", safe: "Safe", "at-risk": "At risk", overdue: "Overdue", failed: "Failed", never: "No backup" };

/** Which state needs a person first. */
const URGENCY = ["failed", "never", "overdue", "at-risk", "safe", "proven"];

/** The state to show. A node that no drill has started is never shown as proven, whatever was told. */
export function stateOf(node) {
  const started = node.drill?.ok === true && node.drill.started === true;
  if (node.verdict === "proven" && !started) return "safe";
  return WORDS[node.verdict] ? node.verdict : "at-risk";
}

/** One word or two for a state. */
export function word(state) {
  return WORDS[state] ?? state;
}

/** Whether somebody should look. */
export function needsCare(state) {
  return URGENCY.indexOf(state) < URGENCY.indexOf("safe");
}

/** For sorting: what needs a person comes first. */
export function urgency(state) {
  return URGENCY.indexOf(state);
}

/** The state as a sentence with its figures. */
export function tell(node, now = Date.now()) {
  const newest = node.newest ? relative(node.newest.at, now) : null;
  switch (stateOf(node)) {
    case "proven":
      return `Proven restorable ${moment(node.drill.at, new Date(now))} in ${duration(node.drill.seconds)}`;
    case "safe":
      return `Safe, backed up ${newest}`;
    case "overdue":
      return newest ? `Overdue, last backup ${newest}` : "Overdue, never backed up";
    case "failed":
      return newest ? `The last run failed, last backup ${newest}` : "The last run failed";
    case "never":
      return "No backup yet";
    default:
      return newest ? `At risk, backed up ${newest}` : "At risk";
  }
}

/** The fleet in one sentence. */
export function tellAll(nodes) {
  const count = (wanted) => nodes.filter((node) => wanted(stateOf(node))).length;
  const care = count(needsCare);
  const proven = count((state) => state === "proven");
  if (care) return care === 1 ? "1 node needs you" : `${care} nodes need you`;
  if (proven === nodes.length) return nodes.length === 1 ? "The node is proven restorable" : `All ${nodes.length} nodes are proven restorable`;
  return nodes.length === 1 ? "The node is safe" : `All ${nodes.length} nodes are safe`;
}

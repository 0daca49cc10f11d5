// Starting something: first the plan with the fence's verdict, then the confirmation. Nothing starts from a single click.

import { post } from "../api.js";
import { freshId, h, replace } from "../dom.js";
import { go, to } from "../router.js";
import { sentence } from "../text.js";
import { when } from "../time.js";
import { announce } from "./announce.js";
import { modal } from "./dialog.js";
import { questions } from "./questions.js";
import { loading, problem, remark } from "./notice.js";

const VERDICTS = {
  fine: ["safe", "safe", "The fence: clear. Nothing would run backwards."],
  warn: ["at-risk", "at-risk", "The fence warns: nobody can see whether the node still runs. Be sure that it does not."],
  refuse: ["failed", "failed", "The fence refuses. This would run something backwards that must not."],
};

/** What an action is called once it is a thing. */
const NOUNS = { health: "check", verify: "verification" };

/** Opens the dialog. `wish`: `{action, node, snapshot}`; what can be chosen is asked first. */
export function openPlan(wish) {
  const body = h("div", { class: "plan", "aria-live": "polite" });
  const dialog = modal(`${sentence(wish.action)} ${wish.node}`, body, { wide: true });
  const ask = questions(wish, (answers) => showPlan({ ...wish, ...answers }));
  if (ask) begin();
  else showPlan(wish);

  function begin() {
    replace(body, ask);
    ask.querySelector("select").focus();
  }

  async function showPlan(whole) {
    replace(body, loading());
    const again = () => (ask ? begin() : showPlan(whole));
    try {
      const plan = await post(["plans"], { action: whole.action, node: whole.node, snapshot: whole.snapshot ?? null, to: whole.to || null });
      replace(body, drawPlan(plan, dialog, ask && again, () => showPlan(whole)));
      body.querySelector("h3").focus(); // Not the field or the button: the verdict is to be read first.
    } catch (failure) {
      replace(body, problem(failure, again));
    }
  }
}

function drawPlan(plan, dialog, back, renew) {
  const steps = plan.steps.length > 0 && h("ol", { class: "steps" }, plan.steps.map((step) => h("li", {}, sentence(step))));
  const told = dryRun(plan);
  const lines = told && h("pre", { tabindex: "0", "aria-label": "Dry run" }, told);
  const backButton = back && h("button", { type: "button", on: { click: back } }, "Back");
  const end = plan.possible ? confirmation(plan, dialog, backButton, renew) : refusal(plan, dialog, backButton);
  return [h("h3", { tabindex: "-1" }, plan.title), plan.fence && fence(plan), steps && [h("h4", {}, plan.possible ? "What is done" : "What would be done"), steps], lines && [h("h4", {}, "Dry run"), lines], end];
}

/** What the dry run said, without the fence's part where that has a box of its own. */
function dryRun({ lines, fence: verdict }) {
  const at = verdict ? fenceAt(lines) : -1;
  return (at < 0 ? lines : lines.slice(0, at)).join("\n").trimEnd();
}

function fenceAt(lines) {
  return lines.findIndex((line) => line.trim() === "Fence:");
}

/** The fence's part as the dry run set it, with its indents; else the lines alone. */
function fenceText({ lines, fence: told }) {
  const at = fenceAt(lines);
  return at < 0 ? told.lines.join("\n") : lines.slice(at + 1).map((line) => line.replace(/^ {2}/, "")).join("\n").trim();
}

function fence(plan) {
  const [kind, drawing, text] = VERDICTS[plan.fence.verdict] ?? VERDICTS.refuse;
  const said = fenceText(plan);
  return remark(kind, drawing, h("p", {}, h("strong", {}, text)), said && h("pre", { tabindex: "0", "aria-label": "What the fence says" }, said));
}

function refusal(plan, dialog, back) {
  const close = h("button", { type: "button", on: { click: () => dialog.close() } }, "Close");
  return [remark("failed", "failed", h("p", {}, h("strong", {}, "This cannot be started. "), sentence(plan.why_not))), h("footer", {}, back, close)];
}

function confirmation(plan, dialog, back, renew) {
  const typed = plan.confirm ? typedWord(plan.confirm) : null;
  const start = h("button", { class: "primary", type: "submit", disabled: typed !== null }, `Start the ${NOUNS[plan.action] ?? plan.action}`);
  typed?.input.addEventListener("input", () => {
    start.disabled = typed.input.value.trim() !== plan.confirm;
  });
  const trouble = h("div", {});
  const submit = async (event) => {
    event.preventDefault();
    if (start.disabled) return; // Enter in the field must not pass what the button does not.
    start.disabled = true;
    try {
      arrived(await post(["jobs"], { plan: plan.plan, confirm: typed ? typed.input.value.trim() : null }), dialog);
    } catch (failure) {
      replace(trouble, problem(failure, renew));
      start.disabled = false;
    }
  };
  const note = h("p", { class: "note" }, "This plan holds until ", when(plan.expires), ".");
  const cancel = h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel");
  return h("form", { on: { submit } }, typed?.field, trouble, h("footer", {}, note, back, cancel, start));
}

function typedWord(word) {
  const id = freshId("confirm");
  const input = h("input", { id, type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
  return { input, field: h("p", { class: "confirm" }, h("label", { for: id }, "To confirm, type ", h("code", {}, word)), input) };
}

function arrived(job, dialog) {
  dialog.close();
  announce(`Started: ${job.word} of ${job.subject}.`);
  go(to("/jobs", job.id));
}

// The form that takes a token: on its own page at first, in a dialog when a session has ended.

import { freshId, h } from "../dom.js";

/** A form. `signIn(token)` tries; `done()` follows a success. */
export function signInForm(signIn, done) {
  const id = freshId("token");
  const problem = h("p", { class: "field-problem", role: "alert", id: `${id}-problem` });
  const input = h("input", { id, type: "password", name: "token", autocomplete: "current-password", spellcheck: "false", required: true, "aria-describedby": `${id}-help ${id}-problem` });
  const button = h("button", { class: "primary", type: "submit" }, "Sign in");
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = "";
    try {
      await signIn(input.value.trim());
      done();
    } catch (failure) {
      refuse(input, problem, failure);
    } finally {
      button.disabled = false;
    }
  };
  const help = h("p", { class: "help", id: `${id}-help` }, "Make one on the machine of the daemon: ", h("code", {}, "nodekeep daemon token add me --role operate"));
  const who = h("input", { type: "text", name: "username", autocomplete: "username", value: "nodekeep", hidden: true }); // So that a password manager can keep it.
  return h("form", { class: "signin", on: { submit } }, who, h("label", { for: id }, "Token"), input, problem, help, button);
}

function refuse(input, problem, failure) {
  const wrong = failure.status === 401 || failure.status === 403;
  problem.textContent = wrong ? "This token is not known, or has expired." : [failure.message, failure.hint].filter(Boolean).join(" ");
  input.setAttribute("aria-invalid", "true");
  input.focus();
  input.select();
}

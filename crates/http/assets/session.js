// Who is signed in. A session that ends is renewed in a dialog above the page, so that nothing typed or opened is lost.

import { Failure, ask, onSessionEnd, setCsrf } from "./api.js";
import { h } from "./dom.js";
import { start as startLive } from "./live.js";
import { modal } from "./parts/dialog.js";
import { signInForm } from "./parts/signin.js";

const RANK = { read: 0, operate: 1, admin: 2 };

let current = null;
let renewal = null;

/** The session: `{name, role}`; null before anyone signed in. */
export function session() {
  return current;
}

/** Whether this session may do what needs a role. */
export function may(role) {
  return current !== null && RANK[current.role] >= RANK[role];
}

/** Looks whether a session is there already; false if somebody must sign in. */
export async function resume() {
  try {
    accept(await ask("GET", ["session"]));
    return true;
  } catch (failure) {
    if (failure instanceof Failure && failure.status === 401) return false;
    throw failure;
  }
}

/** Begins a session with a token. */
export async function signIn(token) {
  accept(await ask("POST", ["session"], { body: { token } }));
}

/** Ends it, here and at the daemon. */
export async function signOut() {
  try {
    await ask("DELETE", ["session"]);
  } catch (failure) {
    if (failure.status !== 401) throw failure; // It had ended already.
  }
  current = null;
  setCsrf(null);
}

function accept(told) {
  current = { name: told.name, role: told.role };
  setCsrf(told.csrf);
}

/** One dialog, however many requests found that the session has ended. */
function renewOnce() {
  renewal ??= renewInDialog().finally(() => {
    renewal = null;
  });
  return renewal;
}

function renewInDialog() {
  return new Promise((resolve, reject) => {
    const form = signInForm(signIn, () => {
      resolve();
      dialog.close();
      startLive(); // The stream of the old session is closed for good.
    });
    const note = h("p", {}, "Your session has ended. Sign in again, and the page goes on where it was.");
    const gaveUp = () => reject(new Failure(401, { code: "signed-out", message: "Nobody is signed in.", hint: null }));
    const dialog = modal("Sign in again", [note, form], { stays: true, onClose: gaveUp }); // After a success that changes nothing any more.
  });
}

onSessionEnd(renewOnce);

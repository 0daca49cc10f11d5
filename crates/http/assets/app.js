// Starts the dashboard: looks who is signed in, then shows the view that the address names.

import { h, replace } from "./dom.js";
import { forget, refresh } from "./fleet.js";
import { listenToKeys } from "./keys.js";
import * as live from "./live.js";
import { empty, loading, problem } from "./parts/notice.js";
import { signInForm } from "./parts/signin.js";
import { match, place, route } from "./router.js";
import { resume, session, signIn, signOut } from "./session.js";
import { drawShell, hideShell, markPlace } from "./shell.js";
import { keepTrue } from "./time.js";

route("/", () => import("./views/overview.js"));
route("/nodes/:name", () => import("./views/node.js"));
route("/snapshots", () => import("./views/snapshots.js"));
route("/snapshots/:id", () => import("./views/snapshot.js"));
route("/snapshots/:id/files", () => import("./views/files.js"));
route("/diff", () => import("./views/diff.js"));
route("/jobs", () => import("./views/jobs.js"));
route("/jobs/:id", () => import("./views/job.js"));
route("/schedules", () => import("./views/schedules.js"));
route("/repository", () => import("./views/repository.js"));
route("/machines", () => import("./views/machines.js"));
route("/certificates", () => import("./views/certificates.js"));
route("/notifications", () => import("./views/notifications.js"));
route("/log", () => import("./views/log.js"));

const main = document.getElementById("main");
let leaving = new AbortController();
let arrivals = 0;

/** Shows the view of the address. What the one before still waits for is dropped. */
async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { path, query } = place();
  const found = match(path);
  markPlace(path);
  const slow = setTimeout(() => !signal.aborted && replace(main, loading()), 250);
  const view = await made(found, query, signal);
  clearTimeout(slow);
  if (!signal.aborted) arrive(view);
}

/** The view, or what stands in its place: always something to read. */
async function made(found, query, signal) {
  if (!found) return missing();
  try {
    const { view } = await found.load();
    return await view({ ...found.params, query, signal });
  } catch (failure) {
    return { title: "This did not work", body: [problem(failure, show)] };
  }
}

function missing() {
  return { title: "No such page", body: [empty("There is nothing at this address.", h("a", { href: "#/" }, "To the overview"))] };
}

/** Puts the view on the page. The heading gets the focus, so that a screen reader says where one is. */
function arrive({ title, body, head = null, lead = null }) {
  document.title = `${title} · Nodekeep`;
  const heading = h("h1", { tabindex: "-1" }, title);
  main.replaceChildren(h("div", { class: "page" }, h("header", { class: "page-head" }, head, heading, lead), body));
  if (arrivals > 0) {
    heading.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
  arrivals += 1;
}

function showSignIn() {
  hideShell();
  document.title = "Sign in · Nodekeep";
  const form = signInForm(signIn, begin);
  const logo = h("img", { src: "assets/logo.svg", alt: "", width: 48, height: 48 });
  main.replaceChildren(h("div", { class: "door" }, logo, h("h1", {}, "Sign in to Nodekeep"), form));
  form.querySelector("input[type=password]").focus();
}

function begin() {
  live.start();
  drawShell(session(), leave);
  show();
}

async function leave() {
  await signOut();
  live.stop();
  forget();
  leaving.abort();
  showSignIn();
}

async function start() {
  keepTrue();
  listenToKeys();
  window.addEventListener("hashchange", () => session() && show());
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault(); // Its address would be taken for that of a view.
    main.focus();
  });
  try {
    (await resume()) ? begin() : showSignIn();
  } catch (failure) {
    main.replaceChildren(h("div", { class: "door" }, h("h1", {}, "Nodekeep"), problem(failure, () => location.reload())));
  }
}

start();
window.addEventListener("online", () => session() && refresh().catch(() => {}));

// What stays around every view: navigation, the mark of the connection, appearance, and who is signed in.

import { freshId, h } from "./dom.js";
import { fleet, onFleet } from "./fleet.js";
import { showKeys } from "./keys.js";
import { on } from "./live.js";
import { announceFailure } from "./parts/announce.js";
import { icon } from "./parts/icon.js";
import { PLACES } from "./places.js";

const LINK = { live: "Live", reconnecting: "Reconnecting", polling: "Asking every few seconds", away: "The daemon does not answer", ended: "Signed out" };

const bar = document.getElementById("bar");
let gone = new AbortController();

/** Draws it for a session. */
export function drawShell(session, leave) {
  gone.abort();
  gone = new AbortController();
  const nav = h("nav", { id: "nav", "aria-label": "Main" }, h("ul", {}, PLACES.map(entry)));
  const rest = h("div", { class: "bar-rest" }, link(), appearance(), person(session, leave), keysButton());
  const fold = h("div", { class: "fold", id: "fold" }, nav, rest);
  bar.replaceChildren(brand(), menuButton(fold), fold);
  bar.hidden = false;
  document.body.classList.add("inside");
  countJobs(nav);
}

/** Takes it away, for the sign-in. */
export function hideShell() {
  gone.abort();
  bar.hidden = true;
  bar.replaceChildren();
  document.body.classList.remove("inside");
}

/** Marks where one is, and folds the menu of a narrow screen. */
export function markPlace(path) {
  const start = path.startsWith("/nodes") ? "/" : path.startsWith("/diff") ? "/snapshots" : `/${path.split("/")[1]}`;
  for (const anchor of bar.querySelectorAll("nav a")) {
    if (anchor.getAttribute("href") === `#${start}`) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  fold(false);
}

function entry([path, title]) {
  return h("li", {}, h("a", { href: `#${path}` }, title));
}

function brand() {
  return h("a", { class: "brand", href: "#/" }, h("img", { src: "assets/logo.svg", alt: "", width: 26, height: 26 }), h("span", {}, "Nodekeep"));
}

function menuButton() {
  const toggle = () => fold(bar.dataset.open !== "true");
  bar.addEventListener("keydown", (event) => event.key === "Escape" && fold(false) , { signal: gone.signal });
  return h("button", { class: "bare menu", type: "button", id: "menu", "aria-expanded": "false", "aria-controls": "fold", on: { click: toggle } }, icon("menu"), h("span", { class: "unseen" }, "Menu"));
}

function fold(open) {
  bar.dataset.open = String(open);
  document.getElementById("menu")?.setAttribute("aria-expanded", String(open));
}

function link() {
  const mark = h("p", { class: "link", role: "status", data: { link: "reconnecting" } }, "Connecting");
  on("state", (state) => {
    if (mark.dataset.link === state) return;
    mark.dataset.link = state;
    mark.textContent = LINK[state];
  }, gone.signal);
  return mark;
}

function appearance() {
  const id = freshId("appearance");
  const { chosen, choose } = window.nodekeepTheme;
  const options = [["auto", "As the system"], ["light", "Light"], ["dark", "Dark"]];
  const select = h("select", { id, on: { change: (event) => choose(event.target.value) } }, options.map(([value, title]) => h("option", { value, selected: value === chosen() }, title)));
  return h("p", { class: "appearance" }, h("label", { for: id }, "Appearance"), select);
}

function person(session, leave) {
  const out = () => leave().catch(announceFailure);
  const who = h("span", {}, h("strong", {}, session.name), ` · ${session.role}`);
  return h("p", { class: "person" }, who, h("button", { type: "button", class: "small", on: { click: out } }, "Sign out"));
}

function keysButton() {
  return h("button", { class: "bare keys small", type: "button", on: { click: showKeys } }, "Keyboard");
}

/** The number of running jobs beside their entry. */
function countJobs(nav) {
  const anchor = nav.querySelector('a[href="#/jobs"]');
  const show = ({ jobs }) => {
    const busy = jobs.running + jobs.waiting;
    anchor.replaceChildren("Jobs", busy ? h("span", { class: "count", "aria-label": `${jobs.running} running, ${jobs.waiting} waiting` }, busy) : "");
  };
  onFleet(show, gone.signal);
  fleet().then(show).catch(() => {}); // The view says what is wrong.
}

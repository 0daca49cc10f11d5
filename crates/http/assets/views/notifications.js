// Who is told what, whether it arrives, and a message to try it.

import { get, post } from "../api.js";
import { h } from "../dom.js";
import { announce, announceFailure } from "../parts/announce.js";
import { mark, outcome } from "../parts/facts.js";
import { command, empty } from "../parts/notice.js";
import { section } from "../parts/section.js";
import { table } from "../parts/table.js";
import { may } from "../session.js";
import { ago, when } from "../time.js";

export async function view({ signal }) {
  const load = () => get(["notifications"], {}, signal);
  const draw = ({ channels, log }, again) => [channelTable(channels, again), h("h3", {}, "Lately told"), logTable(log)];
  return { title: "Notifications", body: [section("Channels", { load, draw, signal, live: ["alert"] })] };
}

function channelTable(channels, again) {
  if (channels.length === 0) return empty("Nobody is told when something goes wrong. Add a [[notify]] section to the configuration.", command("nodekeep config edit"));
  return table("Channels", [
    { title: "Channel", kind: "main", cell: ({ name }) => name },
    { title: "Kind", cell: ({ kind }) => kind },
    { title: "To", kind: "wide", cell: ({ to }) => to && h("span", { class: "path" }, to) },
    { title: "Hears", kind: "wide", cell: ({ topics }) => (topics.length > 0 ? topics.join(", ") : "everything") },
    { title: "Last", cell: ({ last }) => (last ? [outcome(last.ok, "Taken", "Refused"), " ", ago(last.at), last.text && h("span", { class: "note" }, last.text)] : mark("never", "never", "Never used")) },
    { title: "Waiting", kind: "number", cell: ({ waiting }) => waiting },
    { title: "", kind: "end", cell: ({ name }) => (may("operate") ? testButton(name, again) : "") },
  ], channels);
}

function testButton(name, again) {
  const test = async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      const { ok, text } = await post(["notifications", "test"], { channel: name });
      announce(ok ? `${name} has taken a test message.` : `${name} refused a test message: ${text}`);
      again();
    } catch (failure) {
      announceFailure(failure);
    } finally {
      button.disabled = false;
    }
  };
  return h("button", { type: "button", class: "small", "aria-label": `Send a test message to ${name}`, data: { key: `test ${name}` }, on: { click: test } }, "Send a test");
}

function logTable(log) {
  if (log.length === 0) return empty("Nothing was told yet.");
  return table("Lately told", [
    { title: "When", cell: ({ at }) => when(at) },
    { title: "What", kind: "main", cell: ({ title }) => title },
    { title: "Topic", cell: ({ topic }) => topic },
    { title: "Channel", cell: ({ channel }) => channel },
    { title: "Arrived", cell: ({ ok, text }) => [outcome(ok, "Yes", "No"), text && h("span", { class: "note" }, text)] },
  ], log);
}

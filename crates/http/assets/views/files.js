// The files of a snapshot, folder by folder, each to be downloaded.

import { address, get } from "../api.js";
import { h } from "../dom.js";
import { fleet } from "../fleet.js";
import { announce, announceFailure } from "../parts/announce.js";
import { icon } from "../parts/icon.js";
import { empty, writerOnly } from "../parts/notice.js";
import { section } from "../parts/section.js";
import { paged, table } from "../parts/table.js";
import { to } from "../router.js";
import { bytes, crumbs, inQuery, readable, short } from "../text.js";
import { when } from "../time.js";

const PAGE = 500;

export async function view({ id, query, signal }) {
  const { role } = await fleet();
  if (role === "writer") return { title: "Files", body: [writerOnly()] };
  const roots = await get(["snapshots", id, "tree"], { limit: PAGE }, signal);
  const path = query.path ?? onlyFolder(roots.items);
  if (!path) return { title: "Files", head: trail(id, null, roots.items), body: [contents(async () => roots, (after) => get(["snapshots", id, "tree"], { limit: PAGE, after }, signal), id, signal)] };
  const load = (after) => get(["snapshots", id, "tree"], { path: inQuery(path), limit: PAGE, after }, signal);
  const title = readable(path.split("/").at(-1));
  const tar = download(id, path, { as: "tar" }, "Download this folder as a tar archive", `${title}.tar`);
  return { title, head: trail(id, path, roots.items), lead: h("p", { class: "actions" }, tar), body: [contents(() => load(null), load, id, signal)] };
}

function contents(load, more, id, signal) {
  const draw = (told) => (told.items.length > 0 ? paged(told, more, (items) => fileTable(id, items)) : empty("This folder is empty."));
  return section("Contents", { load, draw, signal, quiet: true });
}

/** The one folder that was backed up, if it is one: nobody wants a list of one. */
function onlyFolder(roots) {
  return roots.length === 1 && roots[0].kind === "directory" ? roots[0].path : null;
}

/** Where one is: the snapshot, what was backed up as one step however deep it lies, then each folder down to here. */
function trail(id, path, roots) {
  const start = h("li", {}, h("a", { href: to("/snapshots", id) }, `Snapshot ${short(id)}`));
  const root = roots.find((one) => path === one.path || path?.startsWith(`${one.path}/`));
  if (!root || path === root.path) return h("nav", { class: "crumb", "aria-label": "Folders above" }, h("ol", {}, start));
  const below = crumbs(path.slice(root.path.length)).slice(0, -1);
  const folders = [{ name: root.name, path: root.path }, ...below.map((crumb) => ({ ...crumb, path: root.path + crumb.path }))];
  const steps = folders.map((crumb) => h("li", {}, h("a", { href: to("/snapshots", id, "files", { path: crumb.path }) }, crumb.name)));
  return h("nav", { class: "crumb", "aria-label": "Folders above" }, h("ol", {}, start, steps));
}

function fileTable(id, items) {
  return table("Files", [
    { title: "Name", kind: "main", cell: (item) => name(id, item) },
    { title: "Size", kind: "number", cell: (item) => (item.kind === "file" ? bytes(item.bytes) : null) },
    { title: "Modified", cell: (item) => item.modified && when(item.modified) },
    { title: "Mode", cell: (item) => h("code", {}, mode(item.mode)) },
    { title: "", kind: "end", cell: (item) => fetchLink(id, item) },
  ], items, { class: "files" });
}

/** Octal, whether it comes as text or as a number. */
function mode(value) {
  return typeof value === "number" ? (value & 0o7777).toString(8).padStart(4, "0") : value;
}

function name(id, item) {
  const drawing = icon({ directory: "folder", link: "link" }[item.kind] ?? "file");
  if (item.kind === "directory") return h("a", { class: "file", href: to("/snapshots", id, "files", { path: item.path }) }, drawing, h("span", {}, item.name, h("span", { class: "unseen" }, ", folder")));
  const target = item.target && h("span", { class: "note" }, `→ ${item.target}`);
  const kind = ["file", "link"].includes(item.kind) ? null : h("span", { class: "note" }, item.kind);
  return h("span", { class: "file" }, drawing, h("span", {}, item.name, target, kind));
}

function fetchLink(id, item) {
  if (item.kind === "directory") return download(id, item.path, { as: "tar" }, "tar", `${item.name}.tar`, `Download ${item.name} as a tar archive`);
  return item.kind === "file" ? download(id, item.path, {}, "Download", item.name, `Download ${item.name}`) : "";
}

/** A link that downloads. The session is looked at first: an answer that says it has ended must not be kept as the file. */
function download(id, path, query, text, file, label = null) {
  const href = address(["snapshots", id, "file"], { ...query, path: inQuery(path) }).href;
  const link = h("a", { class: "button small", href, download: file, "aria-label": label, data: { key: `get ${path}` }, on: { click } }, icon("download"), text);
  let looked = false;
  async function click(event) {
    if (looked) {
      looked = false;
      return;
    }
    event.preventDefault();
    try {
      await get(["session"]);
      looked = true;
      link.click();
      announce(`Downloading ${file}.`);
    } catch (failure) {
      announceFailure(failure);
    }
  }
  return link;
}

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
import { bytes, crumbs, inQuery, short } from "../text.js";
import { when } from "../time.js";

const PAGE = 500;

export async function view({ id, query, signal }) {
  const { role } = await fleet();
  const path = query.path ?? "/";
  const title = path === "/" ? "Files" : (crumbs(path).at(-1)?.name ?? "Files");
  if (role === "writer") return { title, body: [writerOnly()] };
  const load = (after) => get(["snapshots", id, "tree"], { path: inQuery(path), limit: PAGE, after }, signal);
  const draw = (told) => (told.items.length > 0 ? paged(told, load, (items) => fileTable(id, items)) : empty("This folder is empty."));
  const tar = download(id, path, { as: "tar" }, "Download this folder as a tar archive", `${title}.tar`);
  return { title, head: trail(id, path), lead: h("p", { class: "actions" }, tar), body: [section("Contents", { load: () => load(null), draw, signal, quiet: true })] };
}

/** Where one is: the snapshot, then each folder down to here. */
function trail(id, path) {
  const root = h("a", { href: to("/snapshots", id, "files") }, "/");
  const folders = crumbs(path).slice(0, -1).map((crumb) => h("li", {}, h("a", { href: to("/snapshots", id, "files", { path: crumb.path }) }, crumb.name)));
  const start = h("a", { href: to("/snapshots", id) }, `Snapshot ${short(id)}`);
  return h("nav", { class: "crumb", "aria-label": "Folders above" }, h("ol", {}, h("li", {}, start), path === "/" ? null : h("li", {}, root), folders));
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

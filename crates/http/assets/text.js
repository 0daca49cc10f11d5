// Numbers and words as people read them.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A size in the units of the command line: `1.2 GiB`, `114 MiB`. Null is a dash. */
export function bytes(count) {
  if (count === null || count === undefined) return "–";
  const unit = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, count)) / 10));
  const value = count / 1024 ** unit;
  return `${unit === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${UNITS[unit]}`;
}

/** A whole number with separators of thousands. */
export function number(count) {
  if (count === null || count === undefined) return "–";
  return Math.round(count).toLocaleString("en-GB");
}

/** `1 file`, `2 files`. */
export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** A share from 0 to 1 as per cent; one digit where it matters. */
export function percent(share) {
  if (share === null || share === undefined) return "–";
  const value = share * 100;
  return `${value > 99 && value < 100 ? Math.min(99.9, value).toFixed(1) : Math.round(value)}%`;
}

/** The first letters of an id, enough to tell ids apart. */
export function short(id) {
  return id ? id.slice(0, 8) : "–";
}

/** The first letter in upper case. */
export function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : "";
}

/** A path's percent-encoded bytes as people read them; bytes that are no UTF-8 become the replacement character. */
export function readable(path) {
  const raw = path.replace(/[^\x00-\x7f]/g, encodeURIComponent).replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  return new TextDecoder().decode(Uint8Array.from(raw, (letter) => letter.charCodeAt(0)));
}

/** A percent-encoded path that is safe to stand in a URL's query as it is. */
export function inQuery(path) {
  return path.replace(/[^A-Za-z0-9\-._~/%]/gu, encodeURIComponent);
}

/** The folders above a percent-encoded path, from the root down: `[{name, path}]`. */
export function crumbs(path) {
  const parts = path.split("/").filter(Boolean);
  return parts.map((part, index) => ({ name: readable(part), path: `/${parts.slice(0, index + 1).join("/")}` }));
}

// Which view the address asks for. Addresses are hashes, so that the page needs nothing of the server but itself; reload, back and bookmarks keep the place.

const routes = [];

/** Registers a view: `/nodes/:name`. `load` gives the view's module, so that only what is looked at is fetched. */
export function route(pattern, load) {
  const names = [];
  const source = pattern.replace(/:(\w+)/g, (_, name) => {
    names.push(name);
    return "([^/]+)";
  });
  routes.push({ test: new RegExp(`^${source}$`), names, load });
}

/** The place that the address names: `{path, query}`. */
export function place() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  return { path: path || "/", query: Object.fromEntries(new URLSearchParams(query)) };
}

/** The view for a path: `{load, params}`, or null. */
export function match(path) {
  for (const { test, names, load } of routes) {
    const found = test.exec(path);
    if (found) return { load, params: Object.fromEntries(names.map((name, index) => [name, decoded(found[index + 1])])) };
  }
  return null;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // Typed by hand, and wrong: the server says that there is no such thing.
  }
}

/** The address of a place: `to("/nodes", name)`, `to("/diff", {from, to})`. */
export function to(start, ...rest) {
  const query = typeof rest.at(-1) === "object" ? rest.pop() : {};
  const path = [start, ...rest.map(encodeURIComponent)].join("/");
  const pairs = Object.entries(query).filter(([, value]) => value);
  return `#${path}${pairs.length ? `?${new URLSearchParams(pairs)}` : ""}`;
}

/** Goes there. */
export function go(address) {
  location.hash = address;
}

// Pages by the part of the address behind `#`, so that the server knows only one.

const routes = [];
let current = null;
let outlet = () => {};

/** A page: `route("calls/:id", () => import(...))`. */
export function route(pattern, load) {
  const names = [];
  const parts = pattern.split("/").map((part) => {
    if (!part.startsWith(":")) return part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    names.push(part.slice(1));
    return "([^/]+)";
  });
  routes.push({ test: new RegExp(`^${parts.join("/")}$`), names, load });
}

/** Where we are: path and query. */
export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { path, query: new URLSearchParams(query) };
}

/** Goes to a page. */
export function go(path, { replace = false } = {}) {
  const to = `#/${path.replace(/^\//, "")}`;
  if (location.hash === to) return turn();
  if (replace) {
    history.replaceState(null, "", to);
    return turn();
  }
  location.hash = to;
  return undefined;
}

/** Fetches a page, that of the address if none is named, before it is shown. */
export function ahead(path = here().path) {
  // What fails is told when the page is shown.
  routes.find(({ test }) => test.test(path))?.load().catch(() => {});
}

/** Calls `show(found, context)` for each page that is gone to. */
export function start(show) {
  outlet = show;
  addEventListener("hashchange", turn);
  return turn();
}

export function stop() {
  removeEventListener("hashchange", turn);
  current?.abort();
  current = null;
}

function turn() {
  const { path, query } = here();
  current?.abort();
  current = new AbortController();
  for (const { test, names, load } of routes) {
    const match = test.exec(path);
    if (!match) continue;
    const params = Object.fromEntries(names.map((name, i) => [name, plain(match[i + 1])]));
    return outlet(load, { path, params, query, signal: current.signal });
  }
  return outlet(null, { path, params: {}, query, signal: current.signal });
}

/** A part of an address as it was meant; one that is none leads to what is not there. */
function plain(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Draws the page that is shown again. */
export const again = () => turn();

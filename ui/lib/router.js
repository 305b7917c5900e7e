// Pages by the part of the address behind `#`, so that the server knows only one.

const routes = [];
let current = null;
let outlet = () => {};
let mayLeave = () => true;
/** Where the page that is shown stands among those of the browser's history, and its address. */
let place = -1;
let shown = "";

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
    history.replaceState({ place }, "", to);
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

/**
 * Lets `check()` decide whether somebody leaves a page by the browser's Back and Forward: true, or
 * a promise of the answer.
 */
export function whenLeaving(check) {
  mayLeave = check;
}

/** Notes where the page that is shown stands; the browser keeps that with it. */
function mark(at) {
  place = at;
  history.replaceState({ place }, "");
}

/** The address has changed: by a link, which nobody is asked about here, or by Back and Forward. */
async function move() {
  const to = history.state?.place;
  if (to === undefined) {
    mark(place + 1);
    return turn();
  }
  const by = to - place;
  // Where somebody was fetched back to, nobody has left.
  if (by === 0 && location.hash === shown) return undefined;
  const answer = by === 0 || mayLeave();
  if (answer === true) {
    place = to;
    return turn();
  }
  // Where the browser is already: it goes back until the answer is there.
  history.go(-by);
  if (await answer) history.go(by);
  return undefined;
}

/** A link to the page that is shown takes its place in the history, and what was noted with it. */
function keep() {
  setTimeout(() => history.state === null && location.hash === shown && mark(place));
}

/** Calls `show(found, context)` for each page that is gone to. */
export function start(show) {
  outlet = show;
  mark(history.state?.place ?? place + 1);
  addEventListener("hashchange", move);
  addEventListener("click", keep);
  return turn();
}

export function stop() {
  removeEventListener("hashchange", move);
  removeEventListener("click", keep);
  current?.abort();
  current = null;
}

function turn() {
  shown = location.hash;
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

// The HTTP API: the session's cookie goes by itself, its token with what changes something.

import { note } from "./clock.js";

const BASE = "/api/v1";

/** What the API refused (RFC 9457). */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.status = status;
    this.type = body.type || "";
    this.title = body.title || "Something went wrong";
    this.errors = body.errors || [];
    this.retryAfter = retryAfter;
  }

  /** True for what is no fault of the network or the server. */
  get isRefusal() {
    return this.status >= 400 && this.status < 500;
  }
}

/** Who is signed in; null if nobody is. */
export let session = null;
let csrf = null;
let onSignedOut = () => {};
let onReplaced = () => {};

/** What is done when the session has ended. */
export function whenSignedOut(work) {
  onSignedOut = work;
}

/** What is done when another window of this browser has signed in with another key. */
export function whenReplaced(work) {
  onReplaced = work;
}

// The windows of a browser have one cookie: whoever signs in or out in one does so in all of them.
const windows = new BroadcastChannel("talkpath-session");
windows.onmessage = ({ data: key }) => {
  if (!session) return;
  if (key === null) ended();
  else if (key !== session.key.id) onReplaced();
  // What goes wrong is told when something is changed.
  else renew().catch(() => {});
};

function ended() {
  session = null;
  csrf = null;
  onSignedOut();
}

/** Asks who is signed in by now; true if it is who it was, by another session perhaps. */
async function renew() {
  const now = await get("session");
  if (now.key.id !== session?.key.id) {
    onReplaced();
    return false;
  }
  session = now;
  csrf = now.csrf_token;
  return true;
}

/** The type of the problem that a token of another session is. */
const CSRF = "/problems/csrf";

const RANKS = { read: 0, calls: 1, admin: 2, server: 3 };

/** True if the session's key reaches a scope. */
export function may(scope) {
  return session !== null && RANKS[session.key.scope] >= RANKS[scope];
}

async function problem(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // A proxy in between may answer with anything.
  }
  return new Problem(response.status, body, Number(response.headers.get("retry-after")) || 0);
}

async function ask(method, path, options) {
  try {
    return await send(method, path, options);
  } catch (error) {
    // Another window has signed in since: with the same key, what is changed is sent once more.
    const isStale = error instanceof Problem && error.type === CSRF && session !== null;
    if (!isStale || !(await renew())) throw error;
    return send(method, path, options);
  }
}

async function send(method, path, { body, signal, headers, kind } = {}) {
  const head = { ...headers };
  if (method !== "GET" && csrf) head["X-CSRF-Token"] = csrf;
  if (body !== undefined) head["Content-Type"] = kind || "application/json";
  const asked = Date.now();
  let response;
  try {
    response = await fetch(path.startsWith("/") ? path : `${BASE}/${path}`, {
      method,
      signal,
      headers: head,
      credentials: "same-origin",
      cache: "no-store",
      body: body === undefined || kind ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(
      0,
      {
        title: "The server cannot be reached",
        detail: "The server cannot be reached. It may be restarting, or the connection is gone.",
      },
      0,
    );
  }
  note(response.headers.get("date"), asked, Date.now());
  if (response.status === 401 && session) ended();
  if (!response.ok) throw await problem(response);
  return response;
}

async function read(response) {
  return response.status === 204 ||
    (response.status === 202 && !response.headers.get("content-type"))
    ? null
    : response.json();
}

export const get = async (path, options) => read(await ask("GET", path, options));
export const put = async (path, body, options) =>
  read(await ask("PUT", path, { body, ...options }));
export const patch = async (path, body, options) =>
  read(await ask("PATCH", path, { body, ...options }));
export const remove = async (path, options) => read(await ask("DELETE", path, options));
export const text = async (path, options) => (await ask("GET", path, options)).text();

/** What a file holds; `onProgress(got, total)` hears how much of it is there, in bytes. */
export async function bytes(path, { onProgress, ...options } = {}) {
  const response = await ask("GET", path, options);
  const total = Number(response.headers.get("content-length"));
  if (!onProgress || !total || !response.body) return response.arrayBuffer();
  const parts = [];
  let got = 0;
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    got += part.value.length;
    onProgress(got, total);
  }
  return new Blob(parts).arrayBuffer();
}

/** A POST; what is sent twice by mistake is carried out once. */
export async function post(path, body, options = {}) {
  const headers = { "Idempotency-Key": crypto.randomUUID?.() ?? fallbackId(), ...options.headers };
  return read(await ask("POST", path, { body, ...options, headers }));
}

// Pages that are not secure have no `randomUUID`.
function fallbackId() {
  const parts = crypto.getRandomValues(new Uint32Array(4));
  return Array.from(parts, (part) => part.toString(16).padStart(8, "0")).join("");
}

/** Asks who is signed in. */
export async function resume() {
  try {
    session = await get("session");
  } catch (error) {
    if (error.status !== 401) throw error;
    session = null;
  }
  csrf = session?.csrf_token ?? null;
  return session;
}

/** Signs in by a key, which is not kept. */
export async function signIn(key) {
  session = await read(await ask("POST", "session", { body: { key } }));
  csrf = session.csrf_token;
  windows.postMessage(session.key.id);
  return session;
}

export async function signOut() {
  await remove("session");
  session = null;
  csrf = null;
  windows.postMessage(null);
}

const pageOf = (path, cursor, options) => {
  const joined = path.includes("?") ? "&" : "?";
  const more = cursor && `&cursor=${encodeURIComponent(cursor)}`;
  return get(`${path}${joined}limit=200${more}`, options);
};

/**
 * All items of a list, page by page. Whoever wants no more than `max` of them (and the rest of a
 * page) tells people that there may be others.
 */
export async function all(path, { max = Infinity, signal } = {}) {
  const items = [];
  let cursor = "";
  do {
    const page = await pageOf(path, cursor, { signal });
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < max);
  return items;
}

/**
 * Reads a list that grows at its end: the function that it gives has all items each time, and asks
 * for no more than what has come since, and the page before.
 */
export function growing(path, options) {
  const whole = [];
  let cursor = "";
  return async () => {
    for (;;) {
      const page = await pageOf(path, cursor, options);
      if (!page.next_cursor) return [...whole, ...page.items];
      whole.push(...page.items);
      cursor = page.next_cursor;
    }
  };
}

/** The address of a WebSocket of this server. */
export function socketUrl(path) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}${path.startsWith("/") ? path : `${BASE}/${path}`}`;
}

let known = {};

/** What does not change while the page lives, such as the metadata of the providers. */
export function once(path) {
  known[path] ??= get(path).catch((error) => {
    delete known[path];
    throw error;
  });
  return known[path];
}

/** Another key may see other things. */
export function forget() {
  known = {};
}

export const providers = async () =>
  (await once("organizations/telephony-providers/metadata")).providers;

// Begins: finds out who is signed in, and shows the page that the address names.

import * as api from "./lib/api.js";
import { h, mount } from "./lib/dom.js";
import * as router from "./lib/router.js";
import { apply } from "./lib/theme.js";
import { watch } from "./lib/unsaved.js";
import { empty, failed, linkButton, loading } from "./parts/basic.js";
import { hangUpPhone } from "./parts/phone.js";
import { shell } from "./parts/shell.js";
import { complain } from "./parts/toast.js";
import { signIn } from "./pages/sign_in.js";

/** After how long a page that is not there yet says that it comes. */
const PATIENCE_MS = 150;

const app = document.getElementById("app");
apply();

for (const [pattern, file, name] of [
  ["start", "start"],
  ["live", "live"],
  ["calls", "calls"],
  ["calls/:id", "call"],
  ["queues", "queues"],
  ["voicemails", "voicemails"],
  ["agents", "agents"],
  ["agents/:id", "agents", "agent"],
  ["connections", "connections"],
  ["connections/new", "connections", "choose"],
  ["connections/new/:provider", "connections", "create"],
  ["connections/:id", "connection"],
  ["routes", "routes"],
  ["routes/:id", "routes", "edit"],
  ["health", "health"],
  ["keys", "keys"],
  ["webhooks", "webhooks"],
  ["webhooks/:id", "webhooks", "webhook"],
  ["audit", "audit"],
])
  router.route(pattern, async () => (await import(`./pages/${file}.js`))[name ?? "page"]);

// While we ask who is signed in.
router.ahead();
let frame = null;
/** The page that is seen. */
let seen = null;

async function show(load, context) {
  if (!context.path) {
    const place = await firstPlace();
    // Whoever went on meanwhile knows where, also if the browser has not told of it yet.
    if (!context.signal.aborted && !router.here().path) router.go(place, { replace: true });
    return;
  }
  frame.mark(context.path);
  const { main } = frame;
  delete main.dataset.page;
  // A page that is drawn again is seen until it is there, and stays where it was scrolled to.
  const isAgain = seen === context.path;
  main.classList.remove("is-waiting");
  const { signal } = context;
  const slow = setTimeout(() => {
    if (isAgain) main.classList.add("is-waiting");
    else mount(main, loading());
  }, PATIENCE_MS);
  // Whoever has gone elsewhere waits for something else.
  signal.addEventListener("abort", () => clearTimeout(slow), { once: true });
  const title = (text) => {
    document.title = text ? `${text} · Talkpath` : "Talkpath";
  };
  try {
    const page = load && (await load());
    const content = page ? await page({ ...context, title }) : nowhere();
    if (signal.aborted) return;
    over(slow);
    const held = isAgain && document.activeElement !== document.body && document.activeElement;
    mount(main, h("div.page", content));
    seen = context.path;
    main.dataset.page = context.path;
    performance.mark("usable");
    if (!isAgain) scrollTo(0, 0);
    if (held && (held.isConnected || hold(held))) return;
    // Whoever hears the page is told where they are.
    main.querySelector("h1")?.focus({ preventScroll: true });
  } catch (error) {
    over(slow);
    if (signal.aborted || error.name === "AbortError" || !api.session) return;
    seen = null;
    const refused = error instanceof api.Problem;
    if (error.status === 404) {
      mount(
        main,
        h("div.page", h("h1.offscreen", { tabindex: "-1" }, "Not found"), gone(context.path)),
      );
      main.querySelector("h1").focus({ preventScroll: true });
      return;
    }
    // A module that is not to be had is one of another version of the server.
    const again = refused ? router.again : () => location.reload();
    mount(
      main,
      h(
        "div.page",
        h("h1", { tabindex: "-1" }, "This page could not be shown"),
        failed(error, again),
      ),
    );
    if (!refused) throw error;
  }
}

/** The wait for a page is over. */
function over(slow) {
  clearTimeout(slow);
  frame.main.classList.remove("is-waiting");
}

/** What tells a control from others of its kind. */
const nameOf = (element) =>
  element.name || element.getAttribute("aria-label") || element.textContent;

/** Gives the keyboard to the control that has the place of one that was drawn anew. */
function hold(before) {
  const name = nameOf(before);
  const all = [...frame.main.querySelectorAll(before.localName)];
  const after = name && all.find((element) => nameOf(element) === name);
  after?.focus({ preventScroll: true });
  return Boolean(after);
}

const nowhere = () =>
  empty(
    "search",
    "There is no such page",
    "The address may be old.",
    linkButton("To the live calls", "#/live", { kind: "primary" }),
  );

/** What was there once, perhaps; the way back to its kind. */
const gone = (path) =>
  empty(
    "search",
    "This is not here",
    "It was removed or forgotten, belongs to another organisation, or the address is not complete.",
    linkButton("Back", `#/${path.split("/")[0]}`, { kind: "primary" }),
  );

/** Whoever has not had a call yet is shown how. */
async function firstPlace() {
  router.ahead("live");
  try {
    const { items } = await api.get("calls?limit=1");
    return items.length ? "live" : "start";
  } catch {
    return "live";
  }
}

function enter() {
  frame = shell(async () => {
    hangUpPhone();
    await api.signOut();
    leave();
  });
  mount(app, frame.element);
  router.start(show).catch(complain);
}

function leave(why) {
  router.stop();
  seen = null;
  api.forget();
  document.title = "Sign in · Talkpath";
  for (const open of document.querySelectorAll("dialog")) open.close();
  mount(app, signIn(enter, why));
  performance.mark("usable");
}

// The dialog is fetched when somebody is asked.
watch(async () => {
  const { confirm } = await import("./parts/dialog.js");
  return confirm("Leave without saving?", {
    text: "What you typed on this page is lost.",
    action: "Leave",
  });
});

api.whenSignedOut(() => {
  hangUpPhone();
  leave("Your session has ended. Sign in again to go on.");
});

// What is seen is another organisation's, perhaps; what was typed is not saved there.
api.whenReplaced(() => {
  hangUpPhone();
  leave();
  location.reload();
});

try {
  if (await api.resume()) enter();
  else leave();
} catch (error) {
  mount(
    app,
    h(
      "main.sign-in",
      failed(error, () => location.reload()),
    ),
  );
}

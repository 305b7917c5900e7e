// The frame around all pages: where one can go, who is signed in, what runs.

import * as api from "../lib/api.js";
import { h, mount } from "../lib/dom.js";
import { icon } from "../lib/icons.js";
import * as themes from "../lib/theme.js";
import { button } from "./basic.js";
import { openPhone } from "./phone.js";

const PLACES = [
  {
    title: "Calls",
    items: [
      ["start", "Get started", "start", "read"],
      ["live", "Live", "live", "read"],
      ["calls", "Calls", "calls", "read"],
      ["queues", "Queues", "hold", "read"],
      ["voicemails", "Voicemail", "voicemail", "read"],
    ],
  },
  {
    title: "Set up",
    items: [
      ["agents", "Agents", "agent", "read"],
      ["connections", "Connections", "plug", "read"],
      ["routes", "Routes", "route", "read"],
    ],
  },
  {
    title: "Operate",
    items: [
      ["health", "Server", "gauge", "read"],
      ["keys", "API keys", "key", "admin"],
      ["webhooks", "Webhooks", "hook", "admin"],
      ["audit", "Audit log", "log", "admin"],
    ],
  },
];

/** From here on the menu is always there. */
const WIDE = "(min-width: 901px)";

/** Those that a thumb reaches first. */
const THUMB = ["live", "calls", "agents", "connections"];

export function shell(onSignOut) {
  const main = h("main", { id: "main", tabindex: "-1" });
  const links = new Map();
  const link = ([path, label, name]) => {
    const element = h("a.place", { href: `#/${path}` }, icon(name), h("span", label));
    links.set(path, [...(links.get(path) ?? []), element]);
    return element;
  };
  const allowed = (items) => items.filter(([, , , scope]) => api.may(scope));
  const nav = h(
    "nav",
    { "aria-label": "Pages", id: "places" },
    PLACES.map(
      ({ title, items }) =>
        allowed(items).length > 0 && h("div.place-group", h("h2", title), allowed(items).map(link)),
    ),
  );
  const thumbs = h(
    "nav.thumbs",
    { "aria-label": "Most used pages" },
    PLACES.flatMap(({ items }) => items)
      .filter(([path]) => THUMB.includes(path))
      .map(link),
  );
  const menu = h(
    "button.quiet.icon-only.menu",
    {
      type: "button",
      "aria-label": "All pages",
      "aria-expanded": "false",
      "aria-controls": "side",
      onclick: () => open(true),
    },
    icon("menu"),
  );
  const side = h(
    "aside",
    { id: "side" },
    h("a.brand", { href: "#/live" }, mark(), h("span", "Talkpath")),
    nav,
    foot(onSignOut),
  );
  const shade = h("div.shade", { onclick: () => open(false) });
  const open = (is) => {
    frame.classList.toggle("menu-open", is);
    menu.setAttribute("aria-expanded", String(is));
    // What lies below the menu is out of reach for the keyboard, too.
    for (const below of [top, main, thumbs]) below.inert = is;
    if (is) side.querySelector("a")?.focus();
  };
  matchMedia(WIDE).addEventListener("change", () => open(false));
  side.addEventListener("click", (event) => event.target.closest("a") && open(false));
  side.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    open(false);
    menu.focus();
  });
  const testCall =
    api.may("calls") &&
    button("Test call", { icon: "phone", kind: "small", onclick: () => openPhone() });
  const top = h(
    "header.top",
    menu,
    h("a.brand", { href: "#/live" }, mark(), h("span", "Talkpath")),
    testCall,
  );
  const frame = h(
    "div.frame",
    h(
      "a.skip",
      {
        href: "#main",
        onclick: (event) => {
          event.preventDefault();
          main.focus();
        },
      },
      "Skip to the page",
    ),
    side,
    shade,
    top,
    main,
    thumbs,
  );
  return {
    element: frame,
    main,
    mark(path) {
      const [first] = path.split("/");
      for (const [name, elements] of links) {
        for (const element of elements) {
          if (name === first) element.setAttribute("aria-current", "page");
          else element.removeAttribute("aria-current");
        }
      }
    },
  };
}

export function mark() {
  return h("img", { src: new URL("../icon.svg", import.meta.url).href, width: 26, height: 26, alt: "" });
}

function foot(onSignOut) {
  const { key, organization } = api.session;
  const modes = h("div.modes", { role: "group", "aria-label": "Colours" });
  const draw = () =>
    mount(
      modes,
      [
        ["system", "system"],
        ["light", "sun"],
        ["dark", "moon"],
      ].map(([name, sign]) =>
        h(
          "button.quiet.icon-only",
          {
            type: "button",
            "aria-label": `${name} colours`,
            title: `${name} colours`,
            "aria-pressed": String(themes.theme() === name),
            onclick: () => {
              themes.choose(name);
              draw();
            },
          },
          icon(sign, 16),
        ),
      ),
    );
  draw();
  return h(
    "div.side-foot",
    api.may("calls") &&
      button("Test call", { icon: "phone", kind: "wide", onclick: () => openPhone() }),
    h(
      "div.who",
      h("div", h("strong", organization.name), h("span.muted", `${key.name} · ${key.scope}`)),
      button("", { icon: "out", kind: "quiet icon-only", title: "Sign out", work: onSignOut }),
    ),
    modes,
  );
}

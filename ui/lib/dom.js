// Elements in few words. Data become text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `h("button.primary", {onclick}, "Save")`. */
export function h(spec, ...rest) {
  return fill(document.createElement(spec.split(/[.#]/)[0] || "div"), spec, rest);
}

/** The same of SVG. */
export function s(spec, ...rest) {
  return fill(document.createElementNS(SVG, spec.split(/[.#]/)[0]), spec, rest);
}

function fill(element, spec, rest) {
  for (const [, kind, name] of spec.matchAll(/([.#])([^.#]+)/g)) {
    if (kind === ".") element.classList.add(name);
    else element.id = name;
  }
  const [first] = rest;
  const isProps =
    first && typeof first === "object" && !Array.isArray(first) && !(first instanceof Node);
  if (isProps) set(element, first);
  append(element, isProps ? rest.slice(1) : rest);
  return element;
}

// What the browser keeps as properties, because the attribute is only the initial value.
const PROPERTIES = new Set([
  "value",
  "checked",
  "disabled",
  "hidden",
  "selected",
  "indeterminate",
  "readOnly",
  "required",
  "open",
  "muted",
  "noValidate",
]);

/** Sets properties, attributes and listeners. */
export function set(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) {
      if (value) element.addEventListener(name.slice(2), value);
    } else if (name === "class") {
      if (value) element.classList.add(...value.split(" ").filter(Boolean));
    } else if (name === "style") {
      for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    } else if (PROPERTIES.has(name) && name in element) {
      element[name] = value ?? "";
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  return element;
}

/** Appends nodes and texts; what is empty is left out. */
export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Replaces what is in an element. */
export function mount(element, ...children) {
  element.replaceChildren();
  return append(element, children);
}

/** Changes a text only where it differs: what stays the same is not drawn again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  return element;
}

let next = 0;

/** An id that no other element has. */
export function uid(prefix = "i") {
  next += 1;
  return `${prefix}${next}`;
}

/** Calls `work` at most once a frame. */
export function perFrame(work) {
  let due = 0;
  return () => {
    due ||= requestAnimationFrame(() => {
      due = 0;
      work();
    });
  };
}

/** Runs `work` every `ms` while the page is looked at, until the signal. */
export function every(ms, signal, work) {
  // Whoever has left meanwhile would never stop it.
  if (signal.aborted) return Promise.resolve();
  let busy = false;
  const turn = async () => {
    if (busy || document.hidden || signal.aborted) return;
    busy = true;
    try {
      await work();
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => turn().catch(() => {}), ms);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  return turn();
}

/**
 * Asynchronous `work`, of which one run at a time is under way: what is asked for meanwhile is one
 * run more, behind it. Each asker waits for the last, and hears if that goes wrong.
 */
export function oneByOne(work) {
  let running = null;
  let isAsked = false;
  const run = async () => {
    let fault;
    do {
      isAsked = false;
      fault = null;
      try {
        await work();
      } catch (error) {
        fault = error;
      }
    } while (isAsked);
    running = null;
    if (fault) throw fault;
  };
  return () => {
    isAsked = true;
    running ??= run();
    return running;
  };
}

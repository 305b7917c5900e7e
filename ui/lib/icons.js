// Line icons on a grid of 24, drawn for these pages.

import { s } from "./dom.js";

const PATHS = {
  live: ["M4 12h3l2.5-6 4 12 2.5-6h4"],
  calls: [
    "M6.5 4h3l1.5 4-2 1.5a11 11 0 0 0 5.5 5.5l1.5-2 4 1.500v3a2 2 0 0 1-2.2 2A16 16 0 0 1 4.5 6.2 2 2 0 0 1 6.5 4z",
  ],
  agent: ["M7 9.500a5 5 0 0 1 10 0V13a5 5 0 0 1-10 0z", "M4 11v2.500M20 11v2.500M12 18v3M9 21h6"],
  plug: ["M9 3v5M15 3v5M6.5 8h11v3.500a5.5 5.5 0 0 1-11 0zM12 17v4"],
  route: ["M6 19V9a4 4 0 0 1 4-4h8", "M15 2l3 3-3 3", "M6 19h6a4 4 0 0 0 4-4v-1"],
  health: ["M3 12h4l2 5 4-11 2 6h6"],
  gauge: ["M5 18a8.5 8.5 0 1 1 14 0", "M12 14l4-5"],
  key: ["M14.5 9.500a4.5 4.5 0 1 1-2.2-2.200L20 3M17 6l2 2"],
  hook: ["M12 3v9a4 4 0 1 1-4-4", "M12 12a4 4 0 1 0 4 4v-3l-2.5 2.500M16 13l2.5 2.5"],
  start: ["M5 12l4.5 4.500L19 7"],
  phone: [
    "M6.5 4h3l1.5 4-2 1.500a11 11 0 0 0 5.5 5.500l1.5-2 4 1.500v3a2 2 0 0 1-2.2 2A16 16 0 0 1 4.5 6.2 2 2 0 0 1 6.5 4z",
  ],
  plus: ["M12 5v14M5 12h14"],
  copy: ["M9 9h10v10H9z", "M15 9V5H5v10h4"],
  check: ["M5 12.500l4.5 4.500L19 7.5"],
  close: ["M6 6l12 12M18 6L6 18"],
  more: ["M5 12h.01M12 12h.01M19 12h.01"],
  menu: ["M4 7h16M4 12h16M4 17h16"],
  back: ["M14 6l-6 6 6 6"],
  next: ["M10 6l6 6-6 6"],
  down: ["M6 10l6 6 6-6"],
  up: ["M6 14l6-6 6 6"],
  edit: ["M5 19l1-4L16 5l3 3L9 18z"],
  trash: ["M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13"],
  star: ["M12 4l2.4 5 5.6.7-4.1 3.8 1.1 5.5-5-2.8-5 2.8 1.1-5.500L4 9.7 9.6 9z"],
  ear: ["M7 10a5 5 0 0 1 10 0c0 4-4 4.5-4 8a2.5 2.5 0 0 1-4.5 1.500M10 10.500a2 2 0 0 1 4 0"],
  mic: ["M9 6a3 3 0 0 1 6 0v5a3 3 0 0 1-6 0z", "M6 11a6 6 0 0 0 12 0M12 17v4"],
  mute: ["M9 6a3 3 0 0 1 6 0v5M9 9v2a3 3 0 0 0 4 2.800M6 11a6 6 0 0 0 9 5.200M12 17v4M4 4l16 16"],
  hold: ["M9 6v12M15 6v12"],
  play: ["M8 5.500v13l11-6.500z"],
  record: ["M12 7a5 5 0 1 1 0 10 5 5 0 0 1 0-10z"],
  transfer: ["M4 8h13M14 5l3 3-3 3M20 16H7M10 13l-3 3 3 3"],
  keypad: ["M6 6h.01M12 6h.01M18 6h.01M6 12h.01M12 12h.01M18 12h.01M6 18h.01M12 18h.01M18 18h.01"],
  hangup: ["M3.5 14.500c-1-4 4-6 8.5-6s9.5 2 8.5 6l-4 .8-1-3c-2.3-.8-4.7-.8-7 0l-1 3z"],
  download: ["M12 4v11M8 11l4 4 4-4M5 20h14"],
  alert: ["M12 4l9 16H3z", "M12 10v4M12 17h.01"],
  info: ["M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18z", "M12 11v5M12 8h.01"],
  sun: [
    "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8z",
    "M12 2v2.500M12 19.500V22M2 12h2.500M19.5 12H22M5 5l1.7 1.700M17.3 17.300L19 19M19 5l-1.7 1.700M6.7 17.300L5 19",
  ],
  moon: ["M19.5 14.500A8 8 0 0 1 9.5 4.500a8 8 0 1 0 10 10z"],
  system: ["M4 5h16v11H4zM9 20h6M12 16v4"],
  out: ["M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9"],
  inbound: ["M17 7L7 17M7 9v8h8"],
  outbound: ["M7 17L17 7M9 7h8v8"],
  search: ["M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13z", "M15.5 15.500L20 20"],
  refresh: ["M19 8a8 8 0 1 0 1 6M19 3v5h-5"],
  log: ["M6 3h9l4 4v14H6zM9 12h7M9 16h7M9 8h3"],
  lock: ["M7 11V8a5 5 0 0 1 10 0v3M5.5 11h13v9h-13z"],
  silence: ["M5 9v6h3l5 4V5L8 9zM17 9l4 6M21 9l-4 6"],
  voicemail: [
    "M6 8.500a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7z",
    "M18 8.500a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7zM6 15.500h12",
  ],
  server: ["M4 4h16v6H4zM4 14h16v6H4zM8 7h.01M8 17h.01"],
};

/** An icon; the text beside it says what it means. */
export function icon(name, size = 18) {
  return s(
    "svg.icon",
    {
      viewBox: "0 0 24 24",
      width: size,
      height: size,
      fill: "none",
      stroke: "currentColor",
      "stroke-width": 1.8,
      "stroke-linecap": "round",
      "stroke-linejoin": "round",
      "aria-hidden": "true",
      focusable: "false",
    },
    (PATHS[name] ?? []).map((d) => s("path", { d })),
  );
}

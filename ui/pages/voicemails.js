// Messages that callers have left: heard here, and kept or deleted.

import * as api from "../lib/api.js";
import { h, mount } from "../lib/dom.js";
import { listen } from "../lib/events.js";
import { address, exactly, length, when } from "../lib/format.js";
import { badge, button, card, empty, heading, notice, segments } from "../parts/basic.js";
import { confirm } from "../parts/dialog.js";
import { later, paged } from "../parts/table.js";
import { toast } from "../parts/toast.js";

const ABOUT = {
  "": [
    "Nobody has left a message",
    "An agent of the built-in kind “voicemail” takes messages: as the fallback of a route, or as the agent of a route of its own.",
  ],
  false: ["Every message was heard", "New ones come to the top of this list by themselves."],
  true: ["No message was heard yet", "One is heard once it was played here, or was marked so."],
};

export async function page({ title, signal }) {
  title("Voicemail");
  let only = "false";
  const news = h("div", { role: "status" });
  const show = () => {
    mount(news);
    place.again({ quiet: true });
  };
  /** Shows what has come; a message that somebody listens to is not cut off for it. */
  const renew = () => {
    const isHeard = [...place.querySelectorAll("audio")].some(isUnderWay);
    if (!isHeard) show();
    else if (!news.firstChild) mount(news, waits(show));
  };
  const onOver = () => news.firstChild && renew();
  const place = later(async () => {
    const path = `voicemails${only && `?heard=${only}`}`;
    const list = await paged("Messages left", path, columns(signal, () => place.again(), onOver), {
      signal,
      none: () => empty("voicemail", ...ABOUT[only]),
    });
    return list.element;
  });
  listen({ types: "call.voicemail", signal, on: renew, onAgain: renew });
  return [
    heading("Voicemail", "Messages that callers have left. The latest first."),
    card(
      "Messages",
      {
        actions: [
          segments(
            "Which messages",
            [
              ["false", "Not heard"],
              ["true", "Heard"],
              ["", "All"],
            ],
            only,
            (word) => {
              only = word;
              place.again();
            },
          ),
        ],
      },
      news,
      place,
    ),
  ];
}

/** A message that was begun, and not heard to its end. */
const isUnderWay = (player) => player.currentTime > 0 && !player.ended;

const waits = (show) =>
  notice(
    "info",
    "New messages may have come",
    "They are shown when the one that you listen to is over.",
    button("Show them", { kind: "small", onclick: show }),
  );

const columns = (signal, again, onOver) => [
  {
    label: "When",
    cell: (one) => h("span", { title: exactly(one.began_at) }, when(one.began_at)),
  },
  { label: "From", cell: (one) => h("strong.mono.clip", address(one.from)) },
  { label: "To", cell: (one) => h("span.mono.clip", address(one.to)) },
  { label: "Length", cell: (one) => length(one.duration_ms) },
  { label: "Message", kind: "grow", cell: (one) => sound(one, signal, onOver) },
  { label: "State", cell: (one) => drawn(one, () => state(one)) },
  {
    label: "Actions",
    hidden: true,
    kind: "end",
    cell: (one) => drawn(one, () => actions(one, again)),
  },
];

/** What is drawn anew when the message is heard. */
function drawn(one, make) {
  const place = h("div");
  const draw = () => mount(place, make());
  one.draws = [...(one.draws ?? []), draw];
  draw();
  return place;
}

const state = (one) => (one.heard ? badge("heard", "quiet") : badge("new", "live"));

const actions = (one, again) =>
  h(
    "div.actions",
    h("a.button.small.quiet", { href: `#/calls/${one.call_id}` }, h("span", "Call")),
    api.may("calls") && choices(one, again),
  );

const choices = (one, again) => [
  button(one.heard ? "Not heard" : "Heard", {
    kind: "small quiet",
    title: one.heard ? "List it as new again" : "Mark it as heard",
    work: async () => {
      await note(one, !one.heard);
      again();
    },
  }),
  button("", {
    icon: "trash",
    kind: "small danger quiet icon-only",
    title: "Delete the message",
    work: async () => {
      const gone = await confirm("Delete this message?", {
        consequences: ["Its sound is deleted too. The call stays in the list of calls."],
        action: "Delete it",
        work: () => api.remove(`voicemails/${one.id}`),
      });
      if (gone) {
        toast("Deleted.");
        again();
      }
    },
  }),
];

async function note(one, heard) {
  await api.patch(`voicemails/${one.id}`, { heard });
  one.heard = heard;
  for (const draw of one.draws) draw();
}

/** What the caller says; whoever has played it to the end has heard it. */
function sound(one, signal, onOver) {
  const player = h("audio", {
    controls: true,
    preload: "none",
    src: `/api/v1/voicemails/${one.id}/audio`,
    "aria-label": `Message of ${address(one.from)}`,
  });
  player.addEventListener("ended", async () => {
    // Who may only look has heard it all the same, and nothing is noted.
    if (!one.heard && api.may("calls")) await note(one, true).catch(() => {});
    onOver();
  });
  signal.addEventListener("abort", () => player.pause(), { once: true });
  return player;
}

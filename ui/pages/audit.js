// Who changed what, and who listened.

import { h } from "../lib/dom.js";
import { exactly, when } from "../lib/format.js";
import { empty, heading } from "../parts/basic.js";
import { paged } from "../parts/table.js";

const LINKS = {
  agent: "agents",
  call: "calls",
  route: "routes",
  configuration: "connections",
  subscription: "webhooks",
};

export async function page({ title, signal }) {
  title("Audit log");
  const list = await paged(
    "Audit log",
    "audit",
    [
      { label: "When", cell: (entry) => h("span", { title: exactly(entry.at) }, when(entry.at)) },
      { label: "Who", cell: (entry) => h("span.mono", entry.actor) },
      { label: "What", cell: (entry) => h("strong", entry.action) },
      { label: "Of", cell: (entry) => entry.object_type },
      {
        label: "Which",
        kind: "grow",
        cell: (entry) => {
          const place = LINKS[entry.object_type];
          return place
            ? h("a.mono.clip", { href: `#/${place}/${entry.object_id}` }, entry.object_id)
            : h("span.mono.clip", entry.object_id);
        },
      },
    ],
    {
      signal,
      none: () =>
        empty(
          "log",
          "Nothing was changed yet",
          "Each change is written down here, with the key that made it.",
        ),
    },
  );
  return [
    heading("Audit log", "Who changed what, and who listened in on which call. The latest first."),
    list.element,
  ];
}

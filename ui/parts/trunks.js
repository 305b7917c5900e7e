// The trunks of a connection.

import * as api from "../lib/api.js";
import { h } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { again } from "../lib/router.js";
import { badge, button, card, empty } from "./basic.js";
import { PATH, trunkForm } from "./connection_form.js";
import { confirm, formDialog } from "./dialog.js";
import { toast } from "./toast.js";

/** How a SIP peer stands, in badges. */
export function trunkStatus(status) {
  if (!status) return badge("not in service");
  const { registration, up, servers } = status;
  return [
    registration &&
      badge(
        registration.failed_with
          ? `${registration.state} (${registration.failed_with})`
          : registration.state,
        registration.state === "registered"
          ? "good"
          : registration.state === "refused"
            ? "bad"
            : "wait",
      ),
    up !== null && badge(up ? "answers" : "does not answer", up ? "good" : "bad"),
    servers.map((server) =>
      badge(`${server.transport} ${server.address}`, server.up ? "good" : "bad"),
    ),
    !registration && up === null && badge("in service", "good"),
  ]
    .flat()
    .filter(Boolean);
}

export function trunks(context) {
  const { one, provider, canEdit } = context;
  const add = () =>
    canEdit &&
    button("Add trunk", {
      icon: "plus",
      kind: one.trunks.length ? "" : "primary",
      work: async () => {
        if (
          await formDialog("Add a trunk", trunkForm(provider, one), {
            kind: "wide",
            action: "Add trunk",
          })
        ) {
          toast("The trunk is there.");
          again();
        }
      },
    });
  return card(
    "Trunks",
    {
      id: "trunks",
      about: "Further ways within this connection; numbers may be pinned to one.",
      actions: one.trunks.length > 0 && add(),
    },
    one.trunks.length
      ? h(
          "ul.lines",
          one.trunks.map((trunk) => item(context, trunk)),
        )
      : empty(
          "route",
          "No trunks",
          "Calls go by the connection itself. Add trunks for further peers.",
          add(),
        ),
  );
}

function item({ one, provider, canEdit }, trunk) {
  return h(
    "li.line-item",
    h("div", h("strong", trunk.name), h("p.muted", plural(trunk.phone_number_count, "number"))),
    h("div.badges", trunk.enabled ? trunkStatus(trunk.status) : badge("off")),
    canEdit &&
      h(
        "div.actions",
        button("", {
          icon: "edit",
          kind: "quiet icon-only",
          title: `Edit ${trunk.name}`,
          work: async () => {
            if (
              await formDialog(`Edit ${trunk.name}`, trunkForm(provider, one, trunk), {
                kind: "wide",
              })
            ) {
              toast("Saved.");
              again();
            }
          },
        }),
        button("", {
          icon: "trash",
          kind: "quiet icon-only",
          title: trunk.phone_number_count
            ? `${trunk.name} has numbers and cannot be deleted`
            : `Delete ${trunk.name}`,
          disabled: trunk.phone_number_count > 0,
          work: async () => {
            const gone = await confirm(`Delete ${trunk.name}?`, {
              text: "Calls no longer go through it. Calls that live go on.",
              action: "Delete trunk",
              work: () => api.remove(`${PATH}/${one.id}/trunks/${trunk.id}`),
            });
            if (gone) {
              toast("The trunk is gone.");
              again();
            }
          },
        }),
      ),
  );
}

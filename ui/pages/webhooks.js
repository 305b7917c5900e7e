// Who is told of events, and what became of it.

import * as api from "../lib/api.js";
import { h } from "../lib/dom.js";
import { ago, exactly, when } from "../lib/format.js";
import { again, go } from "../lib/router.js";
import {
  backTo,
  badge,
  button,
  card,
  copyable,
  empty,
  facts,
  heading,
  notice,
  segments,
} from "../parts/basic.js";
import { confirm, dialog, formDialog } from "../parts/dialog.js";
import * as kinds from "../parts/fields.js";
import { metadataForm, submit } from "../parts/form.js";
import { later, paged } from "../parts/table.js";
import { toast } from "../parts/toast.js";

export async function page({ title, signal }) {
  title("Webhooks");
  const add = () => button("Subscribe", { icon: "plus", kind: "primary", work: () => edit() });
  const list = await paged(
    "Webhooks",
    "webhooks",
    [
      {
        label: "Address",
        kind: "grow",
        cell: (one) => [
          h("strong.mono.clip", one.url),
          one.description && h("span.muted.after", one.description),
        ],
      },
      { label: "Events", cell: (one) => h("span.mono", one.events.join(", ")) },
      { label: "State", cell: (one) => (one.enabled ? badge("on", "good") : badge("off", "warn")) },
      {
        label: "Changed",
        cell: (one) => h("span", { title: exactly(one.updated_at) }, ago(one.updated_at)),
      },
    ],
    {
      signal,
      href: (one) => `#/webhooks/${one.id}`,
      none: () =>
        empty(
          "hook",
          "Nobody is told yet",
          "Let a program of yours know when a call rings, is answered, falls silent or ends. Requests are signed, and tried again for a day.",
          add(),
        ),
    },
  );
  return [
    heading(
      "Webhooks",
      "Programs of yours that are told what happens.",
      list.items.length > 0 && add(),
    ),
    list.element,
  ];
}

const addressField = (stored) =>
  kinds.line(
    {
      name: "url",
      label: "Address",
      required: true,
      chars_max: 2_048,
      placeholder: "https://example.com/calls",
      format: "uri",
      description: "Over HTTPS, on the public network unless the server allows others.",
    },
    stored?.url,
  );

/** An address without its query, which may change without another secret. */
const placeOf = (url) => (url ?? "").split(/[?#]/)[0];

/** Whether there is to be another secret: a choice unless `address` leads elsewhere. */
function secretField(address, stored) {
  const field = kinds.flag({
    name: "new_secret",
    label: "New secret",
    description:
      "Another address needs one; only what is behind its ? changes without. It is shown once, and requests are signed with it at once.",
  });
  const choice = field.element.querySelector("input");
  address.element.addEventListener("input", () => {
    const moves = placeOf(address.value()) !== placeOf(stored.url);
    if (moves === choice.disabled) return;
    choice.checked = moves;
    choice.disabled = moves;
  });
  return field;
}

async function edit(stored) {
  const address = addressField(stored);
  const form = metadataForm({
    fields: [
      { field: address },
      ...(stored ? [{ field: secretField(address, stored) }] : []),
      {
        field: kinds.list(
          {
            name: "events",
            label: "Events",
            placeholder: "call.ended or call.*",
            description: "All of them if empty.",
          },
          stored?.events,
        ),
      },
      {
        field: kinds.line(
          { name: "description", label: "What it is for", chars_max: 255 },
          stored?.description,
        ),
      },
      { field: kinds.flag({ name: "enabled", label: "On" }, stored?.enabled ?? true) },
    ],
  });
  form.submit = () =>
    submit(form, (values) =>
      stored
        ? api.put(`webhooks/${stored.id}`, { description: null, ...values })
        : api.post("webhooks", values),
    );
  const saved = await formDialog(stored ? "Edit the webhook" : "Subscribe to events", form, {
    action: stored ? "Save" : "Subscribe",
  });
  if (!saved) return;
  if (saved.secret) await showSecret(saved.secret);
  if (!stored) {
    go(`webhooks/${saved.id}`);
  } else {
    toast("Saved.");
    again();
  }
}

const showSecret = (secret) =>
  dialog("Keep the secret", (close) => [
    h(
      "div.dialog-body",
      notice(
        "warn",
        "It is shown only now",
        "Your program checks the signature of each request with it.",
      ),
      copyable(secret, "Copy the secret"),
    ),
    h("footer.actions", button("I have kept it", { kind: "primary", onclick: () => close() })),
  ]);

const STATES = { pending: "wait", delivered: "good", dead: "bad" };

export async function webhook({ title, params, signal }) {
  const one = await api.get(`webhooks/${params.id}`, { signal });
  title("Webhook");
  let only = "";
  const deliveries = () =>
    later(async () => {
      const path = `webhooks/${one.id}/deliveries${only && `?state=${only}`}`;
      const list = await paged(
        "Deliveries",
        path,
        [
          { label: "Event", cell: (item) => h("strong.mono", item.type) },
          { label: "State", cell: (item) => badge(item.state, STATES[item.state]) },
          {
            label: "Answer",
            kind: "grow",
            cell: (item) => item.status ?? item.error ?? h("span.muted", "none yet"),
          },
          { label: "Attempts", cell: (item) => String(item.attempts) },
          {
            label: "When",
            cell: (item) => h("span", { title: exactly(item.created_at) }, when(item.created_at)),
          },
          {
            label: "Actions",
            hidden: true,
            kind: "end",
            cell: (item) =>
              item.state !== "pending" &&
              button("Send again", {
                kind: "small quiet",
                work: async () => {
                  await api.post(`webhooks/${one.id}/deliveries/${item.id}/replay`);
                  toast("It is on its way.");
                  place.again();
                },
              }),
          },
        ],
        {
          signal,
          none: () =>
            empty(
              "hook",
              only ? "None in this state" : "Nothing was sent yet",
              "Send a test, or wait for a call.",
            ),
        },
      );
      return list.element;
    });
  const place = deliveries();
  return [
    backTo("#/webhooks", "Webhooks"),
    heading(
      h("span.mono.clip", one.url),
      one.description,
      button("Send a test", {
        icon: "next",
        work: async () => {
          await api.post(`webhooks/${one.id}/test`);
          toast("A ping is on its way.");
          setTimeout(() => !signal.aborted && place.again(), 1_000);
        },
      }),
      button("Edit", { icon: "edit", work: () => edit(one) }),
    ),
    !one.enabled &&
      notice("warn", "It is off", "What happens is not told; what waits is sent once it is on."),
    card(
      "Subscription",
      {
        actions: [
          button("New secret", {
            kind: "small",
            work: async () => {
              const sure = await confirm("Make a new secret?", {
                consequences: ["Requests are signed with it at once: the old one no longer fits."],
                action: "Make a new secret",
                kind: "primary",
              });
              if (sure) await showSecret((await api.post(`webhooks/${one.id}/secret`)).secret);
            },
          }),
          button("End it", {
            icon: "trash",
            kind: "small danger quiet",
            work: async () => {
              const gone = await confirm("End this subscription?", {
                consequences: [
                  "Nothing is told to this address any more.",
                  "What waits is dropped.",
                ],
                action: "End it",
                work: () => api.remove(`webhooks/${one.id}`),
              });
              if (gone) go("webhooks");
            },
          }),
        ],
      },
      facts(["Events", h("span.mono", one.events.join(", "))], ["Since", exactly(one.created_at)]),
    ),
    card(
      "Deliveries",
      {
        actions: [
          segments(
            "State of deliveries",
            [
              ["", "All"],
              ["pending", "Waiting"],
              ["delivered", "Delivered"],
              ["dead", "Given up"],
            ],
            only,
            (word) => {
              only = word;
              place.again();
            },
          ),
          button("Send again what was given up", {
            kind: "small",
            work: async () => {
              const { replayed } = await api.post(`webhooks/${one.id}/replay`);
              toast(`${replayed} on ${replayed === 1 ? "its" : "their"} way.`);
              place.again();
            },
          }),
        ],
      },
      place,
    ),
  ];
}

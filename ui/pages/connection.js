// A connection: what is left to do, how it is reached, its numbers and trunks, its settings.

import * as api from "../lib/api.js";
import { h, mount } from "../lib/dom.js";
import { count, plural } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { again, go } from "../lib/router.js";
import { backTo, badge, button, card, copyable, facts, heading, notice } from "../parts/basic.js";
import { connectionForm, PATH, POLICIES } from "../parts/connection_form.js";
import { connectivity, snippets } from "../parts/connectivity.js";
import { confirm, formDialog } from "../parts/dialog.js";
import { line } from "../parts/fields.js";
import { at, metadataForm, submit } from "../parts/form.js";
import { numbers } from "../parts/numbers.js";
import { trunks } from "../parts/trunks.js";
import { toast } from "../parts/toast.js";
import { standing } from "./connections.js";

export async function page({ title, params, signal }) {
  const [one, providers, agents] = await Promise.all([
    api.get(`${PATH}/${params.id}`, { signal }),
    api.providers(),
    api.all("agents", { signal }),
  ]);
  const provider = providers.find((known) => known.provider === one.provider);
  const server = await api.once("server").catch(() => null);
  title(one.name);
  const can = (word) => provider.capabilities.includes(word);
  const canEdit = api.may("admin") && one.origin !== "file";
  const context = { one, provider, agents, can, canEdit, server };
  const outcome = h("div", { role: "status" });
  return [
    backTo("#/connections", "Connections"),
    heading(
      [one.name, " ", standing(one)],
      provider.display_name,
      can("test") && api.may("admin") && tryIt(one, outcome),
      canEdit && button("Edit", { icon: "edit", work: () => edit(context) }),
    ),
    outcome,
    one.inactive &&
      notice(
        "bad",
        "This connection is parked",
        one.inactive_reason,
        api.may("admin") &&
          button("Reactivate", {
            kind: "primary",
            work: async () => {
              await api.post(`${PATH}/${one.id}/reactivate`);
              toast("It is in service again.");
              again();
            },
          }),
      ),
    one.origin === "file" &&
      notice("info", "This connection comes from the configuration file", "It is changed there."),
    checklist(context),
    one.inbound_url && webhook(one),
    provider.connectivity === "sip" && connectivity(context),
    await numbers(context, signal),
    one.supports_trunks && trunks(context),
    settings(context),
    snippets(context),
    canEdit && danger(context),
  ];
}

/** Tries the credentials; what comes of it stays to be read. */
const tryIt = (one, outcome) =>
  button("Test credentials", {
    icon: "key",
    work: async () => {
      mount(outcome, notice("info", "Asking the other side", "Nothing is changed there."));
      try {
        const tried = await api.post(`${PATH}/${one.id}/test`);
        const found = Object.entries(tried.found ?? {}).map(([name, text]) => `${name}: ${text}.`);
        mount(
          outcome,
          tried.ok
            ? notice("good", "The credentials hold", found.join(" ") || "It let us in.")
            : notice("bad", "The credentials did not do", tried.message),
        );
      } catch (error) {
        mount(outcome, notice("bad", error.title ?? "That did not work", error.message));
      }
    },
  });

async function edit({ one, provider }) {
  const done = await formDialog(`Edit ${one.name}`, connectionForm(provider, one), {
    kind: "wide",
    about: "Secrets are shown as masks and stay as they are unless you replace them.",
  });
  if (done) {
    toast("Saved.");
    again();
  }
}

/** Where each step is done. */
const FIX = {
  caller_id: "numbers",
  inbound_routing: "numbers",
  trunk: "trunks",
  outbound_trunk: "trunks",
  trunk_assignment: "numbers",
};

function checklist({ one, provider, can, canEdit }) {
  const open = one.setup_checklist.filter((step) => !step.complete);
  if (!open.length) return null;
  const done = one.setup_checklist.length - open.length;
  const provision =
    canEdit && can("provision")
      ? async () => {
          await api.post(`${PATH}/${one.id}/provision`);
          toast(`${provider.display_name} is set up.`);
          again();
        }
      : null;
  const total = plural(one.setup_checklist.length, "step");
  const actions = provision && button("Set up at the carrier", { icon: "plug", work: provision });
  return card(
    "Left to do",
    { kind: "checklist", about: `${done} of ${total} done.`, actions },
    h(
      "ol.steps",
      one.setup_checklist.map((step) =>
        h(
          "li",
          { class: step.complete ? "done" : "" },
          h("span.step-mark", step.complete ? icon("check", 14) : ""),
          h("div", h("strong", step.title), h("p.muted", step.description)),
          !step.complete && step.blocks_outbound && badge("blocks calls out", "warn"),
          !step.complete && fix(step, provision),
        ),
      ),
    ),
  );
}

/** Does a step, or leads to where it is done. */
function fix(step, provision) {
  const place = FIX[step.key];
  if (!place && provision) return button("Do it", { kind: "small", work: provision });
  return button("Do it", {
    kind: "small",
    onclick: () => {
      const target = document.getElementById(place ?? "settings");
      target?.scrollIntoView({ block: "start" });
      target?.querySelector("button")?.focus({ preventScroll: true });
    },
  });
}

/** Addresses that lead nowhere from a carrier: this machine and private networks. */
const INWARD = [
  /^(localhost|0\.|127\.|10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.)/,
  /^\[(::1?|f[cd][0-9a-f]{2}:.*|fe80:.*)\]$/,
];

function webhook(one) {
  const { hostname, protocol } = new URL(one.inbound_url);
  return card(
    "Webhook",
    {
      about:
        "The carrier asks here what to do with a call. Numbers that are pointed at this server from here have it already.",
    },
    INWARD.some((inward) => inward.test(hostname))
      ? notice(
          "warn",
          "Carriers cannot reach this address",
          "It leads to this machine or a private network. Set public_url (or TALKPATH_PUBLIC_URL) to an https address that leads to this server, start it again, and set the carrier up from here.",
        )
      : protocol === "http:" &&
          notice(
            "warn",
            "This address is not encrypted",
            "Whoever is on the way reads the token and what is said. Use https in public_url.",
          ),
    copyable(one.inbound_url, "Copy the webhook"),
    h("p.help", icon("lock", 14), "The address holds a token: treat it as a password."),
  );
}

function settings({ one, provider }) {
  const shown = provider.fields.filter(
    (field) =>
      at(one.credentials, field.name) !== undefined &&
      at(one.credentials, field.name) !== null &&
      isRelevant(field, provider, one.credentials),
  );
  return card(
    "Settings",
    { id: "settings" },
    facts(
      ...shown.map((field) => [field.label, value(field, at(one.credentials, field.name))]),
      ["Calls are placed from", POLICIES[one.caller_id?.policy ?? "default"]],
      [
        "Most calls a day from each number",
        one.caller_id?.daily_cap && count(one.caller_id.daily_cap),
      ],
      ["Most calls at a time", one.max_calls && count(one.max_calls)],
      ["Most new calls a second", one.calls_per_second && count(one.calls_per_second)],
    ),
  );
}

function isRelevant(field, provider, stored) {
  if (!field.visible_when) return true;
  const other = provider.fields.find((one) => one.name === field.visible_when.field);
  return (
    at(stored, field.visible_when.field) === field.visible_when.equals &&
    (!other || isRelevant(other, provider, stored))
  );
}

function value(field, stored) {
  if (field.type === "boolean") return stored ? "yes" : "no";
  if (field.readonly) return copyable(String(stored));
  if (field.sensitive || field.type === "password")
    return h("code", typeof stored === "string" ? stored.slice(-12) : "stored");
  if (field.options && !Array.isArray(stored))
    return field.options.find((one) => one.value === stored)?.label ?? stored;
  if (field.options)
    return stored
      .map((word) => field.options.find((one) => one.value === word)?.label ?? word)
      .join(", ");
  if (field.type === "rows")
    return stored
      .map((row) =>
        Object.values(row)
          .filter((v) => v !== null)
          .join(" "),
      )
      .join(", ");
  if (Array.isArray(stored)) return h("span.mono", stored.join(", "));
  if (typeof stored === "object")
    return h(
      "span.mono",
      Object.entries(stored)
        .map(([k, v]) => `${k}: ${v}`)
        .join(", "),
    );
  if (field.type === "textarea") return h("code.clip", `${String(stored).slice(0, 40)}…`);
  return `${stored}${field.unit ? ` ${field.unit}` : ""}`;
}

/** Takes a connection out of service until it is reactivated. */
function park(one) {
  return button("Take out of service", {
    icon: "hold",
    work: async () => {
      const form = metadataForm({
        fields: [
          {
            field: line({
              name: "reason",
              label: "Why",
              required: true,
              chars_max: 200,
              placeholder: "Credit used up",
              description: "Shown wherever this connection is.",
            }),
          },
        ],
      });
      form.submit = () => submit(form, (values) => api.post(`${PATH}/${one.id}/park`, values));
      const about = "No calls come or go by it until it is reactivated. Calls that live go on.";
      if (await formDialog(`Take ${one.name} out of service`, form, { action: "Park", about })) {
        toast("It is parked.");
        again();
      }
    },
  });
}

function danger({ one }) {
  const place = h("div.actions");
  mount(
    place,
    !one.inactive && park(one),
    button("Delete this connection", {
      icon: "trash",
      kind: "danger",
      work: async () => {
        const list = await api.all(`${PATH}/${one.id}/phone-numbers`);
        const { routes } = await api.get("routes");
        const named = routes.filter((route) => route.telephony_configuration_id === one.id);
        const gone = await confirm(`Delete ${one.name}?`, {
          text: "This cannot be taken back.",
          consequences: [
            list.length
              ? `${plural(list.length, "number")} ${list.length === 1 ? "is" : "are"} removed: calls to ${list
                  .slice(0, 3)
                  .map((n) => n.address_normalized)
                  .join(", ")}${list.length > 3 ? " and others" : ""} are no longer answered.`
              : "It has no numbers.",
            one.trunks.length > 0 &&
              `${plural(one.trunks.length, "trunk")} ${one.trunks.length === 1 ? "is" : "are"} removed.`,
            one.is_default_outbound &&
              "It is the default: calls that name no connection are placed by another, or not at all.",
            named.length > 0 &&
              `${plural(named.length, "route")} ${named.length === 1 ? "names" : "name"} it.`,
            "Calls that live go on. Records of calls stay.",
          ].filter(Boolean),
          action: "Delete connection",
          work: () => api.remove(`${PATH}/${one.id}`),
        });
        if (gone) {
          toast("The connection is gone.");
          go("connections");
        }
      },
    }),
  );
  return card(
    "Out of service",
    { about: "Park it for a while, or remove it with its numbers." },
    place,
  );
}

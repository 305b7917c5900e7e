// Which agent takes which call.

import * as api from "../lib/api.js";
import { h } from "../lib/dom.js";
import { go } from "../lib/router.js";
import { guard } from "../lib/unsaved.js";
import { backTo, badge, busy, button, empty, heading, linkButton, notice } from "../parts/basic.js";
import { PATH } from "../parts/connection_form.js";
import { confirm } from "../parts/dialog.js";
import * as kinds from "../parts/fields.js";
import { metadataForm, submit } from "../parts/form.js";
import { table } from "../parts/table.js";
import { complain, toast } from "../parts/toast.js";

const all = async (signal) =>
  Promise.all([
    api.get("routes", { signal }).then(({ routes }) => routes),
    api.all("agents", { signal }),
    api.get(PATH, { signal }).then(({ configurations }) => configurations),
  ]);

export async function page({ title, signal }) {
  title("Routes");
  const [routes, agents, connections] = await all(signal);
  const add =
    api.may("admin") && linkButton("Add route", "#/routes/new", { icon: "plus", kind: "primary" });
  const named = (list, id) => list.find((one) => one.id === id)?.name;
  const when = ({ conditions }) => {
    const said = [
      conditions.open?.length && conditions.open.join(", "),
      conditions.closed?.length && `not ${conditions.closed.join(", ")}`,
      conditions.callers?.length && `from ${conditions.callers.join(", ")}`,
      conditions.callers_except?.length && `not from ${conditions.callers_except.join(", ")}`,
    ];
    return said.filter(Boolean).join("; ") || h("span.muted", "always");
  };
  const list = table(
    "Routes",
    [
      { label: "Order", cell: ({ priority }) => String(priority) },
      {
        label: "Calls to",
        cell: (route) => [
          h("strong.mono", route.to),
          route.name && h("span.muted.after", route.name),
        ],
      },
      {
        label: "By",
        cell: (route) =>
          named(connections, route.telephony_configuration_id) ?? h("span.muted", "any connection"),
      },
      { label: "When", kind: "grow", cell: when },
      { label: "Agent", cell: (route) => named(agents, route.agent_id) ?? h("span.muted", "none") },
      {
        label: "",
        cell: (route) => [
          !route.enabled && badge("off", "warn"),
          route.origin === "file" && badge("from file"),
        ],
      },
    ],
    routes,
    { href: (route) => `#/routes/${route.id}` },
  );
  return [
    heading(
      "Routes",
      "Which agent takes a call. They are tried in this order; the first that fits decides. The agent of a number comes before them all.",
      add,
    ),
    routes.length
      ? list.element
      : empty(
          "route",
          "No routes yet",
          "A route leads calls to an agent: all of them, or those to certain numbers, at certain hours, from certain callers.",
          add,
        ),
  ];
}

const SECTIONS = [
  { name: "what", title: "Which calls" },
  {
    name: "when",
    title: "When, and whose",
    help: "All that is set must hold. Nothing set: always, and everybody's.",
  },
  { name: "how", title: "How they are taken" },
];

function fields(route, agents, connections) {
  const pick = (list) => list.map(({ id, name }) => ({ value: id, label: name }));
  return [
    {
      field: kinds.line(
        {
          name: "to",
          label: "Calls to",
          section: "what",
          required: true,
          chars_max: 128,
          placeholder: "+4930*",
          description: "A number, a user, or a pattern: * stands for anything.",
        },
        route?.to ?? "*",
        { mono: true },
      ),
    },
    {
      field: kinds.select(
        {
          name: "agent_id",
          label: "Agent",
          section: "what",
          required: true,
          options: pick(agents),
        },
        route?.agent_id,
      ),
    },
    {
      field: kinds.select(
        {
          name: "telephony_configuration_id",
          label: "By connection",
          section: "what",
          options: pick(connections),
        },
        route?.telephony_configuration_id,
        { none: "Any" },
      ),
    },
    {
      field: kinds.line(
        { name: "name", label: "Name", section: "what", chars_max: 64 },
        route?.name,
      ),
    },
    {
      field: kinds.number(
        {
          name: "priority",
          label: "Order",
          section: "what",
          min: 0,
          max: 65_535,
          description: "Lower ones are tried first.",
        },
        route?.priority,
      ),
    },
    {
      field: kinds.flag(
        { name: "enabled", label: "In use", section: "what" },
        route?.enabled ?? true,
      ),
    },
    {
      name: "conditions.open",
      label: "Open",
      type: "list",
      section: "when",
      placeholder: "mon-fri 09:00-17:30",
      description: "Hours in which it takes calls.",
    },
    {
      name: "conditions.closed",
      label: "Closed",
      type: "list",
      section: "when",
      placeholder: "2026-12-24 or 12-25",
      description: "Days on which it takes none.",
    },
    {
      name: "conditions.time_zone",
      label: "Time zone",
      type: "text",
      section: "when",
      placeholder: Intl.DateTimeFormat().resolvedOptions().timeZone,
      description: "Of the hours and days; UTC if empty.",
    },
    {
      name: "conditions.callers",
      label: "Only callers",
      type: "list",
      section: "when",
      placeholder: "+49*",
    },
    {
      name: "conditions.callers_except",
      label: "Not callers",
      type: "list",
      section: "when",
      placeholder: "anonymous",
    },
    {
      name: "settings.fallback_agent",
      label: "If the agent fails",
      type: "select",
      section: "how",
      options: agents.map(({ name }) => ({ value: name, label: name })),
      description: "Takes over when the first cannot be reached or is lost.",
    },
    {
      name: "settings.max_duration_s",
      label: "Longest duration",
      type: "number",
      min: 1,
      max: 31_536_000,
      unit: "s",
      section: "how",
    },
    {
      name: "settings.record",
      label: "Record",
      type: "boolean",
      section: "how",
      description: "Both sides, to be heard on the page of each call. Many laws want callers told.",
    },
    {
      name: "settings.capture",
      label: "Capture messages and packets",
      type: "boolean",
      section: "how",
      description: "For the ladder of messages on the page of a call, and for Wireshark.",
    },
    {
      name: "settings.early_media",
      label: "The agent is heard before the answer",
      type: "boolean",
      section: "how",
      advanced: true,
    },
    {
      name: "settings.agent_answers",
      label: "The agent decides when to answer",
      type: "boolean",
      section: "how",
      advanced: true,
    },
    {
      name: "settings.weight",
      label: "Share among routes of the same order",
      type: "number",
      min: 0,
      max: 1_000_000,
      section: "how",
      advanced: true,
    },
  ];
}

export async function edit({ title, params, signal }) {
  const isNew = params.id === "new";
  const [routes, agents, connections] = await all(signal);
  const route = isNew ? null : await api.get(`routes/${params.id}`);
  title(isNew ? "New route" : `Route ${route.to}`);
  const form = metadataForm({
    sections: SECTIONS,
    stored: route ?? undefined,
    fields: fields(route, agents, connections),
  });
  form.submit = () =>
    submit(form, ({ conditions = {}, settings = {}, ...rest }) => {
      for (const [name, value] of Object.entries(settings)) {
        if (value === false && route?.settings?.[name] === undefined) delete settings[name];
      }
      // What this form does not know stays as it is.
      const kept = (part) =>
        Object.entries(route?.[part] ?? {}).filter(([name]) => !form.field(`${part}.${name}`));
      const own = Object.fromEntries(
        ["telephony_trunk_id", "phone_number_id"].map((name) => [name, route?.[name] ?? null]),
      );
      const body = {
        ...own,
        ...rest,
        conditions: { ...Object.fromEntries(kept("conditions")), ...conditions },
        settings: { ...Object.fromEntries(kept("settings")), ...settings },
      };
      return isNew ? api.post("routes", body) : api.put(`routes/${route.id}`, body);
    });
  const save = button(isNew ? "Add route" : "Save", { kind: "primary", type: "submit" });
  const readOnly = route?.origin === "file" || !api.may("admin");
  const element = h(
    "form",
    {
      noValidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        try {
          await busy(save, form.submit);
          toast("The next call follows it.");
          go("routes");
        } catch (error) {
          if (error.name !== "Wrong") form.show(error) ?? complain(error);
        }
      },
    },
    form.element,
    !readOnly &&
      h(
        "div.form-foot",
        save,
        linkButton("Cancel", "#/routes"),
        !isNew &&
          button("Delete", {
            icon: "trash",
            kind: "quiet danger push",
            work: () => remove(route, routes),
          }),
      ),
  );
  if (readOnly)
    for (const input of form.element.querySelectorAll("input, select, textarea, button"))
      input.disabled = true;
  return [
    backTo("#/routes", "Routes"),
    heading(isNew ? "New route" : h("span.mono", route.to), "Leads calls to an agent."),
    route?.origin === "file" &&
      notice(
        "info",
        "This route comes from the configuration file",
        "It is changed there, in [[routes]].",
      ),
    !agents.length &&
      notice(
        "warn",
        "There is no agent yet",
        "A route leads calls to one.",
        api.may("admin") && linkButton("Add an agent", "#/agents/new", { icon: "plus" }),
      ),
    guard(element),
  ];
}

async function remove(route, routes) {
  const others = routes.filter((one) => one.id !== route.id && one.enabled).length;
  const gone = await confirm(`Delete the route for ${route.to}?`, {
    consequences: [
      others
        ? "Calls that it took are looked up in the other routes."
        : "It is the last: calls to numbers without an agent are refused then.",
    ],
    action: "Delete route",
    work: () => api.remove(`routes/${route.id}`),
  });
  if (gone) {
    toast("The route is gone.");
    go("routes");
  }
}

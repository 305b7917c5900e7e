// A connection: an account at a carrier, or a SIP peer. Every field is the metadata's.

import * as api from "../lib/api.js";
import * as kinds from "./fields.js";
import { metadataForm, submit } from "./form.js";

export const PATH = "organizations/telephony-configs";

/** How the number is picked that a call is placed from. */
export const POLICIES = {
  default: "the default number",
  round_robin: "each number in its turn",
  sticky: "the number that the called party knows",
  local: "the number nearest to the called one",
};

/** The form of a connection of `provider`, new or stored. */
export function connectionForm(provider, stored, { isFirst = false } = {}) {
  const name = kinds.line(
    {
      name: "name",
      label: "Name",
      section: "connection",
      required: true,
      chars_max: 64,
      description: "For yourself: it is shown in lists and in records of calls.",
      placeholder: "Main line",
    },
    stored?.name ?? (stored ? undefined : provider.display_name),
  );
  const limit = (field, label) => ({
    field: kinds.number(
      { name: field, label, section: "own-limits", min: 1, max: 100_000, advanced: true },
      stored?.[field],
    ),
  });
  const isDefault = kinds.flag(
    {
      name: "is_default_outbound",
      label: "Place calls by this connection if none is named",
      section: "connection",
    },
    stored?.is_default_outbound ?? isFirst,
  );
  const policy = kinds.select(
    {
      name: "caller_id_policy",
      label: "Call from",
      section: "callers",
      options: Object.entries(POLICIES).map(([value, label]) => ({ value, label })),
    },
    stored?.caller_id?.policy ?? "default",
  );
  const dailyCap = kinds.number(
    {
      name: "caller_id_daily_cap",
      label: "Most calls a day from each number",
      section: "callers",
      description: "Days of UTC. A number that has had them is not called from until the next.",
      min: 1,
      max: 1_000_000,
      advanced: true,
    },
    stored?.caller_id?.daily_cap,
  );
  const sections = [
    { name: "connection" },
    ...provider.sections,
    {
      name: "callers",
      title: "Calling number",
      help: "Which of its numbers calls are placed from that name none.",
    },
    { name: "own-limits", title: "Limits of this connection", help: "None if empty." },
  ];
  const form = metadataForm({
    sections,
    prefix: "config",
    stored: stored?.credentials,
    fields: [
      { field: name },
      ...provider.fields,
      { field: policy },
      { field: dailyCap },
      limit("max_calls", "Most calls at a time"),
      limit("calls_per_second", "Most new calls a second"),
      { field: isDefault },
    ],
  });
  form.submit = () =>
    submit(form, (values) => {
      const {
        name: called,
        is_default_outbound: byDefault,
        max_calls: calls = null,
        calls_per_second: rate = null,
        caller_id_policy: by,
        caller_id_daily_cap: cap = null,
        ...config
      } = values;
      const body = {
        name: called,
        is_default_outbound: byDefault,
        max_calls: calls,
        calls_per_second: rate,
        caller_id: { policy: by, daily_cap: cap },
        config: { ...config, provider: provider.provider },
      };
      return stored ? api.put(`${PATH}/${stored.id}`, body) : api.post(PATH, body);
    });
  return form;
}

/** The form of a trunk within a connection. */
export function trunkForm(provider, connection, stored) {
  const specs = provider.trunk_fields ?? provider.fields;
  const form = metadataForm({
    prefix: "settings",
    stored: stored?.settings,
    sections: [{ name: "trunk" }, ...provider.sections],
    fields: [
      {
        field: kinds.line(
          { name: "name", label: "Name", section: "trunk", required: true, chars_max: 64 },
          stored?.name,
        ),
      },
      ...specs,
      {
        field: kinds.flag(
          { name: "enabled", label: "In service", section: "trunk" },
          stored?.enabled ?? true,
        ),
      },
    ],
  });
  const path = `${PATH}/${connection.id}/trunks`;
  form.submit = () =>
    submit(form, (values) => {
      const { name, enabled, ...settings } = values;
      return stored
        ? api.put(`${path}/${stored.id}`, { name, enabled, settings })
        : api.post(path, { name, enabled, settings });
    });
  return form;
}

const names =
  typeof Intl.DisplayNames === "function"
    ? new Intl.DisplayNames(undefined, { type: "region" })
    : null;
const COUNTRIES = (
  "AE AR AT AU BE BR CA CH CL CN CO CZ DE DK EE EG ES FI FR GB GR HK HU ID IE IL IN IT JP KE KR LT LU LV " +
  "MA MX MY NG NL NO NZ PE PH PK PL PT RO SA SE SG SI SK TH TR TW UA US VN ZA"
).split(" ");

/**
 * The form of a number. A new one can be pointed at this server by its carrier if that can be asked
 * (`canBind`); what the carrier then says against it is in the `warning` of what the form gives.
 */
export function numberForm(connection, agents, stored, { canBind = false } = {}) {
  const country = stored?.country_code;
  const codes = country && !COUNTRIES.includes(country) ? [country, ...COUNTRIES] : COUNTRIES;
  const optional = (values) => values.map(({ id, name }) => ({ value: id, label: name }));
  const trunks = connection.trunks ?? [];
  const form = metadataForm({
    stored: stored && {},
    fields: [
      {
        field: stored
          ? kinds.shown({ name: "address", label: "Number" }, stored.address_normalized)
          : kinds.line({
              name: "address",
              label: "Number",
              required: true,
              chars_max: 255,
              inputmode: "tel",
              placeholder: "+4930123456",
              description:
                "With + and country, or as it is dialled there. SIP URIs and extensions too.",
            }),
      },
      {
        field: kinds.select(
          {
            name: "country_code",
            label: "Country",
            description: "Only needed for a number without +.",
            options: codes.map((code) => ({
              value: code,
              label: `${names?.of(code) ?? code} (${code})`,
            })),
          },
          country,
          { none: "Not set" },
        ),
      },
      {
        field: kinds.select(
          {
            name: "inbound_agent_id",
            label: "Agent",
            description: "Takes the calls to this number. Routes may say otherwise.",
            options: optional(agents),
          },
          stored?.inbound_agent_id,
          { none: "None: routes decide" },
        ),
      },
      trunks.length > 0 && {
        field: kinds.select(
          {
            name: "telephony_trunk_id",
            label: "Trunk",
            description: "Calls from this number go through it alone.",
            options: optional(trunks),
          },
          stored?.telephony_trunk_id,
          { none: "Any" },
        ),
      },
      {
        field: kinds.line(
          { name: "label", label: "Label", chars_max: 64, placeholder: "Support" },
          stored?.label,
        ),
      },
      {
        field: kinds.flag(
          {
            name: "is_default_caller_id",
            label: "Calls are placed from this number if none is named",
          },
          stored?.is_default_caller_id,
        ),
      },
      { field: kinds.flag({ name: "is_active", label: "Active" }, stored?.is_active ?? true) },
      canBind &&
        !stored && {
          field: kinds.flag(
            {
              name: "point_here",
              label: "Let the carrier send its calls here",
              description: "Wherever they go now. It can be done later, too.",
            },
            true,
          ),
        },
      {
        field: kinds.number(
          {
            name: "max_calls",
            label: "Most calls at a time",
            min: 1,
            max: 100_000,
            advanced: true,
          },
          stored?.max_calls,
        ),
      },
    ].filter(Boolean),
  });
  const path = `${PATH}/${connection.id}/phone-numbers`;
  form.submit = () =>
    submit(form, async ({ point_here: here, ...values }) => {
      const body = {
        country_code: null,
        inbound_agent_id: null,
        label: null,
        max_calls: null,
        ...values,
      };
      if (trunks.length) body.telephony_trunk_id ??= null;
      if (stored) return api.put(`${path}/${stored.id}`, body);
      const made = await api.post(path, body);
      return here ? { ...made, warning: await pointHere(path, made) } : made;
    });
  return form;
}

/** Has the carrier send a number's calls here; what it says against that, if it does. */
export async function pointHere(path, { id, address_normalized: address }) {
  try {
    await api.post(`${path}/${id}/bind`);
    return null;
  } catch (error) {
    return `The carrier does not send calls to ${address} here: ${error.message}`;
  }
}

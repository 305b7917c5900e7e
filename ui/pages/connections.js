// Where calls come from and go to: accounts at carriers, and SIP trunks.

import * as api from "../lib/api.js";
import { h } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { again, go } from "../lib/router.js";
import { guard } from "../lib/unsaved.js";
import { backTo, badge, button, busy, empty, heading, linkButton, notice } from "../parts/basic.js";
import { connectionForm, PATH } from "../parts/connection_form.js";
import { complain, toast } from "../parts/toast.js";

export async function page({ title, signal }) {
  title("Connections");
  const [{ configurations }, providers] = await Promise.all([
    api.get(PATH, { signal }),
    api.providers(),
  ]);
  const add =
    api.may("admin") &&
    linkButton("Add connection", "#/connections/new", { icon: "plus", kind: "primary" });
  const name = (provider) =>
    providers.find((one) => one.provider === provider)?.display_name ?? provider;
  return [
    heading(
      "Connections",
      "Accounts at carriers and SIP trunks that calls come by and go by.",
      add,
    ),
    configurations.length
      ? h(
          "ul.cards",
          configurations.map((one) => item(one, name(one.provider))),
        )
      : empty(
          "plug",
          "No connections yet",
          "Connect an account at a carrier, or a SIP trunk of a carrier or a PBX.",
          add,
        ),
  ];
}

/** What a connection is, in badges. */
export function standing(one) {
  return [
    one.is_default_outbound && badge("default", "good"),
    one.inactive && badge("parked", "bad"),
    !one.inactive && !one.is_ready_for_outbound && badge("set-up incomplete", "warn"),
    one.origin === "file" && badge("from file"),
  ].filter(Boolean);
}

function item(one, provider) {
  const why = one.inactive ? one.inactive_reason : one.outbound_blocked_reason;
  return h(
    "li.card.connection",
    h(
      "div.card-head",
      h(
        "div",
        h("h2", h("a", { href: `#/connections/${one.id}` }, one.name)),
        h("p.muted", provider),
      ),
      h("div.badges", standing(one)),
    ),
    why && h("p.why", icon("alert", 14), h("span", why)),
    h(
      "div.card-foot",
      h("span.muted", plural(one.phone_number_count, "number")),
      api.may("admin") &&
        one.inactive &&
        button("Reactivate", {
          kind: "small",
          work: async () => {
            await api.post(`${PATH}/${one.id}/reactivate`);
            toast("It is in service again.");
            again();
          },
        }),
      api.may("admin") &&
        !one.is_default_outbound &&
        !one.inactive &&
        button("Make default", {
          icon: "star",
          kind: "small quiet",
          work: async () => {
            await api.post(`${PATH}/${one.id}/set-default-outbound`);
            toast(`Calls are placed by ${one.name} now.`);
            again();
          },
        }),
    ),
  );
}

/** Which kind of connection is to be made. */
export async function choose({ title, query }) {
  title("New connection");
  const providers = await api.providers();
  const group = (kind) => providers.filter((one) => one.connectivity === kind);
  const back = query.get("from") === "start" ? "?from=start" : "";
  return [
    backTo("#/connections", "Connections"),
    heading("New connection", "What do your calls come by?"),
    h(
      "div.pick-groups",
      [
        [
          "sip",
          "Over SIP",
          "Your own trunk, PBX or session border controller. No account elsewhere is needed.",
        ],
        [
          "api",
          "By the interface of a carrier or PBX",
          "An account at a carrier, or a PBX of yours, that is asked over HTTP, tells what happens, and sends its audio here.",
        ],
      ].map(
        ([kind, name, about]) =>
          group(kind).length > 0 &&
          h(
            "section",
            h("h2", name),
            h("p.muted", about),
            h(
              "ul.pick",
              group(kind).map((one) =>
                h(
                  "li",
                  h(
                    "a.pick-card",
                    { href: `#/connections/new/${one.provider}${back}` },
                    h("span.pick-mark", { "aria-hidden": "true" }, one.display_name.slice(0, 1)),
                    h("span", h("strong", one.display_name), h("span.muted", one.summary)),
                    icon("next"),
                  ),
                ),
              ),
            ),
          ),
      ),
    ),
  ];
}

export async function create({ title, params, query }) {
  const [providers, { configurations }] = await Promise.all([api.providers(), api.get(PATH)]);
  const provider = providers.find((one) => one.provider === params.provider);
  if (!provider) return notice("bad", "There is no such kind of connection", "");
  title(`New: ${provider.display_name}`);
  const form = connectionForm(provider, null, {
    isFirst: !configurations.some((one) => one.is_default_outbound),
  });
  const save = button("Add connection", { kind: "primary", type: "submit" });
  const element = h(
    "form",
    {
      noValidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        try {
          const saved = await busy(save, form.submit);
          toast("The connection is there. What is left to do is listed on its page.");
          go(query.get("from") === "start" ? "start" : `connections/${saved.id}`);
        } catch (error) {
          if (error.name !== "Wrong") form.show(error) ?? complain(error);
        }
      },
    },
    form.element,
    h("div.form-foot", save, linkButton("Cancel", "#/connections")),
  );
  return [
    backTo("#/connections/new", "Other kinds"),
    heading(
      provider.display_name,
      provider.summary,
      provider.docs_url &&
        h(
          "a.button.quiet",
          { href: provider.docs_url, target: "_blank", rel: "noreferrer noopener" },
          "Its documentation",
        ),
    ),
    guard(element),
  ];
}
